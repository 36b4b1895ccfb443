"""The audit log as PostgreSQL keeps it: nobody changes a row, and who can do so is caught."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg.types.json import Jsonb

from engine.units import Seq
from store.audit import AuditEntry, add_audit_entries, add_followed_entry, list_audit_rows
from store.audit_chain import ChainHead, ChainReport, verify_audit_chain
from store.migrate import migrate
from store.postgres import Database
from tests.integration.conftest import Scenario
from tests.integration.outside_servers import make_database
from tests.integration.venue_process import VenueProcess

ENTRIES = [
    AuditEntry("operator:anna", "limits_set", "account:1", {"n": 1.50, "text": 'é "x" \\ \n'}),
    AuditEntry("os:ops", "kill_switch_pulled", "firm:4", reason="fat finger", address="192.0.2.7"),
    AuditEntry("fix:DEMO1", "session_changed", "session:1", before={"a": None}, after={"a": [1]}),
    AuditEntry("engine", "session_reset", "session:2"),
]


OLD_ROW = "INSERT INTO audit_log (actor, action, subject, detail) VALUES (%s, %s, %s, %s)"


@asynccontextmanager
async def filled_log(url: str, name: str) -> AsyncIterator[Database]:
    """A database of its own with the entries in its log."""
    own = await make_database(url, name)
    await asyncio.to_thread(migrate, own)
    database = Database(own)
    await database.open()
    try:
        async with database.transaction() as connection:
            await add_audit_entries(connection, ENTRIES[:2])
        async with database.transaction() as connection:
            await add_audit_entries(connection, ENTRIES[2:])
        yield database
    finally:
        await database.close()


async def tamper(database: Database, statement: str, *values: object) -> None:
    """Do what only the owner of the database can, who switches its guards off."""
    async with database.transaction() as connection:
        await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        await connection.execute(statement, values)
        await connection.execute("ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_append")
        await connection.execute("ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_refuse")


async def head_of(database: Database) -> ChainHead:
    report = await verify_audit_chain(database)
    assert report.is_whole
    assert report.head is not None
    return report.head


def test_log_is_a_chain_that_cannot_be_changed(on_postgres: Callable[[Scenario], None]) -> None:
    """Rows come one behind the other whoever writes at once; the database refuses the rest."""

    async def scenario(url: str) -> None:
        async with filled_log(url, "audit_chain") as database:
            first = await head_of(database)
            assert first.audit_id == len(ENTRIES)

            async def write(number: int) -> None:
                async with database.transaction() as connection:
                    await add_audit_entries(connection, [AuditEntry("engine", "x", str(number))])

            await asyncio.gather(*(write(number) for number in range(20)))
            for _ in range(2):  # The second time it does nothing.
                async with database.transaction() as connection:
                    await add_followed_entry(connection, ENTRIES[3], seq=Seq(9))
            last = await head_of(database)
            assert last.audit_id == len(ENTRIES) + 21
            report = await verify_audit_chain(database, expected=first)
            assert report == ChainReport(last.audit_id, last, None, is_expected_there=True)
            async with database.transaction() as connection:
                (newest,) = await list_audit_rows(
                    connection, before_id=None, subject=None, actor=None, limit=1
                )
            assert (newest.audit_id, newest.hash) == (last.audit_id, last.hash)
            for statement in (
                "UPDATE audit_log SET actor = 'nobody' WHERE audit_id = 1",
                "DELETE FROM audit_log WHERE audit_id = 1",
                "TRUNCATE audit_log",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed"):
                    async with database.transaction() as connection:
                        await connection.execute(statement)
            assert await head_of(database) == last

    on_postgres(scenario)


TAMPERINGS = [
    ("UPDATE audit_log SET actor = 'os:nobody' WHERE audit_id = 2", 2),
    ("UPDATE audit_log SET reason = '' WHERE audit_id = 2", 2),
    ("UPDATE audit_log SET after = NULL WHERE audit_id = 3", 3),
    ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE audit_id = 1", 1),
    ("DELETE FROM audit_log WHERE audit_id = 2", 3),
    # Its own hash fits again: then the next one does not.
    (
        "UPDATE audit_log SET hash = audit_hash("
        "(SELECT hash FROM audit_log WHERE audit_id = 1), ROW(audit_id, at, actor, action, 'x',"
        " detail, engine_seq, reason, address, before, after, hash)::audit_log), subject = 'x'"
        " WHERE audit_id = 2",
        3,
    ),
]


def test_tampering_is_caught(on_postgres: Callable[[Scenario], None]) -> None:
    """The first row that does not follow from those before it is named."""

    async def scenario(url: str) -> None:
        async with filled_log(url, "audit_tampered") as database:
            async with database.transaction() as connection:
                await connection.execute("CREATE TABLE kept AS TABLE audit_log")
            for statement, broken_id in TAMPERINGS:
                await tamper(database, statement)
                report = await verify_audit_chain(database)
                assert report.broken_id == broken_id, statement
                assert not report.is_whole
                await tamper(database, "DELETE FROM audit_log")
                await tamper(database, "INSERT INTO audit_log SELECT * FROM kept")
            assert (await head_of(database)).audit_id == len(ENTRIES)

    on_postgres(scenario)


def test_rows_cut_off_at_the_end_are_missed(on_postgres: Callable[[Scenario], None]) -> None:
    """What is left is a chain, but not one that contains the head that was noted."""

    async def scenario(url: str) -> None:
        async with filled_log(url, "audit_cut") as database:
            noted = await head_of(database)
            await tamper(database, "DELETE FROM audit_log WHERE audit_id = %s", noted.audit_id)
            cut = await head_of(database)
            report = await verify_audit_chain(database, expected=noted)
            assert report == ChainReport(3, cut, None, is_expected_there=False)
            assert not report.is_whole

    on_postgres(scenario)


def test_rows_of_an_older_version_are_chained(on_postgres: Callable[[Scenario], None]) -> None:
    """Those that were there before there were hashes come first."""

    async def scenario(url: str) -> None:
        own = await make_database(url, "audit_upgraded")
        await asyncio.to_thread(migrate, own, "0002")
        async with await psycopg.AsyncConnection.connect(own) as connection:
            for number in range(3):
                await connection.execute(OLD_ROW, ["engine", "x", str(number), Jsonb({"n": 1})])
        async with filled_log(url, "audit_upgraded") as database:
            assert (await head_of(database)).audit_id == 3 + len(ENTRIES)

    on_postgres(scenario)


def test_command_says_that_the_log_of_a_venue_is_whole(shared_venue: VenueProcess) -> None:
    """`wcx audit verify` prints a head, which the next run can be given."""
    done = shared_venue.wcx("audit", "verify")
    assert (done.returncode, done.stderr) == (0, "")
    rows, head, chain = (line.split()[1] for line in done.stdout.splitlines())
    assert (head.split(":")[0], chain) == (rows, "whole")
    assert shared_venue.wcx("audit", "verify", "--expect", head).returncode == 0
    wrong = shared_venue.wcx("audit", "verify", "--expect", f"1:{'0' * 64}")
    assert wrong.returncode == 1
    assert "the chain does not contain" in wrong.stderr
