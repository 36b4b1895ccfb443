"""What the journal tells gets into the audit log, once, whatever was away meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from admin_api import audit_follower
from admin_api.audit_follower import AuditFollower, find_entry
from engine.controls import BreakerPhase, Level, Mode, ModeCause, TradingMode
from engine.events import Event, KillCompleted, KillSwitchLifted, KillSwitchPulled
from engine.risk_events import BreakerChanged, CreditUsed, TradingModeSet
from engine.runtime.codec import Record
from engine.runtime.journal import read_records
from engine.scope import Scope
from engine.session_commands import OpenSession, ResetSession
from engine.session_events import SessionReset
from engine.units import AccountId, AssetId, InstrumentId, Money, Price, Seq, SessionId
from store.audit import AuditEntry, AuditRow, add_audit_entries, list_audit_rows
from store.migrate import migrate
from store.postgres import Database
from tests.exchange_desk import START_NS
from tests.integration.conftest import Scenario
from tests.integration.outside_servers import make_database
from tests.venue_files import FilesDesk

WAIT_S = 30.0
SESSION = SessionId(77)


async def rows_of(database: Database) -> list[AuditRow]:
    async with database.transaction() as connection:
        return await list_audit_rows(
            connection, before_id=None, subject=None, actor=None, limit=1000
        )


async def seqs_of(database: Database) -> list[int]:
    """Return the records that the log tells of, in the order in which they were written."""
    found = [row.engine_seq for row in await rows_of(database)]
    return [seq for seq in reversed(found) if seq is not None]


async def wait_for_seqs(database: Database, expected: list[int]) -> None:
    found: list[int] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            while (found := await seqs_of(database)) != expected:  # noqa: ASYNC110 - It is polled.
                await asyncio.sleep(0.02)
    assert found == expected


@contextlib.asynccontextmanager
async def running(follower: AuditFollower) -> AsyncIterator[AuditFollower]:
    task = asyncio.ensure_future(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def fresh_database(url: str, name: str) -> AsyncIterator[Database]:
    own = await make_database(url, name)
    await asyncio.to_thread(migrate, own)
    database = Database(own)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


class Venue:
    """A journal in small files, and the seqs of the resets in it."""

    def __init__(self, data_dir: Path) -> None:
        self.desk = FilesDesk(data_dir)
        self.journal_dir = self.desk.files.journal_dir
        self.resets: list[int] = []
        self.desk.commit([OpenSession(SESSION)])

    def go_on(self, reset_count: int) -> None:
        for _ in range(reset_count):
            self.desk.trade(5)
            self.desk.commit([ResetSession(SESSION)])
            self.resets.append(self.desk.last_seq)
        self.desk.trade(5)

    def feed(self, follower: AuditFollower, after: Seq) -> None:
        """Tell the follower what has happened since, as a link to the engine would."""
        until = self.desk.last_seq
        for record in read_records(self.journal_dir, after_seq=after, until_seq=until):
            follower.on_record(record, record.events())


def test_log_goes_on_where_it_ended(
    on_postgres: Callable[[Scenario], None], tmp_path: Path
) -> None:
    """What happened in its absence is read from the journal, what comes from the feed."""
    venue = Venue(tmp_path)

    async def scenario(url: str) -> None:
        async with fresh_database(url, "audit_goes_on") as database:
            venue.go_on(3)
            async with running(AuditFollower(database, venue.journal_dir)) as follower:
                follower.on_linked(venue.desk.last_seq)
                await wait_for_seqs(database, venue.resets)
                after = venue.desk.last_seq
                venue.go_on(2)
                venue.feed(follower, after)
                await wait_for_seqs(database, venue.resets)
            venue.go_on(2)
            async with running(AuditFollower(database, venue.journal_dir)) as follower:
                # Linked twice, while the first is not worked off yet: the engine was restarted.
                follower.on_linked(venue.desk.last_seq)
                after = venue.desk.last_seq
                venue.go_on(1)
                venue.feed(follower, after)
                follower.on_linked(venue.desk.last_seq)
                await wait_for_seqs(database, venue.resets)
            (row, *_) = await rows_of(database)
            assert row == AuditRow(
                audit_id=row.audit_id,
                at=row.at,
                actor="engine",
                action="session_reset",
                subject=f"session:{SESSION}",
                detail={"epoch": 1 + len(venue.resets)},
                reason="",
                address="",
                before=None,
                after=None,
                engine_seq=Seq(venue.resets[-1]),
                hash=row.hash,
            )
            assert row.at > datetime.fromtimestamp(START_NS / 1e9, UTC)

    on_postgres(scenario)
    venue.desk.close()


def test_nothing_is_lost_while_the_database_is_away(
    on_postgres: Callable[[Scenario], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when more happens than fits into the memory."""
    monkeypatch.setattr(audit_follower, "PENDING_MAX", 3)
    monkeypatch.setattr(audit_follower, "RETRY_S", 0.05)
    venue = Venue(tmp_path)

    async def scenario(url: str) -> None:
        async with fresh_database(url, "audit_away") as database:
            own = await make_database(url, "audit_away")
            shut = Database(own)  # It is opened later: until then every use of it fails.
            async with running(AuditFollower(shut, venue.journal_dir)) as follower:
                follower.on_linked(venue.desk.last_seq)
                for count in (1, 2, 5):
                    after = venue.desk.last_seq
                    venue.go_on(count)
                    venue.feed(follower, after)
                    await asyncio.sleep(0.1)
                assert await seqs_of(database) == []
                await shut.open()
                await wait_for_seqs(database, venue.resets)
            await shut.close()

    on_postgres(scenario)
    venue.desk.close()


