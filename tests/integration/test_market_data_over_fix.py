"""Market data sessions of a whole venue: QuickFIX clients rebuild the engine's own book."""

import queue
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fix_gateway.fix.fields import ExecType, MsgType, Tag, parse_message
from fix_gateway.tools.initiator import Initiator
from fix_gateway.tools.market_data.fix_book import BID, OFFER, TRADE, FixBook
from tests.integration.conftest import ConnectClient
from tests.integration.raw_client import RawClient
from tests.integration.trader import (
    BUY,
    SELL,
    cancel,
    enter,
    next_message,
    next_report,
    transact_time,
)
from tests.integration.venue_process import VenueProcess
from tests.legal_messages import check_message

SYMBOL = "ETH-USD"  # Which no other test of the shared venue trades.
SESSIONS = {"FIX.4.4": "MD1", "FIX.4.2": "MD2", "FIXT.1.1": "MD3"}
WAIT_S = 20.0
NO_MD_ENTRY_TYPES = 267
TOLD = (MsgType.MARKET_DATA_SNAPSHOT_FULL_REFRESH, MsgType.MARKET_DATA_INCREMENTAL_REFRESH)
SNAPSHOT, SUBSCRIBE, UNSUBSCRIBE = "0", "1", "2"
OF_ONE_SYMBOL = "1"  # MassCancelRequestType(530).


class Watcher:
    """A QuickFIX client that is told of ETH-USD, and the books that it rebuilds."""

    def __init__(self, connect: ConnectClient, venue: VenueProcess, begin_string: str) -> None:
        self.texts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.books: dict[str, FixBook] = {}
        self._venue = venue
        self._client: Initiator = connect(
            venue, SESSIONS[begin_string], begin_string=begin_string, on_message=self._note
        )

    def _note(self, direction: str, text: str) -> None:
        if direction == "<" and parse_message(text)[Tag.MSG_TYPE] in TOLD:
            self.texts.put(text)

    def ask(self, name: str, kind: str, depth: str) -> None:
        self.books.setdefault(name, FixBook())
        entry_types = [(int(Tag.MD_ENTRY_TYPE), each) for each in (BID, OFFER, TRADE)]
        self._client.send(
            MsgType.MARKET_DATA_REQUEST,
            [
                (Tag.MD_REQ_ID, name),
                (Tag.SUBSCRIPTION_REQUEST_TYPE, kind),
                (Tag.MARKET_DEPTH, depth),
                (Tag.MD_UPDATE_TYPE, "1"),
                (NO_MD_ENTRY_TYPES, str(len(entry_types))),
                *entry_types,
                (Tag.NO_RELATED_SYM, "1"),
                (Tag.SYMBOL, SYMBOL),
            ],
        )

    def wait_for_truth(self, **depths: int | None) -> None:
        """Take what comes until these books, to such depths, are what the engine has."""
        self._venue.wait_for(lambda: self._are_true(depths), WAIT_S)

    def _take_all(self) -> None:
        while not self.texts.empty():
            text = self.texts.get()
            check_message(text)
            self.books[parse_message(text)[Tag.MD_REQ_ID]].take(text)

    def _are_true(self, depths: dict[str, int | None]) -> bool:
        self._take_all()
        status, truth = self._venue.call("GET", f"/v1/instruments/{SYMBOL}/book?levels=100")
        assert status == 200
        return all(
            self.books[name].side(SYMBOL, entry_type) == levels_of(truth[side])[:depth]
            for name, depth in depths.items()
            if SYMBOL in self.books[name].levels
            for entry_type, side in ((BID, "bids"), (OFFER, "asks"))
        ) and all(SYMBOL in self.books[name].levels for name in depths)


def levels_of(levels: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(level["price"], level["qty"], level["order_count"]) for level in levels]


def expect(client: Initiator, *exec_types: ExecType) -> None:
    """Wait for these reports: what they tell of has happened in the engine."""
    for exec_type in exec_types:
        next_report(client, exec_type)


@pytest.fixture
def traders(
    shared_venue: VenueProcess, connect: ConnectClient
) -> Iterator[tuple[Initiator, Initiator]]:
    """A seller and a buyer, whose orders are gone in the end, also when the test fails."""
    seller, buyer = connect(shared_venue, "T15"), connect(shared_venue, "T16")
    yield seller, buyer
    for client in (seller, buyer):
        client.send(
            MsgType.ORDER_MASS_CANCEL_REQUEST,
            [
                (Tag.CL_ORD_ID, f"all-{time.time_ns()}"),
                (Tag.MASS_CANCEL_REQUEST_TYPE, OF_ONE_SYMBOL),
                (Tag.SYMBOL, SYMBOL),
                (Tag.TRANSACT_TIME, transact_time()),
            ],
        )
        next_message(client, MsgType.ORDER_MASS_CANCEL_REPORT)


