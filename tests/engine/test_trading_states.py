"""Trading states: what each takes, how a market opens, and how it goes on by itself."""

import pytest
from msgspec.structs import replace

from engine.commands import DefineInstrument, PullKillSwitch, SetTradingState
from engine.events import (
    CancelRejected,
    CommandRefused,
    Event,
    InstrumentDefined,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    Trade,
    TradingStateChanged,
)
from engine.order import OrderTerms, OrdStatus, SelfTradeMode, Side, TimeInForce
from engine.phases import EXCHANGE, TIME_HAS_COME, UNCROSSED
from engine.reasons import RejectReason
from engine.report import make_report
from engine.scope import Scope
from engine.trading_state import TradingState
from engine.uncrossing import Uncrossing
from engine.units import InstrumentId, Money, Price, Qty, TradeId
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    BTC_USD_DEFINITION,
    NOTIONAL_FACTOR,
    NS_PER_S,
    USD,
    Desk,
    WatchedDesk,
    view,
)

BUY, SELL = Side.BUY, Side.SELL
PRE_OPEN = TradingState.PRE_OPEN
OPENING = TradingState.OPENING
CONTINUOUS = TradingState.CONTINUOUS
HALTED = TradingState.HALTED
CANCEL_ONLY = TradingState.CANCEL_ONLY
POST_ONLY = TradingState.POST_ONLY
CLOSED = TradingState.CLOSED
POST_ONLY_TERMS = OrderTerms(is_post_only=True)
GTC = TimeInForce.GTC


@pytest.fixture
def desk() -> Desk:
    return WatchedDesk()


def changed(
    old_state: TradingState,
    state: TradingState,
    *,
    reason: str = "a test",
    actor: str = "somebody",
    ends_at_ns: int = 0,
    price: int | None = None,
    volume: int = 0,
) -> TradingStateChanged:
    """Return the event that tells of a change."""
    return TradingStateChanged(
        BTC_USD,
        old_state,
        state,
        reason,
        actor,
        ends_at_ns,
        None if price is None else Price(price),
        Qty(volume),
    )


def uncrossed(state: TradingState = CONTINUOUS, *, ends_at_ns: int = 0) -> TradingStateChanged:
    """Return the event that ends an opening."""
    return changed(OPENING, state, reason=UNCROSSED, actor=EXCHANGE, ends_at_ns=ends_at_ns)


def reason_of(events: list[Event]) -> RejectReason | None:
    """Return why the one thing asked for was refused, None when it was done."""
    event = events[0]
    return event.reason if isinstance(event, OrderRejected | CancelRejected) else None


NOT_WHILE_COLLECTING = RejectReason.NOT_WHILE_COLLECTING
MARKET_POST_ONLY = RejectReason.MARKET_POST_ONLY
ENTRIES = {  # What comes of a limit order, a post-only one, an IOC and a market order.
    CONTINUOUS: (None, None, None, None),
    PRE_OPEN: (None, *[NOT_WHILE_COLLECTING] * 3),
    POST_ONLY: (MARKET_POST_ONLY, None, MARKET_POST_ONLY, MARKET_POST_ONLY),
    HALTED: (RejectReason.MARKET_HALTED,) * 4,
    CANCEL_ONLY: (RejectReason.MARKET_CANCEL_ONLY,) * 4,
    CLOSED: (RejectReason.MARKET_CLOSED,) * 4,
}


@pytest.mark.parametrize("state", ENTRIES)
def test_each_state_takes_what_it_takes(desk: Desk, state: TradingState) -> None:
    """Orders and amendments by state, with the state's own reason; cancels are always taken."""
    desk.buy(ALICE, 5, 90)
    desk.sell(BOB, 5, 110)
    desk.set_state(state)
    assert (
        reason_of(desk.buy(ALICE, 1, 91)),
        reason_of(desk.buy(ALICE, 1, 92, GTC, POST_ONLY_TERMS)),
        reason_of(desk.buy(ALICE, 1, 93, TimeInForce.IOC)),
        reason_of(desk.buy(ALICE, 1, None)),
    ) == ENTRIES[state]
    takes_amendments = state in (CONTINUOUS, PRE_OPEN, POST_ONLY)
    assert reason_of(desk.amend(ALICE, "c1", "a1", 6, 91)) == (
        None if takes_amendments else ENTRIES[state][0]
    )
    name = "a1" if takes_amendments else "c1"
    (canceled,) = desk.cancel(ALICE, name, "x1")
    assert isinstance(canceled, OrderCanceled)


