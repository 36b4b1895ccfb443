"""`wcx firm`, `account`, `limits`, `orders` and `approval`: over REST, while the venue runs."""

from typing import Annotated, Any

import typer

from fix_gateway.operating import AsJson, operating, print_item, print_items
from fix_gateway.tools.rest import RestClient, RestError

Name = Annotated[str, typer.Argument(help="The name.")]
FirmName = Annotated[str, typer.Option("--firm", help="The firm's name.")]
Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Its name, or its number where names are alike.")
]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTC-USD.")]
Reference = Annotated[
    str | None, typer.Option(help="Its name: an account uses one once, so a repeat does nothing.")
]

firm = typer.Typer(help="Firms.", no_args_is_help=True)
account = typer.Typer(help="Accounts and their money.", no_args_is_help=True)
limits = typer.Typer(help="What an order of an account may not exceed.", no_args_is_help=True)
approvals = typer.Typer(help="What waits for a second pair of eyes.", no_args_is_help=True)
orders = typer.Typer(help="Orders of an account, over REST.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Give `wcx` its groups of commands."""
    for name, group in (
        ("firm", firm),
        ("account", account),
        ("limits", limits),
        ("orders", orders),
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


@account.command(name="add")
def add_account(name: Name, *, firm_name: FirmName, as_json: AsJson = False) -> None:
    """Open an account. One that is there already is shown."""
    with operating() as rest:
        body = {"firm_id": _find_firm(rest, firm_name), "name": name}
        made = rest.order("POST", "/v1/accounts", body)
    print_item(made, as_json=as_json)


@account.command(name="list")
def list_accounts(*, as_json: AsJson = False) -> None:
    """List the accounts that you may see."""
    with operating() as rest:
        items = rest.get_all("/v1/accounts")
    print_items(items, ("account_id", "name", "firm_id", "is_open"), as_json=as_json)


@account.command()
def balances(name: Account, *, as_json: AsJson = False) -> None:
    """Show what an account has at this moment."""
    with operating() as rest:
        items = rest.get(f"{_path(rest, name)}/balances")["items"]
    columns = ("asset", "balance", "held", "available", "credit")
    print_items(items, columns, as_json=as_json)


@account.command()
def deposit(
    name: Account,
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
    name: Account,
    amount: Annotated[str, typer.Argument(help="Decimal text.")],
    asset: Annotated[str, typer.Argument(help="Such as USD.")],
    *,
    reference: Reference = None,
    as_json: AsJson = False,
) -> None:
    """Ask for money to leave the venue, which sets it aside until that has happened."""
    _move("withdrawals", name, {"amount": amount, "asset": asset, "reference": reference}, as_json)


@limits.command(name="show")
def show_limits(name: Account, *, as_json: AsJson = False) -> None:
    """Show the limits of an account: in an instrument that is not named it may not trade."""
    with operating() as rest:
        items = rest.get(f"{_path(rest, name)}/limits")["items"]
    print_items(items, ("symbol", "order_qty_max", "notional_max"), as_json=as_json)


@limits.command(name="set")
def set_limits(
    name: Account,
    symbol: Symbol,
    *,
    qty: Annotated[str, typer.Option(help="The largest order, in the base asset.")],
    notional: Annotated[str, typer.Option(help="The dearest order, in the quote asset.")],
    as_json: AsJson = False,
) -> None:
    """Set what one order of an account may not exceed in an instrument.

    More than before, or the first limits there are, may wait for another user.
    """
    body = {"order_qty_max": qty, "notional_max": notional}
    with operating() as rest:
        done = rest.order("PUT", f"{_path(rest, name)}/limits/{symbol}", body)
    if "approval_id" in done and not as_json:
        print(f"{name}: waits for another user: wcx approval approve {done['approval_id']}")
        return
    print_item(done, as_json=as_json)


@orders.command()
def place(
    name: Account,
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    qty: Annotated[str, typer.Argument(help="In the base asset.")],
    symbol: Symbol,
    *,
    price: Annotated[str | None, typer.Option(help="Without one: a market order.")] = None,
    tif: Annotated[str, typer.Option(help="day, gtc, ioc or fok.")] = "day",
    key: Annotated[
        str | None, typer.Option(help="The ClOrdID: with the same one it is placed once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Place an order and show what happened at once."""
    body: dict[str, Any] = {
        "symbol": symbol,
        "side": side,
        "order_qty": qty,
        "time_in_force": tif,
        "price": price,
        "ord_type": "market" if price is None else "limit",
    }
    headers = {} if key is None else {"Idempotency-Key": key}
    with operating() as rest:
        done = rest.order("POST", f"{_path(rest, name)}/orders", body, headers)
    _print_order(done, as_json=as_json)


@orders.command()
def show(name: Account, order_id: int, *, as_json: AsJson = False) -> None:
    """Show how an order stands."""
    with operating() as rest:
        found = rest.get(f"{_path(rest, name)}/orders/{order_id}")
    _print_order(found, as_json=as_json)


@orders.command()
def amend(
    name: Account,
    order_id: int,
    *,
    qty: Annotated[str, typer.Option(help="In all, what is filled included.")],
    price: Annotated[str, typer.Option(help="The price.")],
    as_json: AsJson = False,
) -> None:
    """Amend an order."""
    with operating() as rest:
        path = f"{_path(rest, name)}/orders/{order_id}"
        done = rest.order("PATCH", path, {"order_qty": qty, "price": price})
    _print_order(done, as_json=as_json)


@orders.command()
def cancel(name: Account, order_id: int, *, as_json: AsJson = False) -> None:
    """Cancel an order."""
    with operating() as rest:
        done = rest.order("DELETE", f"{_path(rest, name)}/orders/{order_id}")
    _print_order(done, as_json=as_json)


@orders.command(name="cancel-all")
def cancel_all(
    name: Account,
    *,
    symbol: Annotated[str | None, typer.Option(help="Only of this instrument.")] = None,
    as_json: AsJson = False,
) -> None:
    """Cancel all open orders of an account."""
    with operating() as rest:
        done = rest.order("POST", f"{_path(rest, name)}/mass-cancel", {"symbol": symbol})
    print_item(done, as_json=as_json)


@approvals.command(name="list")
def list_approvals(*, as_json: AsJson = False) -> None:
    """List what waits for somebody's word."""
    with operating() as rest:
        items = rest.get_all("/v1/approvals?pending=true")
    columns = ("approval_id", "action", "subject", "reason", "proposed_by", "expires_at")
    print_items(items, columns, as_json=as_json)


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
        done = rest.order("POST", f"{_path(rest, name)}/{verb}", body)
    print_item(done, as_json=as_json)


def _print_order(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_item(done, as_json=True)
        return
    print(f"order {done['order_id']}, {done['cl_ord_id']}")
    columns = (
        "exec_type", "ord_status", "side", "order_qty", "price", "last_qty", "last_px",
        "leaves_qty",
    )  # fmt: skip
    print_items(done["reports"], columns)


def _find_firm(rest: RestClient, name: str) -> int:
    for item in rest.get_all("/v1/firms"):
        if item["name"] == name:
            return int(item["firm_id"])
    raise RestError(f"no firm {name}")


def _path(rest: RestClient, name: str) -> str:
    """Return the path of the account of that name, else of that number."""
    items = rest.get_all("/v1/accounts")
    found = [item["account_id"] for item in items if item["name"] == name]
    if len(found) > 1:
        numbers = ", ".join(str(number) for number in found)
        raise RestError(f"{name} is the name of accounts {numbers}: name one by its number")
    if not found:
        found = [item["account_id"] for item in items if str(item["account_id"]) == name]
    if not found:
        raise RestError(f"no account {name}")
    return f"/v1/accounts/{found[0]}"
