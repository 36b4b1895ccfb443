"""Orders on the exchange: every test expects the whole list of events."""

from typing import Any

import pytest

from engine.commands import AdjustBalance, CancelOrder, NewOrder
from engine.events import (
    BalanceAdjusted,
    CancelRejected,
    CommandRefused,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderStatusReported,
    Trade,
)
from engine.order import OrderView, OrdStatus, Side, TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.units import ClOrdId, InstrumentId, Money, OrderId, Price, Qty, SessionId, TradeId
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    NS_PER_S,
    START_NS,
    USD,
    Desk,
    new_order,
    view,
)

BUY, SELL = Side.BUY, Side.SELL
FIRST = 12  # The seq of the first command after the desk has been set up.


@pytest.fixture
def desk() -> Desk:
    return Desk()


def trade(order: OrderView, *, trade_id: int, qty: int, price: int, is_resting: bool) -> Trade:
    return Trade(
        order=order,
        trade_id=TradeId(trade_id),
        qty=Qty(qty),
        price=Price(price),
        notional=Money(qty * price * NOTIONAL_FACTOR),
        base_amount=Money(qty * BASE_FACTOR),
        base_asset_id=BTC,
        quote_asset_id=USD,
        is_resting=is_resting,
    )


def test_resting_order_holds_what_it_may_cost(desk: Desk) -> None:
    """A buy reserves price times quantity of the quote asset, a sell the quantity of the base."""
    assert desk.buy(ALICE, 10, 100) == [
        OrderAccepted(view(FIRST, ALICE, "c1", BUY, qty=10, price=100))
    ]
    assert desk.sell(BOB, 7, 200) == [
        OrderAccepted(view(FIRST + 1, BOB, "c2", SELL, qty=7, price=200))
    ]
    assert desk.balance(ALICE, USD) == (10_000_00000000, 100_000)
    assert desk.balance(BOB, BTC) == (100_00000000, 70_000)


def test_aggressor_trades_at_the_resting_price(desk: Desk) -> None:
    """Both sides are told; price improvement goes to the aggressor and nothing stays held."""
    desk.sell(BOB, 10, 100)
    filled: dict[str, Any] = {
        "cum_qty": 10, "cum_notional": 100_000, "ord_status": OrdStatus.FILLED,
    }  # fmt: skip
    assert desk.buy(ALICE, 10, 105) == [
        OrderAccepted(view(FIRST + 1, ALICE, "c2", BUY, qty=10, price=105)),
        trade(
            view(FIRST + 1, ALICE, "c2", BUY, qty=10, price=105, **filled),
            trade_id=1, qty=10, price=100, is_resting=False,
        ),
        trade(
            view(FIRST, BOB, "c1", SELL, qty=10, price=100, **filled),
            trade_id=1, qty=10, price=100, is_resting=True,
        ),
    ]  # fmt: skip
    assert desk.balance(ALICE, USD) == (10_000_00000000 - 100_000, 0)
    assert desk.balance(ALICE, BTC) == (100_00000000 + 100_000, 0)
    assert desk.balance(BOB, USD) == (10_000_00000000 + 100_000, 0)
    assert desk.balance(BOB, BTC) == (100_00000000 - 100_000, 0)


def test_price_goes_before_time(desk: Desk) -> None:
    """The better price trades first, at one price the older order; the rest of the order rests."""
    desk.sell(BOB, 5, 102)
    desk.sell(BOB, 5, 101)
    desk.sell(BOB, 5, 101)
    events = desk.buy(ALICE, 12, 101)
    assert [
        (event.order.order_id, event.qty, event.price)
        for event in events
        if isinstance(event, Trade) and event.is_resting
    ] == [(FIRST + 1, 5, 101), (FIRST + 2, 5, 101)]
    state = desk.exchange.state()
    assert [(item.order.order_id, item.order.leaves_qty) for item in state.open_orders] == [
        (FIRST + 3, 2),
        (FIRST, 5),
    ]


