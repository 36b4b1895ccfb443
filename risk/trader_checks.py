"""Checks of who asks: may he trade this at all, and what may he still do?"""

from typing import Final

from engine.commands import NewOrder
from engine.controls import Control, Mode, RefusalDetail, Restriction
from engine.gate import Rejection
from engine.live_order import Order
from engine.order import OrdType, Side
from engine.reasons import RejectReason
from risk.limits import LimitRow
from risk.modes import ALLOWED, REASONS, Act
from risk.plans import Plan

BUY = Side.BUY
ORD_TYPE_RESTRICTIONS: Final = {
    OrdType.MARKET: Restriction.MARKET.value,
    OrdType.LIMIT: Restriction.LIMIT.value,
}


def check_rights(plan: Plan, order: NewOrder, _replaced: Order | None) -> Rejection | None:
    """Who is restricted may not enter what he is restricted from. (1, 2)"""
    side = Restriction.BUY if order.side is BUY else Restriction.SELL
    wanted = side.value | ORD_TYPE_RESTRICTIONS.get(order.ord_type, Restriction.STOP.value)
    for row in plan.rows[Control.RESTRICTED]:
        if row.value & wanted:
            reason = (
                RejectReason.SYMBOL_RESTRICTED if row.instrument_id else RejectReason.NOT_AUTHORISED
            )
            return Rejection(reason, 0, 0, row.scope, detail_of(row))
    return None


def check_mode(plan: Plan, order: NewOrder, replaced: Order | None) -> Rejection | None:
    """What the strictest mode of all that concern the order does not allow. (28, 26, 27)"""
    mode = plan.mode
    if mode is None or mode.mode is Mode.NORMAL:
        return None
    if ALLOWED[(mode.mode, act_of(plan, order, replaced))]:
        return None
    detail = RefusalDetail(level=mode.level, scope_id=mode.scope_id)
    return Rejection(REASONS[mode.mode], mode.mode.value, mode.cause.value, mode.scope, detail)


def check_clock(plan: Plan, order: NewOrder, _replaced: Order | None) -> Rejection | None:
    """Whose clock is too far ahead says nothing of how old his orders are. (5)"""
    assert plan.rules is not None
    ahead_ns = order.sent_at_ns - order.received_at_ns
    if not order.received_at_ns or ahead_ns <= plan.rules.clock_skew_max_ns:
        return None
    return Rejection(RejectReason.CLOCK_SKEW, plan.rules.clock_skew_max_ns, ahead_ns)


def act_of(plan: Plan, order: NewOrder, replaced: Order | None) -> Act:
    """Return what the order, or the amendment of `replaced`, comes to."""
    filled_qty = own_qty = 0
    if replaced is not None:
        if order.price == replaced.price and order.order_qty <= replaced.order_qty:
            return Act.SHRINK
        filled_qty, own_qty = replaced.cum_qty, replaced.leaves_qty
    factor = plan.instrument.base_factor
    reducible = plan.desk.base[0].reducible(order.side, own_qty * factor)
    open_amount = (order.order_qty - filled_qty) * factor
    return Act.REDUCE if open_amount <= reducible else Act.ENTER


def detail_of(
    row: LimitRow, *, usage: int | None = None, low: int | None = None, high: int | None = None
) -> RefusalDetail:
    """Return whose limit it is, with what was used of it and what would have passed."""
    return RefusalDetail(
        usage=usage,
        low=low,
        high=high,
        level=row.level,
        scope_id=row.scope_id,
        asset_id=row.asset_id,
        window_ns=row.window_ns,
    )