def test_nothing_is_matched_while_orders_are_collected(desk: Desk) -> None:
    """New orders and amendments that cross stand in the book, with what they hold."""
    assert desk.set_state(PRE_OPEN) == [changed(CONTINUOUS, PRE_OPEN)]
    desk.buy(ALICE, 10, 105)
    desk.sell(BOB, 4, 95)
    desk.sell(BOB, 4, 110)
    (replaced,) = desk.amend(BOB, "c3", "a1", 8, 100)
    assert isinstance(replaced, OrderReplaced)
    book = desk.exchange._trading.books[BTC_USD]
    assert book.bids.depth(9) == [(105, 10, 1)]
    assert book.asks.depth(9) == [(95, 4, 1), (100, 8, 1)]
    assert desk.balance(ALICE, USD)[1] == 10 * 105 * NOTIONAL_FACTOR
    assert desk.balance(BOB, BTC)[1] == 12 * BASE_FACTOR


def test_market_opens_at_one_price(desk: Desk) -> None:
    """The whole of an opening: both orders of a match rested, the price is the same for all."""
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 10, 105)
    desk.sell(BOB, 4, 95)
    desk.sell(BOB, 4, 103)
    first = desk.seq - 2
    dollars, coins = desk.balance(BOB, USD)[0], desk.balance(ALICE, BTC)[0]

    def trade(side: Side, trade_id: int, order_id: int, name: str, done: int) -> Trade:
        is_buy = side is BUY
        return Trade(
            order=view(
                order_id,
                ALICE if is_buy else BOB,
                name,
                side,
                qty=10 if is_buy else 4,
                price={"c1": 105, "c2": 95, "c3": 103}[name],
                cum_qty=done,
                cum_notional=done * 104 * NOTIONAL_FACTOR,
                ord_status=OrdStatus.PARTIALLY_FILLED if is_buy else OrdStatus.FILLED,
            ),
            trade_id=TradeId(trade_id),
            qty=Qty(4),
            price=Price(104),
            notional=Money(4 * 104 * NOTIONAL_FACTOR),
            base_amount=Money(4 * BASE_FACTOR),
            base_asset_id=BTC,
            quote_asset_id=USD,
            is_resting=True,
            is_uncrossing=True,
        )

    assert desk.set_state(CONTINUOUS, reference_price=104) == [
        changed(PRE_OPEN, OPENING, price=104, volume=8),
        trade(BUY, 1, first, "c1", 4),
        trade(SELL, 1, first + 1, "c2", 4),
        trade(BUY, 2, first, "c1", 8),
        trade(SELL, 2, first + 2, "c3", 4),
        uncrossed(),
    ]
    # The buyer who bid 105 holds for what is left at that price, and has paid 104.
    assert desk.balance(ALICE, USD)[1] == 2 * 105 * NOTIONAL_FACTOR
    assert desk.balance(BOB, USD)[0] == dollars + 8 * 104 * NOTIONAL_FACTOR
    assert desk.balance(ALICE, BTC)[0] == coins + 8 * BASE_FACTOR


