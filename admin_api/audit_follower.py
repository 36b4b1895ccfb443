"""What the engine's feed tells that belongs into the audit log, whoever did it and however.

Some of it never passes this process: an order given to the engine while everything else is down. It
stands in the journal, and is written into PostgreSQL as soon as that can be done.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from engine.events import (
    DeadManTimerExpired,
    Event,
    KillCompleted,
    KillSwitchLifted,
    KillSwitchPulled,
    TradingStateChanged,
)
from engine.risk_events import BreakerChanged, CreditUsed, TradingModeSet
from engine.runtime.codec import Record
from engine.runtime.journal import JournalDamagedError, read_records
from engine.scope import Scope
from engine.session_events import SessionReset
from engine.units import Seq
from store.audit import AuditEntry, add_followed_entry, get_followed_seq
from store.postgres import Database, StoreError

RETRY_S: Final = 1.0
PENDING_MAX: Final = 10_000
RECORDS_PER_SLICE: Final = 5_000
# So many records without an entry are marked as read, so that no start reads them all again.
RECORDS_PER_MARK: Final = 100_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger("admin.audit")


class Followed(NamedTuple):
    """An entry and the record that it was taken from."""

    seq: Seq
    entry: AuditEntry


def make_entry(event: Event, at: datetime) -> AuditEntry | None:
    """Return what the audit log says of an event, None for one that it does not speak of."""
    match event:
        case SessionReset(session_id, _, epoch):
            return AuditEntry(
                "engine", "session_reset", f"session:{session_id}", {"epoch": epoch}, at
            )
        case KillSwitchPulled(scope, scope_id, reason, actor):
            subject = _name(scope, scope_id)
            return AuditEntry(actor, "kill_switch_pulled", subject, at=at, reason=reason)
        case KillSwitchLifted(scope, scope_id, reason, actor):
            subject = _name(scope, scope_id)
            return AuditEntry(actor, "kill_switch_lifted", subject, at=at, reason=reason)
        case TradingStateChanged():
            return AuditEntry(
                event.actor,
                "trading_state_changed",
                f"instrument:{event.instrument_id}",
                {"from": event.old_state.name, "to": event.state.name},
                at,
                reason=event.reason,
            )
        case BreakerChanged():
            return AuditEntry(
                "engine",
                "circuit_breaker_changed",
                f"instrument:{event.instrument_id}",
                {"phase": event.phase.name, "low": event.low, "high": event.high},
                at,
            )
        case CreditUsed():
            detail = {"asset_id": event.asset_id, "percent": event.percent}
            detail |= {"used": event.used, "credit": event.credit}
            subject = f"account:{event.account_id}"
            return AuditEntry("engine", "credit_used", subject, detail, at)
        case TradingModeSet(mode):
            return AuditEntry(
                mode.actor,
                "trading_mode_set",
                _name(mode.scope, mode.scope_id),
                {"mode": mode.mode.name, "level": mode.level.name, "cause": mode.cause.name},
                at,
                reason=mode.reason,
            )
        case DeadManTimerExpired(account_id):
            return AuditEntry("engine", "dead_man_timer_expired", f"account:{account_id}", at=at)
        case KillCompleted(scope, scope_id, canceled_count):
            return AuditEntry(
                "engine",
                "kill_completed",
                _name(scope, scope_id),
                {"canceled_count": canceled_count},
                at,
            )
        case _:
            return None


def _name(scope: Scope, scope_id: int) -> str:
    return "everything" if scope is Scope.EVERYTHING else f"{scope.name.lower()}:{scope_id}"


def find_entry(record: Record, events: list[Event]) -> Followed | None:
    """Return the record's entry, None when it has nothing to tell. One entry a record."""
    at = EPOCH + timedelta(microseconds=record.now_ns // 1000)
    entries = [entry for event in events if (entry := make_entry(event, at)) is not None]
    if not entries:
        return None
    first = entries[0]
    if len(entries) > 1:
        others = [
            {"action": other.action, "subject": other.subject, **other.detail}
            for other in entries[1:]
        ]
        first = replace(first, detail={**first.detail, "others": others})
    return Followed(record.seq, first)


class AuditFollower:
    """Writes entries in the journal's order, none twice and none left out. A `FeedReader`.

    Goes on after the last record that the log knows of, by reading the journal; what comes later is
    taken from the feed. While PostgreSQL is away entries wait; when they become too many they are
    read from the journal later. Belongs to one event loop.
    """

    def __init__(self, database: Database, journal_dir: Path) -> None:
        self._database = database
        self._journal_dir = journal_dir
        self._pending: deque[Followed] = deque()
        self._seen_seq = Seq(0)
        # Up to here everything is in the log.
        self._settled_seq = Seq(0)
        self._marked_seq = Seq(0)
        # Entries up to this record are not in `_pending` but have to be read from the journal.
        self._read_until: Seq | None = None
        self._is_due = asyncio.Event()

    def on_linked(self, durable_seq: Seq) -> None:
        """What happened until now stands in the journal."""
        self._pending.clear()
        self._read_until = durable_seq
        self._seen_seq = durable_seq
        self._is_due.set()

    def on_record(self, record: Record, events: list[Event]) -> None:
        """Take out what is to be written down."""
        self._seen_seq = record.seq
        followed = find_entry(record, events)
        if followed is None:
            if record.seq - self._marked_seq >= RECORDS_PER_MARK:
                self._is_due.set()
            return
        self._pending.append(followed)
        if len(self._pending) > PENDING_MAX:
            self._pending.clear()
            self._read_until = record.seq
        self._is_due.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            try:
                await self._catch_up()
                await self._write_pending()
                await self._mark()
            except StoreError as error:
                log.warning("audit_waits_for_the_store", error=str(error))
                self._is_due.set()
                await asyncio.sleep(RETRY_S)

    async def _catch_up(self) -> None:
        while (until := self._read_until) is not None:
            async with self._database.transaction() as connection:
                after = await get_followed_seq(connection)
            self._marked_seq = max(self._marked_seq, after)
            after = max(after, self._settled_seq)
            try:
                await self._copy(after, until)
            except JournalDamagedError:
                # What cannot be read now could not be read later: what comes still must be kept.
                log.exception("audit_has_a_gap", after=after, until=until)
            if self._read_until == until:
                self._read_until = None

    async def _copy(self, after: Seq, until: Seq) -> None:
        records = read_records(self._journal_dir, after_seq=after, until_seq=until)
        while True:
            part = await asyncio.to_thread(_read_slice, records)
            if part is None:
                return
            if part:
                await self._write(part)

    async def _write_pending(self) -> None:
        # Never before what has to be read first: the log's last record says where to go on.
        while self._pending and self._read_until is None:
            part = list(islice(self._pending, RECORDS_PER_SLICE))
            await self._write(part)
            # They may have been dropped meanwhile, to be read from the journal.
            while self._pending and self._pending[0].seq <= part[-1].seq:
                self._pending.popleft()

    async def _mark(self) -> None:
        """Everything is written; after a long silence let the log say so."""
        seq = self._seen_seq
        if self._pending or self._read_until is not None:
            self._is_due.set()
            return
        self._settled_seq = seq
        if seq - self._marked_seq >= RECORDS_PER_MARK:
            entry = AuditEntry("engine", "journal_read", "journal", {"until_seq": seq})
            await self._write([Followed(seq, entry)])

    async def _write(self, part: list[Followed]) -> None:
        async with self._database.transaction() as connection:
            for followed in part:
                await add_followed_entry(connection, followed.entry, seq=followed.seq)
        self._marked_seq = max(self._marked_seq, part[-1].seq)


def _read_slice(records: Iterator[Record]) -> list[Followed] | None:
    """Return the entries of the next records, None at the end."""
    part = list(islice(records, RECORDS_PER_SLICE))
    if not part:
        return None
    found = (find_entry(record, record.events()) for record in part)
    return [followed for followed in found if followed is not None]
