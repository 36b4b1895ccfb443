"""The engine alone, beside other order books on the same messages: how many messages a second.

Every run is a process of its own. Our book runs after each of the others, so that each is compared
with what the machine could do in the same second. Time is the processor's: nothing here waits, and
what else the machine does in the meantime counts less.
"""

import json
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypedDict

from benchmarks.builds import ROOT, build_of, with_interpreted
from benchmarks.messages import Workload, write_workload
from benchmarks.workloads import SCENARIOS, deep_book, liquid_symbol, single_pair

PEERS_DIRECTORY: Final = ROOT / ".bench"
OUR_BOOK: Final = "our book"
EXCHANGES: Final = ("our exchange", "our exchange and risk", "our exchange, all controls")
OURS: Final = with_interpreted(OUR_BOOK, *EXCHANGES)
AT_DEPTH: Final = (OUR_BOOK, *with_interpreted("our exchange"))
PEERS: Final = ("liquibook", "akhil4n-orderbook", "pyorderbook", "lightmatchingengine")
RUN_S_MAX: Final = 900
NS_PER_S: Final = 1_000_000_000


class Run(TypedDict):
    """What `benchmarks.worker` prints of one run."""

    cpu_ns: int
    wall_ns: int
    message_count: int
    refused_count: int
    call_count: int
    counted_count: int
    fill_count: int
    fills_sha256: str
    resting_count: int
    memory_peak_kib: int


Runs = dict[str, dict[str, list[Run]]]
"""By workload, then by engine, in the order in which they were made."""


class FillsDifferError(Exception):
    """Two engines disagree about what happened: their speeds cannot be compared."""


def version_of(engine: str) -> str:
    """Return the version of a peer as it is pinned."""
    pins = (ROOT / "requirements" / "peers" / f"{engine}.lock").read_text()
    return pins.split(f"{engine}==", 1)[1].split(maxsplit=1)[0]


def installed_peers() -> list[str]:
    """Return the peers that `make bench-peers` has installed."""
    return [peer for peer in PEERS if (PEERS_DIRECTORY / peer / ".installed").exists()]


def compare(
    new_order_count: int, rounds: int, directory: Path, peers: Sequence[str] | None = None
) -> Runs:
    """Run every engine on workloads A and B, `rounds` times in turn.

    `peers` are all that are installed unless given. Raises `FillsDifferError` when two engines do
    not have the same fills.
    """
    if peers is None:
        peers = installed_peers()
    others = [*peers, *OURS[1:]]
    runs: Runs = {}
    for workload in _workloads(new_order_count):
        path = directory / "workload"
        write_workload(workload, path)
        samples = runs[workload.name] = {OUR_BOOK: [], **{engine: [] for engine in others}}
        for _ in range(rounds):
            for engine in others:
                samples[engine].append(_run(engine, path))
                samples[OUR_BOOK].append(_run(OUR_BOOK, path))
        check_equal(workload.name, samples)
    return runs


def measure_depth(
    resting_counts: Sequence[int], message_count: int, rounds: int, directory: Path
) -> Runs:
    """Run `AT_DEPTH` on books of these sizes, in turn, with one kind of messages."""
    paths = {f"{count}": directory / f"{count}" for count in resting_counts}
    for count, path in zip(resting_counts, paths.values(), strict=True):
        write_workload(deep_book(count, message_count), path)
    runs: Runs = {name: {engine: [] for engine in AT_DEPTH} for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            for engine in AT_DEPTH:
                runs[name][engine].append(_run(engine, path))
    return runs


def check_equal(name: str, samples: dict[str, list[Run]]) -> None:
    """Raise `FillsDifferError` unless all runs of a workload had the same outcome."""
    expected = samples[OUR_BOOK][0]
    for engine, runs in samples.items():
        for run in runs:
            if _outcome(run) != _outcome(expected):
                raise FillsDifferError(f"{engine} on {name}: {run}, our book: {expected}")


def rate(runs: Sequence[Run]) -> float:
    """Return messages per second of processor time, the median of the runs."""
    return statistics.median(run["message_count"] * NS_PER_S / run["cpu_ns"] for run in runs)


def worst_rates(runs: Runs) -> dict[str, float]:
    """Return messages per second of each engine in the worst scenario of workload A."""
    scenarios = [samples for name, samples in runs.items() if name.startswith("A ")]
    return {engine: min(rate(each[engine]) for each in scenarios) for engine in scenarios[0]}


def spread(runs: Sequence[Run]) -> float:
    """Return how far the runs lie apart: the range of their times in parts of the median."""
    times = [run["cpu_ns"] for run in runs]
    return (max(times) - min(times)) / statistics.median(times)


def advantage(samples: dict[str, list[Run]], engine: str) -> float:
    """Return how many times as fast as `engine` our book was in the runs right after it."""
    others = samples[engine]
    position = [name for name in samples if name != OUR_BOOK].index(engine)
    ours = samples[OUR_BOOK][position :: len(samples) - 1]
    return statistics.median(
        other["cpu_ns"] / our["cpu_ns"] for other, our in zip(others, ours, strict=True)
    )


def _workloads(new_order_count: int) -> Iterator[Workload]:
    for scenario in SCENARIOS:
        yield liquid_symbol(scenario, new_order_count)
    yield single_pair(2 * new_order_count)


def _run(engine: str, path: Path) -> Run:
    python, directory = build_of(engine)
    if engine in PEERS:
        python = str(PEERS_DIRECTORY / engine / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "benchmarks.worker", engine, str(path)],
        cwd=directory,
        stdout=subprocess.PIPE,
        check=True,
        timeout=RUN_S_MAX,
    )
    run: Run = json.loads(done.stdout)
    return run


def _outcome(run: Run) -> tuple[str, int, int]:
    return run["fills_sha256"], run["resting_count"], run["refused_count"]
