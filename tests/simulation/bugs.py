"""Venues with a bug each, to show that the simulation finds them. Nothing else uses these."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.exchange import Exchange
from engine.runtime.client import EngineLink
from engine.runtime.journal import Disk, Journal, inspect_tail, read_records
from engine.runtime.metrics import EngineMetrics
from engine.runtime.replay import Replay, replay
from engine.runtime.sequencer import AppendsBatches, Sequencer
from engine.runtime.server import LinkServer
from engine.session_events import SessionOpened
from engine.units import Seq, SessionId
from fix_gateway.fix.engine_link import GatewayLink
from risk.pre_trade import PreTradeGate
from tests.simulation.door import DoorProcess
from tests.simulation.engine import OnFault
from tests.simulation.scenario import Variant


class PoorDisk:
    """A disk, used wrongly. What is not overridden goes to the disk below."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.open = disk.open
        self.write = disk.write
        self.pwrite = disk.pwrite
        self.fdatasync = disk.fdatasync
        self.fsync = disk.fsync
        self.ftruncate = disk.ftruncate
        self.unlink = disk.unlink
        self.close = disk.close


class LateSyncDisk(PoorDisk):
    """Says that a batch is durable, and makes it so a little later."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self._late = disk.fdatasync
        self.fdatasync = self._sync_late

    def _sync_late(self, descriptor: int, /) -> None:
        asyncio.get_running_loop().call_later(0.005, self._late, descriptor)


class LateCutDisk(PoorDisk):
    """Leaves a piece of what is torn."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.ftruncate = lambda descriptor, length: disk.ftruncate(
            descriptor, min(length + 9, os.fstat(descriptor).st_size)
        )


class TrustingDisk(PoorDisk):
    """Takes what is in the page cache for durable."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.pwrite = lambda _descriptor, data, _offset: len(data)
        self.fsync = lambda _descriptor: None


class NamelessDisk(PoorDisk):
    """Never syncs a directory."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self.fsync = lambda descriptor: (
            None if Path(f"/proc/self/fd/{descriptor}").is_dir() else disk.fsync(descriptor)
        )


class ReleasedBeforeSync(Variant):
    """Events leave before the record that holds them is durable."""

    def open_journal(
        self, directory: Path, next_seq: Seq, segment_bytes_max: int, disk: Disk
    ) -> AppendsBatches:
        """Return a journal that syncs late."""
        return super().open_journal(directory, next_seq, segment_bytes_max, LateSyncDisk(disk))


class DirectoryNotSynced(Variant):
    """A new segment may vanish with all that is in it."""

    def open_journal(
        self, directory: Path, next_seq: Seq, segment_bytes_max: int, disk: Disk
    ) -> AppendsBatches:
        """Return a journal whose segments have no durable names."""
        return super().open_journal(directory, next_seq, segment_bytes_max, NamelessDisk(disk))


class AppendsAfterFault(Variant):
    """A batch that failed is tried once more, behind what is there of it."""

    def open_journal(
        self, directory: Path, next_seq: Seq, segment_bytes_max: int, disk: Disk
    ) -> AppendsBatches:
        """Return a journal that does not give up."""
        journal = Journal(
            directory, next_seq=next_seq, segment_bytes_max=segment_bytes_max, disk=disk
        )
        append = journal.append

        def insist(records: bytes, *, next_seq: Seq) -> None:
            try:
                append(records, next_seq=next_seq)
            except OSError:
                append(records, next_seq=next_seq)

        journal.append = insist  # type: ignore[method-assign]
        return journal


class TailNotRepaired(Variant):
    """Appending goes on behind whatever a crash has left."""

    def recover(self, directory: Path, disk: Disk) -> tuple[Exchange, Replay]:
        """Replay what is whole, and leave the rest."""
        del disk
        exchange = Exchange(PreTradeGate())
        last_seq = inspect_tail(directory).last_seq
        return exchange, replay(exchange, read_records(directory, until_seq=last_seq))


class TornBatchHalfKept(Variant):
    """A part of the unfinished batch stays in the file."""

    def recover(self, directory: Path, disk: Disk) -> tuple[Exchange, Replay]:
        """Cut too late."""
        return super().recover(directory, LateCutDisk(disk))


