"""The engine process: `python -m engine` runs it; other verbs work on its journal and snapshots.

The composition root: here the real risk gate is handed to the exchange.
"""

import argparse
import asyncio
import gc
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvloop

from config.clock import ClockCollector
from config.lifecycle import notify_ready, serve_metrics, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
from engine.commands import SetClOrdIdsMax, SetStorageLow
from engine.exchange import RULES_VERSION, Exchange
from engine.runtime import faults
from engine.runtime.archive import move_to_archive, plan_compaction
from engine.runtime.client import ask_status
from engine.runtime.codec import Record
from engine.runtime.journal import (
    Disk,
    Journal,
    JournalDamagedError,
    JournalInUseError,
    RecordsGoneError,
    inspect_tail,
    lock_journal,
    read_records,
    repair_tail,
)
from engine.runtime.metrics import EngineMetrics
from engine.runtime.recovery import (
    Rebuilt,
    StateFaultError,
    VenueFiles,
    check_journal_is_whole,
    find_seq_at,
    rebuild,
    verify,
    write_snapshot,
)
from engine.runtime.replay import OtherRulesError, ReplayDiffersError, hash_state
from engine.runtime.sequencer import Sequencer
from engine.runtime.server import LinkServer
from engine.runtime.snapshot import (
    SnapshotInUseError,
    list_snapshots,
    lock_snapshots,
)
from engine.runtime.state_report import encode_report, format_report, report_state
from engine.runtime.storage import StorageWatch, measure_free_bytes
from engine.runtime.utc_time import parse_time_ns
from engine.units import Seq
from risk.pre_trade import PreTradeGate

FAULTS = (
    JournalDamagedError, JournalInUseError, ReplayDiffersError, SnapshotInUseError,
    StateFaultError,
)  # fmt: skip
SEQ_DIGITS_MAX = 20
SNAPSHOT_NICENESS = 10  # The engine and the gateway go first.

log = structlog.get_logger("engine")


