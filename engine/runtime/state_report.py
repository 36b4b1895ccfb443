"""The state of the exchange in the words and decimals of its users, for people and for programs."""

from collections.abc import Iterable, Sequence

import msgspec

from engine.instrument import Instrument
from engine.ledger import EXTERNAL, FEES
from engine.order import Side
from engine.runtime.replay import hash_state
from engine.runtime.utc_time import format_time_ns
from engine.state import ExchangeState, OrderState, make_instruments, undrawn_credits
from engine.units import AccountId, FirmId, InstrumentId, format_fixed

OUTSIDE = "(outside)"
VENUE_FEES = "(fees)"


class BalanceLine(msgspec.Struct, frozen=True):
    """What an account has of an asset. The outside world and the venue's fees are of firm 0."""

    account: str
    firm_id: int
    asset: str
    balance: str
    held: str
    available: str
    credit: str


class OrderLine(msgspec.Struct, frozen=True):
    """An open order. `expires_at` is None for one that has no end of its own.

    `price` is "" for a stop order without one. One that `is_waiting` stands in no book yet.
    """

    order_id: int
    account: str
    firm_id: int
    cl_ord_id: str
    symbol: str
    side: str
    time_in_force: str
    price: str
    order_qty: str
    cum_qty: str
    leaves_qty: str
    ord_status: str
    expires_at: str | None
    stop_price: str | None = None
    is_waiting: bool = False


class LevelLine(msgspec.Struct, frozen=True):
    """A price level of a book."""

    price: str
    qty: str
    order_count: int


class BookLines(msgspec.Struct, frozen=True):
    """The book of an instrument, the best levels first."""

    symbol: str
    bids: list[LevelLine]
    asks: list[LevelLine]


class StateReport(msgspec.Struct, frozen=True):
    """The state after the record `seq`, with every number as text in its own decimals."""

    seq: int
    time: str
    state_hash: str
    balances: list[BalanceLine]
    open_orders: list[OrderLine]
    books: list[BookLines]


def report_state(state: ExchangeState, *, seq: int, now_ns: int) -> StateReport:
    """Return the report of a state that was reached with the record `seq`, at `now_ns`."""
    instruments = make_instruments(state)
    return StateReport(
        seq=seq,
        time=format_time_ns(now_ns),
        state_hash=hash_state(state),
        balances=_balance_lines(state),
        open_orders=_order_lines(state, instruments),
        books=[_book_lines(state, instrument) for instrument in instruments.values()],
    )


def encode_report(report: StateReport) -> str:
    """Return the report as JSON, for programs."""
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def format_report(report: StateReport) -> str:
    """Return the report as text in columns, for people."""
    parts = [
        f"after record  {report.seq}\n"
        f"time          {report.time}\n"
        f"state hash    {report.state_hash}",
        "BALANCES\n"
        + _table(
            ("account", "firm", "asset", "balance", "held", "credit", "available"),
            "<><>>>>",
            (
                (
                    line.account,
                    line.firm_id,
                    line.asset,
                    line.balance,
                    line.held,
                    line.credit,
                    line.available,
                )
                for line in report.balances
            ),
        ),
        "OPEN ORDERS\n" + _table(*_order_columns(report)),
        *(f"BOOK {book.symbol}\n" + _table(*_book_columns(book)) for book in report.books),
    ]
    return "\n\n".join(parts)


def _owners(state: ExchangeState) -> dict[AccountId, tuple[str, int]]:
    """Return each account's name and firm."""
    owners: dict[AccountId, tuple[str, int]] = {
        EXTERNAL: (OUTSIDE, 0),
        FEES: (VENUE_FEES, 0),
    }
    for account in state.accounts:
        owners[account.account_id] = (account.name, account.firm_id)
    return owners


def _balance_lines(state: ExchangeState) -> list[BalanceLine]:
    assets = {asset.asset_id: asset for asset in state.assets}
    owners = _owners(state)
    undrawn = undrawn_credits(state)
    lines = []
    for line in state.balances:
        asset = assets[line.asset_id]
        _, firm_id = owners[line.account_id]
        available = line.balance - line.held + line.credit
        firm_left = undrawn.get((FirmId(firm_id), line.asset_id))
        if firm_left is not None:
            available = max(0, available) + firm_left
        amounts = [
            format_fixed(amount, asset.decimals)
            for amount in (line.balance, line.held, available, line.credit)
        ]
        lines.append(BalanceLine(*owners[line.account_id], asset.symbol, *amounts))
    return lines


