"""What the venue is meant to reach, and whether a run has reached it.

A target is judged on what one run has measured, in the same minutes and on the same machine as what
it is compared with. What was not measured is not judged.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

from benchmarks.acceptors import NAIVE, VENUE
from benchmarks.builds import INTERPRETED
from benchmarks.engine_alone import OUR_BOOK
from benchmarks.growth import AS_IT_IS, MORE_ACCOUNTS, MORE_HISTORY
from benchmarks.many_sessions import CROWDED, IDLE

BYTES_PER_MIB: Final = 1 << 20
PURE_PYTHON: Final = ("akhil4n-orderbook", "pyorderbook", "lightmatchingengine")
OPEN_LOOP_RATE: Final = "1000"

Results = Mapping[str, Any]
"""What a run has measured, by part, as it stands in the results' file."""


Bound = Literal["at least", "at most"]
AT_LEAST: Final = "at least"
AT_MOST: Final = "at most"


class Target(NamedTuple):
    """A figure, where it comes from, and what it shall be at most or at least."""

    part: str
    words: str
    measure: Callable[[Any], float]
    bound: float
    kind: Bound
    unit: str = "x"

    def is_met(self, figure: float) -> bool:
        """Whether the figure is within the bound."""
        return figure >= self.bound if self.kind == AT_LEAST else figure <= self.bound


class Verdict(NamedTuple):
    """What became of a target."""

    target: Target
    figure: float

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.target.is_met(self.figure)

    def __str__(self) -> str:
        target = self.target
        bound = f"{target.kind} {target.bound:,.10g}{target.unit}"
        word = "met    " if self.is_met else "NOT MET"
        return f"{word}  {target.words}: {self.figure:,.2f}{target.unit}, {bound}"


def judge(results: Results) -> list[Verdict]:
    """Return the verdict on every target whose part the run has measured."""
    verdicts = [
        Verdict(target, target.measure(results[target.part]))
        for target in TARGETS
        if target.part in results
    ]
    if "journal" in results and "fix" in results:
        figure = results["journal"]["fsync"] / _orders_per_s(results["fix"], VENUE)
        verdicts.append(Verdict(ENGINE_TARGET, figure))
    return verdicts


def _orders_per_s(fix: Any, name: str) -> float:
    per_s: float = min(mix["orders_per_s"] for mix in fix[name]["mixes"].values())
    return per_s


def _rate_beside_naive(fix: Any) -> float:
    ours, theirs = fix[VENUE]["mixes"], fix[NAIVE]["mixes"]
    ratio: float = min(ours[mix]["orders_per_s"] / theirs[mix]["orders_per_s"] for mix in ours)
    return ratio


def _latency_beside_naive(percentile: str) -> Callable[[Any], float]:
    def measure(fix: Any) -> float:
        ours: float = fix[VENUE]["open_loop_us"][OPEN_LOOP_RATE][percentile]
        theirs: float = fix[NAIVE]["ping_us"][percentile]
        return ours / theirs

    return measure


def _pause_by_snapshot(fix: Any) -> float:
    """The 99th percentile while a snapshot is made, in parts of the one without."""
    ours = fix[VENUE]
    ratio: float = ours["during_snapshot_us"]["p99"] / ours["open_loop_us"][OPEN_LOOP_RATE]["p99"]
    return ratio


def _book_beside_peers(worst: Any) -> float:
    """Our book beside the fastest pure-Python peer, each in the worst scenario of workload A.

    As the interpreter runs it, like the peers.
    """
    peers = [worst[peer] for peer in PURE_PYTHON if peer in worst]
    ratio: float = worst.get(f"{OUR_BOOK}{INTERPRETED}", worst[OUR_BOOK]) / max(peers)
    return ratio


def _cost_of_controls(worst: Any) -> float:
    """What all controls cost a message, in parts of what it costs without any."""
    ratio: float = worst["our exchange"] / worst["our exchange, all controls"]
    return ratio - 1


def _crowd_memory(crowd: Any) -> float:
    mib: float = sum(crowd["memory_mib"].values())
    return mib * BYTES_PER_MIB / 1e9


def _crowd_cpu(crowd: Any) -> float:
    share: float = sum(crowd["cpu_share"].values())
    return 100 * share


def _crowd_latency(crowd: Any) -> float:
    ratio: float = crowd["p50_us"][CROWDED] / crowd["p50_us"][IDLE]
    return ratio


def _depth_cost(depth: Any) -> float:
    """The microseconds that a message costs more in the deepest book."""
    costs = depth["our exchange"]
    figure: float = costs[max(costs, key=int)] - costs[min(costs, key=int)]
    return figure


def _growth_of_calls(growth: Any) -> float:
    """The share of calls that a message makes more after tenfold growth, of the worse kind."""
    least: float = growth[AS_IT_IS]["calls"]
    most: float = max(growth[name]["calls"] for name in (MORE_ACCOUNTS, MORE_HISTORY))
    return 100 * (most / least - 1)


TARGETS: Final = (
    Target(
        "fix", "full path at saturation, beside the naive acceptor", _rate_beside_naive, 2, AT_LEAST
    ),
    Target(
        "fix",
        "p50 at 1,000 orders/s, beside the naive acceptor's ping-pong",
        _latency_beside_naive("p50"), 4, AT_MOST,
    ),
    Target(
        "fix",
        "p99 at 1,000 orders/s, beside the naive acceptor's ping-pong",
        _latency_beside_naive("p99"), 6, AT_MOST,
    ),
    Target(
        "fix", "p99 while a snapshot is made, beside without", _pause_by_snapshot, 2, AT_MOST
    ),
    Target(
        "engine",
        "our book beside the fastest pure-Python book, worst scenario",
        _book_beside_peers, 1.5, AT_LEAST,
    ),
    Target(
        "engine",
        "all controls together, beside the exchange without risk",
        _cost_of_controls, 1, AT_MOST,
    ),
    Target("sessions", "memory of a venue with 500 sessions", _crowd_memory, 1.2, AT_MOST, " GB"),
    Target(
        "sessions",
        "processor time of a venue with 500 idle sessions",
        _crowd_cpu, 15, AT_MOST, " % of a core",
    ),
    Target(
        "sessions",
        "p50 of a busy session among them, beside an idle venue",
        _crowd_latency, 1.5, AT_MOST,
    ),
    Target("recovery", "commands replayed", itemgetter("replay_per_s"), 60_000, AT_LEAST, "/s"),
    Target(
        "recovery",
        "a snapshot of 1,000,000 resting orders loaded",
        itemgetter("snapshot_s"), 20, AT_MOST, " s",
    ),
    Target(
        "depth",
        "a command more, from the shallowest to the deepest book",
        _depth_cost, 3, AT_MOST, " us",
    ),
    Target(
        "growth",
        "calls for a message more with ten times the accounts or the past",
        _growth_of_calls, 2, AT_MOST, " %",
    ),
)  # fmt: skip
ENGINE_TARGET: Final = Target(
    "journal", "engine with risk and journal, beside the full path's rate", float, 3, AT_LEAST
)
