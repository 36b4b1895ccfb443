"""Stop orders: when they are triggered, what they hold, in which order they act."""

import pytest
from msgspec.structs import replace

from engine.commands import AdvanceTime, PullKillSwitch
from engine.events import (
    CancelRejected,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Trade,
)
from engine.exchange import Exchange
from engine.order import (
    OrderTerms,
    OrderView,
    OrdStatus,
    OrdType,
    SelfTradeMode,
    Side,
    TimeInForce,
    TriggerDirection,
)
from engine.reasons import CancelReason, RejectReason
from engine.report import make_report
from engine.scope import Scope
from engine.trading_state import TradingState
from engine.units import AccountId, Price, Qty, Seq
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    NS_PER_S,
    USD,
    WatchedDesk,
    new_order,
    view,
)

BUY, SELL = Side.BUY, Side.SELL
UP, DOWN = TriggerDirection.UP, TriggerDirection.DOWN
GTC = TimeInForce.GTC
PROTECTION_BPS = 500


@pytest.fixture
def desk() -> WatchedDesk:
    """A desk on which the last price is 100."""
    desk = WatchedDesk(market_protection_bps=PROTECTION_BPS)
    print_price(desk, 100)
    return desk


def print_price(desk: WatchedDesk, price: int, qty: int = 1) -> list[Event]:
    """Let something trade at a price where nobody else stands."""
    desk.sell(BOB, qty, price)
    return desk.buy(ALICE, qty, price)


def at(stop_price: int, trigger: TriggerDirection | None = None) -> OrderTerms:
    """Return the terms of a stop order."""
    return OrderTerms(stop_price=Price(stop_price), trigger=trigger)


def stop(
    desk: WatchedDesk,
    account_id: AccountId,
    side: Side,
    qty: int,
    stop_price: int,
    price: int | None = None,
    *,
    time: TimeInForce = GTC,
) -> list[Event]:
    """Enter a stop order, a stop-limit order when it has a price."""
    return desk.enter(account_id, side, qty, price, time, at(stop_price))


def triggered(events: list[Event]) -> list[str]:
    """Return the names of the orders that were triggered, in turn."""
    return [event.order.cl_ord_id for event in events if isinstance(event, OrderTriggered)]


def trades(events: list[Event]) -> list[tuple[int, int]]:
    """Return quantity and price of each match."""
    pairs = [event for event in events if isinstance(event, Trade) and event.is_resting]
    return [(event.qty, event.price) for event in pairs]


def stop_view(order_id: int, name: str, *, is_waiting: bool, **more: object) -> OrderView:
    """Return the view of ALICE's stop-limit order to buy 5 at 107 from 105 on."""
    order = view(order_id, ALICE, name, BUY, qty=5, price=107)
    return replace(order, ord_type=OrdType.STOP_LIMIT, terms=at(105), is_waiting=is_waiting, **more)


def test_whole_life_of_a_stop_limit_order(desk: WatchedDesk) -> None:
    """It waits outside of the book, is triggered by a trade, trades, and rests."""
    (accepted,) = stop(desk, ALICE, BUY, 5, 105, 107)
    order_id, name = desk.seq, "c3"
    assert accepted == OrderAccepted(stop_view(order_id, name, is_waiting=True))
    assert desk.balance(ALICE, USD)[1] == 5 * 107 * NOTIONAL_FACTOR
    book = desk.exchange._trading.books[BTC_USD]
    assert book.bids.depth(9) == []
    assert triggered(print_price(desk, 104)) == []
    desk.sell(BOB, 1, 105)
    desk.sell(BOB, 2, 106)
    events = desk.buy(ALICE, 1, 105)
    assert events[3] == OrderTriggered(stop_view(order_id, name, is_waiting=False), Price(105))
    assert [type(event) for event in events[4:]] == [Trade, Trade]
    trade = events[4]
    assert isinstance(trade, Trade)
    assert trade.order == stop_view(
        order_id,
        name,
        is_waiting=False,
        cum_qty=Qty(2),
        leaves_qty=Qty(3),
        cum_notional=2 * 106 * NOTIONAL_FACTOR,
        ord_status=OrdStatus.PARTIALLY_FILLED,
    )
    assert book.bids.depth(9) == [(107, 3, 1)]
    assert desk.balance(ALICE, USD)[1] == 3 * 107 * NOTIONAL_FACTOR


