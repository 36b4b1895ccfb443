"""What orders and fills use up of the limits that count over a time."""

from collections.abc import Iterable, Iterator

from engine.controls import DAY_NS, Control, ModeCause, TradingMode
from engine.events import OrderReplaced, Trade
from engine.order import OrderView, Side
from engine.units import format_fixed
from risk.limits import LimitRow
from risk.modes import TRIPPED, Modes
from risk.plans import Plan
from risk.windows import RollingSum, signature_of

NS_PER_S = 1_000_000_000
ENGINE = "engine"
BUY = Side.BUY
FILLS = Control.FILLS


def feed_entry(plan: Plan, order: OrderView, now_ns: int) -> None:
    """Count an order that was let in. A market order's value is counted as it trades."""
    # What `RollingSum.add` does, written out here and below: no event counts in so few places that
    # the calls would not cost more than all the rest.
    for window in plan.entered:
        if now_ns >= window.ends_ns:
            window.move_on(now_ns)
        window.kept += 1
    exposed = plan.bought if order.side is BUY else plan.sold
    if exposed and order.price is not None:
        value = order.price * order.leaves_qty * plan.instrument.notional_factor
        for window, sign in exposed:
            if now_ns >= window.ends_ns:
                window.move_on(now_ns)
            window.kept += sign * value
    if plan.repetitions:
        signature = signature_of(order)
        for repetition in plan.repetitions:
            repetition.add(signature, now_ns)


def feed_message(windows: Iterable[RollingSum], now_ns: int) -> None:
    """Count an amendment that was let in, or a cancel."""
    for window in windows:
        if now_ns >= window.ends_ns:
            window.move_on(now_ns)
        window.kept += 1


def feed_amendment(plan: Plan, event: OrderReplaced, now_ns: int) -> None:
    """Count what the amendment of an order has added to the value that was entered."""
    order = event.order
    added = (order.price or 0) * order.leaves_qty
    added -= (event.orig_price or 0) * (event.orig_order_qty - order.cum_qty)
    if added > 0:
        _expose(plan, order.side, added * plan.instrument.notional_factor, now_ns)


def feed_fill(plan: Plan, trade: Trade, modes: Modes, now_ns: int) -> list[TradingMode]:
    """Count one side of a match. Returns the modes that this leads to, if they are stricter."""
    order = trade.order
    trips: list[TradingMode] = []
    if plan.unfilled and order.cum_qty == trade.qty:  # Its first fill.
        for window in plan.unfilled:
            window.take_back(1, now_ns)
    for window, per_fill in plan.credited:
        if now_ns >= window.ends_ns:
            window.move_on(now_ns)
        window.kept -= per_fill
    for window, row in plan.filled:
        if now_ns >= window.ends_ns:
            window.move_on(now_ns)
        window.kept += 1 if row.control is FILLS else trade.qty
        if window.kept > row.value:
            words = f"{_in_units(plan, row, window.kept)} {_over(row)}"
            trips += _trip(row, modes, ModeCause.EXECUTION_THROTTLE, words, now_ns)
    if order.price is None:
        _expose(plan, order.side, trade.notional, now_ns)
    return trips


def loss_trips_of(plan: Plan, modes: Modes, now_ns: int) -> list[TradingMode]:
    """Return the modes that what the account has lost today leads to, if they are stricter."""
    trips: list[TradingMode] = []
    for row in plan.losses:
        loss = plan.loss(now_ns)
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


def _expose(plan: Plan, side: Side, value: int, now_ns: int) -> None:
    for window, sign in plan.bought if side is BUY else plan.sold:
        window.add(sign * value, now_ns)


def _in_units(plan: Plan, row: LimitRow, used: int) -> str:
    if row.control is Control.FILLS:
        return f"{used} fills"
    return f"filled {plan.instrument.format_qty(used)} {plan.instrument.base.symbol}"


def _over(row: LimitRow) -> str:
    return "today" if row.window_ns == DAY_NS else f"within {row.window_ns // NS_PER_S} s"
