"""What orders and fills use up of the limits that count over a time."""

from collections.abc import Iterator

from engine.controls import DAY_NS, Control, ModeCause, TradingMode
from engine.events import OrderReplaced, Trade
from engine.order import OrderView, Side
from engine.units import format_fixed
from risk.limits import LimitRow
from risk.modes import TRIPPED, Modes
from risk.plans import Plan
from risk.windows import signature_of

NS_PER_S = 1_000_000_000
ENGINE = "engine"
BUY = Side.BUY
FILLS = Control.FILLS


def feed_entry(plan: Plan, order: OrderView, now_ns: int) -> None:
    """Count an order that was let in. A market order's value is counted as it trades."""
    # What `RollingSum.add` does, written out here and below: no event counts in so few places that
    # the calls would not cost more than all the rest.
    if now_ns >= plan.windows_end_ns:
        plan.move_on(now_ns)
    for window in plan.entered:
        window.used += 1
    if order.price is not None:
        _expose(plan, order.side, order.price * order.leaves_qty * plan.notional_factor)
    if plan.repetitions:
        signature = signature_of(order)
        for repetition in plan.repetitions:
            repetition.add(signature, now_ns)


def feed_message(plan: Plan, now_ns: int) -> None:
    """Count an amendment that was let in, or a cancel."""
    if now_ns >= plan.windows_end_ns:
        plan.move_on(now_ns)
    for window in plan.messages:
        window.used += 1


def feed_amendment(plan: Plan, event: OrderReplaced, now_ns: int) -> None:
    """Count an amendment, and what it has added to the value that was entered."""
    feed_message(plan, now_ns)
    order = event.order
    added = (order.price or 0) * order.leaves_qty
    added -= (event.orig_price or 0) * (event.orig_order_qty - order.cum_qty)
    if added > 0:
        _expose(plan, order.side, added * plan.notional_factor)


def feed_fill(plan: Plan, trade: Trade, now_ns: int) -> bool:
    """Count one side of a match. Returns whether a limit on fills or losses is passed now."""
    order = trade.order
    if now_ns >= plan.windows_end_ns:
        plan.move_on(now_ns)
    if order.cum_qty == trade.qty:  # Its first fill.
        for window in plan.unfilled:
            window.take_back(1, now_ns)
    for window in plan.credited:
        window.used -= window.most
    is_passed = False
    for window, row in plan.filled:
        window.used += 1 if row.control is FILLS else trade.qty
        if window.used > window.most:
            is_passed = True
    if order.price is None:
        _expose(plan, order.side, trade.notional)
    return is_passed or (plan.loss_max is not None and plan.loss(now_ns) > plan.loss_max)


def trips_of(plan: Plan, modes: Modes, now_ns: int) -> list[TradingMode]:
    """Return the modes that limits on fills and losses lead to that are passed, if stricter."""
    trips: list[TradingMode] = []
    for window, row in plan.filled:
        if window.used > window.most:
            words = f"{_in_units(plan, row, window.used)} {_over(row)}"
            trips += _trip(row, modes, ModeCause.EXECUTION_THROTTLE, words, now_ns)
    loss = plan.loss(now_ns)
    for row in plan.losses:
        if loss > row.value:
            quote = plan.instrument.quote
            words = f"lost {format_fixed(loss, quote.decimals)} {quote.symbol} today"
            trips += _trip(row, modes, ModeCause.LOSS_LIMIT, words, now_ns)
    return trips


def _trip(
    row: LimitRow, modes: Modes, cause: ModeCause, words: str, now_ns: int
) -> Iterator[TradingMode]:
    before = modes.find(row.scope, row.scope_id, row.level)
    after = TRIPPED[(before, cause)]
    if after is not before:
        yield TradingMode(row.scope, row.scope_id, row.level, after, cause, words, ENGINE, now_ns)


def _expose(plan: Plan, side: Side, value: int) -> None:
    if side is BUY:
        for window in plan.bought:
            window.used += value
    else:
        for window in plan.sold:
            window.used += value
        value = -value
    for window in plan.netted:
        window.used += value


def _in_units(plan: Plan, row: LimitRow, used: int) -> str:
    if row.control is Control.FILLS:
        return f"{used} fills"
    return f"filled {plan.instrument.format_qty(used)} {plan.instrument.base.symbol}"


def _over(row: LimitRow) -> str:
    return "today" if row.window_ns == DAY_NS else f"within {row.window_ns // NS_PER_S} s"
