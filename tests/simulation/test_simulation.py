"""Hundreds of simulated venues, each broken in its own way, and proof that bugs would be found."""

import os
import subprocess
import sys

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.scenario import simulate

SEED_COUNT = 200
SEEDS_PER_TEST = 20
BUG_SEED_COUNT = 200
VERDICTS = (
    "AssertionError", "JournalDamagedError", "RecordsGoneError", "ReplayDiffersError",
)  # fmt: skip


@pytest.mark.parametrize("first_seed", range(0, SEED_COUNT, SEEDS_PER_TEST))
def test_no_seed_breaks_a_promise(first_seed: int) -> None:
    """Whatever fails when: nothing released is lost, nothing runs twice, everybody is told once."""
    for seed in range(first_seed, first_seed + SEEDS_PER_TEST):
        fault = simulate(seed).fault
        assert fault is None, f"seed {seed}: {fault}; python -m tests.simulation --seed {seed}"


@pytest.mark.parametrize("name", BUGS)
def test_bug_is_found(name: str) -> None:
    """The simulation would notice if this protection were missing."""
    faults = (simulate(seed, BUGS[name]()).fault for seed in range(BUG_SEED_COUNT))
    fault = next(filter(None, faults), "")
    assert fault.startswith(VERDICTS), f"not found in {BUG_SEED_COUNT} seeds: {fault}"


def test_same_seed_plays_the_same_scene() -> None:
    """A failure can be replayed from its seed: every line of the trace is the same."""
    for seed in (3, 4):
        assert simulate(seed) == simulate(seed)


def test_trace_does_not_depend_on_the_hash_seed() -> None:
    """A seed that has failed once fails again, also in another process."""
    traces = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "186"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
