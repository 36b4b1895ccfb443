"""Checks of limits and funds: each looks at one order and says why not, or nothing."""

from engine.controls import Control, Level
from engine.gate import Candidate, Rejection
from engine.limits import RiskLimits, ScopeLimits
from engine.matching import counted_price
from engine.order import OrdType, Side, TimeInForce
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import AssetId
from risk.holdings import PLAIN_TYPES, Holding, OpenCounts
from risk.limits import LimitRow
from risk.modes import Act
from risk.plans import Plan
from risk.trader_checks import act_of, detail_of
from risk.windows import signature_of

BUY = Side.BUY
MARKET = OrdType.MARKET
ACCOUNT = Scope.ACCOUNT
NO_ASSET = AssetId(0)
PASSING_TIMES = (TimeInForce.IOC, TimeInForce.FOK)


def check_rate(plan: Plan, entry: Candidate) -> Rejection | None:
    """The account's orders may not come too often. Those that are let in are counted. (3)"""
    throttle = plan.throttle
    assert throttle is not None
    wait_ns = throttle.wait_ns(entry.now_ns)
    return Rejection(RejectReason.RATE_LIMIT, throttle.rate, wait_ns) if wait_ns else None


def check_messages(plan: Plan, entry: Candidate) -> Rejection | None:
    """Orders, amendments and cancels over a while: cancels count, but are never refused. (3)"""
    for row in plan.rows[Control.MESSAGES]:
        assert row.window is not None
        count = row.window.total(entry.now_ns)
        if count >= row.value:
            return _pass_beyond(row, RejectReason.MESSAGE_LIMIT, count, 1)
    return None


def check_messages_per_fill(plan: Plan, entry: Candidate) -> Rejection | None:
    """So many messages may go with each fill, and as many before the first. (20)"""
    for row in plan.rows[Control.MESSAGES_PER_FILL]:
        assert row.window is not None
        count = row.window.total(entry.now_ns)  # Each fill has taken off what goes with it.
        if count >= row.value:
            return _pass_beyond(row, RejectReason.ORDER_TO_TRADE, count, 1)
    return None


def check_limits_exist(plan: Plan, _entry: Candidate) -> Rejection | None:
    """Fail closed: an account without limits in the instrument may not trade it."""
    return Rejection(RejectReason.NO_RISK_LIMITS) if plan.limits is None else None


def check_repetition(plan: Plan, entry: Candidate) -> Rejection | None:
    """So many orders in a row that are alike are a loop gone wild. (17)"""
    if entry.replaced is not None:
        return None
    signature = signature_of(entry.order)
    for row in plan.rows[Control.REPEATED_ORDERS]:
        assert row.repetition is not None
        count = row.repetition.count_of(signature, entry.now_ns)
        if count >= row.value:
            return _pass_beyond(row, RejectReason.DUPLICATE_ORDER, count, 1)
    return None


def check_order_qty(plan: Plan, entry: Candidate) -> Rejection | None:
    """Fat finger: one order may not exceed the largest of the account, its firm and its session."""
    order_qty = entry.order.order_qty
    for limits in plan.order_limits:
        if limits.order_qty_max is not None and order_qty > limits.order_qty_max:
            scope = _scope_of(limits)
            return Rejection(RejectReason.MAX_ORDER_QTY, limits.order_qty_max, order_qty, scope)
    return None


def check_notional(plan: Plan, entry: Candidate) -> Rejection | None:
    """Fat finger: one order may not be worth more than account, firm and session allow."""
    notional = entry.funding.notional
    for limits in plan.order_limits:
        if limits.notional_max is not None and notional > limits.notional_max:
            scope = _scope_of(limits)
            return Rejection(RejectReason.MAX_ORDER_NOTIONAL, limits.notional_max, notional, scope)
    return None


def check_firm_qty(plan: Plan, entry: Candidate) -> Rejection | None:
    """Fat finger as firms and clients see it: the largest quantity of one order. (8)"""
    row = plan.rows[Control.ORDER_QTY][0]
    order_qty = entry.order.order_qty
    if order_qty <= row.value:
        return None
    is_own = row.level is not Level.OPERATOR
    reason = RejectReason.FAT_FINGER_QTY if is_own else RejectReason.MAX_ORDER_QTY
    return Rejection(reason, row.value, order_qty, row.scope, detail_of(row, high=row.value))


