"""The engine process: what `engine.__main__.run` puts together, on a disk and a clock that fail."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, Protocol

from engine.__main__ import recover
from engine.exchange import Exchange
from engine.runtime.journal import Disk, Journal, lock_journal
from engine.runtime.metrics import EngineMetrics
from engine.runtime.recovery import VenueFiles
from engine.runtime.replay import Replay
from engine.runtime.sequencer import AppendsBatches, Sequencer
from engine.runtime.server import LinkServer
from engine.units import Seq
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import START_NS
from tests.simulation.disk import MountedDisk, SimDisk
from tests.simulation.loop import Process, SimLoop

NS_PER_S: Final = 1_000_000_000
DAY_NS: Final = 24 * 3600 * NS_PER_S
STOPPED: Final = "as it was asked"


OnFault = Callable[[BaseException], None]


class Parts:
    """What an engine is put together from. Bugs replace one of them."""

    def recover(self, directory: Path, disk: Disk) -> tuple[Exchange, Replay]:
        """Return the exchange as the journal leaves it."""
        rebuilt = recover(VenueFiles(directory, directory.parent / "snapshots", PreTradeGate), disk)
        return rebuilt.exchange, rebuilt.replay

    def open_journal(
        self, directory: Path, next_seq: Seq, segment_bytes_max: int, disk: Disk
    ) -> AppendsBatches:
        """Return the journal to append to."""
        return Journal(directory, next_seq=next_seq, segment_bytes_max=segment_bytes_max, disk=disk)

    def make_server(self, sequencer: Sequencer, on_fault: OnFault) -> LinkServer:
        """Return the engine's end of the links."""
        return LinkServer(sequencer, EngineMetrics(), durability="fsync", on_fault=on_fault)


class Watcher(Protocol):
    """Who is told what engines do."""

    def on_recovered(self, exchange: Exchange, last_seq: Seq) -> None:
        """An engine has recovered."""

    def on_engine_end(self, cause: str) -> None:
        """An engine has ended by itself."""


class Clock:
    """The system's clock, which somebody sets now and then."""

    def __init__(self, loop: SimLoop, random: Random) -> None:
        self._loop = loop
        # Midnight, when DAY orders end, comes at some time during the simulation.
        self.offset_ns = START_NS + DAY_NS - random.randint(0, 60) * NS_PER_S

    def __call__(self) -> int:
        """Return the time in nanoseconds since 1970."""
        return self.offset_ns + int(self._loop.time() * NS_PER_S)


class EngineProcess:
    """An engine from its start to its end."""

    def __init__(
        self,
        directory: Path,
        disk: SimDisk,
        clock: Clock,
        watcher: Watcher,
        parts: Parts,
        on_disk_death: Callable[[Process], None],
    ) -> None:
        self.process = Process("engine")
        self.disk = MountedDisk(
            disk, lambda: self.process.is_alive, lambda: on_disk_death(self.process)
        )
        self.stopped = asyncio.Event()
        self._directory = directory
        self._random = disk.random
        self._clock = clock
        self._watcher = watcher
        self._parts = parts
        self._locks: list[int] = []
        self.process.on_death.append(self._let_go)

    async def run(self, segment_bytes_max: int) -> None:
        """Recover, then serve until stopped, killed or broken."""
        try:
            cause = await self._serve(segment_bytes_max)
        except OSError as error:
            cause = repr(error)
        self._watcher.on_engine_end(cause)
        self.process.kill()

    async def _serve(self, segment_bytes_max: int) -> str:
        journal_dir = self._directory / "journal"
        self._locks.append(lock_journal(journal_dir, self.disk))
        exchange, done = self._parts.recover(journal_dir, self.disk)
        self._watcher.on_recovered(exchange, done.last_seq)
        journal = self._parts.open_journal(
            journal_dir, Seq(done.last_seq + 1), segment_bytes_max, self.disk
        )
        sequencer = Sequencer(
            exchange, journal, last_seq=done.last_seq, last_ns=done.last_ns, clock_ns=self._clock
        )
        faults: list[BaseException] = []

        def on_fault(fault: BaseException) -> None:
            faults.append(fault)
            self.stopped.set()

        server = self._parts.make_server(sequencer, on_fault)
        await server.start(self._directory / "engine.sock")
        await self.stopped.wait()
        # How soon a process gets round to ending nobody has promised.
        await asyncio.sleep(self._random.choice((0.0, 0.005, 0.1, 0.5)) if faults else 0.0)
        server.stop()
        return repr(faults[0]) if faults else STOPPED

    def _let_go(self) -> None:
        self.disk.close_all()
        for lock in self._locks:
            os.close(lock)
