"""Amending orders: what they may become, who stands where then, and what a refusal leaves alone."""

import msgspec
import pytest

from engine.commands import RefuseRequest, ReplaceOrder, SetStorageLow
from engine.events import (
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderReplaced,
    OrderStatusReported,
    Trade,
    recipients,
)
from engine.order import (
    OrderTerms,
    OrdStatus,
    OrdType,
    SelfTradeMode,
    Side,
    TimeInForce,
    TriggerDirection,
)
from engine.order_memory import CLOSED_AGE_MAX_NS
from engine.reasons import CancelReason, RejectReason
from engine.units import ClOrdId, OrderId, Price, Qty, SessionId
from tests.exchange_desk import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    NS_PER_S,
    USD,
    Desk,
    new_order,
    view,
)

BUY = Side.BUY
FIRST = 12  # The seq of the first command after the desk has been set up.
DAY_NS = 24 * 3600 * NS_PER_S


@pytest.fixture
def desk() -> Desk:
    return Desk()


def bids(desk: Desk) -> list[str]:
    """Return the names of the orders on the bid, in the order in which they would trade."""
    return [
        item.order.cl_ord_id for item in desk.exchange.state().open_orders if item.order.side is BUY
    ]


@pytest.mark.parametrize("is_replace", [True, False])
def test_refusal_of_the_door_says_how_the_order_stands(desk: Desk, is_replace: bool) -> None:
    """As it is, in the door's words; of an order that is not known it says nothing, once."""
    desk.buy(ALICE, 10, 100)
    request = RefuseRequest(
        session_id=SessionId(0),
        generation=0,
        epoch=0,
        msg_seq_num=0,
        account_id=ALICE,
        cl_ord_id=ClOrdId("b"),
        orig_cl_ord_id=ClOrdId("c1"),
        order_id=OrderId(0),
        instrument_id=BTC_USD,
        side=BUY,
        is_replace=is_replace,
        reason=RejectReason.TICK_SIZE,
        text="TICK_SIZE: words",
    )
    refused = CancelRejected(
        session_id=SessionId(0),
        account_id=ALICE,
        cl_ord_id=ClOrdId("b"),
        orig_cl_ord_id=ClOrdId("c1"),
        reason=RejectReason.TICK_SIZE,
        order=desk.exchange.state().open_orders[0].order,
        is_replace=is_replace,
        text="TICK_SIZE: words",
    )
    assert desk.apply(request) == [refused]
    for other in ({"account_id": BOB}, {"side": Side.SELL}, {"orig_cl_ord_id": ClOrdId("x")}):
        assert desk.apply(msgspec.structs.replace(request, **other)) == [
            msgspec.structs.replace(
                refused, order=None, **{key: other[key] for key in other if key != "side"}
            )
        ]
    assert bids(desk) == ["c1"]


@pytest.mark.parametrize(
    ("qty", "price", "keeps_priority"),
    [(9, 100, True), (1, 100, True), (10, 100, False), (11, 100, False), (9, 99, False)],
)
def test_only_a_smaller_quantity_keeps_the_place(
    desk: Desk, qty: int, price: int, keeps_priority: bool
) -> None:
    """All else goes behind the others of the price, the same order once more included."""
    desk.buy(ALICE, 10, 100)
    desk.buy(BOB, 10, 100)
    (event,) = desk.amend(ALICE, "c1", "a1", qty, price)
    assert event == OrderReplaced(
        view(FIRST, ALICE, "a1", BUY, qty=qty, price=price),
        ClOrdId("c1"),
        SessionId(0),
        keeps_priority,
        orig_order_qty=Qty(10),
        orig_price=Price(100),
    )
    assert bids(desk) == (["a1", "c2"] if keeps_priority else ["c2", "a1"])
    assert desk.balance(ALICE, USD)[1] == qty * price * NOTIONAL_FACTOR


