"""The exchange with risk and its journal: how many commands a second, flushed or not.

With the limits that every account must have, or with every control set for every account.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.books.our_exchange import (
    ACCOUNTS,
    COIN,
    COIN_USD,
    USD,
    cancel_of,
    new_orders,
    set_up_commands,
)
from benchmarks.controls import control_commands
from benchmarks.messages import CANCEL, MODIFY, NEW, Message
from engine.commands import Command
from engine.exchange import Exchange
from engine.runtime.journal import Durability, Journal, lock_journal
from engine.runtime.sequencer import Sequencer
from engine.units import Seq
from risk.pre_trade import PreTradeGate

BATCH: Final = 100
ALL_CONTROLS: Final = ", all controls"


def commands_of(messages: Sequence[Message]) -> list[Command]:
    """Return the messages as commands. What replaces an order is a cancel and a new order."""
    orders = new_orders(messages)
    commands: list[Command] = []
    for kind, order_id, orig_id, *_ in messages:
        if kind in (CANCEL, MODIFY):
            commands.append(cancel_of(orders[orig_id - 1]))
        if kind in (NEW, MODIFY):
            commands.append(orders[order_id - 1])
    return commands


def measure_journal(
    commands: Sequence[Command], durability: Durability, *, has_all_controls: bool = False
) -> float:
    """Return commands per second with a journal, in batches of 100."""
    with tempfile.TemporaryDirectory() as name, sequencing(Path(name), durability) as sequencer:
        set_up(sequencer, has_all_controls=has_all_controls)
        started_s = time.perf_counter()
        commit_all(sequencer, commands)
        elapsed_s = time.perf_counter() - started_s
    return len(commands) / elapsed_s


@contextmanager
def sequencing(directory: Path, durability: Durability) -> Iterator[Sequencer]:
    """Begin a journal in the directory, with an exchange and its risk gate in front of it."""
    os.close(lock_journal(directory))
    journal = Journal(directory, next_seq=Seq(1), durability=durability)
    yield Sequencer(
        Exchange(PreTradeGate()), journal, last_seq=Seq(0), last_ns=0, clock_ns=time.time_ns
    )
    journal.close()


def set_up(sequencer: Sequencer, *, has_all_controls: bool) -> None:
    """Make an exchange with rich accounts, with every control where wanted."""
    commit_all(sequencer, set_up_commands())
    if has_all_controls:
        commit_all(sequencer, control_commands(ACCOUNTS, COIN_USD, COIN, USD))


def commit_all(sequencer: Sequencer, commands: Sequence[Command]) -> None:
    """Commit the commands in batches of 100."""
    for start in range(0, len(commands), BATCH):
        sequencer.commit(commands[start : start + BATCH])
