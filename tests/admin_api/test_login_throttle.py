"""How fast passwords may be tried."""

import asyncio

from admin_api.auth.login_throttle import (
    ENTRIES_MAX,
    FORGET_S,
    WAIT_MAX_S,
    Admitted,
    LoginThrottle,
    Throttled,
)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def admit(throttle: LoginThrottle, name: str = "bob", address: str = "::1") -> Admitted | Throttled:
    return asyncio.run(throttle.admit(name, address))


def test_wait_grows_with_every_failure() -> None:
    """Three are free; whoever waits as long as told is looked at, who does not loses nothing."""
    clock = Clock()
    throttle = LoginThrottle(clock)
    assert [admit(throttle) for _ in range(3)] == [Admitted()] * 3
    for wait_s in (1.0, 2.0, 4.0, 8.0):
        assert admit(throttle) == Throttled(wait_s, is_first=True)
        clock.now_s += wait_s / 2
        assert admit(throttle) == Throttled(wait_s / 2, is_first=False)
        clock.now_s += wait_s / 2
        assert admit(throttle) == Admitted()


def test_wait_has_an_end() -> None:
    """It never grows beyond 15 minutes."""
    clock = Clock()
    throttle = LoginThrottle(clock)
    for _ in range(60):
        clock.now_s += WAIT_MAX_S
        assert admit(throttle) == Admitted()
    assert admit(throttle) == Throttled(WAIT_MAX_S, is_first=True)


def test_tries_at_the_same_time_gain_nothing() -> None:
    """A try counts as failed before its password was looked at."""
    throttle = LoginThrottle(Clock())
    found = [admit(throttle) for _ in range(50)]
    assert found.count(Admitted()) == 3


def test_nobody_locks_another_out() -> None:
    """Failures count for the name from that address, for no other name and from no other place."""
    throttle = LoginThrottle(Clock())
    for _ in range(10):
        admit(throttle)
    assert isinstance(admit(throttle), Throttled)
    assert admit(throttle, "bob", "192.0.2.7") == Admitted()
    assert admit(throttle, "carl") == Admitted()


def test_success_and_silence_forget_failures() -> None:
    """After either all tries are free again."""
    clock = Clock()
    throttle = LoginThrottle(clock)
    for forget in ("success", "silence"):
        for _ in range(4):
            admit(throttle)
        if forget == "success":
            asyncio.run(throttle.forgive("bob", "::1"))
        else:
            clock.now_s += FORGET_S + 1
        assert [admit(throttle) for _ in range(3)] == [Admitted()] * 3
        asyncio.run(throttle.forgive("bob", "::1"))


def test_memory_is_bounded() -> None:
    """A flood of names pushes the oldest out, not the machine over."""
    throttle = LoginThrottle(Clock())

    async def flood() -> None:
        for number in range(ENTRIES_MAX + 100):
            await throttle.admit(str(number), "::1")

    asyncio.run(flood())
    assert len(throttle._tries) == ENTRIES_MAX
