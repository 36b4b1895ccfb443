"""Order to report over FIX: the whole venue beside acceptors that only answer, in turn.

At saturation on one session, with two mixes; one order at a time; and at fixed rates. What
processes cost is read from the kernel, by part, until the projector has written all of it too.
"""

import statistics
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final, TypedDict

from benchmarks.acceptors import BASELINES, MAKER, TAKER, Counterparty, baseline, running_venue
from benchmarks.load import Client
from benchmarks.processes import Costs, cpu_s, difference, memory_mib
from fix_gateway.tools.chaos.venue import VenueProcess

RESTING, MIXED = "resting limits", "20 % trades"
IN_FLIGHT: Final = 256
HEART_BT_INT_S: Final = 60
SNAPSHOT_RATE: Final = 1000
PROJECTOR_WAIT_S: Final = 60.0
POLL_S: Final = 0.05
US_PER_S: Final = 1_000_000
PERCENTILES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Flood(TypedDict):
    """One run at saturation. Costs are microseconds of processor time for each order."""

    orders_per_s: float
    cpu_us: Costs
    own_cpu_us: float


class Figures(TypedDict):
    """What was measured of one counterparty, in the order in which it was."""

    floods: dict[str, list[Flood]]
    pings_s: list[float]
    open_loop_s: dict[str, list[float]]
    during_snapshot_s: list[float]
    memory_mib: Costs


class Quantities(TypedDict):
    """How much is measured."""

    rounds: int
    flood: int
    pings: int
    rates: Sequence[int]
    open_loop_s: float


class Subject:
    """A counterparty and the load generator's two sessions with it."""

    def __init__(self, counterparty: Counterparty) -> None:
        self.counterparty = counterparty
        self.figures = Figures(
            floods={}, pings_s=[], open_loop_s={}, during_snapshot_s=[], memory_mib={}
        )
        self._taker, self._maker = (
            Client(
                counterparty.port,
                name,
                answers_twice=counterparty.answers_twice,
                heart_bt_int_s=HEART_BT_INT_S,
            )
            for name in (TAKER, MAKER)
        )
        self._taker.await_logon()
        self._maker.await_logon()
        self._maker.make_market()

    def warm_up(self, count: int) -> None:
        """Send so many orders that are not counted."""
        self._taker.saturate(self._taker.mixed_orders(count), IN_FLIGHT, self._maker)
        self.settle()

    def flood(self, mix: str, count: int) -> None:
        """Measure orders as fast as they are answered, and what they cost."""
        build = self._taker.resting_orders if mix == RESTING else self._taker.mixed_orders
        orders = build(count)
        parts = self.counterparty.parts
        before = cpu_s(parts)
        run = self._taker.saturate(orders, IN_FLIGHT, self._maker)
        self.settle()
        costs = difference(cpu_s(parts), before)
        self.figures["floods"].setdefault(mix, []).append(
            Flood(
                orders_per_s=run.order_count / run.wall_s,
                cpu_us={name: cost * US_PER_S / count for name, cost in costs.items()},
                own_cpu_us=run.own_cpu_s * US_PER_S / count,
            )
        )

    def ping(self, count: int) -> None:
        """Measure orders one after the other."""
        self.figures["pings_s"] += self._taker.ping(self._taker.resting_orders(count))

    def open_loop(self, rate: int, duration_s: float) -> None:
        """Measure from when orders were due, at a fixed rate."""
        orders = self._taker.resting_orders(int(rate * duration_s))
        latencies = self._taker.open_loop(orders, rate)
        self.figures["open_loop_s"].setdefault(str(rate), []).extend(latencies)
        self.settle()

    def open_loop_during_snapshot(self, duration_s: float) -> None:
        """Measure at a fixed rate while a snapshot of all that has happened is made."""
        venue = self.counterparty.venue
        if venue is None:
            return
        orders = self._taker.resting_orders(int(SNAPSHOT_RATE * duration_s))
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(venue.engine, "snapshot", "--records-min", "1")
            self.figures["during_snapshot_s"] += self._taker.open_loop(orders, SNAPSHOT_RATE)
            made = making.result()
        assert made.returncode == 0, made.stderr
        self.settle()

    def stay_alive(self) -> None:
        """Send heartbeats: others have their turn now, or one of the sessions is idle in it."""
        self._taker.send_heartbeat()
        self._maker.send_heartbeat()

    def settle(self) -> None:
        """Return once nothing of what was sent is being worked on any more."""
        self._maker.take_in()
        if self.counterparty.venue is not None:
            wait_for_projector(self.counterparty.venue)

    def finish(self) -> Figures:
        """Log out and return what was measured."""
        self.figures["memory_mib"] = memory_mib(self.counterparty.parts)
        self._taker.close()
        self._maker.close()
        return self.figures


