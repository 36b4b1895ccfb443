"""Records from a place on: out of the journal's files and over the link, without a gap."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from engine.commands import SetStorageLow
from engine.runtime import record_source
from engine.runtime.journal import Journal, RecordsGoneError, lock_journal
from engine.runtime.metrics import EngineMetrics
from engine.runtime.record_source import RecordSource
from engine.runtime.sequencer import Sequencer
from engine.runtime.server import LinkServer
from engine.units import Seq
from tests.market_tape import MarketTape
from tests.venue_files import FilesDesk


def test_source_is_without_a_gap_however_slowly_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old records, records that did not fit into memory, and live ones: each once, in order."""
    monkeypatch.setattr(record_source, "LIVE_BYTES_MAX", 100)

    async def scenario() -> list[int]:
        lock_journal(tmp_path / "journal")
        journal = Journal(tmp_path / "journal", next_seq=Seq(1))
        tape = MarketTape()
        sequencer = Sequencer(
            tape.sequencer.exchange, journal, last_seq=Seq(0), last_ns=0, clock_ns=lambda: 1
        )
        server = LinkServer(
            sequencer, EngineMetrics(), durability="fsync", on_fault=lambda fault: None
        )
        await server.start(tmp_path / "engine.sock")

        def happen(times: int) -> None:
            for turn in range(times):
                server.submit(None, SetStorageLow(is_low=bool(turn % 2)))

        source = RecordSource(tmp_path / "engine.sock", tmp_path / "journal", "test")
        following = asyncio.ensure_future(source.run())
        seqs: list[int] = []

        async def seqs_after(after: int) -> list[int]:
            found = await source.take(Seq(after), records_max=5, wait_s=20)
            return [record.seq for record in found]

        try:
            happen(12)
            await asyncio.sleep(0)
            for times in (3, 1, 20, 1, 0, 9, 4, 30, 2, 1):
                happen(times)
                await asyncio.sleep(0)
                after = seqs[-1] if seqs else 0
                if after < sequencer.last_seq:
                    seqs += [
                        record.seq
                        for record in await source.take(Seq(after), records_max=5, wait_s=20)
                    ]
            while len(seqs) < sequencer.last_seq:
                seqs += [
                    record.seq
                    for record in await source.take(Seq(seqs[-1]), records_max=5, wait_s=20)
                ]
        finally:
            following.cancel()
            server.stop()
            journal.close()
        assert sequencer.last_seq > 80
        return seqs

    seqs = uvloop.run(asyncio.wait_for(scenario(), 20))
    assert seqs == list(range(1, len(seqs) + 1))


def test_source_says_when_records_are_gone(tmp_path: Path) -> None:
    """It leaves nothing out in silence."""
    desk = FilesDesk(tmp_path)
    desk.trade(40)
    desk.close()
    min((tmp_path / "journal").glob("*.wcj")).unlink()
    source = RecordSource(tmp_path / "engine.sock", tmp_path / "journal", "test")
    source.durable_seq = desk.last_seq
    with pytest.raises(RecordsGoneError):
        asyncio.run(source.take(Seq(0), records_max=5, wait_s=20))