@pytest.mark.parametrize("begin_string", list(SESSIONS))
def test_client_rebuilds_the_engines_book(
    shared_venue: VenueProcess,
    connect: ConnectClient,
    traders: tuple[Initiator, Initiator],
    begin_string: str,
) -> None:
    """Two depths at once, through the port for orders; trades; what is unsubscribed from ends."""
    watcher = Watcher(connect, shared_venue, begin_string)
    seller, buyer = traders
    watcher.ask("all", SUBSCRIBE, "0")
    watcher.ask("top", SUBSCRIBE, "1")
    watcher.wait_for_truth(all=None, top=1)
    # Books are compared once the orders are in: as long as they are on their way both are empty,
    # and the seller's may overtake the buyer's.
    bids = [enter(buyer, BUY, "0.1", f"{price}.00", symbol=SYMBOL) for price in range(100, 112)]
    offers = [enter(seller, SELL, "0.2", f"{price}.00", symbol=SYMBOL) for price in range(120, 125)]
    expect(buyer, *[ExecType.NEW] * len(bids))
    expect(seller, *[ExecType.NEW] * len(offers))
    watcher.wait_for_truth(all=None, top=1)
    enter(seller, SELL, "0.15", "110.00", symbol=SYMBOL)
    expect(seller, ExecType.NEW, ExecType.TRADE, ExecType.TRADE)
    expect(buyer, ExecType.TRADE, ExecType.TRADE)
    bids[-1] = enter(buyer, BUY, "0.3", "110.00", symbol=SYMBOL)  # The one at 111.00 is filled.
    expect(buyer, ExecType.NEW)
    watcher.wait_for_truth(all=None, top=1)
    trades = [(trade.price, trade.qty) for trade in watcher.books["all"].trades[-2:]]
    assert trades == [("111.00", "0.1000"), ("110.00", "0.0500")]
    watcher.ask("all", UNSUBSCRIBE, "0")
    watcher.ask("after", SNAPSHOT, "0")
    watcher.wait_for_truth(after=None)  # Its answer shows that the subscription has ended.
    before = dict(watcher.books["all"].levels[SYMBOL])
    for cl_ord_id in bids:
        cancel(buyer, cl_ord_id, BUY, symbol=SYMBOL)
    for cl_ord_id in offers:
        cancel(seller, cl_ord_id, SELL, symbol=SYMBOL)
    expect(buyer, *[ExecType.CANCELED] * len(bids))
    expect(seller, *[ExecType.CANCELED] * len(offers))
    watcher.wait_for_truth(top=1)
    assert watcher.books["top"].levels[SYMBOL] == {}
    assert watcher.books["all"].levels[SYMBOL] == before


def find_own_port(venue: VenueProcess) -> int:
    """Return the port for market data alone, 0 while it was never open."""
    for line in reversed(list(venue.logged)):
        if line.startswith("gateway-market-data ") and "event=door_opened" in line:
            return int(line.partition(" port=")[2].split()[0])
    return 0


def test_market_data_is_never_sent_again(shared_venue: VenueProcess) -> None:
    """A ResendRequest is answered by a gap fill and by how it is now. Orders are for others."""
    shared_venue.wait_for(lambda: find_own_port(shared_venue))
    with RawClient(find_own_port(shared_venue), "MD1") as client:
        client.log_on()
        fields = [(262, "m"), (263, "1"), (264, "1"), (265, "1"), (267, "1"), (269, "0")]
        client.send("V", *fields, (146, "1"), (55, SYMBOL))
        assert client.receive_type("W")[Tag.MD_REQ_ID] == "m"
        client.send("V", *fields, (146, "1"), (55, SYMBOL))
        assert client.receive_type("Y")[Tag.MD_REQ_REJ_REASON] == "1"
        client.send(MsgType.RESEND_REQUEST, (7, "1"), (16, "0"))
        gap_fill = client.receive_type(MsgType.SEQUENCE_RESET)
        assert (gap_fill[Tag.MSG_SEQ_NUM], gap_fill[Tag.NEW_SEQ_NO]) == ("1", "4")
        assert client.receive_type("W")[Tag.MD_REQ_ID] == "m"
        client.send_bytes(client.order("no-orders-here"))
        refused = client.receive_type(MsgType.BUSINESS_MESSAGE_REJECT)
        assert refused[Tag.TEXT] == (
            "NOT_PERMITTED: a market data session asks for market data, no more"
        )


def test_numbers_go_on_when_the_process_was_killed(shared_venue: VenueProcess) -> None:
    """Nobody is asked to send old requests again, and nothing is told that was not asked for."""
    shared_venue.wait_for(lambda: find_own_port(shared_venue))
    with RawClient(shared_venue.fix_port, "MD1") as client:
        client.log_on()
        client.send(
            "V",
            (262, "m"),
            (263, "0"),
            (264, "1"),
            (267, "1"),
            (269, "0"),
            (146, "1"),
            (55, SYMBOL),
        )
        client.receive_type("W")
        next_seq = client.next_seq
        shared_venue.kill("gateway-market-data")
    with RawClient(shared_venue.fix_port, "MD1") as client:
        client.next_seq = next_seq
        client.log_on(is_reset=False)
        client.send(MsgType.TEST_REQUEST, (112, "still there"))
        assert client.receive()[Tag.TEST_REQ_ID] == "still there"