def _order_lines(
    state: ExchangeState, instruments: dict[InstrumentId, Instrument]
) -> list[OrderLine]:
    owners = _owners(state)
    lines = []
    for item in state.open_orders:
        order, instrument = item.order, instruments[item.order.instrument_id]
        terms = order.terms
        stop_price = None if terms is None else terms.stop_price
        name, firm_id = owners[order.account_id]
        lines.append(
            OrderLine(
                order_id=order.order_id,
                account=name,
                firm_id=firm_id,
                cl_ord_id=order.cl_ord_id,
                symbol=instrument.symbol,
                side=order.side.name,
                time_in_force=order.time_in_force.name,
                price="" if order.price is None else instrument.format_price(order.price),
                order_qty=instrument.format_qty(order.order_qty),
                cum_qty=instrument.format_qty(order.cum_qty),
                leaves_qty=instrument.format_qty(order.leaves_qty),
                ord_status=order.ord_status.name,
                expires_at=format_time_ns(item.expires_at_ns) if item.expires_at_ns else None,
                stop_price=None if stop_price is None else instrument.format_price(stop_price),
                is_waiting=order.is_waiting,
            )
        )
    return lines


def _book_lines(state: ExchangeState, instrument: Instrument) -> BookLines:
    orders = [
        item for item in state.open_orders if item.order.instrument_id == instrument.instrument_id
    ]
    return BookLines(
        symbol=instrument.symbol,
        bids=_level_lines(orders, Side.BUY, instrument),
        asks=_level_lines(orders, Side.SELL, instrument),
    )


def _level_lines(
    orders: Sequence[OrderState], side: Side, instrument: Instrument
) -> list[LevelLine]:
    levels: dict[int, tuple[int, int]] = {}
    for item in orders:  # In the order in which they would trade.
        if item.order.side is side and not item.order.is_waiting:
            assert item.order.price is not None
            qty, count = levels.get(item.order.price, (0, 0))
            levels[item.order.price] = (qty + item.order.leaves_qty, count + 1)
    return [
        LevelLine(instrument.format_price(price), instrument.format_qty(qty), count)
        for price, (qty, count) in levels.items()
    ]


Columns = tuple[Sequence[str], str, Iterable[Sequence[object]]]


def _order_columns(report: StateReport) -> Columns:
    titles = ("OrderID", "account", "firm", "ClOrdID", "symbol", "side", "time in force")
    rows = (
        (
            line.order_id,
            line.account,
            line.firm_id,
            line.cl_ord_id,
            line.symbol,
            line.side,
            line.time_in_force,
            line.price,
            line.order_qty,
            line.cum_qty,
            line.leaves_qty,
        )
        for line in report.open_orders
    )
    return (*titles, "price", "OrderQty", "CumQty", "LeavesQty"), "><><<<<>>>>", rows


def _book_columns(book: BookLines) -> Columns:
    empty = ("", "", "")
    rows = []
    for place in range(max(len(book.bids), len(book.asks))):
        bid: Sequence[object] = empty
        ask: Sequence[object] = empty
        if place < len(book.bids):
            level = book.bids[place]
            bid = (level.order_count, level.qty, level.price)
        if place < len(book.asks):
            level = book.asks[place]
            ask = (level.price, level.qty, level.order_count)
        rows.append((*bid, *ask))
    return ("orders", "qty", "bid", "ask", "qty", "orders"), ">>>>>>", rows


def _table(titles: Sequence[str], alignment: str, rows: Iterable[Sequence[object]]) -> str:
    """Return rows under their titles, each column as wide as it needs to be."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return "  none"
    lines = [list(titles), *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(titles))]
    return "\n".join(
        "  "
        + "  ".join(
            f"{cell:{align}{width}}"
            for cell, align, width in zip(line, alignment, widths, strict=True)
        ).rstrip()
        for line in lines
    )