@pytest.mark.parametrize(
    ("side", "trigger", "stop_price", "last_price", "is_triggered"),
    [
        (BUY, None, 105, 104, False),
        (BUY, None, 105, 105, True),
        (BUY, None, 105, 106, True),
        (SELL, None, 95, 96, False),
        (SELL, None, 95, 95, True),
        (SELL, None, 95, 94, True),
        (BUY, DOWN, 95, 96, False),
        (BUY, DOWN, 95, 94, True),
        (SELL, UP, 105, 104, False),
        (SELL, UP, 105, 106, True),
    ],
)
def test_direction(
    desk: WatchedDesk,
    side: Side,
    trigger: TriggerDirection | None,
    stop_price: int,
    last_price: int,
    is_triggered: bool,
) -> None:
    """A buy waits for a rise and a sell for a fall, unless the order says otherwise."""
    desk.enter(ALICE, side, 5, stop_price, GTC, at(stop_price, trigger))
    assert bool(triggered(print_price(desk, last_price))) is is_triggered


@pytest.mark.parametrize("stop_price", [99, 100])
def test_reached_stop_price_triggers_at_once(desk: WatchedDesk, stop_price: int) -> None:
    """The last price counts at entry: the order does not wait for another trade."""
    events = stop(desk, ALICE, BUY, 5, stop_price, 103)
    assert [type(event) for event in events] == [OrderAccepted, OrderTriggered]
    assert desk.exchange._trading.books[BTC_USD].bids.depth(9) == [(103, 5, 1)]


def test_first_trade_triggers_where_nothing_had_traded() -> None:
    """Without a last price every stop order waits."""
    desk = WatchedDesk()
    (accepted,) = stop(desk, ALICE, SELL, 5, 200, 200)
    assert isinstance(accepted, OrderAccepted)
    assert triggered(print_price(desk, 100)) == ["c1"]


def test_stop_market_order_is_protected_from_its_stop_price(desk: WatchedDesk) -> None:
    """5 % of 200: it buys up to 210 and holds as much; the rest is cancelled."""
    stop(desk, ALICE, BUY, 10, 200)
    assert desk.balance(ALICE, USD)[1] == 10 * 210 * NOTIONAL_FACTOR
    desk.sell(BOB, 1, 200)
    desk.sell(BOB, 4, 210)
    desk.sell(BOB, 4, 211)
    events = desk.buy(ALICE, 1, 200)
    assert triggered(events) == ["c3"]
    assert trades(events) == [(1, 200), (4, 210)]
    canceled = events[-1]
    assert isinstance(canceled, OrderCanceled)
    assert (canceled.reason, canceled.canceled_qty) == (CancelReason.MARKET_PROTECTION, 6)
    assert desk.balance(ALICE, USD)[1] == 0


def test_stop_market_order_to_sell_holds_what_it_sells(desk: WatchedDesk) -> None:
    """Without a protection too: what it may cost is known."""
    desk = WatchedDesk()
    print_price(desk, 100)
    stop(desk, ALICE, SELL, 10, 90)
    assert desk.balance(ALICE, BTC)[1] == 10 * BASE_FACTOR
    desk.buy(BOB, 4, 1)
    desk.buy(BOB, 1, 90)
    events = desk.sell(ALICE, 1, 90)
    assert trades(events) == [(1, 90), (4, 1)]
    assert isinstance(events[-1], OrderCanceled)
    assert events[-1].reason is CancelReason.MARKET_REMAINDER
    assert desk.balance(ALICE, BTC)[1] == 0