def test_quantity_is_the_total_with_what_is_filled(desk: Desk) -> None:
    """A fill that crosses the request on its way is counted: never more trades than was wanted."""
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 4, 100)
    (event,) = desk.amend(ALICE, "c1", "a1", 6, 100)
    assert isinstance(event, OrderReplaced)
    assert (event.order.order_qty, event.order.cum_qty, event.order.leaves_qty) == (6, 4, 2)
    assert event.order.ord_status is OrdStatus.PARTIALLY_FILLED
    assert desk.balance(ALICE, USD)[1] == 2 * 100 * NOTIONAL_FACTOR


@pytest.mark.parametrize("qty", [4, 3, 1])
def test_quantity_that_is_filled_already_ends_the_order(desk: Desk, qty: int) -> None:
    """What was wanted has traded: the rest is cancelled, and nothing stays held."""
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 4, 100)
    assert desk.amend(ALICE, "c1", "a1", qty, 120) == [
        OrderCanceled(
            view(
                FIRST, ALICE, "c1", BUY, qty=10, price=100, cum_qty=4, cum_notional=40_000,
                leaves_qty=0, ord_status=OrdStatus.CANCELED,
            ),
            CancelReason.AMENDED_TO_FILLED,
            Qty(6),
            ClOrdId("a1"),
        )
    ]  # fmt: skip
    assert desk.balance(ALICE, USD)[1] == 0


def test_amended_order_may_trade_at_once(desk: Desk) -> None:
    """It is told first that it was amended, then trades; the rest stands at the new price."""
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 4, 110)
    events = desk.amend(ALICE, "c1", "a1", 12, 115)
    assert [type(event) for event in events] == [OrderReplaced, Trade, Trade]
    trade = events[1]
    assert isinstance(trade, Trade)
    assert (trade.price, trade.qty, trade.is_resting) == (110, 4, False)
    assert trade.order.cl_ord_id == "a1"
    assert desk.balance(ALICE, USD)[1] == 8 * 115 * NOTIONAL_FACTOR
    assert bids(desk) == ["a1"]


def test_amended_order_may_be_filled_at_once(desk: Desk) -> None:
    """It ends as any other that is filled: known, not open, nothing held, no end at midnight."""
    desk.buy(ALICE, 10, 100, TimeInForce.DAY)
    desk.sell(BOB, 10, 110)
    last = desk.amend(ALICE, "c1", "a1", 10, 110)[-1]
    assert isinstance(last, Trade)
    assert desk.balance(ALICE, USD)[1] == 0
    assert desk.exchange.next_timer_ns() is None
    (event,) = desk.amend(ALICE, "a1", "a2", 20, 100)
    assert isinstance(event, CancelRejected)
    assert event.reason is RejectReason.TOO_LATE_TO_CANCEL


def test_names_form_a_chain(desk: Desk) -> None:
    """An amendment names the order as it is called now; a cancel may use any name it has had."""
    desk.buy(ALICE, 10, 100)
    desk.amend(ALICE, "c1", "a1", 9, 100)
    desk.amend(ALICE, "a1", "a2", 8, 100)
    (late,) = desk.amend(ALICE, "a1", "a3", 7, 100)
    assert isinstance(late, CancelRejected)
    assert late.reason is RejectReason.ORIG_CLORDID_REPLACED
    (taken,) = desk.apply(new_order(ALICE, BUY, 1, 100, cl_ord_id="c1", is_poss_resend=True))
    assert isinstance(taken, OrderStatusReported)
    assert taken.order.cl_ord_id == "a2"
    (by_id,) = desk.amend(ALICE, "", "a4", 7, 100, order_id=FIRST)
    assert isinstance(by_id, OrderReplaced)
    assert (by_id.orig_cl_ord_id, by_id.order.order_id) == ("a2", OrderId(FIRST))
    (canceled,) = desk.cancel(ALICE, "c1", "x1")
    assert isinstance(canceled, OrderCanceled)
    assert canceled.order.cl_ord_id == "a4"


