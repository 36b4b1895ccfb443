"""The sequencer stamps, applies and journals; a replay of what it wrote gives the same state."""

from pathlib import Path

import msgspec
import pytest

from engine.commands import AdvanceTime, Command, SetStorageLow
from engine.events import StorageLowSet
from engine.exchange import Exchange
from engine.order import Side, TimeInForce
from engine.presence import OWNER_WAIT_NS
from engine.runtime.codec import Record, decode_records
from engine.runtime.journal import Journal, inspect_tail, lock_journal, read_records
from engine.runtime.replay import ReplayDiffersError, hash_state, replay
from engine.runtime.sequencer import Sequencer
from engine.scope import Scope
from engine.session_commands import LogOnSession, OpenSession, ReleaseAllSessions
from engine.session_events import SessionOpened
from engine.units import Seq, SessionId
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
    session_order,
)

SET_UP = [
    *REFERENCE_COMMANDS,
    *account_commands(ALICE, DEFAULT_FUNDS),
    *account_commands(BOB, DEFAULT_FUNDS),
]


class MemoryJournal:
    """Keeps batches in memory; a journal as far as the sequencer is concerned."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []

    def append(self, records: bytes, *, next_seq: Seq) -> None:
        del next_seq
        self.batches.append(records)

    def records(self) -> list[Record]:
        return decode_records(b"".join(self.batches))


class HandClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


class Desk:
    """A sequencer with an exchange on which ALICE and BOB may trade."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.clock = HandClock()
        self.sequencer = Sequencer(
            Exchange(PreTradeGate()),
            self.journal,
            last_seq=Seq(0),
            last_ns=0,
            clock_ns=self.clock,
        )
        self.sequencer.commit(SET_UP)


def test_commands_get_their_place_in_order() -> None:
    """Numbers are given without gaps, and one batch is one append."""
    desk = Desk()
    batch = desk.sequencer.commit([OpenSession(SessionId(1)), OpenSession(SessionId(2))])
    first = len(SET_UP) + 1
    assert batch.seqs == [first, first + 1]
    assert [record.seq for record in decode_records(batch.records)] == batch.seqs
    assert [record.batch_index for record in decode_records(batch.records)] == [0, 1]
    assert desk.journal.batches[-1] == batch.records
    assert len(desk.journal.batches) == 2


def test_clock_that_steps_back_is_not_followed() -> None:
    """Time in the journal never goes back; the step is counted."""
    desk = Desk()
    desk.clock.now_ns -= 5 * NS_PER_S
    (record,) = decode_records(desk.sequencer.commit([AdvanceTime()]).records)
    assert record.now_ns == START_NS
    assert desk.sequencer.clock_steps_back == 1


def test_time_passes_before_the_commands_that_come_after_it() -> None:
    """An order that expired is gone before the next command sees the book."""
    desk = Desk()
    resting = new_order(ALICE, Side.BUY, 1, 100, TimeInForce.DAY, cl_ord_id="a")
    desk.sequencer.commit([resting])
    assert desk.sequencer.wait_ns() == 24 * 3600 * NS_PER_S
    desk.clock.now_ns += 24 * 3600 * NS_PER_S
    assert desk.sequencer.wait_ns() == 0
    batch = desk.sequencer.commit([new_order(BOB, Side.SELL, 1, 100, cl_ord_id="b")])
    assert [type(record.command()).__name__ for record in decode_records(batch.records)] == [
        "AdvanceTime",
        "NewOrder",
    ]
    assert [type(event).__name__ for event in batch.events[0]] == ["OrderAccepted"]
    assert batch.seqs == [desk.sequencer.last_seq]


def test_thousands_of_expiries_are_spread_over_several_records() -> None:
    """No single record grows without bound when a trading day ends."""
    desk = Desk()
    orders: list[Command] = [
        new_order(ALICE, Side.BUY, 1, 1, TimeInForce.DAY, cl_ord_id=f"a{number}")
        for number in range(2500)
    ]
    desk.sequencer.commit(orders)
    desk.clock.now_ns += 24 * 3600 * NS_PER_S
    batch = desk.sequencer.commit([])
    assert [len(record.events()) for record in decode_records(batch.records)] == [1000, 1000, 500]
    assert desk.sequencer.exchange.open_order_count() == 0


def test_idle_commit_writes_nothing() -> None:
    """No command and no time due: no record."""
    desk = Desk()
    assert desk.sequencer.commit([]).records == b""
    assert len(desk.journal.batches) == 1


def test_replay_reaches_the_same_state() -> None:
    """The commands of the journal, applied again, give every event and the state again."""
    desk = Desk()
    for number in range(50):
        side = Side.BUY if number % 3 else Side.SELL
        account = ALICE if number % 2 else BOB
        desk.clock.now_ns += 1
        desk.sequencer.commit(
            [new_order(account, side, 1 + number % 7, 95 + number % 10, cl_ord_id=f"o{number}")]
        )
    copy = Exchange(PreTradeGate())
    done = replay(copy, desk.journal.records())
    assert done.last_seq == desk.sequencer.last_seq
    assert hash_state(copy.state()) == hash_state(desk.sequencer.exchange.state())


