"""The engine process: `python -m engine` runs it; `verify` and `show` read its journal.

The composition root: here the real risk gate is handed to the exchange.
"""

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvloop

from config.lifecycle import notify_ready, serve_metrics, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
from engine.exchange import Exchange
from engine.runtime.client import EngineLink, LinkClosedError
from engine.runtime.codec import Record, Status
from engine.runtime.journal import (
    Journal,
    JournalDamagedError,
    JournalInUseError,
    inspect_tail,
    lock_journal,
    read_records,
    repair_tail,
)
from engine.runtime.metrics import EngineMetrics
from engine.runtime.replay import Replay, ReplayDiffersError, hash_state, replay
from engine.runtime.sequencer import Sequencer
from engine.runtime.server import LinkServer
from engine.state import find_faults
from engine.units import Seq
from risk.pre_trade import PreTradeGate

log = structlog.get_logger("engine")


def main() -> int:
    """Run the verb that the command line names. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine", description=__doc__)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("run", help="run the engine (the default)")
    verify = verbs.add_parser("verify", help="replay the journal and compare every event")
    verify.add_argument("--until", type=int, help="stop after this record")
    show = verbs.add_parser("show", help="print the journal, a record a line")
    show.add_argument("--after", type=int, default=0, help="begin behind this record")
    show.add_argument("--until", type=int, help="stop after this record")
    arguments = parser.parse_args()
    settings = Settings()
    set_up_logs("engine", level=settings.log.level, log_format=settings.log.format)
    try:
        if arguments.verb == "verify":
            return verify_journal(settings, until=arguments.until)
        if arguments.verb == "show":
            return show_journal(settings, after=arguments.after, until=arguments.until)
        return uvloop.run(run(settings))
    except (JournalDamagedError, JournalInUseError, ReplayDiffersError) as error:
        log.critical("journal_unusable", error=str(error))
        return 1


async def run(settings: Settings) -> int:
    """Recover from the journal, then serve until a signal comes or a batch cannot be committed."""
    stopped = stop_on_signals()
    directory = settings.journal_dir
    lock_journal(directory)
    exchange, done = recover(directory)
    journal = Journal(
        directory, next_seq=Seq(done.last_seq + 1), durability=settings.journal.durability
    )
    sequencer = Sequencer(
        exchange,
        journal,
        last_seq=done.last_seq,
        last_ns=done.last_ns,
        clock_ns=time.time_ns,
    )
    # What has been loaded stays: a full collection over a million orders would stop the engine for
    # half a second, and reference counts free everything that the exchange lets go.
    gc.collect()
    gc.freeze()
    gc.disable()
    metrics = EngineMetrics()
    metrics.journal_fsync.set(journal.durability == "fsync")
    faults: list[BaseException] = []

    def on_fault(fault: BaseException) -> None:
        faults.append(fault)
        stopped.set()

    settings.sockets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = LinkServer(
        sequencer, metrics, durability=settings.journal.durability, on_fault=on_fault
    )
    await server.start(settings.engine_socket)
    endpoint = await serve_metrics(metrics.registry, settings.engine.metrics_port)
    log.info("engine_ready", last_seq=sequencer.last_seq, durability=journal.durability)
    notify_ready()
    await stopped.wait()
    server.stop()
    endpoint.should_exit = True
    if faults:
        log.critical("batch_not_committed", error=repr(faults[0]), exc_info=faults[0])
        return 1
    journal.close()
    log.info("engine_stopped", last_seq=sequencer.last_seq)
    return 0


def recover(directory: Path) -> tuple[Exchange, Replay]:
    """Return the exchange as the journal leaves it. An unfinished batch at the end is cut off.

    Raises JournalDamagedError or ReplayDiffersError when the journal cannot be trusted.
    """
    started_s = time.perf_counter()
    tail = repair_tail(directory)
    if tail.torn is not None:
        log.warning(
            "journal_torn_tail_cut",
            segment=str(tail.torn.segment.path),
            byte_count=tail.torn.byte_count,
            last_seq=tail.last_seq,
        )
    exchange = Exchange(PreTradeGate())
    done = replay(exchange, read_records(directory, until_seq=tail.last_seq))
    log.info(
        "journal_replayed",
        last_seq=done.last_seq,
        seconds=round(time.perf_counter() - started_s, 3),
        state_hash=hash_state(exchange.state()),
    )
    return exchange, done


def verify_journal(settings: Settings, *, until: int | None) -> int:
    """Replay the journal beside a running engine or none, and print what was found.

    Returns 1 when an invariant is broken or a running engine has another state than its journal.
    """
    directory = settings.journal_dir
    status = None if until is not None else uvloop.run(_ask_engine(settings))
    tail = inspect_tail(directory)
    until_seq = until or (tail.last_seq if status is None else status.last_seq)
    exchange = Exchange(PreTradeGate())
    done = replay(exchange, read_records(directory, until_seq=until_seq))
    state = exchange.state()
    state_hash = hash_state(state)
    faults = find_faults(state)
    print(f"records        {done.last_seq}, every event as it was")
    print(f"open orders    {len(state.open_orders)}")
    print(f"state hash     {state_hash}")
    if status is not None and status.state_hash != state_hash:
        faults.append(f"the running engine has state {status.state_hash} after the same record")
    elif status is not None:
        print("running engine same state")
    if status is None and tail.torn is not None:
        print(f"torn tail      {tail.torn.byte_count} bytes, never acknowledged")
    for fault in faults:
        print(f"FAULT          {fault}")
    return 1 if faults else 0


def show_journal(settings: Settings, *, after: int, until: int | None) -> int:
    """Print the journal's records, each with its command and events."""
    for record in _records(settings.journal_dir, after, until):
        print(f"{record.seq} {record.now_ns} {record.command()}")
        for index, event in enumerate(record.events()):
            print(f"    {record.seq}.{index} {event}")
    return 0


def _records(directory: Path, after: int, until: int | None) -> Iterator[Record]:
    last_seq = inspect_tail(directory).last_seq
    return read_records(directory, after_seq=after, until_seq=min(until or last_seq, last_seq))


async def _ask_engine(settings: Settings) -> Status | None:
    try:
        link = await EngineLink.connect(
            settings.engine_socket,
            "verify",
            on_records=lambda _records: None,
            on_closed=lambda _in_doubt: None,
        )
        status = await link.status(with_state_hash=True)
    except (OSError, LinkClosedError, TimeoutError):
        return None
    link.close()
    return status


if __name__ == "__main__":
    if not __debug__:
        sys.exit("python -O switches off the assertions that guard the exchange: refused")
    sys.exit(main())
