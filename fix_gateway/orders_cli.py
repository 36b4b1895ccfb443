"""`wcx orders` and `wcx trades`: over REST, while the venue runs."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from fix_gateway.operating import (
    AccountName,
    AsJson,
    Count,
    Symbol,
    account_path,
    operating,
    print_done,
    print_item,
    print_items,
)
from fix_gateway.tools.rest import RestClient

OfAccount = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Of this account.")
]
OfSymbol = Annotated[str | None, typer.Option("--symbol", help="Only of this instrument.")]
Reason = Annotated[str, typer.Option(help="Why. It is journaled, audited, and told to both sides.")]
Forced = Annotated[
    bool,
    typer.Option("--force", help="Lend to an account that cannot give back what it got."),
]

orders = typer.Typer(help="Orders.", no_args_is_help=True)
trades = typer.Typer(help="Trades, and what is done about wrong ones.", no_args_is_help=True)


@orders.command(name="list")
def list_orders(
    *,
    account: OfAccount = None,
    symbol: OfSymbol = None,
    is_open: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    count: Count = 100,
    as_json: AsJson = False,
) -> None:
    """List orders, refused ones too, the newest first."""
    columns = (
        "order_id", "account", "symbol", "side", "order_qty", "price", "leaves_qty", "ord_status",
        "reason", "entered_at",
    )  # fmt: skip
    with operating() as rest:
        narrow = _of(rest, account, symbol) | ({"is_open": "true"} if is_open else {})
        items = rest.get_first(f"/v1/orders?{urlencode(narrow)}", count)
    print_items(items, columns, as_json=as_json)


@orders.command()
def place(
    name: AccountName,
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
        done = rest.order("POST", f"{account_path(rest, name)}/orders", body, headers)
    _print_order(done, as_json=as_json)


@orders.command()
def show(name: AccountName, order_id: int, *, as_json: AsJson = False) -> None:
    """Show how an order stands."""
    with operating() as rest:
        found = rest.get(f"{account_path(rest, name)}/orders/{order_id}")
    _print_order(found, as_json=as_json)


@orders.command()
def amend(
    name: AccountName,
    order_id: int,
    *,
    qty: Annotated[str, typer.Option(help="In all, what is filled included.")],
    price: Annotated[str, typer.Option(help="The price.")],
    as_json: AsJson = False,
) -> None:
    """Amend an order."""
    with operating() as rest:
        path = f"{account_path(rest, name)}/orders/{order_id}"
        done = rest.order("PATCH", path, {"order_qty": qty, "price": price})
    _print_order(done, as_json=as_json)


@orders.command()
def cancel(name: AccountName, order_id: int, *, as_json: AsJson = False) -> None:
    """Cancel an order."""
    with operating() as rest:
        done = rest.order("DELETE", f"{account_path(rest, name)}/orders/{order_id}")
    _print_order(done, as_json=as_json)


@orders.command(name="cancel-all")
def cancel_all(
    name: AccountName,
    *,
    symbol: Annotated[str | None, typer.Option(help="Only of this instrument.")] = None,
    as_json: AsJson = False,
) -> None:
    """Cancel all open orders of an account."""
    with operating() as rest:
        done = rest.order("POST", f"{account_path(rest, name)}/mass-cancel", {"symbol": symbol})
    print_item(done, as_json=as_json)


@trades.command(name="list")
def list_trades(
    *,
    account: OfAccount = None,
    symbol: OfSymbol = None,
    count: Count = 100,
    as_json: AsJson = False,
) -> None:
    """List trades, the newest first."""
    columns = ("trade_id", "happened_at", "symbol", "qty", "price", "state")
    with operating() as rest:
        items = rest.get_first(f"/v1/trades?{urlencode(_of(rest, account, symbol))}", count)
    print_items(items, columns, as_json=as_json)


@trades.command()
def bust(trade_id: int, *, reason: Reason, force: Forced = False, as_json: AsJson = False) -> None:
    """Undo a trade: what it moved goes back. It may wait for another user."""
    _amend_trade(trade_id, "bust", {"reason": reason, "is_forced": force}, as_json=as_json)


@trades.command()
def correct(
    trade_id: int,
    *,
    qty: Annotated[str, typer.Option(help="Not more than it was.")],
    price: Annotated[str, typer.Option(help="At which it shall have happened.")],
    reason: Reason,
    force: Forced = False,
    as_json: AsJson = False,
) -> None:
    """Settle a trade anew, at another price or for less. It may wait for another user."""
    body = {"qty": qty, "price": price, "reason": reason, "is_forced": force}
    _amend_trade(trade_id, "correct", body, as_json=as_json)


def _amend_trade(trade_id: int, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    with operating() as rest:
        done = rest.order("POST", f"/v1/trades/{trade_id}/{verb}", body)
    print_done(f"trade {trade_id}", done, as_json=as_json)


def _of(rest: RestClient, account: str | None, symbol: str | None) -> dict[str, str]:
    """Return what narrows a search."""
    narrow = {} if symbol is None else {"symbol": symbol}
    if account is not None:
        narrow["account_id"] = account_path(rest, account).rpartition("/")[2]
    return narrow


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