def test_former_name_is_free_after_a_day(desk: Desk) -> None:
    """It is forgotten on its own while the order lives on, and may then name it again."""
    desk.buy(ALICE, 10, 100)
    desk.amend(ALICE, "c1", "a1", 9, 100)
    desk.now_ns += CLOSED_AGE_MAX_NS
    desk.amend(ALICE, "a1", "a2", 8, 100)
    (event,) = desk.amend(ALICE, "a2", "c1", 7, 100)
    assert isinstance(event, OrderReplaced)
    desk.cancel(ALICE, "c1", "x1")
    desk.now_ns += CLOSED_AGE_MAX_NS
    desk.buy(ALICE, 1, 100)
    desk.cancel(ALICE, "c2", "x2")
    assert not desk.knows(ALICE, "c1")
    assert desk.exchange.state().former_names == []


def test_repeated_amendment_is_answered_with_the_state(desk: Desk) -> None:
    """A second one of the same name does nothing twice."""
    desk.buy(ALICE, 10, 100)
    desk.amend(ALICE, "c1", "a1", 9, 100)
    (event,) = desk.amend(ALICE, "c1", "a1", 9, 100, is_poss_resend=True)
    assert event == OrderStatusReported(
        view(FIRST, ALICE, "a1", BUY, qty=9, price=100), SessionId(0)
    )
    (refused,) = desk.amend(ALICE, "c1", "a1", 9, 100)
    assert isinstance(refused, CancelRejected)
    assert refused.reason is RejectReason.DUPLICATE_CLORDID


@pytest.mark.parametrize(
    ("qty", "price", "reason"),
    [
        (0, 100, RejectReason.ORDER_QTY_INVALID),
        (-1, 100, RejectReason.ORDER_QTY_INVALID),
        (2**70, 100, RejectReason.ORDER_QTY_INVALID),
        (10, None, RejectReason.PRICE_REQUIRED),
        (10, 0, RejectReason.TICK_SIZE),
        (2**40, 2**20, RejectReason.ORDER_QTY_INVALID),
        (2**60, 1, RejectReason.ORDER_QTY_INVALID),
        (100_000_001, 100, RejectReason.INSUFFICIENT_BALANCE),
    ],
)
def test_refused_amendment_leaves_the_order_as_it_was(
    desk: Desk, qty: int, price: int | None, reason: RejectReason
) -> None:
    """Everything is checked before anything changes: place, hold and name stay."""
    desk.buy(ALICE, 10, 100)
    desk.buy(BOB, 10, 100)
    before = desk.exchange.state()
    (event,) = desk.amend(ALICE, "c1", "a1", qty, price)
    assert isinstance(event, CancelRejected)
    assert (event.reason, event.is_replace) == (reason, True)
    assert event.order == view(FIRST, ALICE, "c1", BUY, qty=10, price=100)
    assert desk.exchange.state() == before


def test_order_may_use_what_it_holds_and_the_last_unit_besides() -> None:
    """Funds are what is free and what the order holds itself; one unit more is refused."""
    desk = Desk({USD: 1000 * NOTIONAL_FACTOR, BTC: 0})  # type: ignore[dict-item]
    desk.buy(ALICE, 5, 100)
    (refused,) = desk.amend(ALICE, "c1", "a1", 7, 143)
    assert isinstance(refused, CancelRejected)
    assert (refused.limit, refused.actual) == (1000 * NOTIONAL_FACTOR, 1001 * NOTIONAL_FACTOR)
    (event,) = desk.amend(ALICE, "c1", "a1", 10, 100)
    assert isinstance(event, OrderReplaced)
    assert desk.balance(ALICE, USD) == (1000 * NOTIONAL_FACTOR, 1000 * NOTIONAL_FACTOR)