def check_firm_value(plan: Plan, entry: Candidate) -> Rejection | None:
    """Fat finger as firms and clients see it: the largest value of one order. (8)"""
    row = plan.rows[Control.ORDER_VALUE][0]
    notional = entry.funding.notional
    if notional <= row.value:
        return None
    is_own = row.level is not Level.OPERATOR
    reason = RejectReason.FAT_FINGER_VALUE if is_own else RejectReason.MAX_ORDER_NOTIONAL
    return Rejection(reason, row.value, notional, row.scope, detail_of(row, high=row.value))


def check_asset(plan: Plan, entry: Candidate) -> Rejection | None:
    """No order may move more of an asset than that, as base or as quote. (9)"""
    return _check_asset_but(plan, entry, NO_ASSET)


def check_other_asset(plan: Plan, entry: Candidate) -> Rejection | None:
    """An override that lets more of one asset pass lets nothing pass of the other. (9)"""
    passed = check_asset(plan, entry)
    if passed is None:
        return None
    assert passed.detail is not None
    return _check_asset_but(plan, entry, passed.detail.asset_id)


def _check_asset_but(plan: Plan, entry: Candidate, passed: AssetId) -> Rejection | None:
    for row in plan.rows[Control.ORDER_ASSET]:
        if row.asset_id == passed:
            continue
        amount = entry.funding.notional
        if row.asset_id == plan.instrument.base.asset_id:
            amount = plan.instrument.base_amount(entry.order.order_qty)
        if amount > row.value:
            detail = detail_of(row, high=row.value)
            return Rejection(RejectReason.MAX_ASSET, row.value, amount, row.scope, detail)
    return None


def check_open_orders(plan: Plan, entry: Candidate) -> Rejection | None:
    """No more orders may rest than that. (18)"""
    if not _may_rest_anew(entry):
        return None
    for row in plan.rows[Control.OPEN_ORDERS]:
        counts = counts_of(plan, row)
        if counts.buys + counts.sells >= row.value:
            return _pass_beyond(row, RejectReason.MAX_OPEN_ORDERS, counts.buys + counts.sells, 1)
    return None


def check_open_orders_per_side(plan: Plan, entry: Candidate) -> Rejection | None:
    """No more orders may rest on a side than that. (18)"""
    if not _may_rest_anew(entry):
        return None
    for row in plan.rows[Control.OPEN_ORDERS_PER_SIDE]:
        counts = counts_of(plan, row)
        count = counts.buys if entry.order.side is BUY else counts.sells
        if count >= row.value:
            return _pass_beyond(row, RejectReason.MAX_OPEN_ORDERS, count, 1)
    return None


def check_stops(plan: Plan, entry: Candidate) -> Rejection | None:
    """No more orders may be open that were entered as stop orders than that. (18)"""
    if entry.replaced is not None or entry.order.ord_type in PLAIN_TYPES:
        return None
    for row in plan.rows[Control.STOP_ORDERS]:
        count = counts_of(plan, row).stops
        if count >= row.value:
            return _pass_beyond(row, RejectReason.MAX_STOP_ORDERS, count, 1)
    return None


def check_icebergs(plan: Plan, entry: Candidate) -> Rejection | None:
    """No more orders may rest that show a part of themselves than that. (18)"""
    terms = entry.order.terms
    if entry.replaced is not None or terms is None or not terms.display_qty:
        return None
    for row in plan.rows[Control.ICEBERG_ORDERS]:
        count = counts_of(plan, row).icebergs
        if count >= row.value:
            return _pass_beyond(row, RejectReason.MAX_ICEBERG_ORDERS, count, 1)
    return None


def check_amendments(plan: Plan, entry: Candidate) -> Rejection | None:
    """No order may be amended more often than that. (18)"""
    if entry.replaced is None:
        return None
    row = plan.rows[Control.AMENDMENTS][0]
    count = entry.replaced.amend_count
    return _pass_beyond(row, RejectReason.MAX_AMENDS, count, 1) if count >= row.value else None


def check_unfilled(plan: Plan, entry: Candidate) -> Rejection | None:
    """So many orders in a while that did not trade. One that trades counts no more. (19)"""
    if entry.replaced is not None:
        return None
    for row in plan.rows[Control.UNFILLED_ORDERS]:
        assert row.window is not None
        count = row.window.total(entry.now_ns)
        if count >= row.value:
            return _pass_beyond(row, RejectReason.TOO_MANY_UNFILLED, count, 1)
    return None


