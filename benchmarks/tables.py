"""What `make bench` prints."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.builds import INTERPRETED, is_counted
from benchmarks.engine_alone import (
    AT_DEPTH,
    EXCHANGES,
    OUR_BOOK,
    OURS,
    PEERS,
    Runs,
    advantage,
    rate,
    spread,
    version_of,
)
from benchmarks.journal import ALL_CONTROLS
from benchmarks.many_sessions import CROWDED, IDLE, Figures

US_PER_S: Final = 1_000_000
NOTES: Final = {
    "our book": "no ledger, no events, like the peers",
    "our exchange": "ledger, holds, events; no risk, no journal",
    "our exchange and risk": "with the limits that every account must have",
    "our exchange, all controls": "every control of docs/risk.md set for every account",
    **{f"{engine}{INTERPRETED}": "not compiled" for engine in (OUR_BOOK, *EXCHANGES)},
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
    print(f"  {'':<40}" + "".join(f"{head:>12}" for head in heads))
    for engine in engines:
        rates = {name: rate(runs[name][engine]) / 1000 for name in names}
        row = [rates[name] for name in scenarios]
        row += [min(row), *(rates[name] for name in names if name not in scenarios)]
        widest = max(spread(runs[name][engine]) for name in names)
        title = engine if engine in OURS else f"{engine} {version_of(engine)}"
        figures = "".join(f"{figure:>12,.0f}" for figure in row)
        print(f"  {title:<40}{figures}{widest:>12.0%}  {NOTES[engine]}".rstrip())
    print("  our book is so many times as fast as (each beside the run next to it)")
    for engine in engines:
        if engine != OUR_BOOK:
            ratios = [advantage(runs[name], engine) for name in names]
            worst = _worst(runs, scenarios, OUR_BOOK) / _worst(runs, scenarios, engine)
            figures = "".join(f"{ratio:>12.2f}" for ratio in [*ratios[:-1], worst, ratios[-1]])
            print(f"  {engine:<40}{figures}")


def print_calls(runs: Runs) -> None:
    """Print how many calls our code makes for a message, by workload."""
    counted = {
        name: samples for name, samples in runs.items() if samples[OUR_BOOK][0]["counted_count"]
    }
    print("  calls that our code makes for a message, counted by the interpreter")
    print(f"  {'':<40}" + "".join(f"{name.removeprefix('A '):>12}" for name in counted))
    for engine in filter(is_counted, OURS):
        figures = "".join(
            f"{samples[engine][0]['call_count'] / samples[engine][0]['counted_count']:>12.1f}"
            for samples in counted.values()
        )
        print(f"  {engine:<40}{figures}")


def print_memory(runs: Runs) -> None:
    """Print the largest memory of each engine's process."""
    peaks = {
        engine: max(run["memory_peak_kib"] for each in runs.values() for run in each[engine])
        for engine in next(iter(runs.values()))
    }
    print("  largest process, the messages themselves included (MiB)")
    for engine, peak in peaks.items():
        print(f"  {engine:<40}{peak / 1024:>12,.0f}")


def print_depth(runs: Runs) -> dict[str, dict[str, float]]:
    """Print what a message costs by how many orders rest. Returns the microseconds."""
    print("resting orders: microseconds and calls for each message, 100 orders on each level")
    heads = [f"{name:>28}{'calls' if is_counted(name) else '':>8}" for name in AT_DEPTH]
    print(f"  {'':<16}" + "".join(heads))
    costs: dict[str, dict[str, float]] = {engine: {} for engine in AT_DEPTH}
    for name, samples in runs.items():
        row = ""
        for engine in AT_DEPTH:
            costs[engine][name] = US_PER_S / rate(samples[engine])
            calls = samples[engine][0]["call_count"] / samples[engine][0]["counted_count"]
            row += f"{costs[engine][name]:>28.2f}" + (
                f"{calls:>8.1f}" if is_counted(engine) else f"{'':>8}"
            )
        print(f"  {int(name):>16,}{row}")
    return costs


