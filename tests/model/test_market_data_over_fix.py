"""Market data over FIX against the exchange itself: what each client has rebuilt is its book."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.commands import Command
from engine.events import Event, ReferenceEvent, Trade
from engine.order import Side
from engine.reference import Reference
from engine.runtime.feed import find_trade
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import Price, Qty, TradeId
from fix_gateway.fix.dialect import find_dialect
from fix_gateway.fix.fields import SOH, parse_message
from fix_gateway.fix.framing import build_frame
from fix_gateway.fix.market_data_desk import MarketDataDesk
from fix_gateway.market_data.books import Books
from fix_gateway.tools.market_data.fix_book import BID, OFFER, FixBook
from tests.legal_messages import check_message
from tests.market_tape import MarketTape
from tests.model.test_market_data import (
    STEPS_MAX,
    STEPS_MIN,
    amends,
    as_numbers,
    bids,
    cancels,
    command_of,
    enters,
    offers,
    stops,
)

SIDES = {Side.BUY: BID, Side.SELL: OFFER}
HEADER = {"FIX.4.2": "20261123-09:30:00.125", "FIX.4.4": "20261123-09:30:00.125"}
# Of each client: version, MarketDepth(264), MDUpdateType(265), and which sides it wants.
CLIENTS = [
    ("FIX.4.4", 10, 1, (Side.BUY, Side.SELL)),
    ("FIX.4.2", 1, 1, (Side.BUY, Side.SELL)),
    ("FIXT.1.1", 0, 1, (Side.BUY, Side.SELL)),
    ("FIX.4.4", 10, 0, (Side.BUY, Side.SELL)),
    ("FIX.4.4", 10, 1, (Side.SELL,)),
]
undone = st.tuples(st.just("bust"), st.integers(0, 9)) | st.tuples(
    st.just("correct"), st.integers(0, 9), st.integers(96, 104)
)
steps = st.lists(
    st.tuples(
        bids | offers | enters | cancels | amends | stops | undone,
        st.sets(st.integers(0, len(CLIENTS) - 1)),  # Who does not read now.
        st.sampled_from(["tick", "tick", "wait", "start over"]),
    ),
    min_size=STEPS_MIN,
    max_size=STEPS_MAX,
)


class Client:
    """A subscriber with the book that it rebuilds."""

    def __init__(
        self, begin_string: str, depth: int, update_type: int, sides: tuple[Side, ...]
    ) -> None:
        self.begin_string = begin_string
        self.depth = depth
        self.sides = sides
        self.is_incremental = update_type == 1
        self.is_logged_on = self.can_take_more = True
        self.book = FixBook()
        self.types: list[str] = []
        wanted = "".join(f"269={SIDES[side]}{SOH}" for side in sides)
        self.request = SOH.join(
            [
                "35=V", "262=md", "263=1", f"264={depth}", f"265={update_type}",
                f"267={len(sides) + 1}", f"{wanted}269=2", "146=1", "55=BTC-USD", "",
            ]
        )  # fmt: skip

    def send(self, body: str) -> None:
        time = HEADER.get(self.begin_string, "20261123-09:30:00.125250")
        head, _, rest = body.partition(SOH)
        frame = f"{head}{SOH}34=7{SOH}49=WCX{SOH}52={time}{SOH}56=MD1{SOH}{rest}"
        check_message(build_frame(self.begin_string, frame.encode()).decode())
        self.types.append(head.removeprefix("35="))
        self.book.take(body)

    def compare(self, tape: MarketTape) -> None:
        for side in self.sides:
            truth = tape.levels(side)
            shown = as_numbers(self.book.side("BTC-USD", SIDES[side]))
            assert shown == (truth if self.depth == 0 else truth[: self.depth])


class Stage:
    """An exchange, the desk, and clients that have subscribed."""

    def __init__(self) -> None:
        self.tape = MarketTape()
        self.reference = Reference()
        self.books = Books(self.reference)
        self.skipped: list[None] = []
        self.booked: list[BookedTrade] = []
        self.trades: dict[TradeId, tuple[Price, Qty]] = {}
        self.desk = MarketDataDesk(self.books, self.reference, lambda: self.skipped.append(None))
        self.follow(0)
        self.clients = [Client(*each) for each in CLIENTS]
        for client in self.clients:
            dialect = find_dialect(client.begin_string)
            fields = parse_message(client.request)
            self.desk.take_request(client, fields, client.request, dialect)
            client.compare(self.tape)

    def act(self, step: tuple[Any, ...], number: int) -> None:
        """Let something happen, and the desk hear of it."""
        before = len(self.tape.records)
        command = self.undo(step) or command_of(self.tape, step, number)
        if command is not None:
            self.tape.commit(command)
        self.follow(before)

    def undo(self, step: tuple[Any, ...]) -> Command | None:
        """Return what takes one of the last trades back or corrects it, if the step does that."""
        if step[0] not in ("bust", "correct") or step[1] >= len(self.booked):
            return None
        trade = self.booked[-1 - step[1]]
        if step[0] == "bust":
            return BustTrade(trade, "mistake", is_forced=True)
        return CorrectTrade(trade, trade.qty, Price(step[2]), "mistake", is_forced=True)

    def note_trade(self, event: Event) -> None:
        """Keep what the trades are by now."""
        if isinstance(event, Trade | TradeCorrected):
            self.trades[event.trade_id] = (event.price, event.qty)
        elif isinstance(event, TradeBusted):
            self.trades.pop(event.trade_id, None)

    def follow(self, before: int) -> None:
        for record in self.tape.records[before:]:
            events = record.events()
            for event in events:
                if isinstance(event, ReferenceEvent):
                    self.reference.learn(event)
                self.note_trade(event)
            traded = dict.fromkeys(event.trade_id for event in events if isinstance(event, Trade))
            found = [find_trade(record, trade_id) for trade_id in traded]
            self.booked += [trade for trade in found if trade is not None]
            self.books.apply(record.seq, record.now_ns, events)

    def tick(self) -> None:
        self.desk.tick()
        for client in self.clients:
            if client.can_take_more:
                client.compare(self.tape)


@given(steps)
def test_book_that_a_client_has_rebuilt_is_the_exchanges_own(script: list[Any]) -> None:
    """Whoever reads has the book as of the tick, whatever it has missed; every message is legal.

    And whoever is told of updates has every trade once, as it is by now.
    """
    stage = Stage()
    for number, (step, stalled, fate) in enumerate(script):
        stage.act(step, number)
        for place, client in enumerate(stage.clients):
            client.can_take_more = place not in stalled
        if fate == "start over":
            stage.desk.start_over(stage.clients[0])
        if fate != "wait":
            stage.tick()
    for client in stage.clients:
        client.can_take_more = True
    stage.tick()
    truth = sorted(
        (str(trade_id), f"{price / 100:.2f}", f"{qty / 10_000:.4f}")
        for trade_id, (price, qty) in stage.trades.items()
    )
    for client in stage.clients:
        if client.is_incremental:
            assert sorted(map(tuple, client.book.trades)) == truth
        else:  # What a snapshot has told stays told.
            told = Counter((trade.price, trade.qty) for trade in client.book.trades)
            assert Counter((price, qty) for _, price, qty in truth) <= told