def check_position(plan: Plan, entry: Candidate) -> Rejection | None:
    """What the asset would come to if all open orders traded, long or short. (24)"""
    base = plan.instrument.base
    amount: int = plan.instrument.base_amount(entry.order.order_qty)
    if entry.replaced is not None:
        # It counts as open already; what is filled of it stands in the balance.
        amount -= plan.instrument.base_amount(entry.replaced.order_qty)
    if amount <= 0:
        return None
    for row in plan.rows[Control.POSITION]:
        if row.asset_id != base.asset_id:
            continue
        before = _worst_case(holding_of(plan, row), entry.order.side)
        if before + amount > row.value:
            return _pass_beyond(row, RejectReason.POSITION_LIMIT, before, amount)
    return None


def check_exposure(plan: Plan, entry: Candidate) -> Rejection | None:
    """What was entered over a while, bought and sold: together, each alone, or the balance. (25)"""
    added = added_exposure(plan, entry)
    if added <= 0:
        return None
    is_buy = entry.order.side is BUY
    for row in plan.exposures:
        signed = added * (row.buy_sign if is_buy else row.sell_sign)
        if not signed:
            continue
        assert row.window is not None
        before = row.window.total(entry.now_ns)
        if abs(before + signed) > row.value and abs(before + signed) > abs(before):
            return _pass_beyond(row, RejectReason.EXPOSURE_LIMIT, before, signed)
    return None


def check_loss(plan: Plan, entry: Candidate) -> Rejection | None:
    """Who has lost so much today may only reduce what he has. (27)"""
    for row in plan.losses:
        loss = plan.loss(entry.now_ns)
        if loss > row.value and act_of(plan, entry.order, entry.replaced) is Act.ENTER:
            detail = detail_of(row, usage=loss)
            return Rejection(RejectReason.LOSS_LIMIT, row.value, loss, row.scope, detail)
    return None


def check_balance(_plan: Plan, entry: Candidate) -> Rejection | None:
    """The account must have, free of other orders, all that the order may cost. (22)"""
    funding = entry.funding
    if funding.needed > funding.available:
        return Rejection(RejectReason.INSUFFICIENT_BALANCE, funding.available, funding.needed)
    return None


def added_exposure(plan: Plan, entry: Candidate) -> int:
    """Return by how much the order, or its amendment, raises the value of what was entered."""
    replaced = entry.replaced
    if replaced is None:
        return entry.funding.notional
    price = counted_price(entry.order, plan.instrument)
    replaced_price = counted_price(replaced, plan.instrument)
    assert price is not None, "a market order does not stand, so it is not amended"
    assert replaced_price is not None
    after = price * (entry.order.order_qty - replaced.cum_qty)
    return (after - replaced_price * replaced.leaves_qty) * plan.instrument.notional_factor


def _scope_of(limits: RiskLimits | ScopeLimits) -> Scope:
    return ACCOUNT if isinstance(limits, RiskLimits) else limits.scope


def _may_rest_anew(entry: Candidate) -> bool:
    order = entry.order
    return (
        entry.replaced is None
        and order.ord_type is not MARKET
        and order.time_in_force not in PASSING_TIMES
    )


def counts_of(plan: Plan, row: LimitRow) -> OpenCounts:
    """Return what a limit on open orders counts."""
    of_account, of_firm = plan.desk.counts[:2], plan.desk.counts[2:]
    return (of_account if row.scope is ACCOUNT else of_firm)[0 if row.instrument_id else 1]


def holding_of(plan: Plan, row: LimitRow) -> Holding:
    """Return the holding of the base asset that a limit on positions is about."""
    return plan.desk.base[0 if row.scope is ACCOUNT else 1]


def _worst_case(holding: Holding, side: Side) -> int:
    """Return how far from nothing the holding ends on that side if all open orders trade."""
    if side is BUY:
        return holding.balance + holding.open_buy
    return holding.open_sell - holding.balance


def _pass_beyond(row: LimitRow, reason: RejectReason, usage: int, added: int) -> Rejection:
    return Rejection(reason, row.value, usage + added, row.scope, detail_of(row, usage=usage))
