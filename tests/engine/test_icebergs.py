"""Icebergs: what is shown, what trades when, what an amendment does to it."""

import pytest

from engine.events import (
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    Trade,
)
from engine.order import OrderTerms, SelfTradeMode, Side, TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.report import make_report
from engine.trading_state import TradingState
from engine.units import Price, Qty
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    WatchedDesk,
)

BUY, SELL = Side.BUY, Side.SELL
GTC = TimeInForce.GTC


@pytest.fixture
def desk() -> WatchedDesk:
    return WatchedDesk()


def shows(display_qty: int) -> OrderTerms:
    """Return the terms of an iceberg."""
    return OrderTerms(display_qty=Qty(display_qty))


def depth(desk: WatchedDesk, side: Side) -> list[tuple[int, int, int]]:
    """Return price, quantity and orders of each level, as the world sees it."""
    lines = desk.depth.depth(BTC_USD, side, 9)
    return [(line.price, line.qty, line.order_count) for line in lines]


def resting_fills(events: list[object]) -> list[tuple[str, int, int]]:
    """Return whose order in the book was filled, with how much, and what it shows then."""
    return [
        (event.order.cl_ord_id, event.qty, event.order.shown_qty)
        for event in events
        if isinstance(event, Trade) and event.is_resting
    ]


def test_an_iceberg_shows_more_behind_the_others(desk: WatchedDesk) -> None:
    """What it shows trades in its place; the event of the fill says what it shows next."""
    (accepted,) = desk.sell(ALICE, 10, 100, GTC, shows(4))
    assert isinstance(accepted, OrderAccepted)
    assert (accepted.order.leaves_qty, accepted.order.hidden_qty) == (10, 6)
    assert desk.balance(ALICE, BTC)[1] == 10 * BASE_FACTOR
    desk.sell(BOB, 5, 100)
    assert depth(desk, SELL) == [(100, 9, 2)]
    assert resting_fills([*desk.buy(BOB, 3, 100)]) == [("c1", 3, 1)]
    assert depth(desk, SELL) == [(100, 6, 2)]
    assert resting_fills([*desk.buy(BOB, 2, 100)]) == [("c1", 1, 4), ("c2", 1, 4)]
    assert depth(desk, SELL) == [(100, 8, 2)]
    assert resting_fills([*desk.buy(BOB, 11, 100)]) == [("c2", 4, 0), ("c1", 4, 2), ("c1", 2, 0)]
    assert depth(desk, SELL) == []
    assert depth(desk, BUY) == [(100, 1, 1)]


def test_what_is_left_of_an_aggressor_shows_its_part(desk: WatchedDesk) -> None:
    """It trades with all of itself when it comes in."""
    desk.sell(BOB, 7, 100)
    events = desk.buy(ALICE, 10, 100, GTC, shows(2))
    trade = events[1]
    assert isinstance(trade, Trade)
    assert (trade.qty, trade.order.leaves_qty, trade.order.shown_qty) == (7, 3, 2)
    assert depth(desk, BUY) == [(100, 2, 1)]


@pytest.mark.parametrize(("qty", "is_filled"), [(10, True), (11, False)])
def test_fok_reaches_what_is_hidden(desk: WatchedDesk, qty: int, is_filled: bool) -> None:
    """Whoever wants all at once need not see it."""
    desk.sell(BOB, 10, 100, GTC, shows(1))
    events = desk.buy(ALICE, qty, 100, TimeInForce.FOK)
    assert isinstance(events[-1], Trade if is_filled else OrderCanceled)


def test_fok_counts_an_own_order_between_two_parts(desk: WatchedDesk) -> None:
    """The iceberg's second part stands behind it, so it is met first."""
    guarded = OrderTerms(self_trade=SelfTradeMode.CANCEL_AGGRESSOR)
    desk.sell(BOB, 10, 100, GTC, shows(4))
    desk.sell(ALICE, 1, 100)
    (_, canceled) = desk.buy(ALICE, 5, 100, TimeInForce.FOK, guarded)
    assert isinstance(canceled, OrderCanceled)
    events = desk.buy(ALICE, 4, 100, TimeInForce.FOK, guarded)
    assert resting_fills([*events]) == [("c1", 4, 4)]


def test_decrement_takes_from_what_is_shown(desk: WatchedDesk) -> None:
    """As the trade would have."""
    guarded = OrderTerms(self_trade=SelfTradeMode.DECREMENT)
    desk.sell(ALICE, 10, 100, GTC, shows(4))
    desk.sell(BOB, 1, 100)
    events = desk.buy(ALICE, 5, 100, GTC, guarded)
    assert resting_fills([*events]) == [("c2", 1, 0)]
    assert depth(desk, SELL) == [(100, 4, 1)]
    assert desk.balance(ALICE, BTC)[1] == 6 * BASE_FACTOR


