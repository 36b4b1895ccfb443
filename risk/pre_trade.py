"""The gate in front of the book: every check, in the order of precedence of their reasons."""

from collections.abc import Callable
from typing import Final

from engine.commands import NewOrder
from engine.gate import Funding, Rejection
from engine.instrument import Instrument
from engine.limits import RiskLimits
from risk.checks import (
    Candidate,
    check_balance,
    check_limits_exist,
    check_notional,
    check_order_qty,
)
from risk.limits import LimitTable

CHECKS: Final[tuple[Callable[[Candidate], Rejection | None], ...]] = (
    check_limits_exist,
    check_order_qty,
    check_notional,
    check_balance,
)


class PreTradeGate:
    """Pre-trade risk of the exchange, an `engine.gate.RiskGate`.

    Fails closed: an order for which no limits are set is refused. Belongs to the thread that
    applies commands.
    """

    __slots__ = ("_limits",)

    def __init__(self) -> None:
        self._limits = LimitTable()

    def set_limits(self, limits: RiskLimits) -> None:
        """Replace the limits of an account in an instrument."""
        self._limits.set(limits)

    def limits(self) -> list[RiskLimits]:
        """Return all limits in force, in the order in which they were first set."""
        return self._limits.rows()

    def check_new_order(
        self, order: NewOrder, instrument: Instrument, funding: Funding
    ) -> Rejection | None:
        """Return the first check's refusal, None when all let the order pass. Changes nothing."""
        limits = self._limits.find(order.account_id, order.instrument_id)
        candidate = Candidate(order, instrument, funding, limits)
        for check in CHECKS:
            rejection = check(candidate)
            if rejection is not None:
                return rejection
        return None
