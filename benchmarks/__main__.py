"""`make bench`: prints the figures of this machine, each beside its baseline in the same run.

And says of each target whether it is met. All figures go into a file of `benchmarks/results`.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import tables
from benchmarks.builds import IS_COMPILED, ROOT
from benchmarks.engine_alone import compare, installed_peers, measure_depth, worst_rates
from benchmarks.full_path import Quantities, measure_full_path, summarize
from benchmarks.growth import measure_growth
from benchmarks.journal import ALL_CONTROLS, commands_of, measure_journal
from benchmarks.many_sessions import measure_many_sessions
from benchmarks.recovery import REPLAY, SNAPSHOT, measure_recovery
from benchmarks.regressions import find_losses, ratios_of
from benchmarks.targets import judge
from benchmarks.workloads import NORMAL, liquid_symbol
from engine.runtime.journal import Durability

RESULTS: Final = ROOT / "benchmarks" / "results"
STORED_RATIOS: Final = ROOT / "benchmarks" / "stored_ratios.json"
NEW_ORDERS_PUBLISHED: Final = 1_000_000
DURABILITIES: Final[tuple[Durability, ...]] = ("os", "fsync")


class Sizes(NamedTuple):
    """How much is measured of everything."""

    new_orders: int
    rounds: int
    depth_rounds: int
    depths: tuple[int, ...]
    depth_messages: int
    growth_orders: int
    journal_runs: int
    replayed: int
    snapshot_orders: int
    full_path: Quantities
    sessions: int
    sessions_idle_s: float


STANDARD: Final = Sizes(
    new_orders=10_000,
    rounds=2,
    depth_rounds=1,
    depths=(1000, 10_000, 100_000, 1_000_000),
    depth_messages=30_000,
    growth_orders=20_000,
    journal_runs=3,
    replayed=100_000,
    snapshot_orders=1_000_000,
    full_path=Quantities(
        rounds=3, flood=10_000, pings=500, rates=(500, 1000, 2000), open_loop_s=4.0
    ),
    sessions=500,
    sessions_idle_s=30.0,
)
QUICK: Final = Sizes(
    new_orders=2000,
    rounds=1,
    depth_rounds=1,
    depths=(1000, 10_000),
    depth_messages=6000,
    growth_orders=2000,
    journal_runs=1,
    replayed=10_000,
    snapshot_orders=20_000,
    full_path=Quantities(rounds=1, flood=2000, pings=100, rates=(1000,), open_loop_s=1.0),
    sessions=20,
    sessions_idle_s=3.0,
)


def main() -> int:
    """Measure, print, and write all figures to a file. Returns 1 when a check fails."""
    options = parse_options()
    sizes = QUICK if options.quick else STANDARD
    if options.new_orders:
        sizes = sizes._replace(new_orders=options.new_orders)
    results: dict[str, Any] = {"machine": machine(), "sizes": sizes._asdict()}
    for part in options.parts:
        results[part] = PARTS[part](sizes)
        print(flush=True)
    if options.quick:
        print("measured in small: the verdicts prove nothing")
    for verdict in judge(results):
        print(verdict)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{machine_name()}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"all figures: {path.relative_to(ROOT)}")
    ratios = ratios_of(results)
    if options.store:
        STORED_RATIOS.write_text(json.dumps(ratios, indent=1) + "\n")
    if not options.check:
        return 0
    losses = find_losses(json.loads(STORED_RATIOS.read_text()), ratios)
    print("\n".join(losses) or "no ratio has lost a quarter of what was stored")
    return 1 if losses else 0


def parse_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"what to measure, of {', '.join(PARTS)}; all of them when none is named",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a minute of each kind: smoke, no proof")
    size.add_argument(
        "--full",
        dest="new_orders",
        action="store_const",
        const=NEW_ORDERS_PUBLISHED,
        help=f"workload A with {NEW_ORDERS_PUBLISHED:,} new orders as published, not "
        f"{STANDARD.new_orders:,}: an hour a round",
    )
    size.add_argument("--new-orders", type=int, help="workload A of this size; B is as long")
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure what there are stored ratios of, and fail when one has lost a quarter",
    )
    parser.add_argument("--store", action="store_true", help="store the ratios of this run")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.parts and (options.check or options.store):
        parser.error("ratios are of all parts together: name none")
    options.parts = options.parts or list(RATIO_PARTS if options.check else PARTS)
    return options


def machine() -> dict[str, Any]:
    """Return what the figures belong to."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "is_compiled": IS_COMPILED,
        "commit": commit.stdout.strip(),
    }


