"""The link: commands in order, answers after the records they belong to, grants that end."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from engine.book import DepthLevel
from engine.commands import AdvanceTime, Command, SetStorageLow
from engine.depth import DepthReader
from engine.events import CommandRefused, TradingStateChanged
from engine.exchange import Exchange
from engine.order import OrderTerms, OrdType, Side
from engine.reasons import RejectReason
from engine.risk_events import RiskLimitsSet
from engine.runtime.client import EngineLink, LinkClosedError, Outcome
from engine.runtime.codec import Book, FrameKind, Hello, Record, Welcome, WhatIf, encode_frame
from engine.runtime.journal import Journal, lock_journal
from engine.runtime.metrics import EngineMetrics
from engine.runtime.sequencer import Sequencer
from engine.runtime.server import LinkServer
from engine.session_commands import OpenSession
from engine.session_events import SessionOpened, SessionReleased
from engine.trading_state import MarketState, TradingState
from engine.units import InstrumentId, Price, Qty, Seq, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BOB,
    BTC_USD,
    DEFAULT_FUNDS,
    REFERENCE_COMMANDS,
    START_NS,
    account_commands,
    new_order,
)

SESSION = SessionId(1)


class Venue:
    """A link server over a real journal, and doors that are linked to it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "engine.sock"
        self.faults: list[BaseException] = []
        self.fault_seen = asyncio.Event()
        lock_journal(directory / "journal")
        self.journal = Journal(directory / "journal", next_seq=Seq(1))
        self.sequencer = Sequencer(
            Exchange(PreTradeGate()),
            self.journal,
            last_seq=Seq(0),
            last_ns=0,
            clock_ns=lambda: START_NS,
        )
        self.server = LinkServer(
            self.sequencer, EngineMetrics(), durability="fsync", on_fault=self.note_fault
        )
        self.records: list[Record] = []
        self.in_doubt: list[Command] = []

    def note_fault(self, fault: BaseException) -> None:
        self.faults.append(fault)
        self.fault_seen.set()

    async def connect(self, name: str = "door") -> EngineLink:
        return await EngineLink.connect(
            self.path, name, on_records=self.records.extend, on_closed=self.in_doubt.extend
        )


def on_a_venue(tmp_path: Path, scenario: Callable[[Venue], Awaitable[None]]) -> Venue:
    """Run the scenario against a server on the real event loop of the product."""

    async def run() -> Venue:
        venue = Venue(tmp_path)
        await venue.server.start(venue.path)
        try:
            await scenario(venue)
        finally:
            # Also when it fails: the loop would wait for the server for ever.
            venue.server.stop()
            venue.journal.close()
        return venue

    return uvloop.run(asyncio.wait_for(run(), 20))


def test_commands_are_answered_with_what_happened(tmp_path: Path) -> None:
    """Each command gets its place and its events, also when several share a batch."""

    async def scenario(venue: Venue) -> None:
        link = await venue.connect()
        outcomes = await asyncio.gather(
            link.submit(OpenSession(SESSION)),
            link.submit(OpenSession(SESSION)),
            link.submit(OpenSession(SessionId(2))),
        )
        first = link.welcome.next_seq
        assert len({outcome.happened_at_ns for outcome in outcomes} - {0}) >= 1
        assert [outcome._replace(happened_at_ns=0) for outcome in outcomes] == [
            Outcome(first, [SessionOpened(SESSION, 1, 1, 0)], 0),
            Outcome(
                Seq(first + 1), [CommandRefused(RejectReason.SESSION_HELD, SESSION, actual=1)], 0
            ),
            Outcome(Seq(first + 2), [SessionOpened(SessionId(2), 1, 1, 0)], 0),
        ]

    venue = on_a_venue(tmp_path, scenario)
    assert [record.seq for record in venue.records] == [2, 3, 4]
    assert venue.faults == []