@pytest.mark.parametrize(
    ("bids", "asks", "reference", "expected"),
    [
        # The greatest volume.
        ([(10, 105), (10, 103)], [(20, 102)], None, Uncrossing(Price(103), Qty(20), 0)),
        ([(5, 105), (10, 103)], [(5, 102), (9, 103)], 105, Uncrossing(Price(103), Qty(14), 1)),
        # Then the smallest imbalance: 100 leaves 5 bids over, 102 leaves none.
        ([(10, 102), (5, 100)], [(10, 100)], 100, Uncrossing(Price(101), Qty(10), 0)),
        # Also between two prices that have orders: 100 would leave 5 bids, 104 would leave 5 asks.
        (
            [(10, 104), (5, 100)],
            [(10, 100), (5, 104)],
            None,
            Uncrossing(Price(102), Qty(10), 0),
        ),
        # Then the least distance from the reference price, which may lie outside.
        ([(10, 105)], [(10, 95)], 97, Uncrossing(Price(97), Qty(10), 0)),
        ([(10, 105)], [(10, 95)], 120, Uncrossing(Price(105), Qty(10), 0)),
        ([(10, 105)], [(10, 95)], 80, Uncrossing(Price(95), Qty(10), 0)),
        # Without one the middle of the best bid and ask.
        ([(10, 105)], [(10, 94)], None, Uncrossing(Price(99), Qty(10), 0)),
        # Nothing crosses.
        ([(10, 100)], [(10, 101)], None, None),
    ],
)
def test_opening_price(
    desk: Desk,
    bids: list[tuple[int, int]],
    asks: list[tuple[int, int]],
    reference: int | None,
    expected: Uncrossing | None,
) -> None:
    """Volume, imbalance, distance from the reference price, in this order."""
    desk.set_state(PRE_OPEN, reference_price=reference)
    for qty, price in bids:
        desk.buy(ALICE, qty, price)
    for qty, price in asks:
        desk.sell(BOB, qty, price)
    assert desk.exchange._trading.indicate(BTC_USD) == expected


def test_last_price_is_the_reference(desk: Desk) -> None:
    """Unless an operator has named one, which holds for one opening."""
    desk.sell(BOB, 1, 98)
    desk.buy(ALICE, 1, 98)
    for reference, price in ((None, 98), (102, 102), (None, 102)):
        desk.set_state(PRE_OPEN, reference_price=reference)
        desk.buy(ALICE, 1, 105)
        desk.sell(BOB, 1, 95)
        assert desk.set_state(CONTINUOUS)[0] == changed(PRE_OPEN, OPENING, price=price, volume=1)


def test_resume_goes_through_an_uncrossing(desk: Desk) -> None:
    """From a halt too, in which nothing can have come to cross."""
    desk.buy(ALICE, 5, 90)
    assert desk.set_state(HALTED) == [changed(CONTINUOUS, HALTED)]
    assert desk.set_state(CONTINUOUS) == [changed(HALTED, OPENING), uncrossed()]


def test_crossed_book_opens_into_post_only(desk: Desk) -> None:
    """Post-only orders must find nobody to trade with, so the book is uncrossed first."""
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 5, 100)
    desk.sell(BOB, 7, 100)
    events = desk.set_state(POST_ONLY)
    assert [type(event) for event in events] == [
        TradingStateChanged, Trade, Trade, TradingStateChanged,
    ]  # fmt: skip
    assert events[-1] == uncrossed(POST_ONLY)
    assert reason_of(desk.buy(ALICE, 1, 100, GTC, POST_ONLY_TERMS)) is (
        RejectReason.POST_ONLY_WOULD_TRADE
    )
    assert desk.set_state(CONTINUOUS) == [changed(POST_ONLY, CONTINUOUS)]


def test_amendment_does_not_trade_in_post_only(desk: Desk) -> None:
    """Not even one of an order that is not post-only."""
    desk.buy(ALICE, 5, 90)
    desk.sell(BOB, 5, 100)
    desk.set_state(POST_ONLY)
    before = desk.exchange.state()
    (refused,) = desk.amend(ALICE, "c1", "a1", 5, 100)
    assert isinstance(refused, CancelRejected)
    assert refused.reason is RejectReason.POST_ONLY_WOULD_TRADE
    assert desk.exchange.state() == before


def test_crossed_book_may_be_halted_and_collected_again(desk: Desk) -> None:
    """What was collected stays in the book until it is cancelled or the market opens."""
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 5, 100)
    desk.sell(BOB, 7, 99)
    for state in (HALTED, CLOSED, CANCEL_ONLY, PRE_OPEN):
        desk.set_state(state)
    assert desk.exchange.open_order_count() == 2
    assert len(desk.set_state(CONTINUOUS)) == 4


def test_orders_of_one_owner_trade_in_an_uncrossing(desk: Desk) -> None:
    """Nobody comes in, so there is no order whose mode could decide."""
    terms = OrderTerms(self_trade=SelfTradeMode.CANCEL_BOTH)
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 5, 100, GTC, terms)
    desk.sell(ALICE, 5, 100, GTC, terms)
    desk.amend(ALICE, "c2", "a1", 5, 99)
    events = desk.set_state(CONTINUOUS)
    assert [event.qty for event in events if isinstance(event, Trade)] == [5, 5]


