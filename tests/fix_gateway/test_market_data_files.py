"""Where the publisher goes on, how it reads what it missed, and where the broker is."""

from pathlib import Path

import pytest

from engine.commands import SetStorageLow
from engine.order import Side
from fix_gateway.market_data.broker import BrokerAddress, parse_broker_url
from fix_gateway.market_data.checkpoint import read_checkpoint, write_checkpoint
from fix_gateway.market_data.market import Market
from tests.exchange_desk import ALICE, BOB
from tests.market_tape import MarketTape


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
    saved = read_checkpoint(tmp_path, durable_seq=market.seq)
    assert saved is not None
    found = Market.restore(saved)
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