def measure_full_path(quantities: Quantities) -> dict[str, Figures]:
    """Measure the venue and the baselines in turn, all of them running, one of them at work."""
    with ExitStack() as stack:
        subjects = [
            Subject(stack.enter_context(running_venue())),
            *(Subject(stack.enter_context(baseline(name))) for name in BASELINES),
        ]
        for subject in _in_turn(subjects):
            subject.warm_up(quantities["flood"] // 2)
        duration_s = quantities["open_loop_s"]
        for _ in range(quantities["rounds"]):
            for mix in (RESTING, MIXED):
                for subject in _in_turn(subjects):
                    subject.flood(mix, quantities["flood"])
            for subject in _in_turn(subjects):
                subject.ping(quantities["pings"])
            for rate in quantities["rates"]:
                for subject in _in_turn(subjects):
                    subject.open_loop(rate, duration_s)
            for subject in _in_turn(subjects):
                subject.open_loop_during_snapshot(duration_s)
        return {subject.counterparty.name: subject.finish() for subject in subjects}


def _in_turn(subjects: Sequence[Subject]) -> Iterator[Subject]:
    """Yield each of them, and keep the sessions of all of them alive meanwhile."""
    for subject in subjects:
        for each in subjects:
            each.stay_alive()
        yield subject


def summarize(measured: Mapping[str, Figures]) -> dict[str, dict[str, Any]]:
    """Return medians and percentiles in microseconds, by counterparty, ready for JSON."""
    return {
        name: {
            "mixes": {mix: _typical(floods) for mix, floods in figures["floods"].items()},
            "ping_us": _distribution(figures["pings_s"]),
            "open_loop_us": {
                rate: _distribution(taken) for rate, taken in figures["open_loop_s"].items()
            },
            "memory_mib": figures["memory_mib"],
        }
        | (
            {"during_snapshot_us": _distribution(figures["during_snapshot_s"])}
            if figures["during_snapshot_s"]
            else {}
        )
        for name, figures in measured.items()
    }


def _typical(floods: Sequence[Flood]) -> Flood:
    return Flood(
        orders_per_s=statistics.median(flood["orders_per_s"] for flood in floods),
        cpu_us={
            name: statistics.median(flood["cpu_us"][name] for flood in floods)
            for name in floods[0]["cpu_us"]
        },
        own_cpu_us=statistics.median(flood["own_cpu_us"] for flood in floods),
    )


def _distribution(seconds: Sequence[float]) -> dict[str, float]:
    return {name: percentile(seconds, part) for name, part in PERCENTILES.items()} | {
        "count": len(seconds)
    }


def percentile(seconds: Sequence[float], part: float) -> float:
    """Return the value that so great a part of the values does not exceed, in microseconds."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * US_PER_S


def wait_for_projector(venue: VenueProcess) -> None:
    """Return once the read model has all that has happened."""
    url = f"http://127.0.0.1:{venue.environment['WCX_PROJECTOR__METRICS_PORT']}/metrics"

    def has_caught_up() -> bool:
        with urllib.request.urlopen(url, timeout=POLL_S * 100) as response:
            text: str = response.read().decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(lines["fixgw_projector_lag_records"]) == 0

    venue.wait_for(has_caught_up, PROJECTOR_WAIT_S)
    time.sleep(POLL_S)  # What was written last is being committed.