def test_ioc_remainder_is_canceled(desk: Desk) -> None:
    """What an immediate-or-cancel order cannot trade at once is cancelled."""
    desk.sell(BOB, 4, 100)
    events = desk.buy(ALICE, 10, 100, TimeInForce.IOC)
    assert events[-1] == OrderCanceled(
        view(
            FIRST + 1, ALICE, "c2", BUY, qty=10, price=100, cum_qty=4, cum_notional=40_000,
            leaves_qty=0, ord_status=OrdStatus.CANCELED, time_in_force=TimeInForce.IOC,
        ),
        CancelReason.IOC_REMAINDER,
        Qty(6),
    )  # fmt: skip
    assert len(events) == 4
    assert desk.balance(ALICE, USD)[1] == 0


def test_fok_that_cannot_fill_touches_nothing(desk: Desk) -> None:
    """A fill-or-kill order that the book cannot fill whole is accepted and cancelled, unfilled."""
    desk.sell(BOB, 4, 100)
    desk.sell(BOB, 6, 101)
    before = desk.balances()
    assert desk.buy(ALICE, 10, 100, TimeInForce.FOK) == [
        OrderAccepted(
            view(FIRST + 2, ALICE, "c3", BUY, qty=10, price=100, time_in_force=TimeInForce.FOK)
        ),
        OrderCanceled(
            view(
                FIRST + 2, ALICE, "c3", BUY, qty=10, price=100, leaves_qty=0,
                ord_status=OrdStatus.CANCELED, time_in_force=TimeInForce.FOK,
            ),
            CancelReason.FOK_CANNOT_FILL,
            Qty(10),
        ),
    ]  # fmt: skip
    assert desk.balances() == before


def test_fok_that_can_fill_does(desk: Desk) -> None:
    """A fill-or-kill order takes several levels when they suffice."""
    desk.sell(BOB, 4, 100)
    desk.sell(BOB, 6, 101)
    events = desk.buy(ALICE, 10, 101, TimeInForce.FOK)
    assert [type(event) for event in events] == [OrderAccepted, Trade, Trade, Trade, Trade]
    assert desk.balance(ALICE, USD) == (10_000_00000000 - 40_000 - 60_600, 0)


def test_market_order_takes_any_price_and_never_rests(desk: Desk) -> None:
    """A market order sweeps the book; what is left of it is cancelled."""
    desk.sell(BOB, 4, 100)
    desk.sell(BOB, 4, 5_000)
    events = desk.buy(ALICE, 10, None)
    assert [type(event) for event in events] == [
        OrderAccepted, Trade, Trade, Trade, Trade, OrderCanceled,
    ]  # fmt: skip
    last = events[-1]
    assert isinstance(last, OrderCanceled)
    assert (last.reason, last.canceled_qty) == (CancelReason.MARKET_REMAINDER, 2)
    assert desk.balance(ALICE, USD) == (10_000_00000000 - 40_000 - 2_000_000, 0)


def test_market_buy_must_be_able_to_pay_what_the_book_asks(desk: Desk) -> None:
    """The cost of a market buy is what it would fill at this moment, to the last unit."""
    desk.sell(BOB, 100, 10_000_000_00)
    desk.sell(BOB, 1, 10_000_000_01)
    cost = 101 * 10_000_000_00 * NOTIONAL_FACTOR + 100
    assert desk.buy(ALICE, 101, None)[0] == OrderRejected(
        view(0, ALICE, "c3", BUY, qty=101, price=None, leaves_qty=0, ord_status=OrdStatus.REJECTED),
        RejectReason.INSUFFICIENT_BALANCE,
        limit=10_000_00000000,
        actual=cost,
    )


def test_cancel_releases_what_was_held(desk: Desk) -> None:
    """A cancelled order ends with nothing open and nothing reserved."""
    desk.buy(ALICE, 10, 100)
    assert desk.cancel(ALICE, "c1", "x1") == [
        OrderCanceled(
            view(
                FIRST, ALICE, "c1", BUY, qty=10, price=100, leaves_qty=0,
                ord_status=OrdStatus.CANCELED,
            ),
            CancelReason.REQUESTED,
            Qty(10),
            ClOrdId("x1"),
        )
    ]  # fmt: skip
    assert desk.balance(ALICE, USD) == (10_000_00000000, 0)
    assert desk.exchange.state().open_orders == []


