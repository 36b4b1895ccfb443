"""What `make bench` prints."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.engine_alone import (
    OUR_BOOK,
    OURS,
    PEERS,
    Runs,
    advantage,
    rate,
    spread,
    version_of,
)

US_PER_S: Final = 1_000_000
NOTES: Final = {
    "our book": "no ledger, no events, like the peers",
    "our exchange": "ledger, holds, events; no risk, no journal",
    "our exchange and risk": "with the limits that every account must have",
    "our exchange, all controls": "every control of docs/risk.md set for every account",
    "liquibook": "C++",
    "akhil4n-orderbook": "pure Python",
    "pyorderbook": "pure Python",
    "lightmatchingengine": "pure Python",
}


def print_engines(runs: Runs, new_order_count: int, rounds: int) -> None:
    """Print messages per second, by engine and workload, and the worst of the A scenarios."""
    names = list(runs)
    scenarios = [name for name in names if name.startswith("A ")]
    engines = [*OURS, *(peer for peer in PEERS if peer in runs[names[0]])]
    print(
        f"engine alone: 1000 messages per second of processor time, median of {rounds} rounds in "
        f"turn;\n  A with {new_order_count:,} new orders, B with {2 * new_order_count:,} messages; "
        "all engines had the same fills"
    )
    heads = [name.removeprefix("A ") for name in scenarios] + ["worst of A", "B", "spread"]
    print(f"  {'':<28}" + "".join(f"{head:>12}" for head in heads))
    for engine in engines:
        rates = {name: rate(runs[name][engine]) / 1000 for name in names}
        row = [rates[name] for name in scenarios]
        row += [min(row), *(rates[name] for name in names if name not in scenarios)]
        widest = max(spread(runs[name][engine]) for name in names)
        title = engine if engine in OURS else f"{engine} {version_of(engine)}"
        figures = "".join(f"{figure:>12,.0f}" for figure in row)
        print(f"  {title:<28}{figures}{widest:>12.0%}  {NOTES[engine]}".rstrip())
    print("  our book is so many times as fast as (each beside the run next to it)")
    for engine in engines:
        if engine != OUR_BOOK:
            ratios = [advantage(runs[name], engine) for name in names]
            worst = _worst(runs, scenarios, OUR_BOOK) / _worst(runs, scenarios, engine)
            figures = "".join(f"{ratio:>12.2f}" for ratio in [*ratios[:-1], worst, ratios[-1]])
            print(f"  {engine:<28}{figures}")


def print_calls(runs: Runs) -> None:
    """Print how many calls our code makes for a message, by workload."""
    counted = {
        name: samples
        for name, samples in runs.items()
        if all(samples[engine][0]["counted_count"] for engine in OURS)
    }
    print("  calls that our code makes for a message, counted by the interpreter")
    print(f"  {'':<28}" + "".join(f"{name.removeprefix('A '):>12}" for name in counted))
    for engine in OURS:
        figures = "".join(
            f"{samples[engine][0]['call_count'] / samples[engine][0]['counted_count']:>12.1f}"
            for samples in counted.values()
        )
        print(f"  {engine:<28}{figures}")


def print_memory(runs: Runs) -> None:
    """Print the largest memory of each engine's process."""
    peaks = {
        engine: max(run["memory_peak_kib"] for each in runs.values() for run in each[engine])
        for engine in next(iter(runs.values()))
    }
    print("  largest process, the messages themselves included (MiB)")
    for engine, peak in peaks.items():
        print(f"  {engine:<28}{peak / 1024:>12,.0f}")


def print_depth(runs: Runs) -> None:
    """Print what a message costs by how many orders rest."""
    print("resting orders: microseconds and calls for each message, 100 orders on each level")
    print(f"  {'':<16}" + "".join(f"{name:>20}{'calls':>8}" for name in OURS[:2]))
    for name, samples in runs.items():
        row = "".join(
            f"{US_PER_S / rate(samples[engine]):>20.2f}"
            f"{samples[engine][0]['call_count'] / samples[engine][0]['counted_count']:>8.1f}"
            for engine in OURS[:2]
        )
        print(f"  {int(name):>16,}{row}")


def print_journal(rates: Mapping[str, Sequence[float]], command_count: int) -> None:
    """Print commands per second with the journal."""
    names = {"os": "flushed by the system", "fsync": "fdatasync per 100 commands"}
    print(f"exchange with risk and journal, {command_count:,} commands of A normal (commands/s)")
    for durability, samples in rates.items():
        print(f"  {names[durability]:<36}{statistics.median(samples):>12,.0f}")


def print_round_trips(
    pings: Mapping[str, list[float]], floods: Mapping[str, Sequence[float]], rounds: int
) -> None:
    """Print latency and rate over FIX."""
    print(f"over FIX, one session, {rounds} rounds in turn; the venue journals with fdatasync")
    print(f"  {'':<18}{'p50 us':>10}{'p99 us':>10}{'max us':>10}{'orders/s, 50 in flight':>26}")
    for name, taken in pings.items():
        taken.sort()
        p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
        print(
            f"  {name:<18}{p50 * US_PER_S:>10.0f}{p99 * US_PER_S:>10.0f}"
            f"{taken[-1] * US_PER_S:>10.0f}{statistics.median(floods[name]):>26,.0f}"
        )


def _worst(runs: Runs, scenarios: Sequence[str], engine: str) -> float:
    return min(rate(runs[name][engine]) for name in scenarios)
