"""The checks: each looks at one order and says why not, or nothing."""

from dataclasses import dataclass

from engine.commands import NewOrder
from engine.gate import Funding, Rejection
from engine.instrument import Instrument
from engine.limits import RiskLimits
from engine.reasons import RejectReason


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order with what is known about it at the moment of the check."""

    order: NewOrder
    instrument: Instrument
    funding: Funding
    limits: RiskLimits | None


def check_limits_exist(candidate: Candidate) -> Rejection | None:
    """Fail closed: an account without limits in the instrument may not trade it."""
    if candidate.limits is None:
        return Rejection(RejectReason.NO_RISK_LIMITS)
    return None


def check_order_qty(candidate: Candidate) -> Rejection | None:
    """Fat finger: one order may not exceed the account's largest order."""
    limits = candidate.limits
    if limits is not None and candidate.order.order_qty > limits.order_qty_max:
        return Rejection(
            RejectReason.MAX_ORDER_QTY, limits.order_qty_max, candidate.order.order_qty
        )
    return None


def check_notional(candidate: Candidate) -> Rejection | None:
    """Fat finger: one order may not be worth more than the account's largest value."""
    limits = candidate.limits
    if limits is not None and candidate.funding.notional > limits.notional_max:
        return Rejection(
            RejectReason.MAX_ORDER_NOTIONAL, limits.notional_max, candidate.funding.notional
        )
    return None


def check_balance(candidate: Candidate) -> Rejection | None:
    """The account must have, free of other orders, all that the order may cost."""
    funding = candidate.funding
    if funding.needed > funding.available:
        return Rejection(RejectReason.INSUFFICIENT_BALANCE, funding.available, funding.needed)
    return None
