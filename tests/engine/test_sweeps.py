"""What goes when all orders of somebody go: those that nobody sees as well as those in the book."""

import pytest
from msgspec.structs import replace

from engine.commands import Command, NewOrder, PullKillSwitch
from engine.events import OrderCanceled, OrderTriggered
from engine.exchange import Exchange
from engine.order import OrderTerms, OrdType, Side
from engine.reasons import CancelReason
from engine.request_commands import MassCancel
from engine.scope import Scope
from engine.session_commands import LogOffSession, LogOnSession, OpenSession
from engine.units import AccountId, ClOrdId, Price, Qty, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, BTC, USD, WatchedDesk, session_order

SESSION = SessionId(7)
GRACE_NS = 1_000
NOBODY = (SessionId(0), 0, 0, 0, AccountId(0))

gone_in_every_way = pytest.mark.parametrize(
    ("command", "reason"),
    [
        (
            MassCancel(*NOBODY, ClOrdId(""), Scope.EVERYTHING, 0),
            CancelReason.CANCELED_BY_OPERATOR,
        ),
        (
            MassCancel(SESSION, 1, 1, 9, ALICE, ClOrdId("m1"), Scope.SESSION, SESSION),
            CancelReason.MASS_CANCELED,
        ),
        (PullKillSwitch(Scope.SESSION, SESSION, "trouble"), CancelReason.KILLED),
        (PullKillSwitch(Scope.FIRM, ALICE, "trouble"), CancelReason.KILLED),
        (LogOffSession(SESSION, 1, is_graceful=False), CancelReason.DISCONNECTED),
    ],
    ids=["operator", "mass cancel", "kill session", "kill firm", "disconnect"],
)


@pytest.fixture
def desk() -> WatchedDesk:
    """ALICE has a stop that waits, one that was reached but has not entered, and an iceberg."""
    desk = WatchedDesk()
    desk.apply(OpenSession(SESSION))
    desk.apply(LogOnSession(SESSION, 1, ALICE, Scope.SESSION, GRACE_NS, False, False))
    desk.let_trigger(0)
    for number, stop_price in ((1, 110), (2, 101)):
        desk.apply(order_of_alice(number, 120, ord_type=OrdType.STOP_LIMIT, stop_price=stop_price))
    desk.apply(order_of_alice(3, 90, display_qty=2))
    desk.sell(BOB, 1, 101)
    desk.buy(BOB, 1, 101)
    return desk


def order_of_alice(
    number: int,
    price: int,
    *,
    ord_type: OrdType = OrdType.LIMIT,
    stop_price: int | None = None,
    display_qty: int = 0,
) -> NewOrder:
    """Return an order to buy 5 over the session."""
    stop = None if stop_price is None else Price(stop_price)
    return replace(
        session_order(SESSION, 1, number),
        ord_type=ord_type,
        price=Price(price),
        order_qty=Qty(5),
        terms=OrderTerms(stop_price=stop, display_qty=Qty(display_qty)),
    )


@gone_in_every_way
@pytest.mark.parametrize("is_restored", [False, True])
def test_what_nobody_sees_goes_too(
    desk: WatchedDesk, command: Command, reason: CancelReason, is_restored: bool
) -> None:
    """Each once, the oldest first, with all that was held; nothing is triggered any more."""
    if is_restored:
        desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
        desk.let_trigger(0)
    events = desk.apply(command)
    events += desk.advance_to(desk.now_ns + GRACE_NS)
    canceled = [event for event in events if isinstance(event, OrderCanceled)]
    assert [
        (event.order.cl_ord_id, event.order.is_waiting, event.canceled_qty, event.reason)
        for event in canceled
    ] == [
        ("7-1", True, 5, reason),
        ("7-2", True, 5, reason),
        ("7-3", False, 5, reason),
    ]
    assert not any(isinstance(event, OrderTriggered) for event in events)
    assert desk.balance(ALICE, USD)[1] == 0
    assert desk.exchange.state().open_orders == []
    assert desk.exchange.next_timer_ns() is None
    desk.sell(BOB, 1, 110)
    assert len(desk.buy(BOB, 1, 110)) == 3, "an order and both sides of its trade"


def test_side_of_a_mass_cancel_counts_for_stops(desk: WatchedDesk) -> None:
    """A sell stop stays when the buys go, and still acts."""
    sell = replace(
        order_of_alice(4, 80, ord_type=OrdType.STOP_LIMIT, stop_price=95), side=Side.SELL
    )
    desk.apply(sell)
    desk.apply(MassCancel(*NOBODY, ClOrdId(""), Scope.EVERYTHING, 0, side=Side.BUY))
    (left,) = desk.exchange.state().open_orders
    assert (left.order.cl_ord_id, left.order.is_waiting) == ("7-4", True)
    assert desk.balance(ALICE, USD)[1] == 0
    assert desk.balance(ALICE, BTC)[1] == left.held
