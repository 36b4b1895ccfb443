"""What the exchange asks of pre-trade risk, before an order may touch the book."""

from typing import NamedTuple, Protocol

from engine.commands import NewOrder
from engine.instrument import Instrument
from engine.limits import RiskLimits
from engine.reasons import RejectReason
from engine.units import Money


class Rejection(NamedTuple):
    """A refusal with its numbers: what was allowed and what was asked, in the reason's own unit."""

    reason: RejectReason
    limit: int = 0
    actual: int = 0


class Funding(NamedTuple):
    """What an order would cost. `needed` and `available` are in the asset that pays for it."""

    notional: Money
    needed: Money
    available: Money


class RiskGate(Protocol):
    """Decides whether an order may go on. Pure; what it does not know it refuses."""

    def set_limits(self, limits: RiskLimits) -> None:
        """Replace the limits of an account in an instrument."""

    def limits(self) -> list[RiskLimits]:
        """Return all limits in force, in an order that depends on the commands alone."""

    def check_new_order(
        self, order: NewOrder, instrument: Instrument, funding: Funding
    ) -> Rejection | None:
        """Return why the order is refused, None when it may go on. Changes nothing."""
