"""How often a client may send: two budgets per session, so that cancels always get through.

Orders, and every other application message, are paid out of one; cancels have a larger one of their
own. What is refused for its rate is paid out of a third: who uses that up too does not listen.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from engine.explain import format_wait
from engine.reasons import RejectReason
from fix_gateway.fix.fields import MsgType
from fix_gateway.metrics import GatewayMetrics
from risk.rate_limiter import RateLimiter
from store.sessions import FixSessionRow

CANCEL_TYPES: Final = frozenset({MsgType.ORDER_CANCEL_REQUEST, MsgType.ORDER_MASS_CANCEL_REQUEST})
REFUSALS_PER_BURST: Final = 10
REFUSALS_BURST_MIN: Final = 100

Budget = Literal["order", "cancel"]


@dataclass(frozen=True)
class ThrottleDefaults:
    """What holds for sessions without limits of their own: messages per second, and at once."""

    order_rate: int
    order_burst: int
    cancel_rate: int
    cancel_burst: int


class Throttled(NamedTuple):
    """A message that comes too early. With `is_last_straw` its sender is to be logged out."""

    text: str
    is_last_straw: bool


class ThrottleUsage(NamedTuple):
    """What a session may send at this moment, and how many messages were refused for their rate."""

    order_available: int
    cancel_available: int
    order_burst: int
    cancel_burst: int
    refused_count: int


class SessionThrottle:
    """The budgets of one session. Belongs to the gateway's one thread.

    Fails closed: there is no session without limits. Times are those of `time.monotonic_ns`.
    """

    def __init__(
        self, row: FixSessionRow, defaults: ThrottleDefaults, metrics: GatewayMetrics, now_ns: int
    ) -> None:
        self._row = row
        self._defaults = defaults
        self._metrics = metrics
        self._refused_count = 0
        self._budgets: dict[Budget, RateLimiter] = {
            budget: RateLimiter(rate, burst, at_ns=now_ns)
            for budget, (rate, burst) in self.limits().items()
        }
        orders = self._budgets["order"]
        self._refusals = RateLimiter(orders.rate, _refusals_burst(orders.burst), at_ns=now_ns)

    def follow(self, row: FixSessionRow, now_ns: int) -> None:
        """Let the limits of the row hold from now on. What has been used stays used."""
        if row is self._row:
            return
        self._row = row
        for budget, (rate, burst) in self.limits().items():
            self._budgets[budget].change(rate, burst, now_ns)
        orders = self._budgets["order"]
        self._refusals.change(orders.rate, _refusals_burst(orders.burst), now_ns)

    def take(self, msg_type: str, now_ns: int) -> Throttled | None:
        """Return None for a message that may go on, or how long its sender must wait."""
        budget: Budget = "cancel" if msg_type in CANCEL_TYPES else "order"
        limiter = self._budgets[budget]
        wait_ns = limiter.take(now_ns)
        if not wait_ns:
            return None
        self._refused_count += 1
        self._metrics.throttled[budget].inc()
        text = (
            f"{RejectReason.RATE_LIMIT.name}: at most {limiter.rate} {budget} messages a second "
            f"and {limiter.burst} at once, wait {format_wait(wait_ns)}"
        )
        is_deaf = self._refusals.take(now_ns) > 0
        return Throttled(text, is_deaf or self._row.throttle_policy == "disconnect")

    def usage(self, now_ns: int) -> ThrottleUsage:
        """Return what could be sent now."""
        orders, cancels = self._budgets["order"], self._budgets["cancel"]
        return ThrottleUsage(
            order_available=orders.available(now_ns),
            cancel_available=cancels.available(now_ns),
            order_burst=orders.burst,
            cancel_burst=cancels.burst,
            refused_count=self._refused_count,
        )

    def limits(self) -> dict[Budget, tuple[int, int]]:
        """Return how many messages a second each budget allows, and how many at once."""
        row, defaults = self._row, self._defaults
        return {
            "order": (
                row.order_rate or defaults.order_rate,
                row.order_burst or defaults.order_burst,
            ),
            "cancel": (
                row.cancel_rate or defaults.cancel_rate,
                row.cancel_burst or defaults.cancel_burst,
            ),
        }


def _refusals_burst(order_burst: int) -> int:
    return max(REFUSALS_BURST_MIN, REFUSALS_PER_BURST * order_burst)
