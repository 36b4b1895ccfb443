"""Old events come from the journal files: those of the sessions asked for, from their places on."""

import os
from pathlib import Path

import pytest

from engine.commands import Command, NewOrder
from engine.events import OrderAccepted, Trade
from engine.exchange import Exchange
from engine.order import OrdType, Side, TimeInForce
from engine.runtime.codec import FrameKind, FrameReader, Hello, encode_frame
from engine.runtime.feed import BEFORE_ALL, Position, read_session_events
from engine.runtime.journal import Journal, JournalDamagedError, list_segments, lock_journal
from engine.runtime.sequencer import Sequencer
from engine.session_commands import OpenSession
from engine.units import AccountId, ClOrdId, Price, Qty, Seq, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BOB,
    BTC_USD,
    DEFAULT_FUNDS,
    REFERENCE_COMMANDS,
    START_NS,
    account_commands,
)

OF_ALICE, OF_BOB, OF_NOBODY = SessionId(1), SessionId(2), SessionId(3)
SET_UP: list[Command] = [
    *REFERENCE_COMMANDS,
    *account_commands(ALICE, DEFAULT_FUNDS),
    *account_commands(BOB, DEFAULT_FUNDS),
    OpenSession(OF_ALICE),
    OpenSession(OF_BOB),
]
FIRST = len(SET_UP) + 1


def order(session_id: SessionId, account_id: AccountId, side: Side, number: int) -> NewOrder:
    return NewOrder(
        session_id=session_id,
        generation=1,
        epoch=1,
        msg_seq_num=number,
        account_id=account_id,
        instrument_id=BTC_USD,
        cl_ord_id=ClOrdId(f"o{number}"),
        side=side,
        ord_type=OrdType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Qty(1),
        price=Price(100),
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A journal in many segments: ALICE buys three times, then BOB sells to her once."""
    os.close(lock_journal(tmp_path))
    journal = Journal(tmp_path, next_seq=Seq(1), segment_bytes_max=250)
    sequencer = Sequencer(
        Exchange(PreTradeGate()), journal, last_seq=Seq(0), last_ns=0, clock_ns=lambda: START_NS
    )
    for command in [
        *SET_UP,
        *(order(OF_ALICE, ALICE, Side.BUY, number) for number in (2, 3, 4)),
        order(OF_BOB, BOB, Side.SELL, 2),
    ]:
        sequencer.commit([command])
    journal.close()
    assert len(list_segments(tmp_path)) > 4
    return tmp_path


def positions(directory: Path, after: dict[SessionId, Position], until: int) -> list[object]:
    return [
        (item.session_id, item.position.seq, item.position.event_index, type(item.event))
        for item in read_session_events(directory, after, until_seq=until)
    ]


def test_everything_since_the_beginning(directory: Path) -> None:
    """Each session is told of its own orders; a match is told to both, each its own side."""
    last = FIRST + 3
    assert positions(directory, {OF_ALICE: BEFORE_ALL, OF_BOB: BEFORE_ALL}, last) == [
        (OF_ALICE, FIRST, 0, OrderAccepted),
        (OF_ALICE, FIRST + 1, 0, OrderAccepted),
        (OF_ALICE, FIRST + 2, 0, OrderAccepted),
        (OF_BOB, last, 0, OrderAccepted),
        (OF_BOB, last, 1, Trade),
        (OF_ALICE, last, 2, Trade),
    ]


def test_positions_are_respected_within_a_record(directory: Path) -> None:
    """What a session has had is not told again; the next event of the same record is."""
    last = FIRST + 3
    after = {OF_ALICE: Position(FIRST + 1, 0), OF_BOB: Position(last, 0)}
    expected = [
        (OF_ALICE, FIRST + 2, 0, OrderAccepted),
        (OF_BOB, last, 1, Trade),
        (OF_ALICE, last, 2, Trade),
    ]
    assert positions(directory, after, last) == expected
    # The second time the sealed segments are judged by their indexes.
    assert positions(directory, after, last) == expected


def test_nothing_beyond_what_is_durable(directory: Path) -> None:
    """The reader stops where it is told."""
    assert positions(directory, {OF_ALICE: BEFORE_ALL}, FIRST) == [
        (OF_ALICE, FIRST, 0, OrderAccepted)
    ]


def test_quiet_session_reads_no_old_segment(directory: Path) -> None:
    """Once indexed, a sealed segment without events of the session is not opened."""
    last = FIRST + 3
    assert positions(directory, {OF_NOBODY: BEFORE_ALL}, last) == []
    for segment in list_segments(directory)[:-1]:
        segment.path.chmod(0o600)
        segment.path.write_bytes(b"x" * segment.path.stat().st_size)
    assert positions(directory, {OF_NOBODY: BEFORE_ALL}, last) == []
    with pytest.raises(JournalDamagedError):
        positions(directory, {OF_ALICE: BEFORE_ALL}, last)


def test_what_was_archived_is_refused(directory: Path) -> None:
    """A reader that stands before the first segment is told that it is too late."""
    list_segments(directory)[0].path.unlink()
    with pytest.raises(JournalDamagedError, match="are not there any more"):
        positions(directory, {OF_ALICE: BEFORE_ALL}, FIRST + 3)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 64])
def test_frames_survive_any_cut_of_the_stream(size: int) -> None:
    """However the bytes arrive, the frames are the same."""
    frames = [
        encode_frame(FrameKind.HELLO, Hello(1, "x" * number, wants_feed=False))
        for number in range(20)
    ]
    stream = b"".join(frames)
    reader = FrameReader(1000)
    received = []
    for start in range(0, len(stream), size):
        received += reader.feed(stream[start : start + size])
    assert received == [(FrameKind.HELLO, frame[5:]) for frame in frames]
