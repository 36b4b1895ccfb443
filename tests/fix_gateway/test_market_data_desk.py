"""Market data over FIX: what may be asked for, what is answered, and who is told when."""

import pytest

from engine.events import ReferenceEvent
from engine.order import Side
from engine.reference import Reference
from engine.runtime.codec import Record
from engine.runtime.feed import find_trade
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade
from engine.units import Price, Qty
from fix_gateway.fix import market_data_desk
from fix_gateway.fix.dialect import find_dialect
from fix_gateway.fix.fields import SOH, parse_message
from fix_gateway.fix.market_data_desk import MarketDataDesk, MarketDataDoor
from fix_gateway.market_data.books import Books
from tests.exchange_desk import ALICE, BOB
from tests.market_tape import MarketTape

BOTH_AND_TRADES = "267=3|269=0|269=1|269=2"
BTC = "146=1|55=BTC-USD"


def request(text: str) -> str:
    return f"35=V|{text}|".replace("|", SOH)


class Listener:
    """A client that notes what it is sent."""

    def __init__(self) -> None:
        self.is_logged_on = True
        self.can_take_more = True
        self.sent: list[str] = []

    def send(self, body: str) -> None:
        self.sent.append(body.replace(SOH, "|").removesuffix("|"))

    def take_sent(self) -> list[str]:
        sent, self.sent = self.sent, []
        return sent


class Venue:
    """An exchange whose records a desk follows, and one client of it."""

    def __init__(self, begin_string: str = "FIX.4.4") -> None:
        self.tape = MarketTape()
        reference = Reference()
        self.books = Books(reference)
        self.reference = reference
        self.skipped_count = 0
        self.desk = MarketDataDesk(self.books, reference, self._note_skipped)
        self.client = Listener()
        self.door = MarketDataDoor(self.desk, self.client, find_dialect(begin_string))
        self.follow(self.tape.records)

    def _note_skipped(self) -> None:
        self.skipped_count += 1

    def follow(self, records: list[Record]) -> None:
        for record in records:
            events = record.events()
            for event in events:
                if isinstance(event, ReferenceEvent):
                    self.reference.learn(event)
            self.books.apply(record.seq, record.now_ns, events)

    def enter(self, side: Side, qty: int, price: int) -> None:
        self.follow(self.tape.enter(BOB if side is Side.BUY else ALICE, side, qty, price))

    def trade_at_100(self, qty: int) -> BookedTrade:
        """Sell to the bid that is there, and return the trade."""
        (record,) = self.tape.enter(ALICE, Side.SELL, qty, 100)
        self.follow([record])
        number = self.tape.sequencer.exchange.state().trade_id_last
        trade = find_trade(record, number)
        assert trade is not None
        return trade

    def ask(self, text: str) -> list[str]:
        """Return what a request is answered with."""
        self.door.take_request(parse_message(request(text)), request(text))
        return self.client.take_sent()

    def tick(self) -> list[str]:
        self.desk.tick()
        return self.client.take_sent()


@pytest.mark.parametrize("begin_string", ["FIX.4.2", "FIX.4.4", "FIXT.1.1"])
@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (f"262=a|263=1|264=5|265=1|{BOTH_AND_TRADES}|{BTC}", "5",
         "UNSUPPORTED: MarketDepth(264) must be 0, 1 or 10"),
        (f"262=a|263=1|264=0|265=2|{BOTH_AND_TRADES}|{BTC}", "6",
         "UNSUPPORTED: MDUpdateType(265) must be 0 or 1"),
        (f"262=a|263=1|264=0|{BOTH_AND_TRADES}|{BTC}", "6",
         "UNSUPPORTED: MDUpdateType(265) must be 0 or 1"),
        (f"262=a|263=3|264=0|265=1|{BOTH_AND_TRADES}|{BTC}", "4",
         "UNSUPPORTED: SubscriptionRequestType(263) must be 0, 1 or 2"),
        (f"262=a|263=1|264=0|265=1|266=N|{BOTH_AND_TRADES}|{BTC}", "7",
         "UNSUPPORTED: AggregatedBook(266) must be Y"),
        (f"262=a|263=0|264=0|267=2|269=0|269=4|{BTC}", "8",
         "UNSUPPORTED: MDEntryType(269) must be 0, 1 or 2"),
        (f"262=a|263=0|264=0|{BTC}", "8",
         "UNSUPPORTED: MDEntryType(269) must be 0, 1 or 2"),
        (f"262=a|263=0|264=0|{BOTH_AND_TRADES}|146=2|55=BTC-USD|55=BTC-EUR", "0",
         "SYMBOL_UNKNOWN: no instrument BTC-EUR"),
        (f"262=a|263=0|264=0|{BOTH_AND_TRADES}", "0", "SYMBOL_UNKNOWN: no instrument is named"),
        (f"262={'a' * 65}|263=0|264=0|{BOTH_AND_TRADES}|{BTC}", None,
         "UNSUPPORTED: MDReqID(262) must be 1 to 64 printable ASCII characters"),
        ("262=a|263=2|264=0", None,
         "UNKNOWN_MD_REQ_ID: no subscription of this session bears that MDReqID(262)"),
    ],
)  # fmt: skip
def test_request_that_is_not_served(
    begin_string: str, text: str, code: str | None, words: str
) -> None:
    """All of it is refused, with the standard's code where there is one, and nothing is told."""
    venue = Venue(begin_string)
    request_id = text.partition("|")[0]
    told_code = [] if code is None else [f"281={code}"]
    assert venue.ask(text) == ["|".join(["35=Y", request_id, *told_code, f"58={words}"])]
    venue.enter(Side.BUY, 1, 100)
    assert venue.tick() == []
    assert venue.desk.subscription_count == 0