def test_who_only_follows_is_told_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Owners at once; a follower before an answer of his own, or when the time is up."""

    async def scenario(venue: Venue) -> None:
        told: list[list[Seq]] = []
        came = asyncio.Event()

        def note(records: list[Record]) -> None:
            told.append([record.seq for record in records])
            came.set()

        follower = await EngineLink.connect(
            venue.path, "follower", on_records=note, on_closed=lambda _in_doubt: None
        )
        owner = await venue.connect("owner")
        first = (await owner.submit(OpenSession(SessionId(1)))).seq
        await came.wait()
        assert told == [[first]]
        monkeypatch.setattr("engine.runtime.server.FOLLOWER_WAIT_S", 3600)
        seqs = [(await owner.submit(OpenSession(SessionId(each)))).seq for each in (2, 3, 4)]
        assert [record.seq for record in venue.records] == [first, *seqs]
        assert told == [[first]]
        assert (await follower.status()).last_seq == seqs[-1]
        assert told == [[first], *([seq] for seq in seqs)]

    on_a_venue(tmp_path, scenario)


def test_late_door_learns_what_exists(tmp_path: Path) -> None:
    """The welcome carries reference data, grants and limits; the feed goes on from there."""

    async def scenario(venue: Venue) -> None:
        early = await venue.connect("early")
        for command in REFERENCE_COMMANDS:
            await early.submit(command)
        await early.submit(OpenSession(SESSION))
        for command in account_commands(ALICE, DEFAULT_FUNDS):
            await early.submit(command)
        late = await venue.connect("late")
        assert late.welcome.events == [
            *venue.sequencer.exchange.reference.events(),
            SessionOpened(SESSION, 1, 1, 0),
            *venue.sequencer.exchange.rule_events(),
            *venue.sequencer.exchange.standing_events(),
        ]
        kinds = [type(event) for event in late.welcome.events]
        assert {RiskLimitsSet, TradingStateChanged} <= set(kinds)
        assert late.welcome.next_seq == venue.sequencer.last_seq + 1
        status = await late.status()
        assert (status.last_seq, status.links) == (venue.sequencer.last_seq, ["early", "late"])

    on_a_venue(tmp_path, scenario)


def test_book_is_told_as_of_a_record(tmp_path: Path) -> None:
    """What is shown of it, as the events make it; a question is not journaled."""

    async def scenario(venue: Venue) -> None:
        link = await venue.connect()
        commands = [*REFERENCE_COMMANDS]
        for account_id in (ALICE, BOB):
            commands += account_commands(account_id, DEFAULT_FUNDS)
        iceberg, stop = OrderTerms(display_qty=Qty(2)), OrderTerms(stop_price=Price(95))
        commands += [
            new_order(ALICE, Side.BUY, 5, 100, cl_ord_id="b1"),
            new_order(BOB, Side.BUY, 3, 100, cl_ord_id="b2"),
            new_order(ALICE, Side.BUY, 1, 99, cl_ord_id="b3"),
            new_order(BOB, Side.SELL, 9, 102, cl_ord_id="a1", terms=iceberg),
            replace(
                new_order(BOB, Side.SELL, 9, 90, cl_ord_id="s1", terms=stop),
                ord_type=OrdType.STOP_LIMIT,
            ),
            new_order(BOB, Side.SELL, 4, 100, cl_ord_id="t1"),
        ]
        outcomes = [await link.submit(command) for command in commands]
        book = await link.book(BTC_USD, 10)
        market = MarketState(BTC_USD, TradingState.CONTINUOUS, last_price=Price(100))
        assert book == Book(
            outcomes[-1].seq,
            market,
            [DepthLevel(Price(100), Qty(4), 2), DepthLevel(Price(99), Qty(1), 1)],
            [DepthLevel(Price(102), Qty(2), 1)],
        )
        reader = DepthReader()
        for record in venue.records:
            reader.apply(record.events())
        for side, levels in ((Side.BUY, book.bids), (Side.SELL, book.asks)):
            assert reader.depth(BTC_USD, side, 10) == levels
        best = await link.book(BTC_USD, 1)
        assert (best.bids, best.asks) == (book.bids[:1], book.asks)
        assert await link.book(InstrumentId(9), 1) == Book(outcomes[-1].seq, None)

    on_a_venue(tmp_path, scenario)


def test_death_of_a_door_ends_its_grants(tmp_path: Path) -> None:
    """As soon as the link is down, another process may own the session."""

    async def scenario(venue: Venue) -> None:
        owner, other = await venue.connect("owner"), await venue.connect("other")
        await owner.submit(OpenSession(SESSION))
        owner.close()
        while True:
            (event,) = (await other.submit(OpenSession(SESSION))).events
            if event == SessionOpened(SESSION, 2, 1, 0):
                break
            assert event == CommandRefused(RejectReason.SESSION_HELD, SESSION, actual=1)

    venue = on_a_venue(tmp_path, scenario)
    happened = [event for record in venue.records for event in record.events()]
    assert SessionReleased(SESSION, 1) in happened


def test_unanswered_commands_are_handed_back_when_the_link_goes_down(tmp_path: Path) -> None:
    """A door must know which of its commands may or may not count."""

    async def scenario(venue: Venue) -> None:
        link = await venue.connect()
        commands: list[Command] = [OpenSession(SESSION), OpenSession(SessionId(2))]
        link.send(commands)
        waiter = asyncio.ensure_future(link.submit(OpenSession(SessionId(3))))
        await asyncio.sleep(0)
        venue.server.stop()
        with pytest.raises(LinkClosedError):
            await waiter
        assert venue.in_doubt == commands

    on_a_venue(tmp_path, scenario)


def test_nothing_is_released_when_the_journal_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed flush is a fault: no record leaves, no command is answered any more."""

    async def scenario(venue: Venue) -> None:
        link = await venue.connect()

        def fail(records: bytes, *, next_seq: Seq) -> None:
            del records, next_seq
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(venue.journal, "append", fail)
        waiter = asyncio.ensure_future(link.submit(OpenSession(SESSION)))
        await asyncio.wait_for(venue.fault_seen.wait(), 5)
        waiter_after = asyncio.ensure_future(link.submit(OpenSession(SESSION)))
        await asyncio.sleep(0.01)
        assert not waiter.done()
        assert not waiter_after.done()
        venue.server.stop()
        for lost in (waiter, waiter_after):
            with pytest.raises(LinkClosedError):
                await lost

    venue = on_a_venue(tmp_path, scenario)
    assert [type(fault) for fault in venue.faults] == [OSError]
    assert venue.records == []


