"""`python -m tests.model.replay_proof`: a long random journal, replayed twice to the same state.

Random commands of every kind are sequenced into a journal on the disk. Then it is read back and
replayed, twice: each replay compares every event with what was written, and in the end the states
of all three exchanges must have the same hash. The postings of every event are summed up on the
way: those of each asset must come to zero.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from engine.commands import (
    AdjustBalance,
    Command,
    LiftKillSwitch,
    SetClOrdIdsMax,
    SetStorageLow,
    SetTradingState,
)
from engine.controls import InstrumentRules, Level, Mode
from engine.events import Event
from engine.exchange import Exchange
from engine.ledger import postings_of
from engine.limits import RiskLimits
from engine.order_memory import CLOSED_AGE_MAX_NS
from engine.risk_commands import SetInstrumentRules, SetLimit, SetRiskLimits, SetTradingMode
from engine.runtime.journal import Journal, lock_journal, read_records
from engine.runtime.replay import hash_state, replay
from engine.runtime.sequencer import Sequencer
from engine.state import find_faults
from engine.trading_state import TradingState
from engine.units import Money, Qty, Seq
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import START_NS
from tests.model.test_restored_exchange import Scribbler, opening

BATCH: Final = 200
FUNDS: Final = Money(10**6)
REPLAYS: Final = 2
STEPS_NS: Final = (1, 10**6, 10**9, CLOSED_AGE_MAX_NS // 12)


class Proof(NamedTuple):
    """What was written, and the hashes of the state: of the writer first, then of each replay."""

    record_count: int
    event_counts: Counter[str]
    state_hashes: list[str]


class _Clock:
    """Goes on by a random step whenever it is read."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._now_ns = START_NS

    def __call__(self) -> int:
        self._now_ns += self._rng.choice(STEPS_NS)
        return self._now_ns


def prove(directory: Path, command_count: int, seed: int) -> Proof:
    """Write a journal of so many random commands into the directory, and replay it twice.

    Raises AssertionError or ReplayDiffersError when anything is not as it was.
    """
    rng = random.Random(seed)
    lock_journal(directory)
    journal = Journal(directory, next_seq=Seq(1), durability="os")
    writer = Sequencer(
        Exchange(PreTradeGate()), journal, last_seq=Seq(0), last_ns=0, clock_ns=_Clock(rng)
    )
    counts: Counter[str] = Counter()
    scribbler = Scribbler(rng)
    writer.commit(opening(rng))
    for start in range(0, command_count, BATCH):
        count = min(BATCH, command_count - start)
        batch = writer.commit(reopening(writer.exchange, start))
        check_postings([event for events in batch.events for event in events])
        batch = writer.commit([scribbler.command() for _ in range(count)])
        for seq, events in zip(batch.seqs, batch.events, strict=True):
            scribbler.note(seq, events)
            check_postings(events)
            counts.update(type(event).__name__ for event in events)
    journal.close()
    hashes = [hash_sound(writer.exchange)]
    for _ in range(REPLAYS):
        exchange = Exchange(PreTradeGate())
        done = replay(exchange, read_records(directory, until_seq=writer.last_seq))
        assert done.last_seq == writer.last_seq
        hashes.append(hash_sound(exchange))
    return Proof(writer.last_seq, counts, hashes)


def reopening(exchange: Exchange, number: int) -> list[Command]:
    """Return what lets everybody trade again, with fresh money, whatever has been forbidden."""
    state = exchange.state()
    assert state.gate is not None
    commands: list[Command] = [SetStorageLow(is_low=False), SetClOrdIdsMax(1000)]
    commands += [
        SetTradingMode(mode.scope, mode.scope_id, mode.level, Mode.NORMAL, "again", "dave")
        for mode in state.gate.modes
    ]
    commands += [
        LiftKillSwitch(switch.scope, switch.scope_id, "again", "dave", level)
        for switch in state.kill_switches
        for level in Level
    ]
    commands += [SetLimit(replace(limit, value=None), "dave") for limit in state.gate.limits]
    commands += [
        SetInstrumentRules(InstrumentRules(rule.instrument_id)) for rule in state.gate.rules
    ]
    for definition in state.instruments:
        instrument_id = definition.instrument_id
        commands.append(SetTradingState(instrument_id, TradingState.CONTINUOUS, "again"))
        commands += [
            SetRiskLimits(RiskLimits(account.account_id, instrument_id, Qty(10**9), Money(10**16)))
            for account in state.accounts
        ]
    commands += [
        AdjustBalance(account.account_id, asset.asset_id, FUNDS, f"again-{number}")
        for account in state.accounts
        for asset in state.assets
    ]
    return commands


def hash_sound(exchange: Exchange) -> str:
    """Return the hash of the state, which must break no invariant."""
    state = exchange.state()
    assert find_faults(state) == []
    return hash_state(state)


def check_postings(events: list[Event]) -> None:
    """The postings of each event sum to zero for each asset."""
    for event in events:
        totals: Counter[int] = Counter()
        for posting in postings_of(event):
            totals[posting.asset_id] += posting.amount
        assert not any(totals.values()), event


def main() -> int:
    """Prove it, and print what was proven. Returns 1 when the states differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.model.replay_proof", description=__doc__)
    parser.add_argument("--commands", type=int, default=1_000_000, help="how many (1,000,000)")
    parser.add_argument("--seed", type=int, help="which ones (default: any)")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if arguments.seed is None else arguments.seed
    write(f"seed {seed}, {arguments.commands} commands")
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        proof = prove(Path(name), arguments.commands, seed)
    for event_name, count in sorted(proof.event_counts.items()):
        write(f"{count:9}  {event_name}")
    names = ("written ", "replayed", "replayed")
    for name, state_hash in zip(names, proof.state_hashes, strict=True):
        write(f"{name}  {state_hash}")
    write(f"{proof.record_count} records in {time.monotonic() - started_s:.0f} s")
    if len(set(proof.state_hashes)) != 1:
        write("FAULT  the states differ")
        return 1
    write("the same state, event by event")
    return 0


def write(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
