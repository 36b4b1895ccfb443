"""The engine's records in order and without a gap, as fast or as slowly as the reader likes.

New ones come over the link. A reader that falls behind, or was away, gets the rest from the journal
files: the engine is never asked for old records, and never waits.
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

NAME: Final = "publisher"
RETRY_S: Final = 0.5
LIVE_RECORDS_MAX: Final = 50_000
SLICE_RECORDS: Final = 500

log = structlog.get_logger("market_data.feed")


class EngineFeed:
    """One reader's feed. Belongs to one event loop.

    `durable_seq` is the last record that is known to be durable, None before the engine was there
    for the first time. `is_linked` while the link is up.
    """

    def __init__(self, socket_path: Path, journal_dir: Path) -> None:
        self.durable_seq: Seq | None = None
        self.is_linked = False
        self._socket_path = socket_path
        self._journal_dir = journal_dir
        # What has come over the link; what does not fit is read from the journal later.
        self._live: deque[Record] = deque()
        self._has_more = asyncio.Event()
        self._reading: Iterator[Record] | None = None
        self._reading_next = 0

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            try:
                await self._follow_once()
            except (OSError, LinkClosedError, TimeoutError):
                await asyncio.sleep(RETRY_S)

    async def wait_for_engine(self) -> Seq:
        """Return the last durable record, as soon as the engine was there."""
        while self.durable_seq is None:
            await self._wait()
        return self.durable_seq

    async def next_slice(self, after_seq: int) -> list[Record]:
        """Return the records after `after_seq`, not too many at once; wait until there are some.

        Raises JournalDamagedError when they stood in the journal and cannot be read.
        """
        while True:
            while self._live and self._live[0].seq <= after_seq:
                self._live.popleft()
            if self._live and self._live[0].seq == after_seq + 1:
                self._reading = None
                count = min(SLICE_RECORDS, len(self._live))
                return [self._live.popleft() for _ in range(count)]
            until_seq = self._live[0].seq - 1 if self._live else self.durable_seq or 0
            if until_seq > after_seq:
                records = await asyncio.to_thread(self._read, after_seq, until_seq)
                if records:
                    return records
            else:
                await self._wait()

    @property
    def waiting_count(self) -> int:
        """How many records wait in memory for the reader."""
        return len(self._live)

    def _read(self, after_seq: int, until_seq: int) -> list[Record]:
        """Return the next records of the journal. [] at the end of what was to be read."""
        if self._reading is None or self._reading_next != after_seq + 1:
            self._reading = read_records(
                self._journal_dir, after_seq=after_seq, until_seq=until_seq
            )
        records = list(islice(self._reading, SLICE_RECORDS))
        if records:
            self._reading_next = records[-1].seq + 1
        else:
            self._reading = None
        return records

    async def _wait(self) -> None:
        self._has_more.clear()
        await self._has_more.wait()

    async def _follow_once(self) -> None:
        closed = asyncio.Event()
        link = await EngineLink.connect(
            self._socket_path, NAME, on_records=self._take, on_closed=lambda _: closed.set()
        )
        # Records may have come already; what the welcome says is older then.
        self.durable_seq = Seq(max(self.durable_seq or 0, link.welcome.next_seq - 1))
        self.is_linked = True
        self._has_more.set()
        log.info("engine_available", durable_seq=self.durable_seq)
        try:
            await closed.wait()
        finally:
            self.is_linked = False
            link.close()
            log.info("engine_unavailable")

    def _take(self, records: list[Record]) -> None:
        if self._live and self._live[-1].seq + 1 != records[0].seq:
            # The link was down in between: the journal has what is missing.
            self._live.clear()
        self._live.extend(records)
        if len(self._live) > LIVE_RECORDS_MAX:
            self._live.clear()
        self.durable_seq = records[-1].seq
        self._has_more.set()
