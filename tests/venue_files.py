"""A venue's journal and snapshots in a temporary directory, as an engine would have left them."""

import os
import random
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from engine.commands import Command
from engine.exchange import Exchange
from engine.order import Side, TimeInForce
from engine.runtime.journal import Journal, lock_journal
from engine.runtime.recovery import VenueFiles, rebuild, write_snapshot
from engine.runtime.replay import hash_state
from engine.runtime.sequencer import Sequencer
from engine.runtime.snapshot import lock_snapshots
from engine.units import Seq
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BOB,
    DEFAULT_FUNDS,
    NS_PER_S,
    REFERENCE_COMMANDS,
    START_NS,
    account_commands,
    new_order,
)

SET_UP: list[Command] = [
    *REFERENCE_COMMANDS,
    *account_commands(ALICE, DEFAULT_FUNDS),
    *account_commands(BOB, DEFAULT_FUNDS),
]


def die_at_step(action: Callable[[], object], step: int) -> bool:
    """Run the action in a process that SIGKILL ends before its `step`th change to the disk.

    Returns whether it came to that; False means that the action has fewer steps.
    """
    pid = os.fork()
    if pid == 0:
        count = 0

        def count_down(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return counted

        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir")):
            setattr(owner, name, count_down(getattr(owner, name)))
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


class FilesDesk:
    """A sequencer on a real journal in small segments. A second passes between two commands."""

    def __init__(self, data_dir: Path, *, segment_bytes_max: int = 2000) -> None:
        self.files = VenueFiles(data_dir / "journal", data_dir / "snapshots", PreTradeGate)
        self.state_hashes: dict[int, str] = {}
        self._now_ns = START_NS
        self._order_count = 0
        self._rng = random.Random(1)
        os.close(lock_journal(self.files.journal_dir))
        self._journal = Journal(
            self.files.journal_dir, next_seq=Seq(1), segment_bytes_max=segment_bytes_max
        )
        self.sequencer = Sequencer(
            Exchange(PreTradeGate()),
            self._journal,
            last_seq=Seq(0),
            last_ns=0,
            clock_ns=self._clock_ns,
        )
        self.commit(SET_UP)

    @property
    def last_seq(self) -> Seq:
        """The journal's last record."""
        return self.sequencer.last_seq

    def commit(self, commands: Iterable[Command]) -> None:
        """Journal the commands, a batch each, and note the state after each."""
        for command in commands:
            self._now_ns += NS_PER_S
            self.sequencer.commit([command])
            self.state_hashes[self.last_seq] = hash_state(self.sequencer.exchange.state())

    def trade(self, count: int) -> None:
        """Enter orders of both accounts round one price."""
        for _ in range(count):
            rng = self._rng
            self._order_count += 1
            account, side = rng.choice([(ALICE, Side.BUY), (BOB, Side.SELL)])
            time = rng.choice([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC])
            cl_ord_id = f"t{self._order_count}"
            self.commit(
                [
                    new_order(
                        account,
                        side,
                        rng.randint(1, 9),
                        rng.randint(98, 102),
                        time,
                        cl_ord_id=cl_ord_id,
                    )
                ]
            )

    def snapshot(self, *, kept_max: int = 100) -> Path:
        """Make a snapshot as the engine's own process does."""
        with lock_snapshots(self.files.snapshots_dir):
            rebuilt = rebuild(self.files, until_seq=self.last_seq)
            return write_snapshot(self.files, rebuilt, kept_max=kept_max)

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _clock_ns(self) -> int:
        return self._now_ns