def test_door_that_comes_after_a_fault_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was applied and could not be journaled is not in any welcome."""

    async def scenario(venue: Venue) -> None:
        link = await venue.connect()
        reader, writer = await asyncio.open_unix_connection(str(venue.path))

        def fail(records: bytes, *, next_seq: Seq) -> None:
            del records, next_seq
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(venue.journal, "append", fail)
        link.send([OpenSession(SESSION)])
        await asyncio.wait_for(venue.fault_seen.wait(), 5)
        writer.write(HELLO)
        await writer.drain()
        await asyncio.sleep(0.01)
        venue.server.stop()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    on_a_venue(tmp_path, scenario)


HELLO = encode_frame(FrameKind.HELLO, Hello(1, "door", wants_feed=True))


class Wire(asyncio.Transport):
    """A connection that takes everything; what comes over it is up to the test."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""


def test_engine_that_dies_right_after_its_welcome_gives_no_link() -> None:
    """Nobody is handed a link on which nothing can be sent any more."""

    async def scenario() -> None:
        link = EngineLink(on_records=lambda _records: None, on_closed=lambda _in_doubt: None)
        link.connection_made(Wire())
        greeting = asyncio.ensure_future(link.greet("door", wants_feed=True))
        await asyncio.sleep(0)
        link.data_received(encode_frame(FrameKind.WELCOME, Welcome(1, 1, Seq(1), [])))
        link.connection_lost(None)
        with pytest.raises(LinkClosedError):
            await greeting

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(encode_frame(FrameKind.HELLO, Hello(99, "door", wants_feed=True)), id="old"),
        pytest.param(encode_frame(FrameKind.COMMANDS, [OpenSession(SESSION)]), id="no greeting"),
        pytest.param(HELLO + HELLO, id="two greetings"),
        pytest.param(
            HELLO + encode_frame(FrameKind.COMMANDS, [AdvanceTime()]), id="time is not for doors"
        ),
        pytest.param(
            HELLO + encode_frame(FrameKind.COMMANDS, [SetStorageLow(is_low=True)]),
            id="the disk is not for doors",
        ),
        pytest.param(HELLO + struct.pack("<IB", 1, FrameKind.COMMANDS) + b"\xc1", id="junk"),
        pytest.param(HELLO + struct.pack("<IB", 1 << 30, FrameKind.COMMANDS), id="too long"),
        pytest.param(HELLO + struct.pack("<IB", 0, 77), id="no such kind"),
    ],
)
def test_door_that_does_not_speak_the_protocol_is_cut_off(tmp_path: Path, frames: bytes) -> None:
    """Nothing of what it sent takes effect, and others are served."""

    async def scenario(venue: Venue) -> None:
        reader, writer = await asyncio.open_unix_connection(str(venue.path))
        writer.write(frames)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await asyncio.wait_for(reader.readexactly(1 << 20), 5)
        writer.close()
        link = await venue.connect("other")
        outcome = await link.submit(OpenSession(SESSION))
        assert outcome.events == [SessionOpened(SESSION, 1, 1, 0)]

    on_a_venue(tmp_path, scenario)


def test_order_that_is_only_asked_about_leaves_no_trace(tmp_path: Path) -> None:
    """It is answered from the present state, between batches; no record is written."""

    async def scenario(venue: Venue) -> None:
        link = await venue.connect()
        for command in [*REFERENCE_COMMANDS, *account_commands(ALICE, DEFAULT_FUNDS)]:
            await link.submit(command)
        last_seq = venue.sequencer.last_seq
        before = venue.sequencer.exchange.state()
        good = new_order(ALICE, Side.BUY, 1, 100, cl_ord_id="asked")
        assert await link.what_if(good) == WhatIf(last_seq)
        poor = new_order(ALICE, Side.BUY, 10**9, 2 * 10**6, cl_ord_id="asked")
        refused = await link.what_if(poor)
        assert refused.reason is RejectReason.MAX_ORDER_NOTIONAL
        assert (refused.limit, refused.actual) == (10**17, 2 * 10**17)
        assert venue.sequencer.last_seq == last_seq
        assert venue.sequencer.exchange.state() == before
        link.close()

    on_a_venue(tmp_path, scenario)
