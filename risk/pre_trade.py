"""The gate in front of the book: every check, in the order of precedence of their reasons."""

from collections.abc import Callable
from typing import Final

from engine.commands import NewOrder
from engine.gate import Funding, Rejection
from engine.instrument import Instrument
from engine.limits import AccountThrottle, RiskLimits, ScopeLimits
from engine.scope import Scope
from engine.units import AccountId, FirmId
from risk.checks import (
    Candidate,
    check_balance,
    check_limits_exist,
    check_notional,
    check_order_qty,
    check_rate,
)
from risk.limits import LimitTable, ScopeLimitTable
from risk.rate_limiter import RateLimiter

CHECKS: Final[tuple[Callable[[Candidate], Rejection | None], ...]] = (
    check_rate,
    check_limits_exist,
    check_order_qty,
    check_notional,
    check_balance,
)


class PreTradeGate:
    """Pre-trade risk of the exchange, an `engine.gate.RiskGate`.

    Fails closed: an order for which the account has no limits is refused. Belongs to the thread
    that applies commands.
    """

    __slots__ = ("_limits", "_scope_limits", "_throttles")

    def __init__(self) -> None:
        self._limits = LimitTable()
        self._scope_limits = ScopeLimitTable()
        self._throttles: dict[AccountId, RateLimiter] = {}

    def set_limits(self, limits: RiskLimits) -> None:
        """Replace the limits of an account in an instrument."""
        self._limits.set(limits)

    def limits(self) -> list[RiskLimits]:
        """Return all limits in force, in the order in which they were first set."""
        return self._limits.rows()

    def set_scope_limits(self, limits: ScopeLimits) -> None:
        """Replace the limits of a firm or a session in an instrument."""
        self._scope_limits.set(limits)

    def scope_limits(self) -> list[ScopeLimits]:
        """Return those in force, in the order in which they were first set."""
        return self._scope_limits.rows()

    def set_throttle(self, throttle: AccountThrottle) -> None:
        """Let the account enter orders that often, from the state of use that it bears."""
        self._throttles[throttle.account_id] = RateLimiter(
            throttle.rate, throttle.burst, debt=throttle.debt, at_ns=throttle.at_ns
        )

    def change_throttle(
        self, account_id: AccountId, rate: int, burst: int, now_ns: int
    ) -> AccountThrottle:
        """Let another rate and burst hold from now on, and return them with what has been used."""
        limiter = self._throttles.get(account_id)
        if limiter is None:
            limiter = self._throttles[account_id] = RateLimiter(rate, burst, at_ns=now_ns)
        else:
            limiter.change(rate, burst, now_ns)
        return _state_of(account_id, limiter)

    def lift_throttle(self, account_id: AccountId) -> None:
        """Let the account enter orders as often as it likes."""
        self._throttles.pop(account_id, None)

    def throttles(self) -> list[AccountThrottle]:
        """Return those in force, with what has been used of them, by account."""
        return [_state_of(*item) for item in sorted(self._throttles.items())]

    def check_new_order(
        self,
        order: NewOrder,
        firm_id: FirmId,
        instrument: Instrument,
        funding: Funding,
        now_ns: int,
    ) -> Rejection | None:
        """Return the first check's refusal, None when all let the order pass.

        Counts the order against the account's rate, if there is one, and changes nothing else.
        """
        instrument_id = order.instrument_id
        wider = (
            self._scope_limits.find(Scope.FIRM, firm_id, instrument_id),
            self._scope_limits.find(Scope.SESSION, order.session_id, instrument_id),
        )
        candidate = Candidate(
            order=order,
            instrument=instrument,
            funding=funding,
            limits=self._limits.find(order.account_id, instrument_id),
            wider_limits=[limits for limits in wider if limits is not None],
            throttle=self._throttles.get(order.account_id),
            now_ns=now_ns,
        )
        for check in CHECKS:
            rejection = check(candidate)
            if rejection is not None:
                return rejection
        return None


def _state_of(account_id: AccountId, limiter: RateLimiter) -> AccountThrottle:
    debt, at_ns = limiter.state()
    return AccountThrottle(account_id, limiter.rate, limiter.burst, debt, at_ns)