def test_replay_stops_where_events_differ() -> None:
    """An engine that decides otherwise than it did must not start."""
    desk = Desk()
    desk.sequencer.commit([new_order(ALICE, Side.BUY, 1, 100, cl_ord_id="a")])
    records = desk.journal.records()
    changed = records[-1]._replace(events_bytes=records[0].events_bytes)
    with pytest.raises(ReplayDiffersError, match=f"record {changed.seq} gives other events"):
        replay(Exchange(PreTradeGate()), [*records[:-1], changed])


def test_replay_refuses_other_rules() -> None:
    """Records of another rules version are not replayed under this one."""
    desk = Desk()
    (first, *_) = desk.journal.records()
    with pytest.raises(ReplayDiffersError, match="rules version 99"):
        replay(Exchange(PreTradeGate()), [first._replace(rules_version=99)])


GOLDEN = Path(__file__).parent / "golden" / "rules-1"
GOLDEN_STATE = "30912ca372c7eeb5e46c3aa55b9ab7d5c495a274988e10986344b7b07eae0fc1"


def golden_commands() -> list[Command]:
    """Return one command of every kind that a client can cause, with every outcome it can have."""
    return [
        *SET_UP,
        OpenSession(SessionId(1)),
        new_order(ALICE, Side.BUY, 10, 100, cl_ord_id="rests"),
        new_order(BOB, Side.SELL, 4, 100, cl_ord_id="trades"),
        new_order(BOB, Side.SELL, 20, 100, TimeInForce.IOC, cl_ord_id="remainder"),
        new_order(BOB, Side.SELL, 20, 100, TimeInForce.FOK, cl_ord_id="killed"),
        new_order(BOB, Side.SELL, 5, None, cl_ord_id="market"),
        new_order(BOB, Side.SELL, 0, 100, cl_ord_id="refused"),
        new_order(ALICE, Side.BUY, 1, 1, TimeInForce.DAY, cl_ord_id="day"),
        new_order(ALICE, Side.BUY, 1, 1, cl_ord_id="rests", is_poss_resend=True),
        SetStorageLow(is_low=True),
        new_order(ALICE, Side.BUY, 1, 1, cl_ord_id="no-room"),
        SetStorageLow(is_low=False),
        SetStorageLow(is_low=False),
    ]


def test_old_journals_stay_readable() -> None:
    """Bytes that this rules version once wrote give the same events and state today."""
    tail = inspect_tail(GOLDEN)
    exchange = Exchange(PreTradeGate())
    done = replay(exchange, read_records(GOLDEN, until_seq=tail.last_seq))
    assert done.last_seq == len(golden_commands()) + 1
    assert hash_state(exchange.state()) == GOLDEN_STATE


def write_golden_journal(directory: Path) -> str:
    """Write the golden file anew. By hand, when the format has changed before a release."""
    lock_journal(directory)
    clock = HandClock()
    journal = Journal(directory, next_seq=Seq(1))
    sequencer = Sequencer(
        Exchange(PreTradeGate()), journal, last_seq=Seq(0), last_ns=0, clock_ns=clock
    )
    for command in golden_commands():
        clock.now_ns += 1000
        sequencer.commit([command])
    clock.now_ns += 24 * 3600 * NS_PER_S
    sequencer.commit([])
    return hash_state(sequencer.exchange.state())


def test_start_comes_before_what_was_due_meanwhile() -> None:
    """Owners get their time to come back from the start on, not from before the engine was away."""
    desk = Desk()
    session_id = SessionId(1)
    opened = desk.sequencer.commit([OpenSession(session_id)]).events[0][0]
    assert isinstance(opened, SessionOpened)
    logon = LogOnSession(session_id, opened.generation, ALICE, Scope.SESSION)
    desk.sequencer.commit([logon, session_order(session_id, opened.generation, 1)])
    desk.sequencer.commit([ReleaseAllSessions()])
    desk.clock.now_ns += 10 * OWNER_WAIT_NS
    batch = desk.sequencer.commit([ReleaseAllSessions(), SetStorageLow(is_low=True)])
    assert batch.events == [[], [StorageLowSet(is_low=True)]]
    assert batch.record_count == 2
    desk.clock.now_ns += OWNER_WAIT_NS
    batch = desk.sequencer.commit([SetStorageLow(is_low=False)])
    assert batch.record_count == 2
    assert desk.sequencer.exchange.open_order_count() == 0


def test_replay_takes_events_without_a_newer_field() -> None:
    """A journal stays readable when an event gets one more field: what it lacks is the default."""
    desk = Desk()
    desk.sequencer.commit([new_order(ALICE, Side.BUY, 10**9, 100, cl_ord_id="a")])
    records = desk.journal.records()
    (event,) = msgspec.msgpack.decode(records[-1].events_bytes)
    shorter = records[-1]._replace(events_bytes=msgspec.msgpack.encode([event[:-1]]))
    assert replay(Exchange(PreTradeGate()), [*records[:-1], shorter]).last_seq == shorter.seq
    other = records[-1]._replace(events_bytes=msgspec.msgpack.encode([event[:-3]]))
    assert event[-3] != 0
    with pytest.raises(ReplayDiffersError):
        replay(Exchange(PreTradeGate()), [*records[:-1], other])