class PageCacheTrusted(Variant):
    """What a killed engine has written and not synced is told to others as durable."""

    def recover(self, directory: Path, disk: Disk) -> tuple[Exchange, Replay]:
        """Recover without making the end durable."""
        return super().recover(directory, TrustingDisk(disk))


class WatermarkForgotten(Variant):
    """After a recovery the engine does not know what it has seen."""

    def recover(self, directory: Path, disk: Disk) -> tuple[Exchange, Replay]:
        """Forget the last MsgSeqNum of every session."""
        exchange, done = super().recover(directory, disk)
        for grant in exchange._ownership.grants():
            grant.watermark = 0
        return exchange, done


class EpochForgotten(Variant):
    """After a recovery the engine does not know of any reset of sequence numbers."""

    def recover(self, directory: Path, disk: Disk) -> tuple[Exchange, Replay]:
        """Put every session back into its first epoch."""
        exchange, done = super().recover(directory, disk)
        for grant in exchange._ownership.grants():
            grant.epoch = 1
        return exchange, done


class TalkingServer(LinkServer):
    """Greets doors after a fault, with a state that is not durable."""

    @property
    def is_stopped(self) -> bool:
        """Never, it says."""
        return False


class WelcomeAfterFault(Variant):
    """A door that comes while the engine is about to end learns of what was never journaled."""

    def make_server(self, sequencer: Sequencer, on_fault: OnFault) -> LinkServer:
        """Return a server that does not know when to be silent."""
        return TalkingServer(sequencer, EngineMetrics(), durability="fsync", on_fault=on_fault)


class ForgetfulLink(GatewayLink):
    """Does not send again what is in doubt."""

    def _send_again(self, link: EngineLink, opened: SessionOpened) -> None:
        del link, opened
        self._in_doubt.clear()


class RenumberingLink(GatewayLink):
    """Sends again under numbers that were never used."""

    def _send_again(self, link: EngineLink, opened: SessionOpened) -> None:
        self._in_doubt = [
            msgspec.structs.replace(command, msg_seq_num=command.msg_seq_num + 1000)
            for command in self._in_doubt
        ]
        super()._send_again(link, opened)


class LateLink(GatewayLink):
    """Sends again only after what was entered since."""

    def _send_again(self, link: EngineLink, opened: SessionOpened) -> None:
        asyncio.get_running_loop().call_later(0.5, self._send_late, link, opened)

    def _send_late(self, link: EngineLink, opened: SessionOpened) -> None:
        if self._link is link:
            super()._send_again(link, opened)


class OvertakingLink(GatewayLink):
    """Lets a reset of the numbers overtake what was entered before it."""

    async def open_session(self, session_id: SessionId, *, generation: int, reset: bool) -> Any:
        """Ask for a session, too early."""
        batch, self._batch = self._batch, []
        answer = super().open_session(session_id, generation=generation, reset=reset)
        asyncio.get_running_loop().call_soon(self._batch.extend, batch)
        return await answer


def _with_link(link: Callable[..., GatewayLink], doc: str) -> type[Variant]:
    class WithLink(Variant):
        def make_link(
            self, socket: Path, journal: Path, door: DoorProcess, clock: Any
        ) -> GatewayLink:
            return link(socket, journal, door, clock)

    WithLink.__doc__ = doc
    return WithLink


BUGS: Final[dict[str, type[Variant]]] = {
    "released-before-sync": ReleasedBeforeSync,
    "directory-not-synced": DirectoryNotSynced,
    "appends-after-fault": AppendsAfterFault,
    "tail-not-repaired": TailNotRepaired,
    "torn-batch-half-kept": TornBatchHalfKept,
    "page-cache-trusted": PageCacheTrusted,
    "watermark-forgotten": WatermarkForgotten,
    "epoch-forgotten": EpochForgotten,
    "welcome-after-fault": WelcomeAfterFault,
    "in-doubt-dropped": _with_link(ForgetfulLink, "Commands in doubt are not sent again."),
    "in-doubt-renumbered": _with_link(RenumberingLink, "Commands in doubt may run twice."),
    "in-doubt-late": _with_link(LateLink, "Commands in doubt are sent again out of order."),
    "reset-overtakes": _with_link(OvertakingLink, "A reset of the numbers loses commands."),
}
