"""The checks: each looks at one order and says why not, or nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.commands import NewOrder
from engine.gate import Funding, Rejection
from engine.instrument import Instrument
from engine.limits import RiskLimits, ScopeLimits
from engine.reasons import RejectReason
from engine.scope import Scope
from risk.rate_limiter import RateLimiter


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order with what is known about it at the moment of the check.

    `wider_limits` are those of its firm and session. `throttle` None: as often as it likes.
    """

    order: NewOrder
    instrument: Instrument
    funding: Funding
    limits: RiskLimits | None
    wider_limits: list[ScopeLimits]
    throttle: RateLimiter | None
    now_ns: int


def check_rate(candidate: Candidate) -> Rejection | None:
    """The account's orders may not come too often. This one is counted if it may go on."""
    throttle = candidate.throttle
    wait_ns = 0 if throttle is None else throttle.take(candidate.now_ns)
    if throttle is not None and wait_ns:
        return Rejection(RejectReason.RATE_LIMIT, throttle.rate, wait_ns)
    return None


def check_limits_exist(candidate: Candidate) -> Rejection | None:
    """Fail closed: an account without limits in the instrument may not trade it."""
    if candidate.limits is None:
        return Rejection(RejectReason.NO_RISK_LIMITS)
    return None


def check_order_qty(candidate: Candidate) -> Rejection | None:
    """Fat finger: one order may not exceed the largest of the account, its firm and its session."""
    order_qty = candidate.order.order_qty
    for scope, limits in _limits_of(candidate):
        if limits.order_qty_max is not None and order_qty > limits.order_qty_max:
            return Rejection(RejectReason.MAX_ORDER_QTY, limits.order_qty_max, order_qty, scope)
    return None


def check_notional(candidate: Candidate) -> Rejection | None:
    """Fat finger: one order may not be worth more than account, firm and session allow."""
    notional = candidate.funding.notional
    for scope, limits in _limits_of(candidate):
        if limits.notional_max is not None and notional > limits.notional_max:
            return Rejection(RejectReason.MAX_ORDER_NOTIONAL, limits.notional_max, notional, scope)
    return None


def check_balance(candidate: Candidate) -> Rejection | None:
    """The account must have, free of other orders, all that the order may cost."""
    funding = candidate.funding
    if funding.needed > funding.available:
        return Rejection(RejectReason.INSUFFICIENT_BALANCE, funding.available, funding.needed)
    return None


def _limits_of(candidate: Candidate) -> Iterator[tuple[Scope, RiskLimits | ScopeLimits]]:
    if candidate.limits is not None:
        yield Scope.ACCOUNT, candidate.limits
    for limits in candidate.wider_limits:
        yield limits.scope, limits