def test_cancel_of_an_ended_order_comes_too_late(desk: Desk) -> None:
    """A cancel that loses the race against a fill is refused with the order's true state."""
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 10, 100)
    assert desk.cancel(ALICE, "c1", "x1") == [
        CancelRejected(
            session_id=SessionId(0),
            account_id=ALICE,
            cl_ord_id=ClOrdId("x1"),
            orig_cl_ord_id=ClOrdId("c1"),
            reason=RejectReason.TOO_LATE_TO_CANCEL,
            order=view(
                FIRST, ALICE, "c1", BUY, qty=10, price=100, cum_qty=10, cum_notional=100_000,
                ord_status=OrdStatus.FILLED,
            ),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"orig_cl_ord_id": "nothing"}, RejectReason.UNKNOWN_ORDER),
        ({"orig_cl_ord_id": "", "order_id": 0}, RejectReason.UNKNOWN_ORDER),
        ({"orig_cl_ord_id": "", "order_id": FIRST + 1}, RejectReason.UNKNOWN_ORDER),
        ({"orig_cl_ord_id": "c1", "order_id": FIRST + 2}, RejectReason.UNKNOWN_ORDER),
        ({"orig_cl_ord_id": "c1", "side": SELL}, RejectReason.UNKNOWN_ORDER),
        ({"orig_cl_ord_id": "c1", "instrument_id": 99}, RejectReason.UNKNOWN_ORDER),
        ({"orig_cl_ord_id": "c1", "cl_ord_id": "c3"}, RejectReason.DUPLICATE_CLORDID),
        ({"orig_cl_ord_id": "c1", "cl_ord_id": "not good"}, RejectReason.CLORDID_INVALID),
        ({"orig_cl_ord_id": "c1", "account_id": 77}, RejectReason.ACCOUNT_UNKNOWN),
        ({"orig_cl_ord_id": "c1"}, None),
        ({"orig_cl_ord_id": "", "order_id": FIRST}, None),
        ({"orig_cl_ord_id": "c1", "order_id": FIRST, "side": BUY, "instrument_id": 1}, None),
    ],
)
def test_cancel_must_name_one_order_of_the_account(
    desk: Desk, named: dict[str, Any], reason: RejectReason | None
) -> None:
    """All that a cancel request says must fit the same order of the same account."""
    desk.buy(ALICE, 10, 100)
    desk.buy(BOB, 10, 99)
    desk.buy(ALICE, 10, 98)
    fields: dict[str, Any] = {
        "session_id": 0,
        "generation": 0,
        "epoch": 0,
        "msg_seq_num": 0,
        "account_id": ALICE,
        "cl_ord_id": "x1",
    }
    (event,) = desk.apply(CancelOrder(**(fields | named)))
    if reason is None:
        assert isinstance(event, OrderCanceled)
        assert event.order.order_id == FIRST
    else:
        assert isinstance(event, CancelRejected)
        assert event.reason is reason


REFUSED_ORDERS = [
    (new_order(ALICE, BUY, 0, 100, cl_ord_id="a"), RejectReason.ORDER_QTY_INVALID),
    (new_order(ALICE, BUY, -5, 100, cl_ord_id="a"), RejectReason.ORDER_QTY_INVALID),
    (new_order(ALICE, BUY, 2**62, 2**62, cl_ord_id="a"), RejectReason.ORDER_QTY_INVALID),
    (new_order(ALICE, BUY, 1, 0, cl_ord_id="a"), RejectReason.TICK_SIZE),
    (new_order(ALICE, BUY, 1, -1, cl_ord_id="a"), RejectReason.TICK_SIZE),
    (new_order(ALICE, BUY, 1, 100, cl_ord_id=""), RejectReason.CLORDID_INVALID),
    (new_order(ALICE, BUY, 1, 100, cl_ord_id="a" * 37), RejectReason.CLORDID_INVALID),
    (new_order(ALICE, BUY, 1, 100, cl_ord_id="a b"), RejectReason.CLORDID_INVALID),
    (new_order(ALICE, BUY, 1, 100, cl_ord_id="é"), RejectReason.CLORDID_INVALID),
    (new_order(ALICE, BUY, 1, 100, cl_ord_id="taken"), RejectReason.DUPLICATE_CLORDID),
    (new_order(ALICE, BUY, 10**13, 1, cl_ord_id="a"), RejectReason.MAX_ORDER_QTY),
    (new_order(ALICE, BUY, 10**12, 10**4, cl_ord_id="a"), RejectReason.MAX_ORDER_NOTIONAL),
    (new_order(ALICE, SELL, 10**6 + 1, 100, cl_ord_id="a"), RejectReason.INSUFFICIENT_BALANCE),
    (new_order(ALICE, BUY, 10**8, 101, cl_ord_id="a"), RejectReason.INSUFFICIENT_BALANCE),
]


