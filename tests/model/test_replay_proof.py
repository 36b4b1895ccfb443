"""A random journal comes to the same state whenever it is replayed. A long one: replay-proof."""

import random
from pathlib import Path

from tests.model.replay_proof import prove

COMMANDS = 4000


def test_random_journal_replays_to_the_same_state(tmp_path: Path) -> None:
    """To the same events, byte for byte, too; with enough happening for that to mean something."""
    seed = random.SystemRandom().randrange(10**9)
    proof = prove(tmp_path, COMMANDS, seed)
    assert len(set(proof.state_hashes)) == 1, f"seed {seed}"
    assert proof.record_count > COMMANDS
    assert proof.event_counts["Trade"] > COMMANDS // 100, f"seed {seed}: {proof.event_counts}"
    happened = {"TradeBusted", "OrderCanceled", "FeesSet"}
    assert happened <= set(proof.event_counts), f"seed {seed}: only {proof.event_counts}"
