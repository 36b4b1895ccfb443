"""Where the publisher goes on, how it reads what it missed, and where the broker is."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from engine.commands import SetStorageLow
from engine.order import Side
from engine.runtime.journal import Journal, RecordsGoneError, lock_journal
from engine.runtime.metrics import EngineMetrics
from engine.runtime.sequencer import Sequencer
from engine.runtime.server import LinkServer
from engine.units import Seq
from fix_gateway.market_data import engine_feed
from fix_gateway.market_data.broker import BrokerAddress, parse_broker_url
from fix_gateway.market_data.checkpoint import read_checkpoint, write_checkpoint
from fix_gateway.market_data.engine_feed import EngineFeed
from fix_gateway.market_data.market import Market
from tests.exchange_desk import ALICE, BOB
from tests.market_tape import MarketTape
from tests.venue_files import FilesDesk


def traded_market() -> Market:
    tape, market = MarketTape(), Market("s1")
    tape.enter(ALICE, Side.SELL, 5, 101)
    tape.enter(BOB, Side.BUY, 2, 101)
    tape.commit(SetStorageLow(is_low=True))
    market.apply(tape.records)
    return market


def test_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    """And what is published from it is the same."""
    market = traded_market()
    write_checkpoint(tmp_path, market.save())
    found = read_checkpoint(tmp_path, durable_seq=market.seq)
    assert found is not None
    assert found.save() == market.save()
    for instrument_id in market.instruments():
        assert found.snapshot(instrument_id, 10) == market.snapshot(instrument_id, 10)
        assert found.minute(instrument_id) == market.minute(instrument_id)
    assert found.status_messages() == market.status_messages()


def test_checkpoint_of_another_journal_or_a_damaged_one_is_not_used(tmp_path: Path) -> None:
    """The market is rebuilt then, under another name of the stream."""
    market = traded_market()
    assert read_checkpoint(tmp_path, durable_seq=market.seq) is None
    write_checkpoint(tmp_path, market.save())
    assert read_checkpoint(tmp_path, durable_seq=market.seq - 1) is None
    path = tmp_path / "checkpoint"
    whole = path.read_bytes()
    for damaged in (whole[:-1], b"", whole[:20] + b"\xff" + whole[21:]):
        path.write_bytes(damaged)
        assert read_checkpoint(tmp_path, durable_seq=market.seq) is None


def test_feed_is_without_a_gap_however_slowly_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old records, records that did not fit into memory, and live ones: each once, in order."""
    monkeypatch.setattr(engine_feed, "LIVE_RECORDS_MAX", 8)
    monkeypatch.setattr(engine_feed, "SLICE_RECORDS", 5)

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

        feed = EngineFeed(tmp_path / "engine.sock", tmp_path / "journal")
        following = asyncio.ensure_future(feed.run())
        seqs: list[int] = []
        try:
            happen(12)
            await asyncio.sleep(0)
            await feed.wait_for_engine()
            for times in (3, 1, 20, 1, 0, 9, 4, 30, 2, 1):
                happen(times)
                await asyncio.sleep(0)
                after = seqs[-1] if seqs else 0
                if after < sequencer.last_seq:
                    seqs += [record.seq for record in await feed.next_slice(after)]
            while len(seqs) < sequencer.last_seq:
                seqs += [record.seq for record in await feed.next_slice(seqs[-1])]
        finally:
            following.cancel()
            server.stop()
            journal.close()
        assert sequencer.last_seq > 80
        return seqs

    seqs = uvloop.run(asyncio.wait_for(scenario(), 20))
    assert seqs == list(range(1, len(seqs) + 1))


def test_feed_says_when_records_are_gone(tmp_path: Path) -> None:
    """It leaves nothing out in silence."""
    desk = FilesDesk(tmp_path)
    desk.trade(40)
    desk.close()
    min((tmp_path / "journal").glob("*.wcj")).unlink()
    feed = EngineFeed(tmp_path / "engine.sock", tmp_path / "journal")
    feed.durable_seq = desk.last_seq
    with pytest.raises(RecordsGoneError):
        asyncio.run(feed.next_slice(0))


def test_broker_is_named_by_url() -> None:
    """With TLS or without, with a password that has been escaped, for an old broker."""
    assert parse_broker_url("mqtt://pub:p%40ss@broker") == BrokerAddress(
        "broker", 1883, "pub", "p@ss"
    )
    assert parse_broker_url("mqtts://10.0.0.1:9999?protocol=3.1.1") == BrokerAddress(
        "10.0.0.1", 9999, is_tls=True, is_old=True
    )
    assert "p@ss" not in repr(parse_broker_url("mqtt://pub:p%40ss@broker"))
    for wrong in ("http://broker", "broker:1883", "mqtt://", ""):
        with pytest.raises(ValueError, match="an MQTT broker is named like"):
            parse_broker_url(wrong)