@pytest.mark.parametrize(("order", "reason"), REFUSED_ORDERS)
def test_refused_order_leaves_no_trace(desk: Desk, order: NewOrder, reason: RejectReason) -> None:
    """The reason is precise and the state is what it was."""
    desk.apply(new_order(ALICE, BUY, 1, 1, cl_ord_id="taken"))
    before = desk.exchange.state()
    (event,) = desk.apply(order)
    assert isinstance(event, OrderRejected)
    assert event.reason is reason
    assert event.order.ord_status is OrdStatus.REJECTED
    assert desk.exchange.state() == before


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("account_id", 77, RejectReason.ACCOUNT_UNKNOWN),
        ("instrument_id", InstrumentId(77), RejectReason.SYMBOL_UNKNOWN),
        ("price", None, RejectReason.PRICE_REQUIRED),
    ],
)
def test_order_that_names_nothing_real_is_refused(
    desk: Desk, field: str, value: object, reason: RejectReason
) -> None:
    """Unknown accounts and instruments, and a limit order without a limit."""
    order = new_order(ALICE, BUY, 1, 100, cl_ord_id="a")
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    (event,) = desk.apply(NewOrder(**(fields | {field: value})))
    assert isinstance(event, OrderRejected)
    assert event.reason is reason


def test_market_order_with_a_price_is_refused(desk: Desk) -> None:
    """A price on a market order is a misunderstanding, not something to ignore."""
    order = new_order(ALICE, BUY, 1, None, cl_ord_id="a")
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    (event,) = desk.apply(NewOrder(**(fields | {"price": 100})))
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.PRICE_NOT_ALLOWED


def test_last_unit_of_a_balance_can_be_used_and_no_more(desk: Desk) -> None:
    """Orders may reserve exactly what is there."""
    whole = 10_000_00000000 // NOTIONAL_FACTOR
    assert isinstance(desk.buy(ALICE, 1, whole)[0], OrderAccepted)
    assert desk.balance(ALICE, USD) == (10_000_00000000, 10_000_00000000)
    (event,) = desk.buy(ALICE, 1, 1)
    assert isinstance(event, OrderRejected)
    assert (event.reason, event.limit, event.actual) == (
        RejectReason.INSUFFICIENT_BALANCE, 0, NOTIONAL_FACTOR,
    )  # fmt: skip


def test_poss_resend_of_a_known_order_is_answered_with_its_state(desk: Desk) -> None:
    """PossResend(97)=Y asks whether the order arrived: nothing is entered twice."""
    order = new_order(ALICE, BUY, 10, 100, cl_ord_id="a", is_poss_resend=True)
    assert desk.apply(order) == [OrderAccepted(view(FIRST, ALICE, "a", BUY, qty=10, price=100))]
    desk.sell(BOB, 4, 100)
    assert desk.apply(order) == [
        OrderStatusReported(
            view(
                FIRST, ALICE, "a", BUY, qty=10, price=100, cum_qty=4, cum_notional=40_000,
                ord_status=OrdStatus.PARTIALLY_FILLED,
            ),
            SessionId(0),
        )
    ]  # fmt: skip


def test_account_may_trade_with_itself(desk: Desk) -> None:
    """Both legs settle on the same account, which has what it had before."""
    desk.sell(ALICE, 10, 100)
    events = desk.buy(ALICE, 10, 100)
    assert [type(event) for event in events] == [OrderAccepted, Trade, Trade]
    assert desk.balance(ALICE, USD) == (10_000_00000000, 0)
    assert desk.balance(ALICE, BTC) == (100_00000000, 0)


