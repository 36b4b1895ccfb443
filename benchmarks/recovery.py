"""How fast an engine is back: commands replayed a second, and a snapshot of a deep book loaded.

Each run is a process of its own, `python -m benchmarks.recovery replay|snapshot COUNT`, which
prints one line of JSON: it begins with the files on the disk, as a start of the engine does.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.books.our_exchange import new_orders, set_up_commands
from benchmarks.builds import ROOT
from benchmarks.engine_alone import RUN_S_MAX
from benchmarks.journal import commands_of, commit_all, sequencing
from benchmarks.processes import memory_mib
from benchmarks.workloads import NORMAL, deep_book, liquid_symbol
from engine.exchange import Exchange
from engine.runtime.recovery import VenueFiles, find_start, rebuild
from engine.runtime.snapshot import Snapshot, save_snapshot
from engine.units import Seq
from risk.pre_trade import PreTradeGate

REPLAY, SNAPSHOT = "replay", "snapshot"
MAKE = "make-"

Figures = dict[str, float]
"""`count` commands or orders; `seconds` from the files to an exchange that could serve."""


def measure_recovery(what: str, count: int) -> Figures:
    """Return how long a start takes from a journal of so many commands, or resting orders."""
    with tempfile.TemporaryDirectory() as name:
        _run(f"{MAKE}{what}", count, name)
        figures: Figures = json.loads(_run(what, count, name))
    return figures


def _run(step: str, count: int, directory: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.recovery", step, str(count), directory],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=RUN_S_MAX,
    ).stdout


def make_journal(files: VenueFiles, command_count: int) -> None:
    """Write a journal of about so many commands of workload A."""
    commands = commands_of(liquid_symbol(NORMAL, command_count // 2).messages)
    with sequencing(files.journal_dir, "os") as sequencer:
        commit_all(sequencer, [*set_up_commands(), *commands][:command_count])


def make_snapshot(files: VenueFiles, order_count: int) -> None:
    """Write a snapshot in which so many orders rest, with the risk gate's view of them."""
    exchange = Exchange(files.make_gate())
    messages = deep_book(order_count, 0).messages[:order_count]
    seq = 0
    for command in [*set_up_commands(), *new_orders(messages)]:
        seq += 1
        exchange.apply(Seq(seq), seq, command)
    files.snapshots_dir.mkdir()
    save_snapshot(files.snapshots_dir, Snapshot.take(exchange.state(), seq=Seq(seq), now_ns=seq))


def replay_journal(files: VenueFiles, command_count: int) -> Figures:
    """Return how long it takes to apply the journal's commands again and compare the events."""
    started_s = time.perf_counter()
    rebuilt = rebuild(files, until_seq=Seq(command_count))
    seconds = time.perf_counter() - started_s
    return {"count": rebuilt.replay.record_count, "seconds": seconds} | _memory()


def load_snapshot(files: VenueFiles, order_count: int) -> Figures:
    """Return how long it takes to verify a snapshot and put an exchange back from it."""
    started_s = time.perf_counter()
    start = find_start(files, until_seq=sys.maxsize)
    seconds = time.perf_counter() - started_s
    assert start.exchange.open_order_count() == order_count
    return {"count": order_count, "seconds": seconds} | _memory()


def _memory() -> Figures:
    return {"memory_mib": memory_mib({"": os.getpid()})[""]}


def main(arguments: Sequence[str]) -> None:
    """Do one step."""
    step, count_text, directory = arguments
    files = VenueFiles(Path(directory) / "journal", Path(directory) / "snapshots", PreTradeGate)
    count = int(count_text)
    gc.disable()  # As the engine does.
    if step == f"{MAKE}{REPLAY}":
        make_journal(files, count)
    elif step == f"{MAKE}{SNAPSHOT}":
        make_snapshot(files, count)
    else:
        print(json.dumps((replay_journal if step == REPLAY else load_snapshot)(files, count)))


if __name__ == "__main__":
    main(sys.argv[1:])