def test_stop_orders_act_in_the_order_in_which_they_were_reached(desk: WatchedDesk) -> None:
    """By the price that was reached first, then by age; all before the next command."""
    stop(desk, ALICE, BUY, 1, 103, 103)
    stop(desk, ALICE, BUY, 1, 102, 102)
    stop(desk, BOB, BUY, 1, 103, 103)
    stop(desk, ALICE, BUY, 1, 102, 102)
    stop(desk, ALICE, BUY, 1, 104, 104)
    desk.sell(BOB, 1, 101)
    desk.sell(BOB, 1, 103)
    assert triggered(desk.buy(ALICE, 2, 103)) == ["c4", "c6", "c3", "c5"]


def test_stop_orders_trigger_others(desk: WatchedDesk) -> None:
    """Each trades before the next acts, and what it triggers goes behind those that wait."""
    stop(desk, ALICE, BUY, 1, 101, 102)
    stop(desk, ALICE, BUY, 1, 101, 101)
    stop(desk, ALICE, BUY, 1, 102, 103)
    desk.sell(BOB, 1, 101)
    desk.sell(BOB, 1, 102)
    desk.sell(BOB, 1, 103)
    events = desk.buy(ALICE, 1, 101)
    assert triggered(events) == ["c3", "c4", "c5"]
    assert trades(events) == [(1, 101), (1, 102), (1, 103)]


def test_long_cascade_goes_on_in_the_next_record(desk: WatchedDesk) -> None:
    """So many per record, none lost, the same after a restart; what waits may be cancelled."""
    desk.let_trigger(2)
    for _ in range(6):
        stop(desk, ALICE, BUY, 1, 101, 101)
    assert triggered(print_price(desk, 101)) == ["c3", "c4"]
    assert desk.exchange.next_timer_ns() == 0
    desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    desk.let_trigger(2)
    (refused,) = desk.amend(ALICE, "c6", "a1", 1, 102)
    assert isinstance(refused, CancelRejected)
    assert refused.reason is RejectReason.STOP_TRIGGERED
    (canceled,) = desk.cancel(ALICE, "c5", "x1")
    assert isinstance(canceled, OrderCanceled)
    assert triggered(desk.advance_to(desk.now_ns + 1)) == ["c6", "c7"]
    assert triggered(desk.buy(BOB, 1, 90)) == ["c8"]
    assert desk.exchange.next_timer_ns() is None


def test_halt_stops_a_cascade(desk: WatchedDesk) -> None:
    """It goes on when orders are matched again."""
    desk.let_trigger(1)
    for _ in range(2):
        stop(desk, ALICE, BUY, 1, 101, 101)
    assert triggered(print_price(desk, 101)) == ["c3"]
    desk.set_state(TradingState.HALTED)
    assert desk.exchange.next_timer_ns() is None
    assert desk.advance_to(desk.now_ns + 1) == []
    assert triggered(desk.set_state(TradingState.CONTINUOUS)) == ["c4"]


def test_stop_orders_wait_for_the_market_to_open(desk: WatchedDesk) -> None:
    """In PRE_OPEN they are taken and not triggered; after the opening the price counts."""
    desk.set_state(TradingState.PRE_OPEN)
    (accepted,) = stop(desk, ALICE, BUY, 1, 99, 99)
    assert isinstance(accepted, OrderAccepted)
    stop(desk, ALICE, BUY, 1, 103, 103)
    desk.buy(ALICE, 1, 103)
    desk.sell(BOB, 1, 103)
    assert triggered(desk.set_state(TradingState.CONTINUOUS)) == ["c3", "c4"]


