"""Post-only, minimum quantity, GTD, protection: what is let in, what trades, when it ends."""

import pytest

from engine.events import (
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    Trade,
)
from engine.order import OrderTerms, Side, TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.units import Money, Qty
from tests.exchange_desk import ALICE, BOB, BTC, NOTIONAL_FACTOR, NS_PER_S, START_NS, USD, Desk

POST_ONLY = OrderTerms(is_post_only=True)
DAY_NS = 24 * 3600 * NS_PER_S


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("price", "time", "reason"),
    [
        (99, TimeInForce.GTC, None),
        (100, TimeInForce.GTC, RejectReason.POST_ONLY_WOULD_TRADE),
        (101, TimeInForce.DAY, RejectReason.POST_ONLY_WOULD_TRADE),
        (99, TimeInForce.IOC, RejectReason.POST_ONLY_CANNOT_REST),
        (99, TimeInForce.FOK, RejectReason.POST_ONLY_CANNOT_REST),
        (None, TimeInForce.GTC, RejectReason.POST_ONLY_CANNOT_REST),
    ],
)
def test_post_only_order_rests_or_is_refused(
    desk: Desk, price: int | None, time: TimeInForce, reason: RejectReason | None
) -> None:
    """It never takes, not even from its own owner's order."""
    desk.sell(ALICE, 5, 100)
    (event,) = desk.buy(ALICE, 5, price, time, POST_ONLY)
    if reason is None:
        assert isinstance(event, OrderAccepted)
        assert event.order.terms == POST_ONLY
    else:
        assert isinstance(event, OrderRejected)
        assert event.reason is reason
        assert desk.balance(ALICE, USD)[1] == 0


def test_post_only_order_is_not_amended_into_a_trade(desk: Desk) -> None:
    """The amendment is refused and the order stands as it did."""
    desk.buy(ALICE, 5, 99, TimeInForce.GTC, POST_ONLY)
    desk.sell(BOB, 5, 101)
    before = desk.exchange.state()
    (refused,) = desk.amend(ALICE, "c1", "a1", 5, 101)
    assert isinstance(refused, CancelRejected)
    assert refused.reason is RejectReason.POST_ONLY_WOULD_TRADE
    assert desk.exchange.state() == before
    assert isinstance(desk.amend(ALICE, "c1", "a1", 5, 100)[0], OrderReplaced)


@pytest.mark.parametrize(
    ("min_qty", "price", "traded"), [(5, 100, 5), (6, 100, 0), (9, 101, 9), (10, 101, 0)]
)
def test_minimum_quantity_trades_at_once_or_nothing_does(
    desk: Desk, min_qty: int, price: int, traded: int
) -> None:
    """What the limit price reaches counts; the rest is cancelled as of any IOC order."""
    desk.sell(BOB, 5, 100)
    desk.sell(BOB, 4, 101)
    terms = OrderTerms(min_qty=Qty(min_qty))
    events = desk.buy(ALICE, 10, price, TimeInForce.IOC, terms)
    trades = [event for event in events if isinstance(event, Trade) and event.is_resting]
    assert sum(event.qty for event in trades) == traded
    last = events[-1]
    assert isinstance(last, OrderCanceled)
    assert last.reason is (
        CancelReason.IOC_REMAINDER if traded else CancelReason.MIN_QTY_CANNOT_FILL
    )
    assert desk.balance(ALICE, USD)[1] == 0


@pytest.mark.parametrize(
    ("min_qty", "time"),
    [(11, TimeInForce.IOC), (-1, TimeInForce.IOC), (5, TimeInForce.GTC), (5, TimeInForce.FOK)],
)
def test_minimum_quantity_must_make_sense(desk: Desk, min_qty: int, time: TimeInForce) -> None:
    """It goes with IOC alone: a FOK order has one already, a resting order trades bit by bit."""
    (event,) = desk.buy(ALICE, 10, 100, time, OrderTerms(min_qty=Qty(min_qty)))
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.MIN_QTY_INVALID


def test_gtd_order_ends_at_its_time(desk: Desk) -> None:
    """Not at the end of the day, and with an amendment no later."""
    ends_at_ns = START_NS + 2 * DAY_NS + 5
    desk.buy(ALICE, 10, 100, TimeInForce.GTD, OrderTerms(expires_at_ns=ends_at_ns))
    assert desk.advance_to(START_NS + DAY_NS) == []
    desk.amend(ALICE, "c1", "a1", 12, 101)
    assert desk.advance_to(ends_at_ns - 1) == []
    (event,) = desk.advance_to(ends_at_ns)
    assert isinstance(event, OrderExpired)
    assert desk.balance(ALICE, USD)[1] == 0


@pytest.mark.parametrize(
    ("time", "ends_at_ns"),
    [
        (TimeInForce.GTD, 0),
        (TimeInForce.GTD, START_NS),
        (TimeInForce.GTC, START_NS + DAY_NS),
        (TimeInForce.IOC, START_NS + DAY_NS),
    ],
)
def test_end_belongs_to_gtd_and_lies_ahead(desk: Desk, time: TimeInForce, ends_at_ns: int) -> None:
    """Anything else is a contradiction, and refused."""
    (event,) = desk.buy(ALICE, 10, 100, time, OrderTerms(expires_at_ns=ends_at_ns))
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.EXPIRE_TIME_INVALID


@pytest.mark.parametrize(
    ("side", "prices", "traded", "reason"),
    [
        (Side.BUY, [100, 102, 103], 2, CancelReason.MARKET_PROTECTION),
        (Side.BUY, [100, 102], 2, CancelReason.MARKET_REMAINDER),
        (Side.BUY, [149, 151, 152], 2, CancelReason.MARKET_PROTECTION),
        (Side.SELL, [100, 98, 97], 2, CancelReason.MARKET_PROTECTION),
        (Side.SELL, [149, 147, 146], 2, CancelReason.MARKET_PROTECTION),
        (Side.SELL, [1], 1, CancelReason.MARKET_REMAINDER),
        (Side.BUY, [], 0, CancelReason.MARKET_REMAINDER),
    ],
)
def test_market_order_goes_no_further_than_the_instrument_allows(
    side: Side, prices: list[int], traded: int, reason: CancelReason
) -> None:
    """2 % from the best price that it finds, rounded towards that: the rest is cancelled."""
    desk = Desk(market_protection_bps=200)
    other = Side.SELL if side is Side.BUY else Side.BUY
    for price in prices:
        desk.enter(BOB, other, 1, price)
    events = desk.enter(ALICE, side, 10, None, TimeInForce.IOC)
    assert sum(isinstance(event, Trade) for event in events) == 2 * traded
    last = events[-1]
    assert isinstance(last, OrderCanceled)
    assert last.reason is reason


def test_protection_counts_for_funds_and_fok() -> None:
    """A market buy needs money for what it may reach alone; FOK is counted within it too."""
    desk = Desk({USD: Money(201 * NOTIONAL_FACTOR), BTC: Money(10**9)}, market_protection_bps=100)
    desk.sell(BOB, 1, 100)
    desk.sell(BOB, 1, 101)
    desk.sell(BOB, 1, 102)
    killed = desk.buy(ALICE, 3, None, TimeInForce.FOK)[-1]
    assert isinstance(killed, OrderCanceled)
    assert killed.reason is CancelReason.FOK_CANNOT_FILL
    assert sum(isinstance(event, Trade) for event in desk.buy(ALICE, 3, None)) == 4
    assert desk.balance(ALICE, USD) == (0, 0)