def print_growth(costs: Mapping[str, Mapping[str, float]]) -> None:
    """Print what a message costs when accounts or history have grown."""
    print("our exchange and risk, the same messages (microseconds and calls for each)")
    for name, cost in costs.items():
        print(f"  {name:<28}{cost['cpu_us']:>12.2f}{cost['calls']:>12.1f}")


def print_journal(rates: Mapping[str, float], command_count: int) -> None:
    """Print commands per second with the journal."""
    names = {"os": "flushed by the system", "fsync": "fdatasync per 100 commands"}
    names |= {
        durability + ALL_CONTROLS: words + ALL_CONTROLS for durability, words in names.items()
    }
    print(f"exchange with risk and journal, {command_count:,} commands of A normal (commands/s)")
    for name, per_s in rates.items():
        print(f"  {names[name]:<42}{per_s:>12,.0f}")


def print_recovery(figures: Mapping[str, float]) -> None:
    """Print how fast an engine is back."""
    replayed, orders = figures["replayed"], figures["snapshot_orders"]
    print("an engine's start")
    print(
        f"  {f'{replayed:,.0f} commands replayed':<36}{figures['replay_per_s']:>12,.0f}  a second"
    )
    print(
        f"  {f'{orders:,.0f} resting orders loaded':<36}{figures['snapshot_s']:>12,.2f}  s, "
        f"{figures['snapshot_memory_mib']:,.0f} MiB"
    )


def print_full_path(summary: Mapping[str, Mapping[str, Any]]) -> None:
    """Print rate, processor time and latency over FIX."""
    print("over FIX, one session; the venue with all controls, fdatasync, projector, PostgreSQL")
    print(
        f"  {'at saturation':<26}{'mix':<16}{'orders/s':>10}{'CPU us/order':>14}{'generator':>11}"
    )
    for name, figures in summary.items():
        for mix, flood in figures["mixes"].items():
            parts = ", ".join(f"{part} {cost:.0f}" for part, cost in flood["cpu_us"].items())
            total = sum(flood["cpu_us"].values())
            print(f"  {name:<26}{mix:<16}{flood['orders_per_s']:>10,.0f}{total:>14.0f}"
                  f"{flood['own_cpu_us']:>11.1f}  {parts}")  # fmt: skip
    heads = next(iter(summary.values()))["ping_us"]
    print(f"  {'latency, us':<26}{'':<16}" + "".join(f"{head:>10}" for head in heads))
    for name, figures in summary.items():
        rows = {"ping-pong": figures["ping_us"]}
        rows |= {f"{rate} orders/s": taken for rate, taken in figures["open_loop_us"].items()}
        if "during_snapshot_us" in figures:
            rows["1000, snapshot"] = figures["during_snapshot_us"]
        for title, taken in rows.items():
            values = "".join(f"{value:>10,.0f}" for value in taken.values())
            print(f"  {name:<26}{title:<16}{values}")
    for name, figures in summary.items():
        parts = ", ".join(f"{part} {size:.0f}" for part, size in figures["memory_mib"].items())
        print(
            f"  {name:<26}{'memory, MiB':<16}{sum(figures['memory_mib'].values()):>10,.0f}  {parts}"
        )


def print_sessions(figures: Figures) -> None:
    """Print what a crowd of idle sessions costs."""
    rows = {
        "memory, MiB": (figures["memory_mib"], figures["memory_idle_mib"], 0),
        "parts of a core": (figures["cpu_share"], figures["cpu_idle_share"], 3),
    }
    print(
        f"{figures['session_count']} sessions logged on and heartbeating, beside a venue with one"
    )
    for title, (crowded, idle, digits) in rows.items():
        for name, costs in ((CROWDED, crowded), (IDLE, idle)):
            parts = ", ".join(f"{part} {cost:.{digits}f}" for part, cost in costs.items())
            print(f"  {title:<20}{name:<12}{sum(costs.values()):>10.{digits}f}  {parts}")
    for title, latencies in (("p50, us", figures["p50_us"]), ("p99, us", figures["p99_us"])):
        for name, value in latencies.items():
            print(f"  {title:<20}{name:<12}{value:>10,.0f}")


def _worst(runs: Runs, scenarios: Sequence[str], engine: str) -> float:
    return min(rate(runs[name][engine]) for name in scenarios)