def test_amendments(desk: WatchedDesk) -> None:
    """Less takes from what is hidden and keeps the place; another part shown does not."""
    desk.sell(ALICE, 10, 100, GTC, shows(4))
    desk.sell(BOB, 5, 100)
    kept: list[tuple[bool, int, int]] = []
    names = ["c1", "a1", "a2", "a3", "a4", "a5"]
    for qty, display_qty in ((6, None), (3, None), (9, None), (8, 3), (8, 0)):
        old, new = names[len(kept) : len(kept) + 2]
        (event,) = desk.amend(ALICE, old, new, qty, 100, display_qty=display_qty)
        assert isinstance(event, OrderReplaced)
        kept.append((event.keeps_priority, event.order.shown_qty, event.order.hidden_qty))
    assert kept == [
        (True, 4, 2),
        (True, 3, 0),
        (False, 4, 5),
        (False, 3, 5),
        (False, 8, 0),
    ]
    assert depth(desk, SELL) == [(100, 13, 2)]


def test_hidden_quantity_counts_in_an_opening(desk: WatchedDesk) -> None:
    """For the price and the volume; what is shown trades first."""
    desk.set_state(TradingState.PRE_OPEN)
    desk.sell(ALICE, 10, 100, GTC, shows(4))
    desk.sell(ALICE, 2, 100)
    desk.buy(BOB, 12, 100, GTC, shows(5))
    found = desk.exchange._trading.indicate(BTC_USD)
    assert found is not None
    assert (found.price, found.volume) == (100, 12)
    events = desk.set_state(TradingState.CONTINUOUS)
    sells = [
        (event.order.cl_ord_id, event.qty)
        for event in events
        if isinstance(event, Trade) and event.order.side is SELL
    ]
    assert sells == [("c1", 4), ("c2", 1), ("c2", 1), ("c1", 4), ("c1", 2)]
    assert (depth(desk, BUY), depth(desk, SELL)) == ([], [])


def test_a_stop_limit_order_may_be_an_iceberg(desk: WatchedDesk) -> None:
    """It shows nothing while it waits, and its part once it stands."""
    desk.buy(ALICE, 1, 100)
    desk.sell(BOB, 1, 100)
    terms = OrderTerms(stop_price=Price(100), display_qty=Qty(2))
    desk.buy(ALICE, 10, 101, GTC, terms)
    assert depth(desk, BUY) == [(101, 2, 1)]


@pytest.mark.parametrize(
    ("qty", "price", "time", "display_qty"),
    [
        (10, None, GTC, 2),
        (10, 100, TimeInForce.IOC, 2),
        (10, 100, TimeInForce.FOK, 2),
        (10, 100, GTC, -1),
        (1000, 100, GTC, 9),
        (1001, 100, GTC, 10),
    ],
)
def test_what_is_no_iceberg_is_refused(
    desk: WatchedDesk, qty: int, price: int | None, time: TimeInForce, display_qty: int
) -> None:
    """It may rest, and has at most a hundred parts."""
    (event,) = desk.buy(ALICE, qty, price, time, shows(display_qty))
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.DISPLAY_QTY_INVALID


def test_report_says_what_is_shown(desk: WatchedDesk) -> None:
    """DisplayQty(1138) of the moment."""
    desk.sell(ALICE, 10, 100, GTC, shows(4))
    trade = desk.buy(BOB, 9, 100)[-1]
    assert isinstance(trade, Trade)
    report = make_report(trade, "1.1", desk.exchange.reference)
    assert (report.leaves_qty, report.display_qty) == ("0.0001", "0.0001")


def test_iceberg_amended_into_the_market_trades_with_all_of_itself(desk: WatchedDesk) -> None:
    """What is left shows its part at the new price, behind the others; the total counts fills."""
    desk.sell(ALICE, 10, 100, GTC, shows(4))
    desk.buy(BOB, 3, 100)
    desk.buy(BOB, 2, 99)
    desk.sell(BOB, 1, 101)
    events = desk.amend(ALICE, "c1", "a1", 12, 99)
    assert isinstance(events[0], OrderReplaced)
    assert (events[0].order.leaves_qty, events[0].order.shown_qty) == (9, 4)
    assert resting_fills([*events]) == [("c3", 2, 0)]
    assert depth(desk, SELL) == [(99, 4, 1), (101, 1, 1)]
    assert desk.balance(ALICE, BTC)[1] == 7 * BASE_FACTOR


def test_iceberg_amended_to_what_is_filled_ends(desk: WatchedDesk) -> None:
    """With what is hidden: nothing of it is open or held."""
    desk.sell(ALICE, 10, 100, GTC, shows(4))
    desk.buy(BOB, 5, 100)  # More than it showed at first.
    (canceled,) = desk.amend(ALICE, "c1", "a1", 5, 100)
    assert isinstance(canceled, OrderCanceled)
    assert (canceled.reason, canceled.canceled_qty) == (CancelReason.AMENDED_TO_FILLED, 5)
    assert (canceled.order.leaves_qty, canceled.order.hidden_qty) == (0, 0)
    assert depth(desk, SELL) == []
    assert desk.balance(ALICE, BTC)[1] == 0


def test_refused_amendment_of_an_iceberg_changes_nothing(desk: WatchedDesk) -> None:
    """Neither what it shows nor its place."""
    desk.sell(ALICE, 10, 100, GTC, shows(4))
    desk.sell(BOB, 4, 100)
    before = desk.exchange.state()
    (refused,) = desk.amend(ALICE, "c1", "a1", 1000, 100, display_qty=4)
    assert isinstance(refused, CancelRejected)
    assert refused.reason is RejectReason.DISPLAY_QTY_INVALID
    assert desk.exchange.state() == before
