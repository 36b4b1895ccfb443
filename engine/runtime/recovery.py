"""The exchange as its files leave it: the newest snapshot that helps, then the journal after it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from engine.exchange import RULES_VERSION, Exchange
from engine.gate import RiskGate
from engine.runtime.journal import JournalDamagedError, list_segments, read_records
from engine.runtime.replay import OtherRulesError, Replay, hash_state, replay
from engine.runtime.snapshot import (
    Snapshot,
    SnapshotDamagedError,
    SnapshotFile,
    list_snapshots,
    load_snapshot,
    prune_snapshots,
    save_snapshot,
)
from engine.state import find_faults
from engine.units import Seq

log = structlog.get_logger("engine.recovery")


class StateFaultError(Exception):
    """The exchange breaks an invariant of its own: its state must not become a snapshot."""


class VenueFiles(NamedTuple):
    """Where an engine keeps what it must not lose, and how it makes a risk gate."""

    journal_dir: Path
    snapshots_dir: Path
    make_gate: Callable[[], RiskGate]


class Start(NamedTuple):
    """Where a replay begins: behind the record `seq`. An empty exchange stands behind record 0."""

    exchange: Exchange
    seq: Seq
    now_ns: int
    rules_version: int


class Rebuilt(NamedTuple):
    """An exchange as its files leave it. `snapshot_seq` is 0 when no snapshot was used."""

    exchange: Exchange
    snapshot_seq: Seq
    replay: Replay


def rebuild(files: VenueFiles, *, until_seq: Seq) -> Rebuilt:
    """Return the exchange after the record `until_seq`. Changes nothing on the disk.

    Raises JournalDamagedError when a record that is needed cannot be read, ReplayDiffersError or
    OtherRulesError when one cannot be replayed.
    """
    start = find_start(files, until_seq=until_seq)
    records = read_records(files.journal_dir, after_seq=start.seq, until_seq=until_seq)
    done = replay(start.exchange, records, Replay(start.seq, start.now_ns))
    return Rebuilt(start.exchange, start.seq, done)


def find_start(files: VenueFiles, *, until_seq: int) -> Start:
    """Return the newest start at or before `until_seq`: a snapshot that verifies, or nothing."""
    for file in reversed(list_snapshots(files.snapshots_dir)):
        if file.seq <= until_seq and (start := open_start(files, file)) is not None:
            return start
    return empty_start(files)


def find_seq_at(files: VenueFiles, time_ns: int, *, last_seq: Seq) -> Seq | None:
    """Return the last record at or before the time, None when the first one came later.

    Reads the records since the snapshot before. Raises JournalDamagedError.
    """
    found: Seq | None = None
    for file in reversed(list_snapshots(files.snapshots_dir)):
        start = open_start(files, file)
        if start is not None and start.now_ns <= time_ns and start.seq <= last_seq:
            found = start.seq
            break
    for record in read_records(files.journal_dir, after_seq=found or 0, until_seq=last_seq):
        if record.now_ns > time_ns:
            break
        found = record.seq
    return found


def empty_start(files: VenueFiles) -> Start:
    """Return the start before the first record."""
    return Start(Exchange(files.make_gate()), Seq(0), 0, RULES_VERSION)


def open_start(files: VenueFiles, file: SnapshotFile) -> Start | None:
    """Return where a snapshot's file lets a replay begin, None (and a log line) if it does not."""
    try:
        snapshot = load_snapshot(file.path)
        exchange = Exchange.restore(files.make_gate(), snapshot.state())
    except SnapshotDamagedError as error:
        log.warning("snapshot_skipped", path=str(file.path), reason=str(error))
        return None
    return Start(exchange, snapshot.seq, snapshot.now_ns, snapshot.rules_version)


class Verified(NamedTuple):
    """What a verification has found.

    `compared` are the snapshots through whose state the replay passed. `other_rules` is the last
    record seen that an engine of other rules wrote: it was not replayed.
    """

    rebuilt: Rebuilt
    compared: list[Seq]
    other_rules: OtherRulesError | None
    faults: list[str]