def processor() -> str:
    """Return the name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine_name() -> str:
    """Return a name for the kind of machine, not for this one."""
    words = re.findall(r"[A-Za-z0-9]+", processor().replace("(R)", ""))
    return "-".join([*words, f"{os.cpu_count()}-cores"]).lower()


def bench_engines(sizes: Sizes) -> dict[str, float]:
    """Measure our book and exchange beside the peers on workloads A and B."""
    peers = installed_peers()
    if not peers:
        print("no other order book is installed: `make bench-peers`")
    with tempfile.TemporaryDirectory() as name:
        runs = compare(sizes.new_orders, sizes.rounds, Path(name), peers)
    tables.print_engines(runs, sizes.new_orders, sizes.rounds)
    tables.print_calls(runs)
    tables.print_memory(runs)
    return worst_rates(runs)


def bench_depth(sizes: Sizes) -> dict[str, dict[str, float]]:
    """Measure what a message costs in a small and in a deep book."""
    with tempfile.TemporaryDirectory() as name:
        runs = measure_depth(sizes.depths, sizes.depth_messages, sizes.depth_rounds, Path(name))
    return tables.print_depth(runs)


def bench_growth(sizes: Sizes) -> dict[str, dict[str, float]]:
    """Measure what a message costs with more accounts, and after more history."""
    runs = measure_growth(sizes.growth_orders, sizes.rounds)
    costs = {
        name: {
            "cpu_us": statistics.median(cost["cpu_us"] for cost in samples),
            "calls": samples[0]["calls"],
        }
        for name, samples in runs.items()
    }
    tables.print_growth(costs)
    return costs


def bench_journal(sizes: Sizes) -> dict[str, float]:
    """Measure commands per second of the exchange with risk and its journal, all in turn."""
    commands = commands_of(liquid_symbol(NORMAL, sizes.new_orders).messages)
    runs: dict[str, list[float]] = {}
    for _ in range(sizes.journal_runs):
        for durability in DURABILITIES:
            for words in ("", ALL_CONTROLS):
                per_s = measure_journal(commands, durability, has_all_controls=bool(words))
                runs.setdefault(durability + words, []).append(per_s)
    rates = {name: statistics.median(samples) for name, samples in runs.items()}
    tables.print_journal(rates, len(commands))
    return rates


def bench_recovery(sizes: Sizes) -> dict[str, float]:
    """Measure how fast an engine is back from its files."""
    replayed = measure_recovery(REPLAY, sizes.replayed)
    snapshot = measure_recovery(SNAPSHOT, sizes.snapshot_orders)
    figures = {
        "replayed": replayed["count"],
        "replay_per_s": replayed["count"] / replayed["seconds"],
        "snapshot_orders": snapshot["count"],
        "snapshot_s": snapshot["seconds"],
        "snapshot_memory_mib": snapshot["memory_mib"],
    }
    tables.print_recovery(figures)
    return figures


def bench_full_path(sizes: Sizes) -> dict[str, Any]:
    """Measure rate, processor time and latency over FIX, venue and baselines in turn."""
    summary = summarize(measure_full_path(sizes.full_path))
    tables.print_full_path(summary)
    return summary


def bench_sessions(sizes: Sizes) -> dict[str, Any]:
    """Measure many idle sessions, and a busy one among them."""
    figures = measure_many_sessions(
        sizes.sessions,
        sizes.sessions_idle_s,
        sizes.full_path["rounds"],
        sizes.full_path["open_loop_s"],
    )
    tables.print_sessions(figures)
    return dict(figures)


PARTS: Final[dict[str, Callable[[Sizes], Any]]] = {
    "engine": bench_engines,
    "depth": bench_depth,
    "growth": bench_growth,
    "journal": bench_journal,
    "recovery": bench_recovery,
    "fix": bench_full_path,
    "sessions": bench_sessions,
}
RATIO_PARTS: Final = ("engine", "journal", "recovery", "fix")

if __name__ == "__main__":
    sys.exit(main())
