"""Operators log in: with the right password, not too often, and refusals tell nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admin_api.auth.logins import LoginRefused, Logins
from admin_api.auth.tokens import Tokens
from admin_api.metrics import AdminMetrics
from fix_gateway.supervisor.demo import ADMIN, ensure_admin
from store.audit import list_audit_rows
from store.lockout import Lockout
from store.migrate import migrate
from store.operators import (
    add_operator,
    find_operator,
    set_operator_enabled,
    set_operator_password,
)
from store.passwords import hash_password
from store.postgres import Database, ensure_database
from tests.integration.conftest import Scenario

RIGHT = "the right password"
HASH = hash_password(RIGHT)
HERE = "192.0.2.1"
TOKENS = Tokens(Ed25519PrivateKey.generate())


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Desk:
    """Logins of an operator of the test's own."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name
        self.clock = Clock()
        self.logins = Logins(
            database, Lockout(None, clock_s=self.clock), TOKENS, AdminMetrics(Path("nowhere"))
        )

    async def try_password(
        self, password: str, *, name: str | None = None, address: str = HERE
    ) -> str | LoginRefused:
        return await self.logins.log_in(name or self.name, password, address)

    async def audited(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Return what the log tells of the operator, the oldest first."""
        async with self.database.transaction() as connection:
            rows = await list_audit_rows(
                connection, before_id=None, subject=f"operator:{self.name}", actor=None, limit=99
            )
        return [(row.actor, row.action, row.address, row.detail) for row in reversed(rows)]


@asynccontextmanager
async def desk_at(url: str, name: str) -> AsyncIterator[Desk]:
    database = Database(url)
    await database.open()
    desk = Desk(database, name)
    try:
        async with database.transaction() as connection:
            assert await add_operator(connection, name, HASH)
            assert not await add_operator(connection, name, HASH)
        yield desk
    finally:
        await desk.logins.close()
        await database.close()


def is_token_of(outcome: str | LoginRefused, name: str) -> bool:
    operator = TOKENS.check(outcome) if isinstance(outcome, str) else None
    return operator is not None and operator.name == name


def test_right_password_gives_a_token(on_postgres: Callable[[Scenario], None]) -> None:
    """The operator's own, also after a change; it is audited from where he came."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "anna") as desk:
            assert is_token_of(await desk.try_password(RIGHT), "anna")
            async with desk.database.transaction() as connection:
                await set_operator_password(connection, "anna", hash_password("another one"))
                assert not await set_operator_password(connection, "nobody", HASH)
            assert await desk.try_password(RIGHT) == LoginRefused(0)
            assert is_token_of(await desk.try_password("another one"), "anna")
            assert await desk.audited() == [
                ("operator:anna", "logged_in", HERE, {}),
                (f"address:{HERE}", "login_refused", HERE, {"cause": "wrong password"}),
                ("operator:anna", "logged_in", HERE, {}),
            ]

    on_postgres(scenario)


def test_refusals_are_all_alike(on_postgres: Callable[[Scenario], None]) -> None:
    """Wrong, unknown, impossible or disabled: only the audit log says which."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "bert") as desk:
            assert await desk.try_password("wrong") == LoginRefused(0)
            assert await desk.try_password(RIGHT, name="nobody") == LoginRefused(0)
            assert await desk.try_password(RIGHT, name="\x00 my password") == LoginRefused(0)
            async with desk.database.transaction() as connection:
                await set_operator_enabled(connection, "bert", is_enabled=False)
                operator = await find_operator(connection, "bert")
                assert operator is not None
                assert not operator.is_enabled
            assert await desk.try_password(RIGHT) == LoginRefused(0)
            assert [detail["cause"] for *_, detail in await desk.audited()] == [
                "wrong password",
                "disabled",
            ]
            async with desk.database.transaction() as connection:
                rows = await list_audit_rows(
                    connection, before_id=None, subject="operator:?", actor=None, limit=9
                )
            assert [row.detail for row in rows] == [{"cause": "unknown name"}]

    on_postgres(scenario)


def test_wait_grows_and_is_the_address_s_own(on_postgres: Callable[[Scenario], None]) -> None:
    """Whoever fails waits, and then is looked at; elsewhere the operator comes in meanwhile."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "carl") as desk:
            for wait_s in (0.0, 0.0, 0.0, 0.0, 1.0):
                desk.clock.now_s += wait_s
                assert await desk.try_password("wrong") == LoginRefused(0)
            for _ in range(3):
                assert await desk.try_password(RIGHT) == LoginRefused(2.0)
            assert is_token_of(await desk.try_password(RIGHT, address="192.0.2.2"), "carl")
            desk.clock.now_s += 2.0
            assert is_token_of(await desk.try_password(RIGHT), "carl")
            # The past is forgotten: one more failure costs nothing.
            assert await desk.try_password("wrong") == LoginRefused(0)
            assert is_token_of(await desk.try_password(RIGHT), "carl")
            causes = [detail.get("cause") for *_, detail in await desk.audited()]
            assert causes == [
                *["wrong password"] * 5,
                "locked out",  # Once for the wait, not for each try in it.
                None,
                None,
                "wrong password",
                None,
            ]

    on_postgres(scenario)


def test_admin_is_made_once(on_postgres: Callable[[Scenario], None], tmp_path: Path) -> None:
    """His password is told once; after a start that was broken off it is still the same one."""
    file = tmp_path / "admin-password"

    async def scenario(url: str) -> None:
        own = await ensure_database(url, "admins")
        await asyncio.to_thread(migrate, own)
        password = await ensure_admin(own, file)
        assert password is not None
        assert len(password) >= 24
        assert file.read_text() == f"{password}\n"
        assert file.stat().st_mode & 0o777 == 0o600
        assert await ensure_admin(own, file) is None
        database = Database(own)
        await database.open()
        async with database.transaction() as connection:
            await connection.execute("DELETE FROM operators WHERE name = %s", [ADMIN])
        await database.close()
        assert await ensure_admin(own, file) == password
        file.unlink()
        assert await ensure_admin(own, file) is None
        assert not file.exists()

    on_postgres(scenario)


def test_tries_at_once_gain_nothing(on_postgres: Callable[[Scenario], None]) -> None:
    """One of them is looked at, the others are told to wait."""

    async def scenario(url: str) -> None:
        async with desk_at(url, "dora") as desk:
            outcomes = await asyncio.gather(*(desk.try_password("wrong") for _ in range(9)))
            assert sorted(
                outcome.wait_s for outcome in outcomes if isinstance(outcome, LoginRefused)
            ) == [0.0, *[1.0] * 8]

    on_postgres(scenario)
