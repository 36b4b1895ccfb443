"""The journal's durable records from a place on, in order and without gaps, for as long as asked.

What is old is read from the journal's files, on a worker thread; what is new comes over the link
to the engine and waits here, as much as fits. What does not is read from the files later.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from engine.runtime.client import EngineLink, LinkClosedError
from engine.runtime.codec import Record
from engine.runtime.journal import read_records
from engine.units import Seq

RETRY_S: Final = 0.5
LIVE_BYTES_MAX: Final = 32 << 20

log = structlog.get_logger("engine.record_source")


class RecordSource:
    """Keeps a link to the engine up, and hands out records. Belongs to one event loop.

    `name` is who follows. `durable_seq` is the last record that is known to be durable, None before
    the engine was there; `is_linked` while it is.
    """

    def __init__(self, socket_path: Path, journal_dir: Path, name: str) -> None:
        self.durable_seq: Seq | None = None
        self.is_linked = False
        self._name = name
        self.journal_dir = journal_dir
        self._socket_path = socket_path
        self._live: deque[Record] = deque()
        self._live_bytes = 0
        self._came = asyncio.Event()
        self._history: Iterator[Record] = iter(())
        # What `_history` goes on behind, and where it ends.
        self._history_after = Seq(0)
        self._history_until = Seq(0)

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            try:
                await self._follow_once()
            except (OSError, LinkClosedError, TimeoutError):
                await asyncio.sleep(RETRY_S)

    async def take(self, after: Seq, *, records_max: int, wait_s: float) -> list[Record]:
        """Return the records that follow `after`, at least one and at most `records_max`.

        Returns [] when there is none within the time. Raises JournalDamagedError when one cannot be
        read.
        """
        if not await self._wait_beyond(after, wait_s):
            return []
        while self._live and self._live[0].seq <= after:
            self._live_bytes -= _size_of(self._live.popleft())
        if self._live and self._live[0].seq == after + 1:
            return list(islice(self._live, records_max))
        assert self.durable_seq is not None
        until = Seq(self._live[0].seq - 1) if self._live else self.durable_seq
        return await asyncio.to_thread(self._read_history, after, until, records_max)

    async def _wait_beyond(self, after: Seq, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                while self.durable_seq is None or self.durable_seq <= after:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return False
        return True

    def _read_history(self, after: Seq, until: Seq, records_max: int) -> list[Record]:
        if self._history_after != after or self._history_until <= after:
            self._history = read_records(self.journal_dir, after_seq=after, until_seq=until)
            self._history_until = until
        found = list(islice(self._history, records_max))
        self._history_after = found[-1].seq
        return found

    async def _follow_once(self) -> None:
        closed = asyncio.Event()
        # Of another link: whatever is missed stands in the journal.
        self._live.clear()
        self._live_bytes = 0
        link = await EngineLink.connect(
            self._socket_path,
            self._name,
            on_records=self._note,
            on_closed=lambda _in_doubt: closed.set(),
        )
        if not self._live:  # Records may be faster than the look at the welcome.
            self._advance(Seq(link.welcome.next_seq - 1))
        self.is_linked = True
        log.info("engine_available", durable_seq=self.durable_seq)
        try:
            await closed.wait()
        finally:
            self.is_linked = False
            link.close()
            log.info("engine_unavailable")

    def _note(self, records: list[Record]) -> None:
        for record in records:
            self._live.append(record)
            self._live_bytes += _size_of(record)
        while self._live_bytes > LIVE_BYTES_MAX:
            self._live_bytes -= _size_of(self._live.popleft())
        self._advance(records[-1].seq)

    def _advance(self, durable_seq: Seq) -> None:
        self.durable_seq = durable_seq
        self._came.set()


def _size_of(record: Record) -> int:
    return len(record.command_bytes) + len(record.events_bytes)