def test_amendments_are_refused_while_storage_is_low(desk: Desk) -> None:
    """They come without end, as new orders do; cancels are taken."""
    desk.buy(ALICE, 10, 100)
    desk.apply(SetStorageLow(is_low=True))
    (event,) = desk.amend(ALICE, "c1", "a1", 9, 100)
    assert isinstance(event, CancelRejected)
    assert event.reason is RejectReason.STORAGE_LOW


def test_time_in_force_cannot_change(desk: Desk) -> None:
    """The order's own may be said again, any other is refused."""
    desk.buy(ALICE, 10, 100)
    for time, kind in ((TimeInForce.DAY, CancelRejected), (TimeInForce.GTC, OrderReplaced)):
        command = ReplaceOrder(
            SessionId(0), 0, 0, 0, ALICE, ClOrdId("a1"), ClOrdId("c1"), Qty(9), Price(100),
            time_in_force=time,
        )  # fmt: skip
        (event,) = desk.apply(command)
        assert isinstance(event, kind)


def test_orders_of_others_cannot_be_amended(desk: Desk) -> None:
    """They are unknown, by either name."""
    desk.buy(ALICE, 10, 100)
    for name, order_id in (("c1", 0), ("", FIRST), ("c1", FIRST)):
        (event,) = desk.amend(BOB, name, "a1", 9, 100, order_id=order_id)
        assert isinstance(event, CancelRejected)
        assert (event.reason, event.order) == (RejectReason.UNKNOWN_ORDER, None)


def test_amended_day_order_still_ends_with_its_day(desk: Desk) -> None:
    """An amendment at the last moment does not give it another day."""
    desk.buy(ALICE, 10, 100, TimeInForce.DAY)
    ends_at_ns = desk.exchange.next_timer_ns()
    assert ends_at_ns is not None
    desk.now_ns = ends_at_ns + 5
    desk.amend(ALICE, "c1", "a1", 10, 101)
    assert desk.exchange.next_timer_ns() == ends_at_ns
    assert len(desk.advance_to(ends_at_ns + 10)) == 1


def test_owner_and_whoever_asked_are_told() -> None:
    """The session of the order and the session of the request, each once."""
    desk = Desk()
    (accepted,) = desk.buy(ALICE, 10, 100)
    assert isinstance(accepted, OrderAccepted)
    event = OrderReplaced(accepted.order, ClOrdId("c1"), SessionId(7), keeps_priority=True)
    assert recipients(event) == (7,)


@pytest.mark.parametrize(
    ("changes", "is_taken"),
    [
        ({"ord_type": OrdType.LIMIT, "restated": None}, True),
        ({"ord_type": OrdType.STOP_LIMIT}, False),
        ({"restated": OrderTerms(is_post_only=True)}, True),
        ({"restated": OrderTerms(is_post_only=True, min_qty=Qty(1))}, False),
        ({"restated": OrderTerms(expires_at_ns=1)}, False),
        ({"restated": OrderTerms(self_trade=SelfTradeMode.CANCEL_BOTH)}, False),
        ({"restated": OrderTerms(self_trade_group=7)}, False),
        ({"restated": OrderTerms(trigger=TriggerDirection.DOWN)}, False),
    ],
)
def test_what_is_said_again_must_be_as_it_is(
    desk: Desk, changes: dict[str, object], is_taken: bool
) -> None:
    """A request that restates the order is taken; one that would change what stays is refused."""
    desk.apply(new_order(ALICE, BUY, 10, 100, terms=OrderTerms(is_post_only=True), cl_ord_id="c1"))
    command = ReplaceOrder(
        SessionId(0), 0, 0, 0, ALICE, ClOrdId("a1"), ClOrdId("c1"), Qty(9), Price(100)
    )
    (event,) = desk.apply(msgspec.structs.replace(command, **changes))
    if is_taken:
        assert isinstance(event, OrderReplaced)
    else:
        assert isinstance(event, CancelRejected)
        assert event.reason is RejectReason.UNSUPPORTED
