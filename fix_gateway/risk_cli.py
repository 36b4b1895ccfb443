"""`wcx risk`: the list of controls, limits, rules of instruments, why an order was refused."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from config.settings import Settings
from engine.events import AccountOpened, CancelRejected, Event, OrderRejected, ReferenceEvent
from engine.explain import format_utc
from engine.gate import Rejection
from engine.order import OrderView
from engine.reference import Reference
from engine.refusal import Refusal, describe
from engine.runtime.codec import Record
from engine.runtime.journal import JournalDamagedError, inspect_tail, read_records
from engine.units import AccountId
from fix_gateway.operating import (
    AccountName,
    AsJson,
    Symbol,
    account_path,
    find_firm,
    find_user,
    operating,
    print_done,
    print_items,
    session_path,
    split_settings,
)
from fix_gateway.tools.rest import RestClient
from risk.catalogue import CATALOGUE, render_catalogue

DEFINITIONS = (bytes([20]), bytes([21]), bytes([22]))
"""The tags of `DefineAsset`, `DefineInstrument` and `OpenAccount`, as they are encoded."""


class Owner(StrEnum):
    """Whose limits there are."""

    ACCOUNT = "account"
    FIRM = "firm"
    SESSION = "session"
    USER = "user"


class LevelName(StrEnum):
    """Who sets a limit: the tightest of all levels decides."""

    OPERATOR = "operator"
    FIRM = "firm"
    CLIENT = "client"


app = typer.Typer(help="The controls that orders pass.", no_args_is_help=True)
overrides = typer.Typer(help="What passes a limit for a while, over REST.", no_args_is_help=True)
app.add_typer(overrides, name="override")

Code = Annotated[str, typer.Argument(metavar="CODE", help="Of the refusal, as MAX_ORDER_QTY.")]
OneSymbol = Annotated[str | None, typer.Option("--symbol", help="Only in this instrument.")]
OneOrder = Annotated[str | None, typer.Option("--order", help="Only the order of this ClOrdID.")]
OneAsset = Annotated[str | None, typer.Option("--asset", help="With MAX_ASSET: of which asset.")]
LIMIT_COLUMNS = ("control", "value", "symbol", "asset", "window_s", "level")
NO_LIMIT = "none"
COUNTED = ("_bps", "_s", "_ticks")
"""How names of rules end that are numbers of something."""
OVERRIDE_COLUMNS = (
    "code", "symbol", "asset", "cl_ord_id", "value", "expires_at", "actor", "approver",
)  # fmt: skip


@app.command("controls")
def show_controls() -> None:
    """Print the list of controls: what each is, who sets it, its code, where it comes from."""
    print(f"{len(CATALOGUE)} controls\n")
    print(render_catalogue(), end="")


@app.command()
def limits(
    owner: Annotated[str, typer.Argument(metavar="NAME", help="Of the account; see --of.")],
    control: Annotated[str | None, typer.Argument(help="As ORDER_QTY; see `controls`.")] = None,
    value: Annotated[str | None, typer.Argument(help="`none` takes the limit away.")] = None,
    *,
    of: Annotated[Owner, typer.Option("--of", help="What the name is of.")] = Owner.ACCOUNT,
    level: Annotated[LevelName, typer.Option(help="Whose limit it is.")] = LevelName.OPERATOR,
    symbol: OneSymbol = None,
    asset: Annotated[str | None, typer.Option(help="In which it is counted.")] = None,
    window_s: Annotated[int | None, typer.Option(help="86400 is the day in UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the limits of somebody, or set one. What allows more may wait for another user."""
    if (control is None) != (value is None):
        raise typer.BadParameter("name control and value both or neither")
    with operating() as rest:
        owner_id = _find_owner(rest, owner, of)
        scope = of.value.upper()
        if control is None:
            items = rest.get_all(f"/v1/risk/controls?scope={scope}&scope_id={owner_id}")
            print_items(items, LIMIT_COLUMNS, as_json=as_json)
            return
        body = {
            "level": level.value.upper(),
            "scope": scope,
            "scope_id": owner_id,
            "control": control,
            "value": None if value == NO_LIMIT else value,
            "symbol": symbol,
            "asset": asset,
            "window_s": window_s,
        }
        done = rest.order("PUT", "/v1/risk/controls", body)
    print_done(f"{control} of {owner}", done, as_json=as_json)


def _find_owner(rest: RestClient, name: str, of: Owner) -> int:
    match of:
        case Owner.ACCOUNT:
            return int(account_path(rest, name).rpartition("/")[2])
        case Owner.SESSION:
            return int(session_path(rest, name).rpartition("/")[2])
        case Owner.FIRM:
            return find_firm(rest, name)
        case Owner.USER:
            return find_user(rest, name)


