"""Market data against the exchange itself: the books that are told are its own."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.commands import CancelOrder, Command, LiftKillSwitch, PullKillSwitch, ReplaceOrder
from engine.order import OrderTerms, Side, TimeInForce
from engine.scope import Scope
from engine.units import AccountId, ClOrdId, Price, Qty, SessionId
from fix_gateway.market_data.conflation import ConflatedDepth
from fix_gateway.market_data.market import Market, SavedMarket
from fix_gateway.tools.market_data.book_builder import BookBuilder, Chain
from tests.exchange_desk import ALICE, BOB, BTC_USD
from tests.market_tape import MarketTape

LEVELS_MAX = 1000


def resting(account_id: AccountId, side: Side) -> st.SearchStrategy[tuple[Any, ...]]:
    """Orders that rest or trade, nothing else; most meet one of the other side soon."""
    return st.tuples(
        st.just("enter"),
        st.just(account_id),
        st.just(side),
        st.integers(1, 9),
        st.integers(98, 102),
        st.just(TimeInForce.GTC),
        st.none(),
    )


accounts = st.sampled_from([ALICE, BOB])
bids, offers = resting(ALICE, Side.BUY), resting(BOB, Side.SELL)
enters = st.tuples(
    st.just("enter"),
    accounts,
    st.sampled_from(Side),
    st.integers(1, 9),
    st.none() | st.integers(96, 104),
    st.sampled_from([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY]),
    st.sampled_from([None, OrderTerms(is_post_only=True), OrderTerms(min_qty=Qty(3))]),
)
cancels = st.tuples(st.just("cancel"), accounts, st.integers(1, 20))
amends = st.tuples(
    st.just("amend"), accounts, st.integers(1, 20), st.integers(1, 12), st.integers(96, 104)
)
stops = st.tuples(st.sampled_from(["resume", "resume", "resume", "halt"]))
fates = st.sampled_from(["told", "told", "told", "missed", "told twice", "snapshot", "restart"])
# Hypothesis makes short lists where it may, and in a short one hardly anything is traded.
STEPS_MIN, STEPS_MAX = 20, 50
steps = st.lists(
    st.tuples(bids | offers | enters | cancels | amends | stops, fates),
    min_size=STEPS_MIN,
    max_size=STEPS_MAX,
)


def command_of(tape: MarketTape, step: tuple[Any, ...], number: int) -> Command | None:
    """Return the command that a step stands for, None for an order, which the tape enters."""
    session: dict[str, Any] = {
        "session_id": SessionId(0), "generation": 0, "epoch": 0, "msg_seq_num": 0
    }  # fmt: skip
    match step:
        case ("cancel", account_id, which):
            return CancelOrder(
                **session,
                account_id=account_id,
                cl_ord_id=ClOrdId(f"x{number}"),
                orig_cl_ord_id=ClOrdId(f"c{which}"),
            )
        case ("amend", account_id, which, qty, price):
            return ReplaceOrder(
                **session,
                account_id=account_id,
                cl_ord_id=ClOrdId(f"a{number}"),
                orig_cl_ord_id=ClOrdId(f"c{which}"),
                order_qty=Qty(qty),
                price=Price(price),
            )
        case ("halt",):
            return PullKillSwitch(Scope.EVERYTHING, 0, "drill", "test")
        case ("resume",):
            return LiftKillSwitch(Scope.EVERYTHING, 0, "drill", "another")
        case ("enter", account_id, side, qty, price, time_in_force, terms):
            tape.enter(AccountId(account_id), side, qty, price, time_in_force, terms)
    return None


def as_numbers(levels: list[tuple[str, str, int]]) -> list[tuple[int, int, int]]:
    """Return published levels in the exchange's own scale."""
    return [
        (int(price.replace(".", "")), int(qty.replace(".", "")), count)
        for price, qty, count in levels
    ]


class Stage:
    """An exchange, the publisher's view of it, and a consumer of what is published."""

    def __init__(self) -> None:
        self.tape = MarketTape()
        self.market = Market("s1")
        self.depth = ConflatedDepth(20)
        self.book = BookBuilder()
        self.trades = Chain()
        self.market.apply(self.tape.records)
        self.truth: dict[int, dict[Side, list[tuple[int, int, int]]]] = {}
        self.note_truth()
        self.show_snapshot()

    def note_truth(self) -> None:
        self.truth[self.market.seq] = {side: self.tape.levels(side) for side in Side}

    def act(self, step: tuple[Any, ...], number: int) -> None:
        """Let something happen, and the publisher see it."""
        before = len(self.tape.records)
        command = command_of(self.tape, step, number)
        if command is not None:
            self.tape.commit(command)
        for record in self.tape.records[before:]:
            changes = self.market.apply([record])
            self.depth.note(changes.levels)
            for message in changes.messages:
                if message.topic.endswith("/trades"):
                    self.trades.take(json.loads(message.payload))
        self.note_truth()

    def publish(self, now_s: float, times: int) -> None:
        """Tell what has changed, so many times."""
        for change in self.depth.take(now_s, self.market.seq):
            update = self.market.update(
                change.instrument_id,
                change.levels,
                prev_seq=change.prev_seq,
                name=self.depth.name,
            )
            for _ in range(times):
                self.book.take_update(json.loads(update.payload))

    def restart(self) -> None:
        """Go on from what was written down."""
        saved = msgspec.msgpack.encode(self.market.save())
        self.market = Market.restore(msgspec.msgpack.decode(saved, type=SavedMarket))

    def show_snapshot(self) -> None:
        self.depth.start_from(self.market.instruments(), self.market.seq)
        self.book.take_snapshot(json.loads(self.market.snapshot(BTC_USD, LEVELS_MAX).payload))
        assert self.book.is_current
        assert self.book.seq == self.market.seq

    def compare(self) -> None:
        if self.book.is_current:
            assert {
                Side.BUY: as_numbers(self.book.levels("bids")),
                Side.SELL: as_numbers(self.book.levels("asks")),
            } == self.truth[self.book.seq]


@given(steps)
def test_book_that_was_rebuilt_is_the_exchanges_own(script: list[tuple[Any, str]]) -> None:
    """Updates may be missed or come twice, the publisher may go on from what it wrote down.

    Whenever the consumer says that its book is current, it is what the exchange had after the
    record that it names. After a snapshot it is current.
    """
    stage = Stage()
    for number, (step, fate) in enumerate(script):
        stage.act(step, number)
        stage.publish(float(number), {"missed": 0, "told twice": 2}.get(fate, 1))
        if fate == "restart":
            stage.restart()
        if fate in {"snapshot", "restart"}:
            stage.show_snapshot()
        stage.compare()
    assert stage.trades.gap_count == 0
    assert stage.trades.entry_count == stage.tape.sequencer.exchange.state().trade_id_last