def test_long_silence_is_marked(
    on_postgres: Callable[[Scenario], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that no start reads the whole journal again because nothing in it was of interest."""
    monkeypatch.setattr(audit_follower, "RECORDS_PER_MARK", 20)
    venue = Venue(tmp_path)

    async def scenario(url: str) -> None:
        async with fresh_database(url, "audit_marks") as database:
            venue.desk.trade(30)
            first = venue.desk.last_seq
            async with running(AuditFollower(database, venue.journal_dir)) as follower:
                follower.on_linked(first)
                await wait_for_seqs(database, [first])
                venue.desk.trade(10)
                venue.feed(follower, first)
                venue.go_on(1)
                venue.feed(follower, Seq(first + 10))
                await wait_for_seqs(database, [first, *venue.resets])
            assert [row.action for row in await rows_of(database)] == [
                "session_reset",
                "journal_read",
            ]

    on_postgres(scenario)
    venue.desk.close()


def test_one_record_has_one_entry() -> None:
    """Whatever else happened in it stands in the detail."""
    events: list[Event] = [SessionReset(SessionId(number), 1, 7) for number in (5, 6)]
    record = Record(Seq(9), 1_500_000_000, 1, 0, b"", b"")
    found = find_entry(record, events)
    assert found is not None
    assert (found.seq, found.entry.at) == (
        9,
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=1.5),
    )
    assert found.entry == AuditEntry(
        "engine",
        "session_reset",
        "session:5",
        {
            "epoch": 7,
            "others": [{"action": "session_reset", "subject": "session:6", "epoch": 7}],
        },
    )
    assert find_entry(record, []) is None


def test_kill_switches_are_told_with_whoever_pulled_them() -> None:
    """Whatever door the order came through, and also when it came through none."""
    events: list[Event] = [
        KillSwitchPulled(Scope.FIRM, 4, "fat finger", "os:ops"),
        KillCompleted(Scope.EVERYTHING, 0, 12),
    ]
    found = find_entry(Record(Seq(9), 0, 1, 0, b"", b""), events)
    assert found is not None
    others = [{"action": "kill_completed", "subject": "everything", "canceled_count": 12}]
    assert found.entry == AuditEntry(
        "os:ops", "kill_switch_pulled", "firm:4", {"others": others}, reason="fat finger"
    )
    lifted = KillSwitchLifted(Scope.SESSION, 7, "it was a test", "operator:bob os:wcx")
    found = find_entry(Record(Seq(9), 0, 1, 0, b"", b""), [lifted])
    assert found is not None
    assert found.entry == AuditEntry(
        "operator:bob os:wcx", "kill_switch_lifted", "session:7", reason="it was a test"
    )


@pytest.mark.parametrize(
    ("event", "entry"),
    [
        (
            BreakerChanged(InstrumentId(3), BreakerPhase.LIMIT_STATE, Price(95), Price(105), 9),
            AuditEntry(
                "engine",
                "circuit_breaker_changed",
                "instrument:3",
                {"phase": "LIMIT_STATE", "low": 95, "high": 105},
            ),
        ),
        (
            CreditUsed(AccountId(5), AssetId(1), 90, Money(91), Money(100)),
            AuditEntry(
                "engine",
                "credit_used",
                "account:5",
                {"asset_id": 1, "percent": 90, "used": 91, "credit": 100},
            ),
        ),
        (
            TradingModeSet(
                TradingMode(
                    Scope.ACCOUNT, 5, Level.FIRM, Mode.REDUCE_ONLY,
                    ModeCause.LOSS_LIMIT, "lost 5 USD today", "engine",
                )
            ),
            AuditEntry(
                "engine",
                "trading_mode_set",
                "account:5",
                {"mode": "REDUCE_ONLY", "level": "FIRM", "cause": "LOSS_LIMIT"},
                reason="lost 5 USD today",
            ),
        ),
    ],
)  # fmt: skip
def test_what_limits_and_breakers_do_is_told(event: Event, entry: AuditEntry) -> None:
    """Nobody has ordered it, so nothing but the journal tells of it."""
    found = find_entry(Record(Seq(9), 0, 1, 0, b"", b""), [event])
    assert found is not None
    assert replace(found.entry, at=entry.at) == entry


def test_audit_log_is_read_in_pages(on_postgres: Callable[[Scenario], None]) -> None:
    """The newest first; of one subject or one actor alone where that is asked."""

    async def scenario(url: str) -> None:
        async with fresh_database(url, "audit_pages") as database:
            async with database.transaction() as connection:
                for number in range(5):
                    actor, subject = f"operator:{number % 2}", f"session:{number}"
                    await add_audit_entries(
                        connection, [AuditEntry(actor, "x", subject, {"n": number})]
                    )
            async with database.transaction() as connection:
                page = await list_audit_rows(
                    connection, before_id=None, subject=None, actor=None, limit=2
                )
                assert [row.detail["n"] for row in page] == [4, 3]
                rest = await list_audit_rows(
                    connection,
                    before_id=page[-1].audit_id,
                    subject=None,
                    actor="operator:0",
                    limit=9,
                )
                assert [row.detail["n"] for row in rest] == [2, 0]
                one = await list_audit_rows(
                    connection, before_id=None, subject="session:1", actor=None, limit=9
                )
                assert [row.detail["n"] for row in one] == [1]

    on_postgres(scenario)
