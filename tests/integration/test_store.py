"""The store against a real PostgreSQL."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from engine.units import SessionId
from store.firms import ensure_account, ensure_firm
from store.migrate import newest_revision
from store.passwords import PasswordVerifier, hash_password
from store.postgres import Database, StoreError, wait_until_reachable
from store.sessions import (
    FixSessionRow,
    NewCredential,
    NewFixSession,
    create_credential,
    ensure_session,
    find_live_credentials,
    has_credential,
    list_sessions,
)
from tests.integration.conftest import Scenario, running_postgres
from tests.integration.outside_servers import make_database


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[AsyncConnection[TupleRow]]:
    database = Database(url)
    await database.open()
    async with database.transaction() as connection:
        yield connection
    await database.close()


async def make_session(connection: AsyncConnection[TupleRow], comp_id: str) -> SessionId:
    firm_id = await ensure_firm(connection, f"firm of {comp_id}")
    account_id = await ensure_account(connection, firm_id, comp_id)
    return await ensure_session(
        connection, NewFixSession(firm_id, account_id, "FIX.4.4", comp_id, heart_bt_int_min_s=1)
    )


def test_session_is_set_up_once(on_postgres: Callable[[Scenario], None]) -> None:
    """What is there already is found, not made again."""

    async def scenario(url: str) -> None:
        async with connection_to(url) as connection:
            session_id = await make_session(connection, "ONCE")
            assert await make_session(connection, "ONCE") == session_id
            (row,) = [
                row for row in await list_sessions(connection) if row.client_comp_id == "ONCE"
            ]
            assert row == FixSessionRow(
                session_id=session_id,
                firm_id=row.firm_id,
                account_id=row.account_id,
                user_id=None,
                begin_string="FIX.4.4",
                client_comp_id="ONCE",
                is_enabled=True,
                heart_bt_int_min_s=1,
                heart_bt_int_max_s=None,
                can_enter=True,
                can_cancel=True,
                is_drop_copy=False,
                is_market_data=False,
                copied_account_ids=[],
                timestamp_precision=None,
                tells_timing=False,
                tells_error_codes=False,
                allowed_networks=[],
                client_cert_sha256=[],
                order_rate=None,
                order_burst=None,
                cancel_rate=None,
                cancel_burst=None,
                throttle_policy="reject",
                cancel_on_disconnect="off",
                cancel_grace_ms=0,
                cancel_on_logout=True,
                cancel_on_internal_loss=False,
                schedule_days=[1, 2, 3, 4, 5, 6, 7],
                schedule_start=None,
                schedule_end=None,
                schedule_reset=None,
            )

    on_postgres(scenario)


def test_only_live_credentials_open_a_session(on_postgres: Callable[[Scenario], None]) -> None:
    """Not those that have expired or were revoked, or of a disabled session."""

    async def scenario(url: str) -> None:
        async with connection_to(url) as connection:
            session_id = await make_session(connection, "LIVE")
            assert not await has_credential(connection, session_id, "user")
            for name in ("good", "second", "expired", "revoked"):
                credential = NewCredential(session_id, "user", "password", f"hash {name}")
                await create_credential(connection, credential)
            await connection.execute(
                "UPDATE fix_credentials SET expires_at = now() WHERE password_hash = 'hash expired'"
            )
            await connection.execute(
                "UPDATE fix_credentials SET revoked_at = now() WHERE password_hash = 'hash revoked'"
            )
            assert await has_credential(connection, session_id, "user")
            found = await find_live_credentials(connection, session_id)
            assert [(row.kind, row.username, row.password_hash) for row in found] == [
                ("password", "user", "hash good"),
                ("password", "user", "hash second"),
            ]
            assert await find_live_credentials(connection, SessionId(0)) == []
            await connection.execute(
                "UPDATE fix_sessions SET is_enabled = false WHERE session_id = %s", [session_id]
            )
            assert await find_live_credentials(connection, session_id) == []

    on_postgres(scenario)


def test_statement_that_hangs_is_ended(on_postgres: Callable[[Scenario], None]) -> None:
    """Every statement has a timeout, and the pool goes on after it."""

    async def scenario(url: str) -> None:
        database = Database(url)
        await database.open()

        async def hang() -> None:
            async with database.transaction() as connection:
                await connection.execute("SET LOCAL statement_timeout = 50")
                await connection.execute("SELECT pg_sleep(30)")

        with pytest.raises(StoreError, match="statement timeout"):
            await hang()
        await database.ping()
        await database.close()

    on_postgres(scenario)


def test_two_upgrades_at_once_wait_for_each_other(
    on_postgres: Callable[[Scenario], None],
) -> None:
    """The steps are applied once, whoever comes first."""

    async def scenario(url: str) -> None:
        fresh = await make_database(url, "fresh")
        script = "import sys; from store.migrate import migrate; migrate(sys.argv[1])"
        upgrades = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", script, fresh)
            for _ in range(3)
        ]
        assert [await upgrade.wait() for upgrade in upgrades] == [0, 0, 0]
        async with connection_to(fresh) as connection:
            cursor = await connection.execute("SELECT version_num FROM alembic_version")
            assert await cursor.fetchall() == [(newest_revision(),)]

    on_postgres(scenario)


def test_missing_server_is_an_error_not_a_hang() -> None:
    """Nobody waits for ever."""

    async def scenario() -> None:
        with pytest.raises(StoreError):
            await wait_until_reachable("postgresql://x@127.0.0.1:1/x", timeout_s=0.1)

    asyncio.run(scenario())


def test_passwords_are_verified_off_the_loop() -> None:
    """A right one opens, a wrong one and an unknown name do not; the loop goes on meanwhile."""

    async def scenario() -> None:
        verifier = PasswordVerifier()
        hashes = [hash_password("first"), hash_password("second")]
        turns = 0
        checks = asyncio.gather(
            verifier.find("second", hashes),
            verifier.find("third", hashes),
            verifier.find("first", []),
            verifier.find("first", ["no hash at all"]),
        )
        while not checks.done():
            turns += 1
            await asyncio.sleep(0.001)
        assert list(await checks) == [1, None, None, None]
        assert turns > 10
        verifier.close()

    asyncio.run(scenario())


def test_server_starts_over_a_stale_lock_file(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """After a hard end the process id in it may be somebody else's: here it is this test's."""
    directory, sockets = tmp_path_factory.mktemp("pg"), tmp_path_factory.mktemp("s")

    async def scenario() -> None:
        async with running_postgres(directory, sockets):
            pass
        data_dir = directory / "postgres"
        lock_file = data_dir / "postmaster.pid"
        lock_file.write_text(f"{os.getpid()}\n{data_dir}\n1\n5432\n{sockets}\n\n")
        (sockets / ".s.PGSQL.5432.lock").write_text(lock_file.read_text())
        async with running_postgres(directory, sockets) as url, connection_to(url) as connection:
            await connection.execute("SELECT 1")

    asyncio.run(scenario())
