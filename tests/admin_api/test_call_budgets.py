"""How often: counted in Redis, and what happens when it is not there."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.call_budgets import CallBudgets, Rates
from admin_api.errors import ApiError
from engine.units import FirmId
from store.budgets import Budgets
from store.users import Role

NOBODY_THERE = "redis://127.0.0.1:1"
RATES = Rates(user_rate=1, user_burst=3, login_rate=1, login_burst=2, order_rate=1, order_burst=2)
TOM = User(7, "tom", Role.TRADER, FirmId(1), "login:1")


async def outcomes(take: Callable[[], Awaitable[object]], count: int) -> list[str]:
    """Return the codes of so many calls, "" for those that are let through."""
    found = []
    for _ in range(count):
        try:
            await take()
        except ApiError as error:
            found.append(error.code)
        else:
            found.append("")
    return found


def on_budgets(budgets: Budgets | None, scenario: Callable[[CallBudgets], Awaitable[None]]) -> None:
    async def run() -> None:
        calls = CallBudgets(budgets, RATES)
        await scenario(calls)
        await calls.close()

    asyncio.run(run())


def test_logins_fail_closed_without_redis() -> None:
    """Nobody would count the guesses."""

    async def scenario(calls: CallBudgets) -> None:
        assert await outcomes(lambda: calls.take_login("192.0.2.1"), 2) == ["budget_unknown"] * 2

    on_budgets(Budgets(NOBODY_THERE), scenario)


def test_reads_go_on_without_redis() -> None:
    """Counted by this process alone then; the burst is the same."""

    async def scenario(calls: CallBudgets) -> None:
        take = lambda: calls.take_call(TOM, Permission.ORDERS_READ)  # noqa: E731
        assert await outcomes(take, 4) == ["", "", "", "rate_limited"]

    on_budgets(Budgets(NOBODY_THERE), scenario)


@pytest.mark.parametrize("permission", [Permission.ORDERS_CANCEL, Permission.KILL_WRITE])
def test_what_stops_trading_is_never_counted(permission: Permission) -> None:
    """However often, and whatever is away."""

    async def scenario(calls: CallBudgets) -> None:
        assert await outcomes(lambda: calls.take_call(TOM, permission), 50) == [""] * 50

    on_budgets(Budgets(NOBODY_THERE), scenario)


def test_orders_have_a_budget_of_their_own() -> None:
    """A trader who looks too often can still trade, and the other way round."""

    async def scenario(calls: CallBudgets) -> None:
        order = lambda: calls.take_call(TOM, Permission.ORDERS_WRITE)  # noqa: E731
        look = lambda: calls.take_call(TOM, Permission.ORDERS_READ)  # noqa: E731
        assert await outcomes(look, 4) == ["", "", "", "rate_limited"]
        assert await outcomes(order, 3) == ["", "", "rate_limited"]

    on_budgets(None, scenario)


def test_refusal_says_how_long_to_wait() -> None:
    """In the headers that clients know, and each address has a budget of its own."""

    async def scenario(calls: CallBudgets) -> None:
        headers = await calls.take_login("192.0.2.1")
        assert headers == {
            "RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "1",
        }  # fmt: skip
        await calls.take_login("192.0.2.1")
        with pytest.raises(ApiError) as refused:
            await calls.take_login("192.0.2.1")
        assert refused.value.headers is not None
        assert refused.value.headers["Retry-After"] == "1"
        await calls.take_login("192.0.2.2")

    on_budgets(None, scenario)
