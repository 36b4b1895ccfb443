"""`wcx firm`, `account`, `limits` and `approval`: over REST, while the venue runs."""

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from fix_gateway.operating import (
    AccountName,
    AsJson,
    Count,
    Symbol,
    account_path,
    find_firm,
    operating,
    print_done,
    print_item,
    print_items,
    session_path,
)
from fix_gateway.tools.rest import RestClient

Name = Annotated[str, typer.Argument(help="The name.")]
FirmName = Annotated[str, typer.Option("--firm", help="The firm's name.")]
Reference = Annotated[
    str | None, typer.Option(help="Its name: an account uses one once, so a repeat does nothing.")
]


class Limited(StrEnum):
    """Whose orders are limited."""

    ACCOUNT = "account"
    FIRM = "firm"
    SESSION = "session"


LimitedName = Annotated[str, typer.Argument(metavar="NAME", help="Of the account; see --of.")]
Of = Annotated[Limited, typer.Option("--of", help="What the name is of.")]

firm = typer.Typer(help="Firms.", no_args_is_help=True)
account = typer.Typer(help="Accounts and their money.", no_args_is_help=True)
limits = typer.Typer(help="What orders may not exceed, and who is lent to.", no_args_is_help=True)
approvals = typer.Typer(help="What waits for a second pair of eyes.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Give `wcx` its groups of commands."""
    for name, group in (
        ("firm", firm),
        ("account", account),
        ("limits", limits),
        ("approval", approvals),
    ):
        app.add_typer(group, name=name)


@firm.command(name="add")
def add_firm(name: Name, *, as_json: AsJson = False) -> None:
    """Set up a firm. One that is there already is shown."""
    with operating() as rest:
        made = rest.order("POST", "/v1/firms", {"name": name})
    print_item(made, as_json=as_json)


@firm.command(name="list")
def list_firms(*, as_json: AsJson = False) -> None:
    """List the firms that you may see."""
    with operating() as rest:
        items = rest.get_all("/v1/firms")
    print_items(items, ("firm_id", "name", "created_at"), as_json=as_json)


@firm.command(name="cancel-all")
def cancel_all(
    name: Name,
    *,
    symbol: Annotated[str | None, typer.Option(help="Only of this instrument.")] = None,
    as_json: AsJson = False,
) -> None:
    """Cancel all open orders of all accounts of a firm."""
    with operating() as rest:
        path = f"/v1/firms/{find_firm(rest, name)}/mass-cancel"
        done = rest.order("POST", path, {"symbol": symbol})
    print_item(done, as_json=as_json)


@account.command(name="add")
def add_account(name: Name, *, firm_name: FirmName, as_json: AsJson = False) -> None:
    """Open an account. One that is there already is shown."""
    with operating() as rest:
        body = {"firm_id": find_firm(rest, firm_name), "name": name}
        made = rest.order("POST", "/v1/accounts", body)
    print_item(made, as_json=as_json)


@account.command(name="list")
def list_accounts(*, as_json: AsJson = False) -> None:
    """List the accounts that you may see."""
    with operating() as rest:
        items = rest.get_all("/v1/accounts")
    print_items(items, ("account_id", "name", "firm_id", "is_open"), as_json=as_json)


@account.command()
def balances(name: AccountName, *, as_json: AsJson = False) -> None:
    """Show what an account has at this moment."""
    with operating() as rest:
        items = rest.get(f"{account_path(rest, name)}/balances")["items"]
    columns = ("asset", "balance", "held", "available", "credit")
    print_items(items, columns, as_json=as_json)


@account.command()
def deposit(
    name: AccountName,
    amount: Annotated[str, typer.Argument(help="Decimal text.")],
    asset: Annotated[str, typer.Argument(help="Such as USD.")],
    *,
    reference: Reference = None,
    as_json: AsJson = False,
) -> None:
    """Credit money that has come in from outside."""
    _move("deposits", name, {"amount": amount, "asset": asset, "reference": reference}, as_json)


@account.command()
def withdraw(
    name: AccountName,
    amount: Annotated[str, typer.Argument(help="Decimal text.")],
    asset: Annotated[str, typer.Argument(help="Such as USD.")],
    *,
    reference: Reference = None,
    as_json: AsJson = False,
) -> None:
    """Ask for money to leave the venue, which sets it aside until that has happened."""
    _move("withdrawals", name, {"amount": amount, "asset": asset, "reference": reference}, as_json)


@account.command()
def transfer(
    name: AccountName,
    to: Annotated[str, typer.Argument(metavar="TO", help="Another account of the firm.")],
    amount: Annotated[str, typer.Argument(help="Decimal text.")],
    asset: Annotated[str, typer.Argument(help="Such as USD.")],
    *,
    reference: Reference = None,
    as_json: AsJson = False,
) -> None:
    """Move money to another account of the firm."""
    with operating() as rest:
        payee = int(account_path(rest, to).rpartition("/")[2])
        body = {"amount": amount, "asset": asset, "reference": reference, "to_account_id": payee}
        done = rest.order("POST", f"{account_path(rest, name)}/transfers", body)
    print_item(done, as_json=as_json)


@account.command(name="cancel-all-after")
def cancel_all_after(
    name: AccountName,
    timeout_s: Annotated[
        int | None, typer.Argument(min=0, help="Seconds from now; 0 for never.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Have all orders of an account cancelled, those to come too, unless told again by then.

    Without a time, show when that would be.
    """
    with operating() as rest:
        path = f"{account_path(rest, name)}/cancel-all-after"
        if timeout_s is None:
            done = rest.get(path)
        else:
            done = rest.order("POST", path, {"timeout_s": timeout_s})
    print_item(done, as_json=as_json)


@account.command()
def ledger(
    name: AccountName,
    *,
    count: Count = 100,
    as_json: AsJson = False,
) -> None:
    """Show what came and went on an account, the newest first."""
    with operating() as rest:
        items = rest.get_first(f"{account_path(rest, name)}/ledger", count)
    columns = ("happened_at", "kind", "asset", "amount", "balance", "reference")
    print_items(items, columns, as_json=as_json)


@limits.command(name="show")
def show_limits(name: LimitedName, *, of: Of = Limited.ACCOUNT, as_json: AsJson = False) -> None:
    """Show what an order may not exceed.

    In an instrument that is not named an account may not trade; firms and sessions have no limit.
    """
    with operating() as rest:
        items = rest.get_all(f"{_limited_path(rest, name, of)}/limits")
    print_items(items, ("symbol", "order_qty_max", "notional_max"), as_json=as_json)


@limits.command(name="set")
def set_limits(
    name: LimitedName,
    symbol: Symbol,
    *,
    of: Of = Limited.ACCOUNT,
    qty: Annotated[str | None, typer.Option(help="The largest order, in the base asset.")] = None,
    notional: Annotated[
        str | None, typer.Option(help="The dearest order, in the quote asset.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set what one order may not exceed in an instrument. An account needs both.

    More than before, or an account's first limits, may wait for another user.
    """
    body = {"order_qty_max": qty, "notional_max": notional}
    with operating() as rest:
        done = rest.order("PUT", f"{_limited_path(rest, name, of)}/limits/{symbol}", body)
    print_done(name, done, as_json=as_json)


@limits.command()
def throttle(
    name: AccountName,
    *,
    rate: Annotated[int | None, typer.Option(min=1, help="Orders per second.")] = None,
    burst: Annotated[int | None, typer.Option(min=1, help="Orders at once.")] = None,
    off: Annotated[bool, typer.Option("--off", help="As often as it likes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how often an account may enter orders, or set it. More may wait for another user."""
    with operating() as rest:
        path = f"{account_path(rest, name)}/throttle"
        if off or rate is not None or burst is not None:
            done = rest.order("PUT", path, {"order_rate": rate, "order_burst": burst})
        else:
            done = rest.get(path)
    print_done(name, done, as_json=as_json)


@limits.command()
def credit(
    name: LimitedName,
    limit: Annotated[str | None, typer.Argument(help="Decimal text; 0 lends nothing.")] = None,
    asset: Annotated[str | None, typer.Argument(help="Such as USD.")] = None,
    *,
    of: Of = Limited.ACCOUNT,
    as_json: AsJson = False,
) -> None:
    """Show how far below zero an account or a firm may go, or set it. More may wait for another."""
    if of is Limited.SESSION or (limit is None) != (asset is None):
        raise typer.BadParameter("name an account or a firm, and limit and asset both or neither")
    with operating() as rest:
        path = f"{_limited_path(rest, name, of)}/credit-lines"
        if asset is None:
            print_items(rest.get_all(path), ("asset", "limit"), as_json=as_json)
            return
        done = rest.order("PUT", f"{path}/{quote(asset)}", {"limit": limit})
    print_done(name, done, as_json=as_json)


@approvals.command(name="list")
def list_approvals(*, as_json: AsJson = False) -> None:
    """List what waits for somebody's word."""
    with operating() as rest:
        items = rest.get_all("/v1/approvals?pending=true")
    columns = ("approval_id", "action", "subject", "before", "after", "reason", "proposed_by")
    print_items(items, columns, as_json=as_json)


@approvals.command(name="show")
def show_approval(approval_id: int, *, as_json: AsJson = False) -> None:
    """Show what was proposed: what held then, and what shall hold."""
    with operating() as rest:
        found = rest.get(f"/v1/approvals/{approval_id}")
    print_item(found, as_json=as_json)


@approvals.command()
def approve(approval_id: int, *, as_json: AsJson = False) -> None:
    """Let pass what another has proposed."""
    with operating() as rest:
        done = rest.order("POST", f"/v1/approvals/{approval_id}/approve")
    print_item(done, as_json=as_json)


@approvals.command()
def reject(approval_id: int, *, as_json: AsJson = False) -> None:
    """Let a proposal not pass, one's own too."""
    with operating() as rest:
        done = rest.order("POST", f"/v1/approvals/{approval_id}/reject")
    print_item(done, as_json=as_json)


def _move(verb: str, name: str, body: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001
    with operating() as rest:
        done = rest.order("POST", f"{account_path(rest, name)}/{verb}", body)
    print_item(done, as_json=as_json)


def _limited_path(rest: RestClient, name: str, of: Limited) -> str:
    match of:
        case Limited.ACCOUNT:
            return account_path(rest, name)
        case Limited.FIRM:
            return f"/v1/firms/{find_firm(rest, name)}"
        case Limited.SESSION:
            return session_path(rest, name)