def test_day_orders_expire_when_the_trading_day_ends(desk: Desk) -> None:
    """DAY orders end at the session's end, oldest first; GTC orders stay."""
    desk.buy(ALICE, 10, 100, TimeInForce.DAY)
    desk.buy(ALICE, 10, 101, TimeInForce.GTC)
    desk.sell(BOB, 10, 200, TimeInForce.DAY)
    day_end_ns = START_NS + 24 * 3600 * NS_PER_S
    assert desk.exchange.next_timer_ns() == day_end_ns
    assert desk.advance_to(day_end_ns - 1) == []
    expired: dict[str, Any] = {
        "leaves_qty": 0,
        "ord_status": OrdStatus.EXPIRED,
        "time_in_force": TimeInForce.DAY,
    }
    assert desk.advance_to(day_end_ns) == [
        OrderExpired(view(FIRST, ALICE, "c1", BUY, qty=10, price=100, **expired), Qty(10)),
        OrderExpired(view(FIRST + 2, BOB, "c3", SELL, qty=10, price=200, **expired), Qty(10)),
    ]
    assert desk.exchange.next_timer_ns() is None
    assert [item.order.order_id for item in desk.exchange.state().open_orders] == [FIRST + 1]


def test_filled_day_order_does_not_expire(desk: Desk) -> None:
    """An order that has ended waits for no time any more."""
    desk.buy(ALICE, 10, 100, TimeInForce.DAY)
    desk.sell(BOB, 10, 100)
    assert desk.advance_to(START_NS + 24 * 3600 * NS_PER_S) == []


def test_cl_ord_id_is_free_again_after_a_day(desk: Desk) -> None:
    """A ClOrdID is remembered for 24 hours after its order has ended."""
    desk.apply(new_order(ALICE, BUY, 1, 100, cl_ord_id="a"))
    desk.cancel(ALICE, "a", "x")
    ended_ns = desk.now_ns
    day_ns = 24 * 3600 * NS_PER_S
    for now_ns, expected in (
        (ended_ns + day_ns - 9, OrderRejected),
        (ended_ns + day_ns, OrderAccepted),
    ):
        desk.now_ns = now_ns
        desk.buy(BOB, 1, 50, TimeInForce.IOC)
        desk.buy(ALICE, 1, 50, TimeInForce.IOC)
        assert isinstance(desk.apply(new_order(ALICE, BUY, 1, 100, cl_ord_id="a"))[0], expected)


def test_transfer_is_made_once(desk: Desk) -> None:
    """A second transfer of the same reference on the same account is refused."""
    deposit = AdjustBalance(ALICE, USD, Money(5), "wire-1")
    assert desk.apply(deposit) == [
        BalanceAdjusted(ALICE, USD, Money(5), Money(10_000_00000005), "wire-1")
    ]
    assert desk.apply(deposit) == [CommandRefused(RejectReason.DUPLICATE_REFERENCE)]


def test_nobody_withdraws_what_orders_hold(desk: Desk) -> None:
    """Only what is available can leave."""
    desk.buy(ALICE, 1, 9_999_00)
    rest = 10_000_00000000 - 9_999_00 * NOTIONAL_FACTOR
    assert desk.apply(AdjustBalance(ALICE, USD, Money(-rest - 1), "w1")) == [
        CommandRefused(RejectReason.INSUFFICIENT_BALANCE, limit=rest, actual=rest + 1)
    ]
    assert desk.apply(AdjustBalance(ALICE, USD, Money(-rest), "w2")) == [
        BalanceAdjusted(ALICE, USD, Money(-rest), Money(10_000_00000000 - rest), "w2")
    ]


def test_orders_of_one_account_are_strangers_to_another(desk: Desk) -> None:
    """ClOrdIDs are unique per account, not per venue."""
    assert isinstance(desk.apply(new_order(ALICE, BUY, 1, 1, cl_ord_id="a"))[0], OrderAccepted)
    assert isinstance(desk.apply(new_order(BOB, BUY, 1, 1, cl_ord_id="a"))[0], OrderAccepted)
    assert BTC_USD == 1
    assert OrderId(FIRST + 1) == desk.seq