@pytest.mark.parametrize(("begin_string", "code"), [("FIX.4.4", "|281=C"), ("FIX.4.2", "")])
def test_code_that_a_version_does_not_have_is_left_out(begin_string: str, code: str) -> None:
    """The words are the same."""
    venue = Venue(begin_string)
    assert venue.ask(f"262=a|263=1|264=0|265=1|547=Y|{BOTH_AND_TRADES}|{BTC}") == [
        f"35=Y|262=a{code}|58=UNSUPPORTED: MDImplicitDelete(547) must be N"
    ]


def test_other_sessions_may_not_ask() -> None:
    """Orders and market data do not share a session."""
    client = Listener()
    door = MarketDataDoor(None, client, find_dialect("FIX.4.4"))
    text = request(f"262=a|263=0|264=0|{BOTH_AND_TRADES}|{BTC}")
    door.take_request(parse_message(text), text)
    assert client.sent == [
        "35=Y|262=a|281=3|58=NOT_PERMITTED: market data is for market data sessions"
    ]


def test_snapshot_is_told_once() -> None:
    """Both sides, the best first, then the last trade; what happens later is not told."""
    venue = Venue("FIXT.1.1")
    venue.enter(Side.BUY, 5, 100)
    venue.enter(Side.BUY, 2, 100)
    venue.enter(Side.BUY, 1, 99)
    venue.enter(Side.SELL, 4, 103)
    venue.enter(Side.SELL, 1, 100)
    last = venue.tape.records[-1]
    assert venue.ask(f"262=a|263=0|264=0|{BOTH_AND_TRADES}|{BTC}") == [
        "35=W|262=a|55=BTC-USD|779=20261123-00:00:16.000000|268=4"
        "|269=0|270=1.00|271=0.0006|346=2|269=0|270=0.99|271=0.0001|346=1"
        "|269=1|270=1.03|271=0.0004|346=1"
        "|269=2|270=1.00|271=0.0001|272=20261123|273=00:00:16.000000"
    ]
    assert last.now_ns == venue.books.now_ns
    venue.enter(Side.BUY, 1, 98)
    assert venue.tick() == []


def test_subscription_is_told_what_changes() -> None:
    """Levels that are new, other and gone, a level that comes into the depth, trades."""
    venue = Venue()
    for price in range(91, 101):
        venue.enter(Side.BUY, 1, price)
    assert venue.ask(f"262=a|263=1|264=10|265=1|267=2|269=0|269=2|{BTC}")[0].startswith(
        "35=W|262=a|55=BTC-USD|268=10|269=0|270=1.00|271=0.0001|346=1|269=0|270=0.99|"
    )
    venue.enter(Side.BUY, 2, 101)
    venue.enter(Side.BUY, 2, 99)
    venue.enter(Side.SELL, 2, 150)
    assert venue.tick() == [
        "35=X|262=a|268=3|279=2|269=0|55=BTC-USD|270=0.91"
        "|279=0|269=0|55=BTC-USD|270=1.01|271=0.0002|346=1"
        "|279=1|269=0|55=BTC-USD|270=0.99|271=0.0003|346=2"
    ]
    venue.enter(Side.SELL, 2, 101)
    assert venue.tick() == [
        "35=X|262=a|268=3|279=2|269=0|55=BTC-USD|270=1.01"
        "|279=0|269=0|55=BTC-USD|270=0.91|271=0.0001|346=1"
        "|279=0|269=2|278=1|55=BTC-USD|270=1.01|271=0.0002|272=20261123|273=00:00:25.000"
    ]
    assert venue.ask("262=a|263=2|264=10") == []
    venue.enter(Side.BUY, 1, 100)
    assert venue.tick() == []


def test_full_refresh_tells_the_whole_at_each_change() -> None:
    """MDUpdateType(265)=0; what is not wanted is no change."""
    venue = Venue()
    assert venue.ask(f"262=a|263=1|264=1|265=0|267=1|269=1|{BTC}") == [
        "35=W|262=a|55=BTC-USD|268=0"
    ]
    venue.enter(Side.SELL, 1, 102)
    venue.enter(Side.SELL, 1, 101)
    assert venue.tick() == ["35=W|262=a|55=BTC-USD|268=1|269=1|270=1.01|271=0.0001|346=1"]
    venue.enter(Side.BUY, 1, 90)
    venue.enter(Side.SELL, 1, 103)
    assert venue.tick() == []