def test_halt_ends_by_itself(desk: Desk) -> None:
    """At its time, through an uncrossing."""
    ends_at_ns = desk.now_ns + 300 * NS_PER_S
    assert desk.set_state(HALTED, ends_at_ns=ends_at_ns) == [
        changed(CONTINUOUS, HALTED, ends_at_ns=ends_at_ns)
    ]
    assert desk.exchange.next_timer_ns() == ends_at_ns
    assert desk.advance_to(ends_at_ns - 1) == []
    assert desk.advance_to(ends_at_ns) == [
        changed(HALTED, OPENING, reason=TIME_HAS_COME, actor=EXCHANGE),
        uncrossed(),
    ]
    assert desk.exchange.next_timer_ns() is None


def test_halt_is_followed_by_collecting(desk: Desk) -> None:
    """For all of the time that was wished, even when the halt ended late."""
    ends_at_ns = desk.now_ns + 300 * NS_PER_S
    collects_ns = 60 * NS_PER_S
    desk.set_state(HALTED, ends_at_ns=ends_at_ns, collects_ns=collects_ns)
    late_ns = ends_at_ns + 3600 * NS_PER_S
    opens_at_ns = late_ns + collects_ns
    assert desk.advance_to(late_ns) == [
        changed(HALTED, PRE_OPEN, ends_at_ns=opens_at_ns, reason=TIME_HAS_COME, actor=EXCHANGE)
    ]
    desk.buy(ALICE, 5, 101)
    desk.sell(BOB, 5, 101)
    assert desk.exchange.next_timer_ns() == opens_at_ns
    events = desk.advance_to(opens_at_ns)
    assert events[0] == changed(
        PRE_OPEN, OPENING, price=101, volume=5, reason=TIME_HAS_COME, actor=EXCHANGE
    )
    assert events[-1] == uncrossed()


def test_operator_goes_before_the_time(desk: Desk) -> None:
    """A later command replaces what was planned."""
    ends_at_ns = desk.now_ns + 300 * NS_PER_S
    desk.set_state(HALTED, ends_at_ns=ends_at_ns)
    assert desk.set_state(HALTED) == [changed(HALTED, HALTED)]
    assert desk.exchange.next_timer_ns() is None


def test_large_opening_goes_on_in_the_next_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many matches per record; in between nothing but cancels is taken."""
    monkeypatch.setattr("engine.phases.UNCROSSED_MAX", 2)
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 4, 100)
    for _ in range(4):
        desk.sell(BOB, 1, 100)
    events = desk.set_state(CONTINUOUS)
    assert events[0] == changed(PRE_OPEN, OPENING, price=100, volume=4)
    assert [type(event) for event in events[1:]] == [Trade] * 4
    assert desk.exchange.next_timer_ns() == 0
    assert reason_of(desk.buy(ALICE, 1, 90)) is RejectReason.MARKET_OPENING
    assert reason_of(desk.amend(ALICE, "c1", "a1", 5, 100)) is RejectReason.MARKET_OPENING
    (canceled,) = desk.cancel(BOB, "c4", "x1")
    assert isinstance(canceled, OrderCanceled)
    rest = desk.advance_to(desk.now_ns + 1)
    assert [type(event) for event in rest] == [Trade, Trade, TradingStateChanged]
    assert rest[-1] == uncrossed()
    assert desk.exchange.next_timer_ns() is None


def test_price_is_found_anew_when_a_cancel_has_spoilt_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No book is left crossed because an order has gone while it was uncrossed."""
    monkeypatch.setattr("engine.phases.UNCROSSED_MAX", 1)
    desk.set_state(PRE_OPEN, reference_price=104)
    for price in (105, 104, 102):
        desk.buy(ALICE, 1, price)
    for price in (95, 100):
        desk.sell(BOB, 1, price)
    events = desk.set_state(CONTINUOUS)
    assert events[0] == changed(PRE_OPEN, OPENING, price=104, volume=2)
    desk.cancel(ALICE, "c2", "x1")
    rest = desk.advance_to(desk.now_ns + 1)
    assert rest[0] == changed(
        OPENING,
        OPENING,
        reason="orders have left while the market opened",
        actor="exchange",
        price=102,
        volume=1,
    )
    assert [event.price for event in rest if isinstance(event, Trade)] == [102, 102]
    assert desk.advance_to(desk.now_ns + 1) == [uncrossed()]


