"""How often users may call, and addresses may try to log in.

Reads go on while Redis is away: they only look. Logins do not: guesses would be free. What trades
or stops trading never asks Redis; orders are counted here, cancels and kill switches not at all.
"""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import ApiError, unavailable
from risk.rate_limiter import RateLimiter
from store.budgets import Budget, Budgets

NEVER_HELD_UP: Final = frozenset({Permission.ORDERS_CANCEL, Permission.KILL_WRITE})
KNOWN_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls a second and at once: of a user, of an address that logs in, and orders of a user."""

    user_rate: int = 50
    user_burst: int = 200
    login_rate: int = 2
    login_burst: int = 100
    order_rate: int = 50
    order_burst: int = 100


class CallBudgets:
    """Lets calls through. `budgets` None: no Redis, and what is counted is this process's own.

    Belongs to one event loop.
    """

    def __init__(self, budgets: Budgets | None, rates: Rates) -> None:
        self._budgets = budgets
        self._rates = rates
        self._limiters: OrderedDict[str, RateLimiter] = OrderedDict()

    async def take_login(self, address: str) -> dict[str, str]:
        """Count a try to log in. Returns headers. Raises 429, and 503 while Redis is away."""
        rates = self._rates
        name = f"login:{address}"
        if self._budgets is None:
            budget = self._take_here(name, rates.login_rate, rates.login_burst)
            return _headers_or_refusal(budget)
        counted = await self._budgets.take(name, rate=rates.login_rate, burst=rates.login_burst)
        if counted is None:
            raise unavailable("Redis is away: nobody could count guesses", code="budget_unknown")
        return _headers_or_refusal(counted)

    async def take_call(self, user: User, permission: Permission) -> dict[str, str]:
        """Count a call of a user. Returns headers. Raises 429."""
        rates = self._rates
        if permission in NEVER_HELD_UP:
            return {}
        if permission is Permission.ORDERS_WRITE:
            name = f"orders:{user.user_id}"
            return _headers_or_refusal(self._take_here(name, rates.order_rate, rates.order_burst))
        name = f"user:{user.user_id}"
        counted = None
        if self._budgets is not None:
            counted = await self._budgets.take(name, rate=rates.user_rate, burst=rates.user_burst)
        if counted is None:
            counted = self._take_here(name, rates.user_rate, rates.user_burst)
        return _headers_or_refusal(counted)

    async def close(self) -> None:
        """Hang up."""
        if self._budgets is not None:
            await self._budgets.close()

    def _take_here(self, name: str, rate: int, burst: int) -> Budget:
        limiter = self._limiters.pop(name, None) or RateLimiter(rate, burst)
        self._limiters[name] = limiter
        if len(self._limiters) > KNOWN_MAX:
            self._limiters.popitem(last=False)
        now_ns = time.monotonic_ns()
        wait_ns = limiter.take(now_ns)
        remaining = limiter.available(now_ns)
        return Budget(burst, remaining, wait_ns / 1e9, (burst - remaining) / rate)


def _headers_or_refusal(budget: Budget) -> dict[str, str]:
    headers = {
        "RateLimit-Limit": str(budget.limit),
        "RateLimit-Remaining": str(budget.remaining),
        "RateLimit-Reset": str(math.ceil(budget.reset_s)),
    }
    if budget.is_refused:
        raise ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many calls: wait",
            headers={**headers, "Retry-After": str(math.ceil(budget.wait_s))},
        )
    return headers