def test_client_that_does_not_read_is_told_how_it_is_later() -> None:
    """One update that waits is told as it is; of several only what has come of them."""
    venue = Venue()
    venue.ask(f"262=a|263=1|264=1|265=1|{BOTH_AND_TRADES}|{BTC}")
    venue.client.can_take_more = False
    venue.enter(Side.BUY, 1, 100)
    assert venue.tick() == []
    venue.client.can_take_more = True
    assert venue.tick() == ["35=X|262=a|268=1|279=0|269=0|55=BTC-USD|270=1.00|271=0.0001|346=1"]
    venue.client.can_take_more = False
    for _ in range(3):
        venue.enter(Side.SELL, 1, 100)
        venue.tick()
        venue.enter(Side.BUY, 2, 100)
        venue.tick()
    venue.client.can_take_more = True
    assert venue.skipped_count == 0
    trades = [
        f"279=0|269=2|278={number}|55=BTC-USD|270=1.00|271=0.0001|272=20261123|273=00:00:{time}.000"
        for number, time in enumerate((13, 15, 17), start=1)
    ]
    assert venue.tick() == [
        "35=W|262=a|55=BTC-USD|268=1|269=0|270=1.00|271=0.0004|346=2",
        "|".join(["35=X|262=a|268=3", *trades]),
    ]
    assert venue.skipped_count == 1
    assert venue.tick() == []


def test_trade_that_is_undone_while_a_client_does_not_read() -> None:
    """Where updates are wanted it is taken back, also one that was told before. Else not told."""
    venue = Venue()
    venue.enter(Side.BUY, 9, 100)
    venue.ask(f"262=a|263=1|264=1|265=1|267=1|269=2|{BTC}")
    venue.ask(f"262=b|263=1|264=1|265=0|267=1|269=2|{BTC}")
    first = venue.trade_at_100(1)
    venue.tick()
    venue.client.can_take_more = False
    second = venue.trade_at_100(2)
    venue.tick()
    third = venue.trade_at_100(3)
    for command in (
        BustTrade(first, "erroneous"),
        BustTrade(second, "erroneous"),
        CorrectTrade(third, Qty(3), Price(99), "wrong price"),
    ):
        venue.follow(venue.tape.commit(command))
    venue.tick()
    venue.client.can_take_more = True
    entries = [
        "279=0|269=2|278=2|55=BTC-USD|270=1.00|271=0.0002|272=20261123|273=00:00:14.000",
        "279=0|269=2|278=3|55=BTC-USD|270=1.00|271=0.0003|272=20261123|273=00:00:15.000",
        "279=2|269=2|278=1|55=BTC-USD|270=1.00|271=0.0001|272=20261123|273=00:00:16.000",
        "279=2|269=2|278=2|55=BTC-USD|270=1.00|271=0.0002|272=20261123|273=00:00:17.000",
        "279=1|269=2|278=3|55=BTC-USD|270=0.99|271=0.0003|272=20261123|273=00:00:18.000",
    ]
    assert venue.tick() == [
        "35=W|262=a|55=BTC-USD|268=0",
        "|".join(["35=X|262=a|268=5", *entries]),
        "35=W|262=b|55=BTC-USD|268=1|269=2|270=0.99|271=0.0003|272=20261123|273=00:00:18.000",
    ]
    assert venue.tick() == []


def test_client_that_has_lost_something_is_told_how_it_is() -> None:
    """A ResendRequest(2) brings no market data again, but a snapshot."""
    venue = Venue()
    venue.ask(f"262=a|263=1|264=1|265=1|{BOTH_AND_TRADES}|{BTC}")
    venue.door.start_over()
    assert venue.tick() == ["35=W|262=a|55=BTC-USD|268=0"]
    assert venue.tick() == []


def test_subscriptions_have_names_and_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is free again when its subscription has ended, or its client is gone."""
    monkeypatch.setattr(market_data_desk, "SUBSCRIPTIONS_MAX", 2)
    venue = Venue()

    def subscribe(name: str) -> str:
        (answer,) = venue.ask(f"262={name}|263=1|264=1|265=1|{BOTH_AND_TRADES}|{BTC}")
        return answer

    assert subscribe("a").startswith("35=W|262=a|")
    assert subscribe("a") == (
        "35=Y|262=a|281=1|58=DUPLICATE_MD_REQ_ID: a subscription of this session bears"
        " that MDReqID(262)"
    )
    assert subscribe("b").startswith("35=W|262=b|")
    assert subscribe("c") == (
        "35=Y|262=c|281=2|58=TOO_MANY_SUBSCRIPTIONS: a session may have those of 2 instruments"
    )
    assert venue.ask("262=a|263=2|264=0") == []
    assert subscribe("c").startswith("35=W|262=c|")
    venue.door.close()
    assert venue.desk.subscription_count == 0
    assert subscribe("a").startswith("35=W|262=a|")


def test_nothing_is_done_for_a_client_that_has_left() -> None:
    """Its request may be looked at after it has logged out."""
    venue = Venue()
    venue.client.is_logged_on = False
    assert venue.ask(f"262=a|263=1|264=1|265=1|{BOTH_AND_TRADES}|{BTC}") == []
    assert venue.desk.subscription_count == 0
