"""What `make bench` concludes from its figures."""

from typing import Any

from benchmarks.acceptors import FIXCORE, NAIVE, VENUE
from benchmarks.full_path import MIXED, RESTING
from benchmarks.regressions import find_losses, ratios_of
from benchmarks.targets import judge


def latencies(p50: float) -> dict[str, float]:
    return {"p50": p50, "p99": 2 * p50, "p99.9": 3 * p50, "max": 4 * p50, "count": 100}


def acceptor(orders_per_s: float, cpu_us: dict[str, float], ping_us: float) -> dict[str, Any]:
    flood = {"orders_per_s": orders_per_s, "cpu_us": cpu_us, "own_cpu_us": 5.0}
    return {
        "mixes": {RESTING: flood, MIXED: flood | {"orders_per_s": orders_per_s / 2}},
        "ping_us": latencies(ping_us),
        "open_loop_us": {"1000": latencies(2 * ping_us)},
        "during_snapshot_us": latencies(3 * ping_us),
        "memory_mib": {"all": 100.0},
    }


def results() -> dict[str, Any]:
    """A run in which everything but the book's lead is as it should be."""
    return {
        "engine": {
            "our book": 140_000.0, "our exchange": 70_000.0, "our exchange, all controls": 35_000.0,
            "pyorderbook": 100_000.0, "akhil4n-orderbook": 50_000.0, "liquibook": 500_000.0,
        },
        "journal": {
            "os": 40_000.0, "fsync": 30_000.0,
            "os, all controls": 28_000.0, "fsync, all controls": 21_000.0,
        },
        "recovery": {"replay_per_s": 60_000.0, "snapshot_s": 20.0},
        "fix": {
            VENUE: acceptor(8000.0, {"gateway": 100.0, "engine": 30.0, "projector": 80.0}, 500.0),
            NAIVE: acceptor(4000.0, {NAIVE: 260.0}, 250.0),
            FIXCORE: acceptor(8000.0, {FIXCORE: 130.0}, 250.0),
        },
    }  # fmt: skip


def test_targets_are_judged_on_what_was_measured() -> None:
    """Bounds are met when they are just reached; parts that were not measured are not judged."""
    assert [(str(verdict), verdict.is_met) for verdict in judge(results())] == [
        ("met      full path at saturation, beside the naive acceptor: 2.00x, at least 2x", True),
        ("met      p50 at 1,000 orders/s, beside the naive acceptor's ping-pong: 4.00x, "
         "at most 4x", True),
        ("met      p99 at 1,000 orders/s, beside the naive acceptor's ping-pong: 4.00x, "
         "at most 6x", True),
        ("met      p99 while a snapshot is made, beside without: 1.50x, at most 2x", True),
        ("NOT MET  our book beside the fastest pure-Python book, worst scenario: 1.40x, "
         "at least 1.5x", False),
        ("met      all controls together, beside the exchange without risk: 1.00x, "
         "at most 1x", True),
        ("met      commands replayed: 60,000.00/s, at least 60,000/s", True),
        ("met      a snapshot of 1,000,000 resting orders loaded: 20.00 s, at most 20 s", True),
        ("met      engine with risk and journal, beside the full path's rate: 7.50x, "
         "at least 3x", True),
    ]  # fmt: skip


def test_ratios_are_of_figures_of_one_run() -> None:
    """Each beside what it is compared with; higher is better."""
    ratios = ratios_of(results())
    assert ratios["our book beside liquibook"] == 0.28
    assert ratios["our exchange beside our book"] == 0.5
    assert ratios[f"venue beside {NAIVE}, {RESTING}: orders"] == 2.0
    assert ratios[f"venue beside {NAIVE}, {RESTING}: processor time"] == 2.0
    assert ratios[f"venue beside {FIXCORE}: ping-pong"] == 0.5
    assert ratios["engine with all controls and journal beside our book"] == 0.2
    assert len(ratios) == 3 + 2 + 3 + 2 * 5


def test_more_than_a_quarter_less_is_a_loss() -> None:
    """A quarter is not, nor is what has become faster; what is not measured any more is."""
    stored = {"steady": 2.0, "a quarter": 2.0, "more": 2.0, "faster": 2.0, "gone": 2.0}
    measured = {"steady": 2.0, "a quarter": 1.5, "more": 1.49, "faster": 9.0, "new": 1.0}
    assert find_losses(stored, measured) == [
        "more: 1.49, was 2.00 (-26%)",
        "gone: not measured, was 2.00",
    ]
    assert find_losses(stored, stored) == []