@pytest.mark.parametrize(
    ("account_stop", "reason"),
    [
        ((BUY, None, None, GTC, OrdType.STOP), RejectReason.STOP_PRICE_REQUIRED),
        ((BUY, 101, None, GTC, OrdType.STOP_LIMIT), RejectReason.STOP_PRICE_REQUIRED),
        ((BUY, None, 101, GTC, OrdType.STOP_LIMIT), RejectReason.PRICE_REQUIRED),
        ((BUY, 101, 101, GTC, OrdType.STOP), RejectReason.PRICE_NOT_ALLOWED),
        ((BUY, 101, 101, GTC, OrdType.LIMIT), RejectReason.STOP_PRICE_NOT_ALLOWED),
        ((BUY, None, 101, GTC, OrdType.MARKET), RejectReason.STOP_PRICE_NOT_ALLOWED),
        ((BUY, 101, 0, GTC, OrdType.STOP_LIMIT), RejectReason.TICK_SIZE),
        ((BUY, 101, 101, TimeInForce.IOC, OrdType.STOP_LIMIT), RejectReason.STOP_CANNOT_WAIT),
        ((BUY, 101, 101, TimeInForce.FOK, OrdType.STOP_LIMIT), RejectReason.STOP_CANNOT_WAIT),
        ((BUY, None, 101, GTC, OrdType.STOP), RejectReason.STOP_NEEDS_PROTECTION),
        ((BUY, 10**10, 101, GTC, OrdType.STOP_LIMIT), RejectReason.INSUFFICIENT_BALANCE),
    ],
)
def test_what_is_no_stop_order_is_refused(
    account_stop: tuple[Side, int | None, int | None, TimeInForce, OrdType], reason: RejectReason
) -> None:
    """With a reason of its own."""
    side, price, stop_price, time, ord_type = account_stop
    desk = WatchedDesk()
    terms = None if stop_price is None else at(stop_price)
    order = new_order(ALICE, side, 10, price, time, cl_ord_id="s", terms=terms)
    (event,) = desk.apply(replace(order, ord_type=ord_type))
    assert isinstance(event, OrderRejected)
    assert event.reason is reason


def test_post_only_stop_is_refused(desk: WatchedDesk) -> None:
    """Nobody can promise that it will find the book as it must be."""
    terms = replace(at(105), is_post_only=True)
    (event,) = desk.buy(ALICE, 1, 105, GTC, terms)
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.POST_ONLY_CANNOT_REST


def test_amendment_of_a_waiting_stop(desk: WatchedDesk) -> None:
    """Less keeps the place among the stops of its price; another stop price may trigger it."""
    stop(desk, ALICE, BUY, 5, 105, 107)
    stop(desk, BOB, BUY, 5, 105, 105)
    (less,) = desk.amend(ALICE, "c3", "a1", 4, 107)
    assert isinstance(less, OrderReplaced)
    assert (less.keeps_priority, less.order.order_qty) == (True, 4)
    assert desk.balance(ALICE, USD)[1] == 4 * 107 * NOTIONAL_FACTOR
    (more,) = desk.amend(ALICE, "a1", "a2", 6, 107)
    assert isinstance(more, OrderReplaced)
    assert not more.keeps_priority
    assert triggered(print_price(desk, 105)) == ["c4", "a2"]
    stop(desk, ALICE, BUY, 1, 110, 90)
    events = desk.amend(ALICE, "c7", "a3", 1, 90, stop_price=104)
    assert [type(event) for event in events] == [OrderReplaced, OrderTriggered]
    assert isinstance(events[0], OrderReplaced)
    assert events[0].order.terms == at(104)


def test_amendment_of_a_triggered_stop(desk: WatchedDesk) -> None:
    """It is a limit order now; its stop price is history."""
    stop(desk, ALICE, BUY, 5, 100, 90)
    (refused,) = desk.amend(ALICE, "c3", "a1", 5, 90, stop_price=120)
    assert isinstance(refused, CancelRejected)
    assert refused.reason is RejectReason.STOP_TRIGGERED
    (replaced,) = desk.amend(ALICE, "c3", "a1", 6, 91, stop_price=100)
    assert isinstance(replaced, OrderReplaced)
    assert (replaced.order.price, replaced.order.is_waiting) == (91, False)


