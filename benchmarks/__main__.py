"""`make bench`: prints the figures of this machine, each beside its baseline in the same run."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.engine_alone import ROOT, compare, installed_peers, measure_depth
from benchmarks.journal import commands_of, measure_journal
from benchmarks.round_trip import Client, naive_acceptor, venue
from benchmarks.tables import (
    print_calls,
    print_depth,
    print_engines,
    print_journal,
    print_memory,
    print_round_trips,
)
from benchmarks.workloads import NORMAL, liquid_symbol
from engine.runtime.journal import Durability

PARTS: Final = ("engine", "depth", "journal", "fix")
NEW_ORDERS: Final = 50_000
NEW_ORDERS_FULL: Final = 1_000_000
RESTING: Final = (1000, 10_000, 100_000, 1_000_000)
DEPTH_MESSAGES: Final = 60_000
JOURNAL_NEW_ORDERS: Final = 50_000
JOURNAL_RUNS: Final = 3
DURABILITIES: Final[tuple[Durability, ...]] = ("os", "fsync")
ROUND_TRIP_ROUNDS: Final = 5
PINGS: Final = 400
FLOOD: Final = 4000


def main() -> None:
    """Measure, print, and write all figures to a file."""
    options = parse_options()
    results: dict[str, Any] = {"machine": machine(), "options": vars(options)}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if "engine" in options.parts:
            results["engine"] = bench_engines(options.new_orders, options.rounds, directory)
        if "depth" in options.parts:
            results["depth"] = bench_depth(options.rounds, directory)
    if "journal" in options.parts:
        results["journal"] = bench_journal()
    if "fix" in options.parts:
        results["fix"] = bench_round_trips()
    directory = ROOT / "benchmarks" / "results"
    directory.mkdir(exist_ok=True)
    path = directory / f"{datetime.now(UTC):%Y-%m-%d}-{platform.node()}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"all figures: {path}")


def parse_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"what to measure, of {', '.join(PARTS)}; all of them when none is named",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help=f"workload A with {NEW_ORDERS_FULL:,} new orders as published, not {NEW_ORDERS:,}: "
        "an hour a round",
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each engine (3)")
    parser.add_argument("--new-orders", type=int, help="workload A of this size; B is as long")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.parts = options.parts or list(PARTS)
    options.new_orders = options.new_orders or (NEW_ORDERS_FULL if options.full else NEW_ORDERS)
    return options


def machine() -> dict[str, Any]:
    """Return what the figures belong to."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def bench_engines(new_order_count: int, rounds: int, directory: Path) -> Any:
    """Measure our book and exchange beside the peers on workloads A and B."""
    peers = installed_peers()
    if not peers:
        print("no other order book is installed: `make bench-peers`")
    runs = compare(new_order_count, rounds, directory, peers)
    print_engines(runs, new_order_count, rounds)
    print_calls(runs)
    print_memory(runs)
    return runs


def bench_depth(rounds: int, directory: Path) -> Any:
    """Measure what a message costs in a small and in a deep book."""
    runs = measure_depth(RESTING, DEPTH_MESSAGES, rounds, directory)
    print_depth(runs)
    return runs


def bench_journal() -> dict[str, list[float]]:
    """Measure commands per second of the exchange with risk and its journal."""
    commands = commands_of(liquid_symbol(NORMAL, JOURNAL_NEW_ORDERS).messages)
    rates: dict[str, list[float]] = {
        durability: [measure_journal(commands, durability) for _ in range(JOURNAL_RUNS)]
        for durability in DURABILITIES
    }
    print_journal(rates, len(commands))
    return rates


def bench_round_trips() -> dict[str, dict[str, list[float]]]:
    """Measure latency and rate over FIX, venue and baseline in turn."""
    pings: dict[str, list[float]] = {}
    floods: dict[str, list[float]] = {}
    with naive_acceptor() as baseline, venue() as whole:
        clients = {each.name: Client(each) for each in (baseline, whole)}
        for client in clients.values():
            client.ping(PINGS)  # Warm up.
        for _ in range(ROUND_TRIP_ROUNDS):
            for name, client in clients.items():
                pings.setdefault(name, []).extend(client.ping(PINGS))
                floods.setdefault(name, []).append(client.flood(FLOOD))
        for client in clients.values():
            client.close()
    print_round_trips(pings, floods, ROUND_TRIP_ROUNDS)
    return {
        name: {
            "ping_median_s": [statistics.median(taken)],
            "orders_per_s": floods[name],
        }
        for name, taken in pings.items()
    }


if __name__ == "__main__":
    main()
