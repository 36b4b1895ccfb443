"""What the exchange asks of pre-trade risk, before an order may touch the book."""

from typing import NamedTuple, Protocol

from engine.commands import NewOrder
from engine.instrument import Instrument
from engine.limits import AccountThrottle, RiskLimits, ScopeLimits
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import AccountId, FirmId, Money


class Rejection(NamedTuple):
    """A refusal with its numbers: what was allowed and what was asked, in the reason's own unit.

    `scope` is whose limit or kill switch it was.
    """

    reason: RejectReason
    limit: int = 0
    actual: int = 0
    scope: Scope = Scope.ACCOUNT


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

    def set_scope_limits(self, limits: ScopeLimits) -> None:
        """Replace the limits of a firm or a session in an instrument."""

    def scope_limits(self) -> list[ScopeLimits]:
        """Return those in force, in an order that depends on the commands alone."""

    def set_throttle(self, throttle: AccountThrottle) -> None:
        """Let the account enter orders that often, from the state of use that it bears."""

    def change_throttle(
        self, account_id: AccountId, rate: int, burst: int, now_ns: int
    ) -> AccountThrottle:
        """Let another rate and burst hold from now on, and return them with what has been used."""

    def lift_throttle(self, account_id: AccountId) -> None:
        """Let the account enter orders as often as it likes."""

    def throttles(self) -> list[AccountThrottle]:
        """Return those in force, with what has been used of them, by account."""

    def check_new_order(
        self,
        order: NewOrder,
        firm_id: FirmId,
        instrument: Instrument,
        funding: Funding,
        now_ns: int,
    ) -> Rejection | None:
        """Return why the order is refused, None when it may go on.

        Counts the order against the account's rate, if there is one, and changes nothing else.
        """