def test_waiting_stops_are_cancelled_and_expire_like_others(desk: WatchedDesk) -> None:
    """By request, by a kill switch, at the end of the day; a triggered one not a day later."""
    stop(desk, ALICE, BUY, 5, 105, 107)
    (canceled,) = desk.cancel(ALICE, "c3", "x1")
    assert isinstance(canceled, OrderCanceled)
    assert canceled.order.is_waiting
    stop(desk, ALICE, BUY, 5, 105, 107)
    events = desk.apply(PullKillSwitch(Scope.ACCOUNT, BOB, "trouble"))
    assert not any(isinstance(event, OrderCanceled) for event in events)
    events = desk.apply(PullKillSwitch(Scope.FIRM, ALICE, "trouble"))
    assert len([event for event in events if isinstance(event, OrderCanceled)]) == 1
    assert desk.balance(ALICE, USD)[1] == 0


def test_day_stop_expires_with_the_day_on_which_it_was_entered(desk: WatchedDesk) -> None:
    """Also when it was triggered in between."""
    ends_at_ns = (desk.now_ns // (24 * 3600 * NS_PER_S) + 1) * 24 * 3600 * NS_PER_S
    stop(desk, ALICE, BUY, 5, 105, 107, time=TimeInForce.DAY)
    stop(desk, BOB, SELL, 5, 95, 200, time=TimeInForce.DAY)
    assert triggered(print_price(desk, 105)) == ["c3"]
    assert desk.exchange.next_timer_ns() == ends_at_ns
    events = desk.advance_to(ends_at_ns)
    assert [type(event) for event in events] == [OrderExpired, OrderExpired]
    assert desk.exchange.open_order_count() == 0


def test_triggered_stop_expires_after_what_came_before_it_rested(desk: WatchedDesk) -> None:
    """As it did before a restart, which nobody shall see in the order of the reports."""
    stop(desk, ALICE, BUY, 5, 105, 107, time=TimeInForce.DAY)
    first = desk.seq
    desk.enter(ALICE, BUY, 1, 90, TimeInForce.DAY)
    second = desk.seq
    print_price(desk, 106)
    desk.enter(ALICE, BUY, 1, 91, TimeInForce.DAY)
    third = desk.seq
    restored = Exchange.restore(PreTradeGate(), desk.exchange.state())
    assert restored.state() == desk.exchange.state()
    at_ns = desk.exchange.next_timer_ns()
    assert at_ns is not None
    for exchange in (desk.exchange, restored):
        events = exchange.apply(Seq(third + 1), at_ns, AdvanceTime())
        assert [event.order.order_id for event in events if isinstance(event, OrderExpired)] == [
            second, first, third,
        ]  # fmt: skip


def test_triggered_stop_meets_its_own_owner(desk: WatchedDesk) -> None:
    """Its mode decides when it acts, as for an order that comes in."""
    terms = replace(at(105), self_trade=SelfTradeMode.CANCEL_AGGRESSOR)
    desk.buy(ALICE, 5, 107, GTC, terms)
    desk.sell(ALICE, 5, 106)
    events = print_price(desk, 105)
    canceled = events[-1]
    assert isinstance(canceled, OrderCanceled)
    assert (canceled.order.cl_ord_id, canceled.reason) == ("c3", CancelReason.SELF_TRADE)
    assert desk.balance(ALICE, USD)[1] == 0


def test_reports_of_a_stop_order(desk: WatchedDesk) -> None:
    """StopPx(99), where the price must go, WorkingIndicator(636), and ExecType(150) L."""
    (accepted,) = stop(desk, ALICE, BUY, 5, 105, 107)
    event = print_price(desk, 105)[-1]
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(event, OrderTriggered)
    first, second = (
        make_report(told, "1.1", desk.exchange.reference) for told in (accepted, event)
    )
    assert (first.exec_type, first.ord_type, first.stop_px) == ("0", "4", "1.05")
    assert (first.trigger_direction, first.working_indicator) == ("U", "N")
    assert (second.exec_type, second.ord_status, second.working_indicator) == ("L", "0", "Y")
