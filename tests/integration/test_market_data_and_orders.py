"""Market data over FIX is its own process: whoever subscribes does not slow order entry."""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fix_gateway.fix.fields import MsgType, Tag
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

SUBSCRIBERS = ("MD1", "MD2", "MD3")
BEGIN_STRINGS = {"MD2": "FIX.4.2", "MD3": "FIXT.1.1"}
REQUESTS = 10  # Of each subscriber: all levels, both sides and trades, as they change.
TRADER = "T17"
RESTING = 40  # So many orders of the trader stand in the book at prices of their own.
BLOCKS, ORDERS = 8, 100
SLOWDOWN_MAX = 3.0
WAIT_S = 60.0
SNAPSHOT, UPDATE, HEARTBEAT = b"\x0135=W\x01", b"\x0135=X\x01", b"\x0135=0\x01"
SUBSCRIBE, UNSUBSCRIBE = "1", "2"


class Subscriber:
    """A market data session that takes all it is sent, and counts it without looking at it."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._counts = dict.fromkeys((SNAPSHOT, UPDATE, HEARTBEAT), 0)
        self._tail = b""
        self._reader = threading.Thread(target=self._read)
        client.log_on()
        self._reader.start()

    def count(self, kind: bytes) -> int:
        return self._counts[kind]

    def ask(self, block: int, action: str) -> None:
        """Subscribe to everything, or end what was subscribed to in that block."""
        for number in range(REQUESTS):
            self._client.send(
                MsgType.MARKET_DATA_REQUEST,
                (Tag.MD_REQ_ID, f"{block}-{number}"),
                (Tag.SUBSCRIPTION_REQUEST_TYPE, action),
                (Tag.MARKET_DEPTH, "0"),
                (Tag.MD_UPDATE_TYPE, "1"),
                (267, "3"),
                *((int(Tag.MD_ENTRY_TYPE), entry_type) for entry_type in "012"),
                (Tag.NO_RELATED_SYM, "1"),
                (Tag.SYMBOL, "BTC-USD"),
            )

    def ask_for_heartbeat(self) -> None:
        """Ask for what comes after all that is on its way."""
        self._client.send(MsgType.TEST_REQUEST, (Tag.TEST_REQ_ID, "still there"))

    def end(self) -> None:
        self._client.send(MsgType.LOGOUT)
        self._reader.join()
        self._client.cut()

    def _read(self) -> None:
        while data := self._client.receive_bytes(WAIT_S):
            text = self._tail + data
            for kind in self._counts:
                self._counts[kind] += text.count(kind)
            # No kind is counted twice: this is shorter than any.
            self._tail = text[-(len(SNAPSHOT) - 1) :]


@contextmanager
def subscribed(venue: VenueProcess, subscribers: list[Subscriber], block: int) -> Iterator[None]:
    """Let all of them be told of everything meanwhile, and of nothing afterwards."""

    def wait_for(kind: bytes, counts: list[int]) -> None:
        wanted = list(zip(subscribers, counts, strict=True))
        venue.wait_for(lambda: all(each.count(kind) >= count for each, count in wanted))

    snapshots = [each.count(SNAPSHOT) + REQUESTS for each in subscribers]
    heartbeats = [each.count(HEARTBEAT) + 1 for each in subscribers]
    for each in subscribers:
        each.ask(block, SUBSCRIBE)
    wait_for(SNAPSHOT, snapshots)
    yield
    for each in subscribers:
        each.ask(block, UNSUBSCRIBE)
        each.ask_for_heartbeat()
    wait_for(HEARTBEAT, heartbeats)


class Trader:
    """Enters orders, each at a price of its own, and cancels the oldest of those that rest."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._resting: list[str] = []
        self._count = 0

    def round_trip_s(self) -> float:
        """Enter an order, and return how long its report took. The book has changed twice."""
        self._count += 1
        name = f"p{self._count}"
        order = self._client.order(name, price=f"{1 + self._count % 97}.00")
        begun_s = time.perf_counter()
        self._client.send_bytes(order)
        assert self._client.receive_type(MsgType.EXECUTION_REPORT)[Tag.EXEC_TYPE] == "0"
        took_s = time.perf_counter() - begun_s
        self._resting.append(name)
        if len(self._resting) > RESTING:
            self._cancel(self._resting.pop(0))
        return took_s

    def cancel_all(self) -> None:
        while self._resting:
            self._cancel(self._resting.pop())

    def _cancel(self, name: str) -> None:
        self._client.send("F", (Tag.CL_ORD_ID, f"{name}-x"), (Tag.ORIG_CL_ORD_ID, name))
        assert self._client.receive_type(MsgType.EXECUTION_REPORT)[Tag.EXEC_TYPE] == "4"


@pytest.mark.alone
def test_subscribers_do_not_slow_order_entry(shared_venue: VenueProcess) -> None:
    """Orders beside busy subscribers and without them take turns; their medians are compared."""
    shared_venue.wait_for(lambda: shared_venue.pid_of("gateway-market-data"))
    port = shared_venue.fix_port
    subscribers = [
        Subscriber(RawClient(port, name, begin_string=BEGIN_STRINGS.get(name, "FIX.4.4")))
        for name in SUBSCRIBERS
    ]
    calm_s: list[float] = []
    busy_s: list[float] = []
    with RawClient(port, TRADER) as client:
        client.log_on()
        trader = Trader(client)
        for _ in range(ORDERS):
            trader.round_trip_s()
        for block in range(BLOCKS):
            calm_s += [trader.round_trip_s() for _ in range(ORDERS)]
            with subscribed(shared_venue, subscribers, block):
                busy_s += [trader.round_trip_s() for _ in range(ORDERS)]
        trader.cancel_all()
    for subscriber in subscribers:
        subscriber.end()
        assert subscriber.count(UPDATE) > BLOCKS * REQUESTS
    slowdown = statistics.median(busy_s) / statistics.median(calm_s)
    assert slowdown < SLOWDOWN_MAX, (slowdown, sorted(busy_s)[-5:], sorted(calm_s)[-5:])
