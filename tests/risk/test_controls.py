"""Each control alone: what it is for is refused with its code, and the order just inside passes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from engine.commands import Command, NewOrder
from engine.controls import (
    DAY_NS,
    NS_PER_S,
    Control,
    InstrumentRules,
    Level,
    Limit,
    Mode,
    Restriction,
)
from engine.events import CommandRefused, OrderAccepted, OrderRejected
from engine.explain import explain
from engine.limits import RiskLimits
from engine.order import OrderTerms, OrdType, Side
from engine.reasons import RejectReason
from engine.risk_commands import (
    SetAccountThrottle,
    SetInstrumentRules,
    SetLimit,
    SetReferencePrice,
    SetRiskLimits,
    SetTradingMode,
)
from engine.risk_events import InstrumentRulesSet
from engine.runtime.replay import hash_state
from engine.scope import Scope
from engine.units import Money, Price, Qty, UserId
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    USD,
    Desk,
    new_order,
)

Change = Callable[[NewOrder, int], NewOrder]
"""Makes something of an order that the time of the desk is needed for."""


def limit(
    control: Control, value: int | None, scope: Scope = Scope.ACCOUNT, **others: int
) -> SetLimit:
    level = Level(others.pop("level", 1))
    scope_id = others.pop("scope_id", 1)
    return SetLimit(
        msgspec.convert(
            [
                level.value, scope.value, scope_id, control.value, value,
                others.get("instrument_id", 0), others.get("asset_id", 0),
                others.get("window_ns", 0),
            ],
            Limit,
        )
    )  # fmt: skip


def rules(**values: int | bool) -> SetInstrumentRules:
    return SetInstrumentRules(msgspec.structs.replace(InstrumentRules(BTC_USD), **values))


def buy(qty: int, price: int | None) -> NewOrder:
    return new_order(ALICE, Side.BUY, qty, price, cl_ord_id="seeded")


def sell(qty: int, price: int | None) -> NewOrder:
    return new_order(ALICE, Side.SELL, qty, price, cl_ord_id="seeded")


@dataclass
class Case:
    """A control that is set alone, an order just inside it and one just beyond."""

    name: str
    set_up: list[Command]
    inside: NewOrder | None
    beyond: NewOrder
    reason: RejectReason
    words: str
    before: list[NewOrder] = field(default_factory=list)
    change: Change = lambda order, _now_ns: order


def resting(account_id: int, side: Side, qty: int, price: int, name: str) -> NewOrder:
    return new_order(account_id, side, qty, price, cl_ord_id=name)  # type: ignore[arg-type]


def stop(name: str) -> NewOrder:
    order = new_order(
        ALICE, Side.BUY, 1, 120, cl_ord_id=name, terms=OrderTerms(stop_price=Price(110))
    )
    return msgspec.structs.replace(order, ord_type=OrdType.STOP_LIMIT)


def iceberg(name: str) -> NewOrder:
    return new_order(ALICE, Side.BUY, 4, 99, cl_ord_id=name, terms=OrderTerms(display_qty=Qty(2)))


REFERENCE = SetReferencePrice(BTC_USD, Price(100))
MINUTE_NS = 60 * NS_PER_S
UNIT_NOTIONAL = NOTIONAL_FACTOR
CASES = [
    Case(
        "rights of a user",
        [limit(Control.RESTRICTED, Restriction.SELL.value, Scope.USER, scope_id=9)],
        buy(1, 100),
        sell(1, 100),
        RejectReason.NOT_AUTHORISED,
        "orders of this side or type are not allowed to the sender",
        change=lambda order, _: msgspec.structs.replace(order, user_id=UserId(9)),
    ),
    Case(
        "restricted list",
        [limit(Control.RESTRICTED, Restriction.MARKET.value, instrument_id=BTC_USD)],
        buy(1, 100),
        buy(1, None),
        RejectReason.SYMBOL_RESTRICTED,
        "such orders are not allowed to the sender in this instrument",
    ),
    Case(
        "valid until",
        [],
        buy(1, 100),
        buy(2, 100),
        RejectReason.VALID_UNTIL_PASSED,
        "valid until 2026-11-23T00:00:00.000Z, it is 2026-11-23T00:00:00.000Z",
        change=lambda order, now_ns: msgspec.structs.replace(
            order, valid_until_ns=now_ns + 2 - order.order_qty
        ),
    ),
    Case(
        "receive window",
        [],
        buy(1, 100),
        buy(2, 100),
        RejectReason.RECV_WINDOW_PASSED,
        "0.002 s old, its sender allows 0.001 s",
        change=lambda order, now_ns: msgspec.structs.replace(
            order,
            recv_window_ns=1_000_000,
            sent_at_ns=now_ns + 1 - 1_000_000 * order.order_qty,
        ),
    ),
    Case(
        "clock skew",
        [rules(clock_skew_max_ns=NS_PER_S)],
        buy(1, 100),
        buy(2, 100),
        RejectReason.CLOCK_SKEW,
        "SendingTime is 2.000 s ahead, at most 1.000 s",
        change=lambda order, now_ns: msgspec.structs.replace(
            order, received_at_ns=now_ns, sent_at_ns=now_ns + NS_PER_S * order.order_qty
        ),
    ),
    Case(
        "lowest price",
        [rules(price_min=90, price_max=110)],
        buy(1, 90),
        buy(1, 89),
        RejectReason.PRICE_RANGE,
        "price 0.89 outside 0.90 to 1.10",
    ),
    Case(
        "highest price",
        [rules(price_min=90, price_max=110)],
        sell(1, 110),
        sell(1, 111),
        RejectReason.PRICE_RANGE,
        "price 1.11 outside 0.90 to 1.10",
    ),
    Case(
        "least quantity",
        [rules(order_qty_min=5)],
        buy(5, 100),
        buy(4, 100),
        RejectReason.MIN_ORDER_QTY,
        "order qty 0.0004 outside 0.0005 and more",
    ),
    Case(
        "largest quantity",
        [rules(order_qty_max=5)],
        buy(5, 100),
        buy(6, 100),
        RejectReason.MAX_ORDER_QTY,
        "order qty 0.0006 above instrument limit 0.0005",
    ),
    Case(
        "largest quantity of a market order",
        [rules(order_qty_max=9, market_qty_max=5)],
        buy(5, None),
        buy(6, None),
        RejectReason.MAX_ORDER_QTY,
        "order qty 0.0006 above instrument limit 0.0005",
    ),
    Case(
        "least value",
        [rules(notional_min=500 * UNIT_NOTIONAL)],
        buy(5, 100),
        buy(4, 100),
        RejectReason.MIN_NOTIONAL,
        "notional 0.00040000 USD outside 0.00050000 USD and more",
    ),
    Case(
        "largest value, a market order's at the reference",
        [REFERENCE, rules(notional_max=500 * UNIT_NOTIONAL)],
        buy(5, None),
        buy(6, None),
        RejectReason.MAX_ORDER_NOTIONAL,
        "notional 0.00060000 USD above instrument limit 0.00050000 USD",
    ),
    Case(
        "largest quantity of the account",
        [SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(5), Money(10**15)))],
        buy(5, 100),
        buy(6, 100),
        RejectReason.MAX_ORDER_QTY,
        "order qty 0.0006 above account limit 0.0005",
    ),
    Case(
        "fat finger, quantity",
        [limit(Control.ORDER_QTY, 5, Scope.FIRM, level=2, instrument_id=BTC_USD)],
        buy(5, 100),
        buy(6, 100),
        RejectReason.FAT_FINGER_QTY,
        "order qty 0.0006 above firm limit 0.0005 of the firm",
    ),
    Case(
        "fat finger, value",
        [limit(Control.ORDER_VALUE, 500 * UNIT_NOTIONAL, level=3, instrument_id=BTC_USD)],
        buy(5, 100),
        buy(6, 100),
        RejectReason.FAT_FINGER_VALUE,
        "notional 0.00060000 USD above account limit 0.00050000 USD of the client",
    ),
    Case(
        "share of the daily volume, rounded down",
        [rules(volume_share_max_bps=100, average_daily_volume=599)],
        buy(5, 100),
        buy(6, 100),
        RejectReason.MAX_VOLUME_SHARE,
        "order qty 0.0006 above 0.0005, a share of a day's volume",
    ),
    Case(
        "asset, as base",
        [limit(Control.ORDER_ASSET, 5 * BASE_FACTOR, asset_id=BTC)],
        sell(5, 100),
        sell(6, 100),
        RejectReason.MAX_ASSET,
        "0.00060000 BTC in one order above account limit 0.00050000 BTC",
    ),
    Case(
        "asset, as quote",
        [limit(Control.ORDER_ASSET, 500 * UNIT_NOTIONAL, asset_id=USD)],
        buy(5, 100),
        buy(6, 100),
        RejectReason.MAX_ASSET,
        "0.00060000 USD in one order above account limit 0.00050000 USD",
    ),
    Case(
        "collar of buys, above",
        [REFERENCE, rules(buy_up_bps=500, buy_down_bps=1000, sell_up_bps=9, sell_down_bps=9)],
        buy(1, 105),
        buy(1, 106),
        RejectReason.PRICE_COLLAR,
        "price 1.06 outside 0.90 to 1.05, reference 1.00 of 2026-11-23T00:00:00.000Z",
    ),
    Case(
        "collar of buys, below",
        [REFERENCE, rules(buy_up_bps=500, buy_down_bps=1000, sell_up_bps=9, sell_down_bps=9)],
        buy(1, 90),
        buy(1, 89),
        RejectReason.PRICE_COLLAR,
        "price 0.89 outside 0.90 to 1.05, reference 1.00 of 2026-11-23T00:00:00.000Z",
    ),
    Case(
        "collar of sells",
        [REFERENCE, rules(buy_up_bps=9, sell_down_bps=1234)],
        sell(1, 88),
        sell(1, 87),
        RejectReason.PRICE_COLLAR,
        "price 0.87 outside 0.88 and more, reference 1.00 of 2026-11-23T00:00:00.000Z",
    ),
    Case(
        "dynamic band",
        [REFERENCE, rules(band_ticks=7)],
        sell(1, 107),
        sell(1, 108),
        RejectReason.PRICE_BAND,
        "price 1.08 outside 0.93 to 1.07, reference 1.00 of 2026-11-23T00:00:00.000Z",
    ),
    Case(
        "no reference price",
        [rules(notional_min=1)],
        buy(1, 100),
        buy(1, None),
        RejectReason.NO_REFERENCE_PRICE,
        "there is no fresh price to measure the order by",
    ),
    Case(
        "orders alike",
        [limit(Control.REPEATED_ORDERS, 2, window_ns=MINUTE_NS)],
        buy(2, 100),
        buy(1, 100),
        RejectReason.DUPLICATE_ORDER,
        "3 alike in a row, account limit 2 in 60.000 s",
        before=[resting(ALICE, Side.BUY, 1, 100, name) for name in ("b1", "b2")],
    ),
    Case(
        "open orders",
        [limit(Control.OPEN_ORDERS, 2, Scope.FIRM)],
        buy(1, None),
        buy(1, 100),
        RejectReason.MAX_OPEN_ORDERS,
        "2 orders are open, firm limit 2",
        before=[
            resting(ALICE, Side.BUY, 1, 99, "b1"),
            resting(ALICE, Side.SELL, 1, 101, "b2"),
        ],
    ),
    Case(
        "open orders of a side",
        [limit(Control.OPEN_ORDERS_PER_SIDE, 1, instrument_id=BTC_USD)],
        sell(1, 101),
        buy(1, 99),
        RejectReason.MAX_OPEN_ORDERS,
        "1 orders are open, account limit 1",
        before=[resting(ALICE, Side.BUY, 1, 99, "b1")],
    ),
    Case(
        "stop orders",
        [limit(Control.STOP_ORDERS, 1)],
        buy(1, 99),
        stop("seeded"),
        RejectReason.MAX_STOP_ORDERS,
        "1 stop orders are open, account limit 1",
        before=[stop("b1")],
    ),
    Case(
        "iceberg orders",
        [limit(Control.ICEBERG_ORDERS, 1, Scope.FIRM, instrument_id=BTC_USD)],
        buy(4, 99),
        iceberg("seeded"),
        RejectReason.MAX_ICEBERG_ORDERS,
        "1 iceberg orders are open, firm limit 1",
        before=[iceberg("b1")],
    ),
    Case(
        "unfilled orders",
        [limit(Control.UNFILLED_ORDERS, 1, Scope.FIRM, window_ns=MINUTE_NS)],
        new_order(BOB, Side.BUY, 1, 100, cl_ord_id="seeded"),
        buy(1, 100),
        RejectReason.TOO_MANY_UNFILLED,
        "2 orders without a fill in 60.000 s, limit 1",
        before=[resting(ALICE, Side.BUY, 1, 99, "b1")],
    ),
    Case(
        "messages",
        [limit(Control.MESSAGES, 1, window_ns=MINUTE_NS)],
        new_order(BOB, Side.BUY, 1, 100, cl_ord_id="seeded"),
        buy(1, 100),
        RejectReason.MESSAGE_LIMIT,
        "2 messages in 60.000 s, account limit 1",
        before=[resting(ALICE, Side.BUY, 1, 99, "b1")],
    ),
    Case(
        "messages for each fill",
        [limit(Control.MESSAGES_PER_FILL, 1, Scope.FIRM, window_ns=MINUTE_NS)],
        new_order(BOB, Side.BUY, 1, 100, cl_ord_id="seeded"),
        buy(1, 100),
        RejectReason.ORDER_TO_TRADE,
        "2 messages without a fill in 60.000 s, limit 1",
        before=[resting(ALICE, Side.BUY, 1, 99, "b1")],
    ),
    Case(
        "position with all that is open",
        [limit(Control.POSITION, 100 * 10**8 + 5 * BASE_FACTOR, asset_id=BTC)],
        buy(3, 100),
        buy(4, 100),
        RejectReason.POSITION_LIMIT,
        "could come to 100.00060000 BTC from 100.00020000 BTC, account limit 100.00050000 BTC",
        before=[resting(ALICE, Side.BUY, 2, 99, "b1")],
    ),
    Case(
        "gross exposure",
        [limit(Control.GROSS_EXPOSURE, 500 * UNIT_NOTIONAL, asset_id=USD, window_ns=MINUTE_NS)],
        buy(3, 100),
        buy(4, 100),
        RejectReason.EXPOSURE_LIMIT,
        "0.00060000 USD in 60.000 s with 0.00020000 USD before, account limit 0.00050000 USD",
        before=[resting(ALICE, Side.SELL, 2, 100, "b1")],
    ),
    Case(
        "exposure of buys today",
        [limit(Control.BUY_EXPOSURE, 500 * UNIT_NOTIONAL, asset_id=USD, window_ns=DAY_NS)],
        buy(5, 100),
        buy(6, 100),
        RejectReason.EXPOSURE_LIMIT,
        "0.00060000 USD in 86400.000 s with 0.00000000 USD before, account limit 0.00050000 USD",
        before=[resting(ALICE, Side.SELL, 2, 101, "b1")],
    ),
    Case(
        "exposure of sells",
        [limit(Control.SELL_EXPOSURE, 500 * UNIT_NOTIONAL, asset_id=USD, window_ns=MINUTE_NS)],
        sell(5, 100),
        sell(6, 100),
        RejectReason.EXPOSURE_LIMIT,
        "0.00060000 USD in 60.000 s with 0.00000000 USD before, account limit 0.00050000 USD",
        before=[resting(ALICE, Side.BUY, 2, 99, "b1")],
    ),
    Case(
        "net exposure",
        [limit(Control.NET_EXPOSURE, 500 * UNIT_NOTIONAL, asset_id=USD, window_ns=MINUTE_NS)],
        sell(7, 100),
        sell(8, 100),
        RejectReason.EXPOSURE_LIMIT,
        "-0.00060000 USD in 60.000 s with 0.00020000 USD before, account limit 0.00050000 USD",
        before=[resting(ALICE, Side.BUY, 2, 100, "b1")],
    ),
    Case(
        "rate of the account",
        [SetAccountThrottle(ALICE, 1, 1)],
        new_order(BOB, Side.BUY, 1, 100, cl_ord_id="seeded"),
        buy(1, 100),
        RejectReason.RATE_LIMIT,
        "at most 1 orders a second, wait 1.000 s",
        before=[resting(ALICE, Side.BUY, 2, 99, "b1")],
    ),
    Case(
        "reduce only",
        [SetTradingMode(Scope.ACCOUNT, 1, Level.OPERATOR, Mode.REDUCE_ONLY, "x")],
        sell(10**6, 100),
        buy(1, 100),
        RejectReason.REDUCE_ONLY,
        "only what reduces the position is taken",
    ),
    Case(
        "cancel only",
        [SetTradingMode(Scope.INSTRUMENT, BTC_USD, Level.OPERATOR, Mode.CANCEL_ONLY, "x")],
        None,  # Nothing is inside a mode that lets nothing in.
        sell(1, 100),
        RejectReason.CANCEL_ONLY,
        "nothing but cancels is taken",
    ),
    Case(
        "blocked",
        [SetTradingMode(Scope.FIRM, 1, Level.FIRM, Mode.BLOCKED, "x")],
        new_order(BOB, Side.BUY, 1, 100, cl_ord_id="seeded"),
        sell(1, 100),
        RejectReason.SUSPENDED,
        "trading is suspended, cancels are taken",
    ),
    Case(
        "balance",
        [],
        sell(100 * 10**4, 100),
        sell(100 * 10**4 + 1, 100),
        RejectReason.INSUFFICIENT_BALANCE,
        "needs 100.00010000 BTC, available 100.00000000 BTC",
    ),
]


def seeded(case: Case) -> Desk:
    desk = Desk()
    for command in [*case.set_up, *case.before]:
        (event, *_) = desk.apply(command)
        assert not isinstance(event, OrderRejected), event
    return desk


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_order_beyond_is_refused_with_the_code_of_the_control_and_leaves_no_trace(
    case: Case,
) -> None:
    """The whole state is what it was: nothing is held, counted or used up."""
    desk = seeded(case)
    before = hash_state(desk.exchange.state())
    order = case.change(case.beyond, desk.now_ns)
    what_if = desk.exchange.find_refusal(desk.now_ns + 1, order)
    (event,) = desk.apply(order)
    assert isinstance(event, OrderRejected), event
    assert event.reason is case.reason
    instrument = desk.exchange.reference.instruments[BTC_USD]
    text = explain(
        event.reason,
        limit=event.limit,
        actual=event.actual,
        instrument=instrument,
        side=event.order.side,
        scope=event.scope,
        detail=event.detail,
    )
    assert text == f"{case.reason.name}: {case.words}"
    assert hash_state(desk.exchange.state()) == before
    assert what_if is not None
    assert (what_if.reason, what_if.limit, what_if.actual, what_if.scope, what_if.detail) == (
        event.reason,
        event.limit,
        event.actual,
        event.scope,
        event.detail,
    )


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.inside is not None], ids=lambda case: case.name
)
def test_order_just_inside_passes(case: Case) -> None:
    """What is allowed is allowed to the last unit."""
    desk = seeded(case)
    assert case.inside is not None
    order = case.change(case.inside, desk.now_ns)
    assert desk.exchange.find_refusal(desk.now_ns + 1, order) is None
    (event, *_) = desk.apply(order)
    assert isinstance(event, OrderAccepted), event


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_is_refused_without_the_control(case: Case) -> None:
    """The case is about its own control: without it the same order passes."""
    if not case.set_up:
        return
    desk = Desk()
    for command in case.before:
        desk.apply(command)
    (event, *_) = desk.apply(case.change(case.beyond, desk.now_ns))
    assert isinstance(event, OrderAccepted), event


def test_share_of_a_volume_that_nobody_has_named_lets_nothing_in() -> None:
    """Fail closed, until it is named."""
    desk = Desk()
    desk.apply(rules(volume_share_max_bps=100))
    (refused,) = desk.apply(buy(1, 100))
    assert isinstance(refused, OrderRejected)
    assert refused.reason is RejectReason.NO_DAILY_VOLUME
    desk.apply(rules(volume_share_max_bps=100, average_daily_volume=100))
    assert isinstance(desk.apply(buy(1, 100))[0], OrderAccepted)


def test_share_of_a_volume_is_no_more_than_all_of_it() -> None:
    """10,000 hundredths of a percent."""
    desk = Desk()
    for share, kind in ((10_000, InstrumentRulesSet), (10_001, CommandRefused)):
        (event,) = desk.apply(rules(volume_share_max_bps=share, average_daily_volume=1))
        assert isinstance(event, kind)


def test_every_control_that_can_be_set_has_a_case() -> None:
    """A new control needs a case of its own; some are of what happens after a fill."""
    seen = {
        command.limit.control
        for case in CASES
        for command in case.set_up
        if isinstance(command, SetLimit)
    }
    of_fills = {Control.FILLS, Control.FILLED_QTY, Control.DAY_LOSS}
    assert seen | of_fills | {Control.AMENDMENTS} == set(Control)