def main() -> int:
    """Run the verb that the command line names. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("run", help="run the engine (the default)")
    verify = verbs.add_parser("verify", help="replay the journal and compare every event")
    verify.add_argument("--until", type=int, help="stop after this record")
    verify.add_argument("--all", action="store_true", help="replay archived records too")
    replaying = verbs.add_parser("replay", help="print the state at any moment")
    replaying.add_argument("--until", help="a record or a time, such as 2026-11-23T05:06:16.4Z")
    replaying.add_argument("--json", action="store_true", help="for programs")
    snapshot = verbs.add_parser("snapshot", help="write a snapshot of what is durable now")
    snapshot.add_argument("--records-min", type=int, default=1, help="only with so many new ones")
    show = verbs.add_parser("show", help="print the journal, a record a line")
    show.add_argument("--after", type=int, default=0, help="begin behind this record")
    show.add_argument("--until", type=int, help="stop after this record")
    compact = verbs.add_parser("compact", help="archive what no start and no session needs")
    compact.add_argument("--below", type=int, required=True, help="only records before this one")
    compact.add_argument("--dry-run", action="store_true", help="only say what would be done")
    verbs.add_parser("upgrade", help="write the snapshot from which the next version starts")
    arguments = parser.parse_args()
    # Reference counts free everything that the exchange lets go. A full collection over a million
    # orders would stop the engine for half a second, and took two fifths of loading them.
    gc.disable()
    settings = Settings()
    set_up_logs("engine", level=settings.log.level, log_format=settings.log.format)
    try:
        match arguments.verb:
            case "verify":
                return verify_journal(settings, until=arguments.until, is_all=arguments.all)
            case "show":
                return show_journal(settings, after=arguments.after, until=arguments.until)
            case "replay":
                return replay_until(settings, until=arguments.until, is_json=arguments.json)
            case "snapshot":
                return make_snapshot(settings, records_min=arguments.records_min)
            case "compact":
                return compact_journal(settings, below=arguments.below, is_dry=arguments.dry_run)
            case "upgrade":
                return prepare_upgrade(settings)
            case _:
                return uvloop.run(run(settings))
    except FAULTS as error:
        log.critical("journal_unusable", error=str(error))
        return 1


async def run(settings: Settings) -> int:
    """Recover from the journal, then serve until a signal comes or a batch cannot be committed."""
    stopped = stop_on_signals()
    faults.arm(settings.fault_dir)
    directory = settings.journal_dir
    lock_journal(directory)
    rebuilt = recover(files_of(settings))
    exchange, done = rebuilt.exchange, rebuilt.replay
    faults.reach("recovery.replayed")
    journal = Journal(
        directory,
        next_seq=Seq(done.last_seq + 1),
        durability=settings.journal.durability,
        segment_bytes_max=settings.journal.segment_bytes_max,
    )
    sequencer = Sequencer(
        exchange,
        journal,
        last_seq=done.last_seq,
        last_ns=done.last_ns,
        clock_ns=time.time_ns,
    )
    gc.collect()
    gc.freeze()
    metrics = EngineMetrics()
    metrics.registry.register(ClockCollector())
    metrics.journal_fsync.set(journal.durability == "fsync")
    failures: list[BaseException] = []

    def on_fault(fault: BaseException) -> None:
        failures.append(fault)
        stopped.set()

    settings.sockets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = LinkServer(
        sequencer, metrics, durability=settings.journal.durability, on_fault=on_fault
    )
    watch = StorageWatch(
        lambda: measure_free_bytes(directory),
        metrics,
        free_bytes_min=settings.journal.free_bytes_min,
        is_low=exchange.is_storage_low,
        on_change=lambda is_low: server.submit(None, SetStorageLow(is_low)),
    )
    journal.before_segment = watch.check
    watch.check()  # Before the door opens: on a full disk not even the first order is taken.
    watching = asyncio.create_task(watch.run())
    await server.start(settings.engine_socket)
    bound_names(exchange, server, metrics, settings.engine.cl_ord_ids_max)
    faults.reach("recovery.serving")
    endpoint = await serve_metrics(metrics.registry, settings.engine.metrics_port)
    if not failures:
        log.info("engine_ready", last_seq=sequencer.last_seq, durability=journal.durability)
        notify_ready()
    await stopped.wait()
    watching.cancel()
    server.stop()
    endpoint.should_exit = True
    if failures:
        return _explain_failure(failures[0], directory)
    journal.close()
    log.info("engine_stopped", last_seq=sequencer.last_seq)
    return 0


def bound_names(
    exchange: Exchange, server: LinkServer, metrics: EngineMetrics, cl_ord_ids_max: int
) -> None:
    """Let so many ClOrdIDs of ended orders be known, as a command if it is news, and measure."""
    if exchange.cl_ord_ids_max != cl_ord_ids_max:
        server.submit(None, SetClOrdIdsMax(cl_ord_ids_max))
    metrics.cl_ord_id_reach_seconds.set_function(
        lambda: exchange.name_reach_ns(time.time_ns()) / 1e9
    )


def _explain_failure(failure: BaseException, directory: Path) -> int:
    """Say why the engine stops, and return the exit code that says it too."""
    if isinstance(failure, OSError):
        log.critical(
            "journal_not_written",
            error=str(failure),
            directory=str(directory),
            free_bytes=shutil.disk_usage(directory).free,
            meaning="the disk did not take a batch, nothing of it was acknowledged: the engine "
            "stops, and once the disk works again it enters what is in doubt",
        )
        return os.EX_IOERR
    log.critical("batch_not_committed", error=repr(failure), exc_info=failure)
    return os.EX_SOFTWARE


def recover(files: VenueFiles, disk: Disk = os) -> Rebuilt:
    """Return the exchange as its files leave it. An unfinished batch at the end is cut off.

    Raises JournalDamagedError or ReplayDiffersError when the journal cannot be trusted.
    """
    started_s = time.perf_counter()
    tail = repair_tail(files.journal_dir, disk)
    if tail.torn is not None:
        log.warning(
            "journal_torn_tail_cut",
            segment=str(tail.torn.segment.path),
            byte_count=tail.torn.byte_count,
            last_seq=tail.last_seq,
        )
    check_journal_is_whole(files, tail.last_seq)
    rebuilt = rebuild(files, until_seq=tail.last_seq)
    log.info(
        "journal_replayed",
        snapshot_seq=rebuilt.snapshot_seq,
        record_count=rebuilt.replay.record_count,
        last_seq=rebuilt.replay.last_seq,
        seconds=round(time.perf_counter() - started_s, 3),
        state_hash=hash_state(rebuilt.exchange.state()),
    )
    return rebuilt


def verify_journal(settings: Settings, *, until: int | None, is_all: bool) -> int:
    """Replay the journal beside a running engine or none, and print what was found.

    Returns 1 when an invariant is broken or a running engine has another state than its journal.
    """
    status = None
    if until is None:
        status = uvloop.run(ask_status(settings.engine_socket, "verify", with_state_hash=True))
    tail = inspect_tail(settings.journal_dir)
    files = files_of(settings)
    if status is None:
        check_journal_is_whole(files, tail.last_seq)
    until_seq = until or (tail.last_seq if status is None else status.last_seq)
    verified = verify(files, until_seq=until_seq, is_all=is_all)
    rebuilt, found = verified.rebuilt, verified.faults
    state = rebuilt.exchange.state()
    state_hash = hash_state(state)
    start_seq = rebuilt.snapshot_seq
    since = f" since the snapshot after record {start_seq}" if start_seq else ""
    print(f"records        {rebuilt.replay.last_seq}, every event{since} as it was")
    if verified.other_rules is not None:
        version = verified.other_rules.record.rules_version
        print(f"not replayed   records up to {start_seq}, of rules version {version}")
    elif start_seq:
        print(f"not replayed   records up to {start_seq}: --all reads the archive too")
    for seq in verified.compared:
        print(f"snapshot       after record {seq}, same state")
    print(f"open orders    {len(state.open_orders)}")
    print(f"state hash     {state_hash}")
    if status is not None and status.state_hash != state_hash:
        found.append(f"the running engine has state {status.state_hash} after the same record")
    else:
        print(f"running engine {'none' if status is None else 'same state'}")
    if status is None and tail.torn is not None:
        print(f"torn tail      {tail.torn.byte_count} bytes, never acknowledged")
    for fault in found:
        print(f"FAULT          {fault}")
    return 1 if found else 0


def replay_until(settings: Settings, *, until: str | None, is_json: bool) -> int:
    """Rebuild the state at a moment, None for now, and print it. Returns 1 when it cannot be."""
    files = files_of(settings)
    try:
        last_seq = _find_moment(files, until, _durable_seq(settings, "replay"))
        rebuilt = rebuild(files, until_seq=last_seq)
    except OtherRulesError as error:
        version = error.record.rules_version
        print(
            f"record {error.record.seq} was written under rules version {version}, this engine has "
            f"{RULES_VERSION}: only that version can rebuild this moment",
            file=sys.stderr,
        )
        return 1
    except (UnknownMomentError, RecordsGoneError) as error:
        print(error, file=sys.stderr)
        return 1
    done = rebuilt.replay
    report = report_state(rebuilt.exchange.state(), seq=done.last_seq, now_ns=done.last_ns)
    print(encode_report(report) if is_json else format_report(report))
    return 0


class UnknownMomentError(Exception):
    """The journal has no such moment."""


def _find_moment(files: VenueFiles, until: str | None, last_seq: Seq) -> Seq:
    """Return the record that `until` names, as a number or a time. Raises UnknownMomentError."""
    if until is None:
        return last_seq
    if until.isascii() and until.isdigit() and len(until) <= SEQ_DIGITS_MAX:
        if not 1 <= int(until) <= last_seq:
            raise UnknownMomentError(f"there is no record {until}: the last one is {last_seq}")
        return Seq(int(until))
    time_ns = parse_time_ns(until)
    if time_ns is None:
        raise UnknownMomentError(
            f"--until {until}: neither the number of a record nor a time in UTC such as "
            "2026-11-23T05:06:16.4Z"
        )
    if time_ns > time.time_ns():
        raise UnknownMomentError(f"--until {until}: that is yet to come")
    seq = find_seq_at(files, time_ns, last_seq=last_seq)
    if seq is None:
        raise UnknownMomentError(f"--until {until}: nothing had happened by then")
    return seq


def make_snapshot(settings: Settings, *, records_min: int) -> int:
    """Write a snapshot of what is durable, beside a running engine or none, and say which.

    Does nothing when fewer than `records_min` records have come since the last one, or while
    another process makes one.
    """
    os.nice(SNAPSHOT_NICENESS)
    files = files_of(settings)
    status = uvloop.run(ask_status(settings.engine_socket, "snapshot"))
    if status is not None and status.is_storage_low:
        log.warning("snapshot_not_made", reason="the disk is nearly full")
        return 0
    try:
        last_seq = _repaired_seq(files) if status is None else status.last_seq
        newest_seq = max((file.seq for file in list_snapshots(files.snapshots_dir)), default=0)
        if last_seq - newest_seq < records_min:
            log.debug("snapshot_not_due", new_records=last_seq - newest_seq)
            return 0
        with lock_snapshots(files.snapshots_dir):
            rebuilt = rebuild(files, until_seq=last_seq)
            path = write_snapshot(files, rebuilt, kept_max=settings.snapshot.kept_max)
    except (JournalInUseError, SnapshotInUseError) as error:
        log.info("snapshot_not_made", reason=str(error))
        return 0
    except (OSError, StateFaultError) as error:
        log.warning("snapshot_failed", error=str(error))
        return 1
    print(f"snapshot after record {last_seq}: {path}")
    return 0


def _repaired_seq(files: VenueFiles) -> Seq:
    """Return the journal's last record after making it durable, as a start does.

    Raises JournalInUseError when an engine runs after all.
    """
    lock = lock_journal(files.journal_dir)
    try:
        return repair_tail(files.journal_dir).last_seq
    finally:
        os.close(lock)


def prepare_upgrade(settings: Settings) -> int:
    """Write a snapshot of the journal's end, which a version of other rules can start from.

    No engine may run. An unfinished batch at the end is cut off, as at a start.
    """
    files = files_of(settings)
    lock_journal(files.journal_dir)
    with lock_snapshots(files.snapshots_dir):
        rebuilt = recover(files)
        last_seq = rebuilt.replay.last_seq
        if rebuilt.snapshot_seq != last_seq:
            write_snapshot(files, rebuilt, kept_max=settings.snapshot.kept_max)
    print(f"the snapshot after record {last_seq}, the last one, is there: start the next version")
    return 0


def compact_journal(settings: Settings, *, below: int, is_dry: bool) -> int:
    """Move segments to the archive, beside a running engine or none, and print which.

    Returns 1 when another process works on the snapshots at this moment.
    """
    files = files_of(settings)
    durable_seq = _durable_seq(settings, "compact")
    try:
        with lock_snapshots(files.snapshots_dir):
            plan = plan_compaction(files, below_seq=below, durable_seq=durable_seq)
            for movable in plan.movables:
                size = movable.segment.path.stat().st_size
                words = f"records {movable.segment.first_seq} to {movable.last_seq}, {size} bytes"
                if is_dry:
                    print(f"would archive {words}")
                else:
                    archived_size = move_to_archive(movable).path.stat().st_size
                    print(f"archived {words}, now {archived_size}")
    except SnapshotInUseError as error:
        print(f"nothing done: {error}", file=sys.stderr)
        return 1
    if not plan.movables:
        print(
            f"nothing to archive: the newest snapshot is of record {plan.snapshot_seq}, sessions "
            f"may ask for record {below} and what follows"
        )
    return 0


def show_journal(settings: Settings, *, after: int, until: int | None) -> int:
    """Print the journal's records, each with its command and events."""
    for record in _records(settings, after, until):
        print(f"{record.seq} {record.now_ns} {record.command()}")
        for index, event in enumerate(record.events()):
            print(f"    {record.seq}.{index} {event}")
    return 0


def files_of(settings: Settings) -> VenueFiles:
    """Return where the engine's files are."""
    return VenueFiles(settings.journal_dir, settings.snapshots_dir, PreTradeGate)


def _records(settings: Settings, after: int, until: int | None) -> Iterator[Record]:
    directory = settings.journal_dir
    last_seq = inspect_tail(directory).last_seq
    return read_records(directory, after_seq=after, until_seq=min(until or last_seq, last_seq))


def _durable_seq(settings: Settings, name: str) -> Seq:
    """Return the last durable record: as a running engine says, else the journal's last."""
    status = uvloop.run(ask_status(settings.engine_socket, name))
    return inspect_tail(settings.journal_dir).last_seq if status is None else status.last_seq


if __name__ == "__main__":
    if not __debug__:
        sys.exit("python -O switches off the assertions that guard the exchange: refused")
    sys.exit(main())
