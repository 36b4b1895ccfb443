"""Checks of the rules of the instrument: ranges, collar and band round the reference price."""

from engine.controls import InstrumentRules, RefusalDetail
from engine.gate import Candidate, Rejection
from engine.instrument import BPS
from engine.order import Side
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import Price
from risk.plans import Plan
from risk.reference_price import ReferencePrice, find_band, find_reference

BUY = Side.BUY
INSTRUMENT = Scope.INSTRUMENT


def check_price_range(plan: Plan, entry: Candidate) -> Rejection | None:
    """The price must lie in the instrument's range. (6)"""
    rules, price = rules_of(plan), entry.order.price
    low, high = rules.price_min, rules.price_max or None
    if price is None or (price >= low and (high is None or price <= high)):
        return None
    limit = low if price < low else rules.price_max
    return _refuse(plan, RejectReason.PRICE_RANGE, limit, price, bounds=(low, high))


def check_qty_range(plan: Plan, entry: Candidate) -> Rejection | None:
    """The quantity must lie in the instrument's range, a market order's in its own. (6)"""
    rules, order_qty = rules_of(plan), entry.order.order_qty
    low, high = rules.order_qty_min, rules.order_qty_max or None
    if entry.order.price is None and rules.market_qty_max:
        high = min(rules.market_qty_max, high or rules.market_qty_max)
    if order_qty < low:
        return _refuse(plan, RejectReason.MIN_ORDER_QTY, low, order_qty, bounds=(low, high))
    if high is not None and order_qty > high:
        return _refuse(plan, RejectReason.MAX_ORDER_QTY, high, order_qty, bounds=(low, high))
    return None


def check_volume_share(plan: Plan, entry: Candidate) -> Rejection | None:
    """Fat finger: the quantity must be a small enough share of an average day's volume. (8)

    Fail closed: without a volume there is nothing to take a share of.
    """
    rules, order_qty = rules_of(plan), entry.order.order_qty
    if not rules.average_daily_volume:
        return _refuse(plan, RejectReason.NO_DAILY_VOLUME, 0, 0)
    most = volume_share_of(rules)
    if order_qty <= most:
        return None
    return _refuse(plan, RejectReason.MAX_VOLUME_SHARE, most, order_qty, bounds=(None, most))


def check_reference(plan: Plan, entry: Candidate) -> Rejection | None:
    """Without a reference price that is fresh enough nothing is let in that needs one. (12)

    The checks that come after it measure from what it has found.
    """
    rules = rules_of(plan)
    plan.reference = find_reference(plan.source, rules, entry.book, entry.now_ns)
    if rules.trades_without_reference:
        return None
    is_missing = plan.reference is None and _needs_reference(rules, entry)
    # A breaker without a mean yet begins from whatever is known.
    is_missing = is_missing or (rules.breaker is not None and not plan.source.mark())
    return _refuse(plan, RejectReason.NO_REFERENCE_PRICE, 0, 0) if is_missing else None


def check_notional_range(plan: Plan, entry: Candidate) -> Rejection | None:
    """The value must lie in the instrument's range; a market order's at the reference price. (7)"""
    rules, notional = rules_of(plan), entry.funding.notional
    reference = None
    if entry.order.price is None:
        reference = plan.reference
        if reference is None:
            return None
        notional = plan.instrument.notional(reference.price, entry.order.order_qty)
    low, high = rules.notional_min, rules.notional_max or None
    if notional < low:
        reason, limit = RejectReason.MIN_NOTIONAL, low
    elif high is not None and notional > high:
        reason, limit = RejectReason.MAX_ORDER_NOTIONAL, high
    else:
        return None
    return _refuse(plan, reason, limit, notional, bounds=(low, high), reference=reference)


def check_collar(plan: Plan, entry: Candidate) -> Rejection | None:
    """Static collar: the price must lie within hundredths of a percent of the reference. (10)

    A buy has other bounds than a sell; rounded to ticks inwards.
    """
    rules, price = rules_of(plan), entry.order.price
    reference = plan.reference
    if price is None or reference is None:
        return None
    if entry.order.side is BUY:
        up_bps, down_bps = rules.buy_up_bps, rules.buy_down_bps
    else:
        up_bps, down_bps = rules.sell_up_bps, rules.sell_down_bps
    low, high = find_band(reference.price, up_bps, down_bps, plan.instrument.definition.tick_size)
    return _outside(plan, RejectReason.PRICE_COLLAR, price, (low, high), reference)


def check_band(plan: Plan, entry: Candidate) -> Rejection | None:
    """Dynamic band: the price must lie within so many ticks of the reference. (11)"""
    rules, price = rules_of(plan), entry.order.price
    reference = plan.reference
    if price is None or reference is None:
        return None
    width = rules.band_ticks * plan.instrument.definition.tick_size
    low, high = Price(reference.price - width), Price(reference.price + width)
    return _outside(plan, RejectReason.PRICE_BAND, price, (low, high), reference)


def _needs_reference(rules: InstrumentRules, entry: Candidate) -> bool:
    if entry.order.price is None:
        return has_value(rules) or bool(rules.execution_collar_bps or rules.market_protection_bps)
    return has_collar(rules) or bool(rules.execution_collar_bps or rules.band_ticks)


def rules_of(plan: Plan) -> InstrumentRules:
    """Return the instrument's rules. There are some, or the check would not be in the plan."""
    assert plan.rules is not None
    return plan.rules


def volume_share_of(rules: InstrumentRules) -> int:
    """Return the largest quantity that the share of a day's volume leaves one order."""
    return rules.average_daily_volume * rules.volume_share_max_bps // BPS


def has_price_range(rules: InstrumentRules) -> bool:
    """Whether the price has bounds."""
    return bool(rules.price_min or rules.price_max)


def has_qty_range(rules: InstrumentRules) -> bool:
    """Whether the quantity has bounds."""
    return bool(rules.order_qty_min or rules.order_qty_max or rules.market_qty_max)


def has_reference(rules: InstrumentRules) -> bool:
    """Whether anything is measured from a reference price."""
    return (
        has_collar(rules)
        or bool(rules.band_ticks or rules.execution_collar_bps or rules.market_protection_bps)
        or has_value(rules)
        or rules.breaker is not None
    )


def has_collar(rules: InstrumentRules) -> bool:
    """Whether there is a static collar."""
    return bool(rules.buy_up_bps or rules.buy_down_bps or rules.sell_up_bps or rules.sell_down_bps)


def has_value(rules: InstrumentRules) -> bool:
    """Whether the value of an order has bounds."""
    return bool(rules.notional_min or rules.notional_max)


def _outside(
    plan: Plan,
    reason: RejectReason,
    price: Price,
    bounds: tuple[Price | None, Price | None],
    reference: ReferencePrice,
) -> Rejection | None:
    low, high = bounds
    if low is not None and price < low:
        return _refuse(plan, reason, low, price, bounds=(low, high), reference=reference)
    if high is not None and price > high:
        return _refuse(plan, reason, high, price, bounds=(low, high), reference=reference)
    return None


def _refuse(
    plan: Plan,
    reason: RejectReason,
    limit: int,
    actual: int,
    *,
    bounds: tuple[int | None, int | None] = (None, None),
    reference: ReferencePrice | None = None,
) -> Rejection:
    low, high = bounds
    detail = RefusalDetail(
        low=low,
        high=high,
        reference_price=None if reference is None else reference.price,
        reference_at_ns=0 if reference is None else reference.at_ns,
        scope_id=plan.instrument.instrument_id,
    )
    return Rejection(reason, limit, actual, INSTRUMENT, detail)
