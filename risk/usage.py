"""What orders and fills use up of the limits that count over a time."""

from collections.abc import Iterator

from engine.controls import DAY_NS, Control, ModeCause, TradingMode
from engine.events import OrderAccepted, OrderReplaced, Trade
from engine.units import format_fixed
from risk.checks import signed_exposure
from risk.limits import LimitRow
from risk.modes import TRIPPED, Modes
from risk.plans import EXPOSURES, Plan

NS_PER_S = 1_000_000_000
ENGINE = "engine"


def feed_order(plan: Plan, event: OrderAccepted | OrderReplaced, now_ns: int) -> None:
    """Count an order that was let in, or what its amendment has added."""
    order = event.order
    value = 0  # A market order's is counted as it trades.
    if order.price is not None:
        open_value = order.price * order.leaves_qty
        if isinstance(event, OrderReplaced):
            open_value -= (event.orig_price or 0) * (event.orig_order_qty - order.cum_qty)
        value = max(0, open_value) * plan.instrument.notional_factor
    for row in plan.fed_by_orders:
        if row.control in EXPOSURES:
            _expose(plan, row, event, value, now_ns)
        elif isinstance(event, OrderReplaced):
            continue
        elif row.repetition is not None:
            signature = [
                order.instrument_id,
                order.side.value,
                order.price or 0,
                order.order_qty,
            ]
            row.repetition.add(signature, now_ns)
        else:
            assert row.window is not None
            row.window.add(1, now_ns)


def feed_fill(plan: Plan, trade: Trade, now_ns: int) -> None:
    """Count one side of a match."""
    order = trade.order
    is_first = order.cum_qty == trade.qty
    for row in plan.fed_by_fills:
        assert row.window is not None
        if row.control is Control.FILLS:
            row.window.add(1, now_ns)
        elif row.control is Control.FILLED_QTY:
            row.window.add(trade.qty, now_ns)
        elif row.control is Control.UNFILLED_ORDERS:
            if is_first:
                row.window.take_back(1, now_ns)
        elif order.price is None:
            _expose(plan, row, trade, trade.notional, now_ns)


def trips_of(plan: Plan, modes: Modes, now_ns: int) -> Iterator[TradingMode]:
    """Yield the modes that the account's limits lead to after a fill, if they are stricter."""
    for row in plan.fed_by_fills:
        if row.control in (Control.FILLS, Control.FILLED_QTY):
            assert row.window is not None
            used = row.window.total(now_ns)
            if used > row.value:
                words = f"{_in_units(plan, row, used)} {_over(row)}"
                yield from _trip(row, modes, ModeCause.EXECUTION_THROTTLE, words, now_ns)
    for row in plan.rows.get(Control.DAY_LOSS, ()):
        if row.asset_id == plan.instrument.quote.asset_id:
            loss = plan.day.loss(plan.account.account_id, row.asset_id, now_ns)
            if loss > row.value:
                quote = plan.instrument.quote
                words = f"lost {format_fixed(loss, quote.decimals)} {quote.symbol} today"
                yield from _trip(row, modes, ModeCause.LOSS_LIMIT, words, now_ns)


def _trip(
    row: LimitRow, modes: Modes, cause: ModeCause, words: str, now_ns: int
) -> Iterator[TradingMode]:
    before = modes.find(row.scope, row.scope_id, row.level)
    after = TRIPPED[(before, cause)]
    if after is not before:
        yield TradingMode(row.scope, row.scope_id, row.level, after, cause, words, ENGINE, now_ns)


def _expose(
    plan: Plan,
    row: LimitRow,
    event: OrderAccepted | OrderReplaced | Trade,
    value: int,
    now_ns: int,
) -> None:
    signed = signed_exposure(row, event.order.side, value)
    if signed and row.asset_id == plan.instrument.quote.asset_id:
        assert row.window is not None
        row.window.add(signed, now_ns)


def _in_units(plan: Plan, row: LimitRow, used: int) -> str:
    if row.control is Control.FILLS:
        return f"{used} fills"
    return f"filled {plan.instrument.format_qty(used)} {plan.instrument.base.symbol}"


def _over(row: LimitRow) -> str:
    return "today" if row.window_ns == DAY_NS else f"within {row.window_ns // NS_PER_S} s"