def verify(files: VenueFiles, *, until_seq: int, is_all: bool) -> Verified:
    """Replay as much of the journal as this version can, and compare it with the snapshots.

    With `is_all` from the first record on, archived ones included; else from the first start that
    needs no archive. Raises as `rebuild` does.
    """
    first_seq = 1 if is_all else _first_live_seq(files)
    later = [
        file
        for file in list_snapshots(files.snapshots_dir)
        if first_seq - 1 <= file.seq <= until_seq
    ]
    start = empty_start(files) if first_seq == 1 else None
    other_rules: OtherRulesError | None = None
    while start is not None or later:
        if start is not None and (other_rules is None or start.seq >= other_rules.record.seq):
            try:
                return _verify_from(files, start, later, until_seq, other_rules)
            except OtherRulesError as error:
                other_rules = error
        start = open_start(files, later.pop(0)) if later else None
    if other_rules is not None:
        raise other_rules
    # No snapshot outside the archive helps.
    return verify(files, until_seq=until_seq, is_all=True)


def _verify_from(
    files: VenueFiles,
    start: Start,
    later: list[SnapshotFile],
    until_seq: int,
    other_rules: OtherRulesError | None,
) -> Verified:
    exchange = start.exchange
    faults: list[str] = []
    compared: list[Seq] = []
    done = Replay(start.seq, start.now_ns)
    for file in later:
        records = read_records(files.journal_dir, after_seq=done.last_seq, until_seq=file.seq)
        done = replay(exchange, records, done)
        passed = open_start(files, file)
        if passed is None:
            continue
        if hash_state(passed.exchange.state()) == hash_state(exchange.state()):
            compared.append(passed.seq)
        else:
            faults.append(f"{file.path} has another state than the replay after the same record")
    records = read_records(files.journal_dir, after_seq=done.last_seq, until_seq=until_seq)
    done = replay(exchange, records, done)
    faults += find_faults(exchange.state())
    return Verified(Rebuilt(exchange, start.seq, done), compared, other_rules, faults)


def _first_live_seq(files: VenueFiles) -> int:
    """Return the first record outside the archive."""
    segments = list_segments(files.journal_dir)
    return next((segment.first_seq for segment in segments if not segment.is_archived), 1)


def check_journal_is_whole(files: VenueFiles, last_seq: Seq) -> None:
    """Compare the journal's end with the newest snapshot, which is never ahead of it.

    Raises JournalDamagedError when records that the snapshot holds are missing from the journal.
    """
    for file in reversed(list_snapshots(files.snapshots_dir)):
        if file.seq <= last_seq:
            return
        if open_start(files, file) is not None:
            raise JournalDamagedError(
                f"{files.journal_dir} ends with record {last_seq}, but {file.path} is of record "
                f"{file.seq}: restore the journal's missing records"
            )


def write_snapshot(files: VenueFiles, rebuilt: Rebuilt, *, kept_max: int) -> Path:
    """Write the snapshot of a rebuilt exchange, remove old ones, and return the file.

    The snapshot is tried first: an exchange that is put back from it must have the same state. The
    journal's records are flushed before it, so that no snapshot is ever ahead of its journal. The
    caller holds the lock. Raises StateFaultError or OSError.
    """
    state = rebuilt.exchange.state()
    snapshot = Snapshot.take(state, seq=rebuilt.replay.last_seq, now_ns=rebuilt.replay.last_ns)
    copy = Exchange.restore(files.make_gate(), snapshot.state())
    faults = find_faults(state)
    if hash_state(copy.state()) != snapshot.state_hash:
        faults.append("an exchange put back from the snapshot has another state")
    if faults:
        raise StateFaultError("; ".join(faults))
    _flush_journal(files.journal_dir, after_seq=rebuilt.snapshot_seq)
    path = save_snapshot(files.snapshots_dir, snapshot)
    prune_snapshots(files.snapshots_dir, kept_max)
    return path


def _flush_journal(directory: Path, *, after_seq: int) -> None:
    segments = list_segments(directory)
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if segment.is_archived:
            continue
        if following is None or following.first_seq > after_seq + 1:
            descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