@app.command()
def rules(
    symbol: Symbol,
    wanted: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE...")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what every order in an instrument must keep to, or set some of it.

    Names are those of PUT /v1/instruments/{symbol}/rules: volume_share_max_bps=500
    average_daily_volume=12000. `null` or 0 demands nothing. What allows more may wait for another
    user.
    """
    path = f"/v1/instruments/{quote(symbol, safe='')}/rules"
    values = {name: _rule_value(name, text) for name, text in split_settings(wanted or []).items()}
    with operating() as rest:
        done = rest.order("PATCH", path, values) if values else rest.get(path)
    print_done(symbol, done, as_json=as_json)


def _rule_value(name: str, text: str) -> object:
    """Return the value as the API takes it: prices and quantities as text, exactly as typed."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_number and not name.endswith(COUNTED) else value


@app.command()
def explain(
    cl_ord_id: Annotated[str, typer.Argument(metavar="CLORDID", help="Of the refused order.")],
    *,
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Its account.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say why an order or an amendment was refused: limit, usage, range, reference price.

    Reads the journal's files, archived ones too; the engine need not run. A ClOrdID that was
    refused more than once is told as often, the oldest first.
    """
    directory = Settings().journal_dir
    try:
        until_seq = inspect_tail(directory).last_seq
        found = find_refusals(read_records(directory, until_seq=until_seq), cl_ord_id, account)
    except (JournalDamagedError, FileNotFoundError) as error:
        typer.echo(f"the journal cannot be read: {error}", err=True)
        raise typer.Exit(1) from None
    if not found:
        typer.echo(f"no refusal of {cl_ord_id} is in the journal", err=True)
        raise typer.Exit(1)
    for seq, at_ns, account_name, refusal in found:
        place = {"seq": seq, "at": format_utc(at_ns), "account": account_name}
        if as_json:
            print(json.dumps({**place, **asdict(refusal)}))
        else:
            print(_in_lines({**place, **asdict(refusal)}))


@overrides.command(name="list")
def list_overrides(account: AccountName, *, as_json: AsJson = False) -> None:
    """List what orders of an account may pass, until when, and who wanted it."""
    with operating() as rest:
        items = rest.get_all(f"{account_path(rest, account)}/overrides")
    print_items(items, OVERRIDE_COLUMNS, as_json=as_json)


@overrides.command()
def grant(
    account: AccountName,
    code: Code,
    value: Annotated[str, typer.Argument(help="The most that passes, in the code's unit.")],
    *,
    minutes: Annotated[int, typer.Option(min=1, help="For how long.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    symbol: OneSymbol = None,
    order: OneOrder = None,
    asset: OneAsset = None,
    as_json: AsJson = False,
) -> None:
    """Propose that orders of an account pass a limit for a while. Another user approves it."""
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    body = {
        "code": code,
        "symbol": symbol,
        "cl_ord_id": order,
        "asset": asset,
        "value": value,
        "expires_at": expires_at.isoformat(),
        "reason": reason,
    }
    with operating() as rest:
        done = rest.order("POST", f"{account_path(rest, account)}/overrides", body)
    print_done(f"{code} of {account}", done, as_json=as_json)


@overrides.command()
def revoke(
    account: AccountName,
    code: Code,
    *,
    symbol: OneSymbol = None,
    order: OneOrder = None,
    asset: OneAsset = None,
    as_json: AsJson = False,
) -> None:
    """Take an override back before its time is up. Name what it was granted for."""
    body = {"code": code, "symbol": symbol, "cl_ord_id": order, "asset": asset}
    with operating() as rest:
        done = rest.order("POST", f"{account_path(rest, account)}/overrides/revoke", body)
    print_done(f"{code} of {account}", done, as_json=as_json)


Found = tuple[int, int, str, Refusal]
"""Seq and time of the record, the account, and the refusal."""


def find_refusals(records: Iterable[Record], cl_ord_id: str, account: str | None) -> list[Found]:
    """Return every refusal of that ClOrdID in the records, which begin with the first of all."""
    reference = Reference()
    names: dict[AccountId, str] = {}
    found: list[Found] = []
    needle = cl_ord_id.encode()
    for record in records:
        # Most records are of others, and need not be taken apart.
        if needle not in record.events_bytes and not _may_define(record):
            continue
        for event in record.events():
            if isinstance(event, ReferenceEvent):
                reference.learn(event)
            if isinstance(event, AccountOpened):
                names[event.account.account_id] = event.account.name
            refused = _refused(event)
            if refused is None or refused[0] != cl_ord_id:
                continue
            _, account_id, order, rejection = refused
            name = names.get(account_id, str(account_id))
            if account in (None, name):
                refusal = _describe(rejection, order, reference)
                if isinstance(event, CancelRejected) and event.text:
                    refusal = replace(refusal, text=event.text)  # What the door has found.
                found.append((record.seq, record.now_ns, name, refusal))
    return found


def _may_define(record: Record) -> bool:
    """Whether the record may introduce an asset, an instrument or an account: by its tag."""
    return record.command_bytes[1:2] in DEFINITIONS


def _refused(event: Event) -> tuple[str, AccountId, OrderView | None, Rejection] | None:
    match event:
        case OrderRejected():
            cl_ord_id, account_id = event.order.cl_ord_id, event.order.account_id
        case CancelRejected():
            cl_ord_id, account_id = event.cl_ord_id, event.account_id
        case _:
            return None
    rejection = Rejection(event.reason, event.limit, event.actual, event.scope, event.detail)
    return cl_ord_id, account_id, event.order, rejection


def _describe(rejection: Rejection, order: OrderView | None, reference: Reference) -> Refusal:
    instrument = None if order is None else reference.instruments.get(order.instrument_id)
    return describe(rejection, instrument, None if order is None else order.side)


def _in_lines(fields: dict[str, object]) -> str:
    known = {name: value for name, value in fields.items() if value is not None}
    width = max(len(name) for name in known)
    return "\n".join(f"{name:{width}}  {value}" for name, value in known.items()) + "\n"
