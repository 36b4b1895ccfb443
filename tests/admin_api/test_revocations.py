"""What was revoked: known until nobody can say any more, and then access is refused."""

import asyncio

import pytest

from store.postgres import Database, StoreError
from store.revocations import SILENCE_MAX_S, Revocations


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class StoreWithout(Revocations):
    """One whose PostgreSQL answers when the test says so."""

    answers: list[str] | None = None

    async def _list(self) -> list[str]:
        if self.answers is None:
            raise StoreError("away")
        return self.answers


def test_access_ends_when_nobody_says_what_was_revoked() -> None:
    """At the start, and some seconds after the last word; a word later it begins again."""
    clock = Clock()

    async def scenario() -> None:
        database = Database("postgresql://x@127.0.0.1:1/x")
        revocations = StoreWithout(database, None, memory_s=960, clock_s=clock)
        assert not revocations.is_current
        with pytest.raises(StoreError):
            await revocations.read()
        assert not revocations.is_current
        revocations.answers = ["login:1"]
        await revocations.read()
        clock.now_s += SILENCE_MAX_S
        assert revocations.is_current
        clock.now_s += 0.1
        assert not revocations.is_current
        assert revocations.is_revoked("login:1")
        revocations.answers = []
        await revocations.read()
        assert revocations.is_current
        assert revocations.is_revoked("login:1")
        clock.now_s += 961
        await revocations.read()
        assert not revocations.is_revoked("login:1")

    asyncio.run(scenario())


def test_own_word_holds_at_once() -> None:
    """Before anybody else has heard it."""

    async def scenario() -> None:
        database = Database("postgresql://x@127.0.0.1:1/x")
        revocations = StoreWithout(database, None, memory_s=960)
        await revocations.tell(["login:7"])
        assert revocations.is_revoked("login:7")
        assert not revocations.is_revoked("login:8")

    asyncio.run(scenario())