def test_opening_may_be_stopped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has traded has traded; the rest waits for the next opening."""
    monkeypatch.setattr("engine.phases.UNCROSSED_MAX", 1)
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 2, 100)
    desk.sell(BOB, 1, 100)
    desk.sell(BOB, 1, 100)
    desk.set_state(CONTINUOUS)
    assert desk.set_state(HALTED) == [changed(OPENING, HALTED)]
    assert desk.exchange.next_timer_ns() is None
    assert desk.exchange.open_order_count() == 2


def test_kill_switch_reaches_collected_orders(desk: Desk) -> None:
    """In a market that takes nothing, too."""
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 5, 100)
    desk.sell(BOB, 7, 99)
    desk.set_state(HALTED)
    events = desk.apply(PullKillSwitch(Scope.EVERYTHING, 0, "trouble"))
    assert len([event for event in events if isinstance(event, OrderCanceled)]) == 2


def test_day_orders_expire_in_a_closed_market(desk: Desk) -> None:
    """Time passes in every state."""
    desk.buy(ALICE, 5, 100, TimeInForce.DAY)
    desk.set_state(CLOSED)
    (expired,) = desk.advance_to(desk.now_ns + 24 * 3600 * NS_PER_S)
    assert isinstance(expired, OrderExpired)


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (
            SetTradingState(InstrumentId(9), HALTED, ""),
            CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=9),
        ),
        (
            SetTradingState(BTC_USD, OPENING, ""),
            CommandRefused(RejectReason.STATE_NOT_SETTABLE, actual=2),
        ),
        (
            SetTradingState(BTC_USD, HALTED, "", collects_ns=1),
            CommandRefused(RejectReason.AMOUNT_INVALID, actual=1),
        ),
        (
            SetTradingState(BTC_USD, PRE_OPEN, "", reference_price=Price(0)),
            CommandRefused(RejectReason.TICK_SIZE, limit=1, actual=0),
        ),
    ],
)
def test_wrong_command_is_refused(
    desk: Desk, command: SetTradingState, refused: CommandRefused
) -> None:
    """Nothing has changed then."""
    before = desk.exchange.state()
    assert desk.apply(command) == [refused]
    assert desk.exchange.state() == before


@pytest.mark.parametrize(("state", "ahead_ns"), [(CONTINUOUS, 10), (HALTED, 0), (HALTED, -5)])
def test_state_ends_in_the_future_or_never(desk: Desk, state: TradingState, ahead_ns: int) -> None:
    """And continuous trading ends by a command alone."""
    ends_at_ns = desk.now_ns + 1 + ahead_ns
    assert desk.set_state(state, ends_at_ns=ends_at_ns) == [
        CommandRefused(RejectReason.AMOUNT_INVALID, limit=desk.now_ns, actual=ends_at_ns)
    ]


def test_instrument_begins_as_it_is_defined(desk: Desk) -> None:
    """In any state but OPENING."""

    def define(instrument_id: int, state: TradingState) -> list[Event]:
        definition = replace(
            BTC_USD_DEFINITION,
            instrument_id=InstrumentId(instrument_id),
            symbol=f"I{instrument_id}",
            initial_state=state,
        )
        return desk.apply(DefineInstrument(definition))

    (defined,) = define(2, PRE_OPEN)
    assert isinstance(defined, InstrumentDefined)
    assert define(3, OPENING) == [CommandRefused(RejectReason.STATE_NOT_SETTABLE, actual=2)]
    assert [market.state for market in desk.exchange.state().markets] == [CONTINUOUS, PRE_OPEN]


def test_opening_is_told_as_an_auction(desk: Desk) -> None:
    """Nobody has added or removed liquidity: LastLiquidityInd(851) is 4."""
    desk.set_state(PRE_OPEN)
    desk.buy(ALICE, 1, 100)
    desk.sell(BOB, 1, 100)
    for event in desk.set_state(CONTINUOUS)[1:3]:
        assert isinstance(event, Trade)
        report = make_report(event, "1.1", desk.exchange.reference)
        assert (report.last_liquidity_ind, report.exec_type) == ("4", "F")
