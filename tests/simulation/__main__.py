"""`python -m tests.simulation`: one seed with its trace, or many with a summary."""

import argparse
import sys
from collections import Counter
from random import SystemRandom

from tests.simulation.bugs import BUGS
from tests.simulation.scenario import Variant, simulate

FIRST_SEED_MAX = 10**9


def main() -> int:
    """Simulate what the command line asks for. Returns 1 when a seed breaks a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="play this seed and print what happens")
    what.add_argument("--seeds", type=int, metavar="COUNT", help="play so many seeds")
    parser.add_argument("--first-seed", type=int, help="where to begin (default: anywhere)")
    parser.add_argument("--bug", choices=sorted(BUGS), help="build this bug in: it is to be found")
    arguments = parser.parse_args()
    variant = BUGS[arguments.bug]() if arguments.bug else Variant()
    if arguments.seed is not None:
        return play_one(arguments.seed, variant)
    first_seed = arguments.first_seed
    if first_seed is None:
        first_seed = SystemRandom().randrange(FIRST_SEED_MAX)
    return play_many(first_seed, arguments.seeds, variant)


def play_one(seed: int, variant: Variant) -> int:
    """Print the trace of a seed."""
    outcome = simulate(seed, variant)
    write("\n".join(outcome.trace))
    write(f"\n{outcome.record_count} records in {outcome.simulated_s:.1f} simulated seconds")
    write_counts(Counter(outcome.counts))
    write(f"\nFAULT  {outcome.fault}" if outcome.fault else "\nall promises kept")
    return 1 if outcome.fault else 0


def play_many(first_seed: int, count: int, variant: Variant) -> int:
    """Print what is wrong with which seeds, and what has happened in all of them."""
    write(f"seeds {first_seed} to {first_seed + count - 1}")
    counts: Counter[str] = Counter()
    broken = 0
    for seed in range(first_seed, first_seed + count):
        outcome = simulate(seed, variant)
        counts.update(outcome.counts)
        counts["records"] += outcome.record_count
        if outcome.fault:
            broken += 1
            write(f"FAULT  {outcome.fault}\n       python -m tests.simulation --seed {seed}")
    write_counts(counts)
    write(f"{broken} of {count} seeds broke a promise")
    return 1 if broken else 0


def write_counts(counts: Counter[str]) -> None:
    """Print how often what has happened."""
    for what, count in sorted(counts.items()):
        write(f"{count:8}  {what}")


def write(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
