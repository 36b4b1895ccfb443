"""Pre-trade checks: each refuses exactly what it is for, in a fixed order."""

import msgspec
import pytest

from engine.events import CommandRefused, Event, OrderAccepted, OrderCanceled, OrderRejected
from engine.explain import explain
from engine.limits import RiskLimits, ScopeLimits
from engine.order import Side
from engine.reasons import RejectReason
from engine.risk_commands import SetAccountThrottle, SetRiskLimits, SetScopeLimits
from engine.risk_events import AccountThrottleSet, ScopeLimitsSet
from engine.scope import Scope
from engine.session_commands import OpenSession
from engine.units import AccountId, Money, Price, Qty, SessionId
from risk.precedence import CHECKS, TRADER_CHECKS
from tests.exchange_desk import (
    ALICE,
    BTC_USD,
    NOTIONAL_FACTOR,
    Desk,
    new_order,
    session_order,
)

PRECEDENCE = [
    "check_rights",
    "check_mode",
    "check_clock",
    "check_rate",
    "check_messages",
    "check_messages_per_fill",
    "check_limits_exist",
    "check_price_range",
    "check_qty_range",
    "check_repetition",
    "check_order_qty",
    "check_notional",
    "check_firm_qty",
    "check_firm_value",
    "check_volume_share",
    "check_asset",
    "check_other_asset",
    "check_reference",
    "check_notional_range",
    "check_collar",
    "check_band",
    "check_open_orders",
    "check_open_orders_per_side",
    "check_stops",
    "check_icebergs",
    "check_amendments",
    "check_unfilled",
    "check_position",
    "check_exposure",
    "check_loss",
    "check_balance",
]


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.apply(SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(50), Money(400_000))))
    return desk


def test_order_of_checks_is_the_documented_precedence() -> None:
    """The first check that refuses gives the reason, so their order is part of the contract."""
    checks = [*(stage.check for stage in TRADER_CHECKS), *(stage.check for stage in CHECKS)]
    assert [check.__name__ for check in checks] == PRECEDENCE


@pytest.mark.parametrize(
    ("qty", "price", "expected"),
    [
        (50, 80, None),
        (51, 1, (RejectReason.MAX_ORDER_QTY, 50, 51)),
        (50, 81, (RejectReason.MAX_ORDER_NOTIONAL, 400_000, 50 * 81 * NOTIONAL_FACTOR)),
        (51, 81, (RejectReason.MAX_ORDER_QTY, 50, 51)),
    ],
)
def test_order_inside_every_limit_passes_and_one_beyond_is_refused(
    desk: Desk, qty: int, price: int, expected: tuple[RejectReason, int, int] | None
) -> None:
    """The limit itself is allowed; the refusal carries the limit and what was asked."""
    (event,) = desk.apply(new_order(ALICE, Side.BUY, qty, price, cl_ord_id="a"))
    if expected is None:
        assert isinstance(event, OrderAccepted)
    else:
        assert isinstance(event, OrderRejected)
        assert (event.reason, event.limit, event.actual) == expected


def test_limits_hold_from_the_next_order_on(desk: Desk) -> None:
    """A changed limit needs no restart."""
    desk.apply(SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(5), Money(400_000))))
    (event,) = desk.apply(new_order(ALICE, Side.BUY, 6, 1, cl_ord_id="a"))
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.MAX_ORDER_QTY


def test_account_without_limits_may_not_trade() -> None:
    """A missing row fails closed, also for an order that costs nothing much."""
    desk = Desk()
    gate_rows = desk.exchange._gate.limits()
    assert {row.account_id for row in gate_rows} == {ALICE, AccountId(2)}
    fresh = Desk()
    fresh.exchange._gate._limits._rows.clear()  # type: ignore[attr-defined]  # The real gate.
    fresh.exchange._gate._change()  # type: ignore[attr-defined]
    (event,) = fresh.apply(new_order(ALICE, Side.BUY, 1, 1, cl_ord_id="a"))
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.NO_RISK_LIMITS


def test_market_order_is_valued_at_what_it_would_fill(desk: Desk) -> None:
    """Notional of a market order is the cost of the fills it would have now."""
    desk.sell(AccountId(2), 50, 80)
    assert isinstance(desk.buy(ALICE, 50, None)[0], OrderAccepted)
    desk.sell(AccountId(2), 50, 81)
    (event,) = desk.buy(ALICE, 50, None)
    assert isinstance(event, OrderRejected)
    assert event.reason is RejectReason.MAX_ORDER_NOTIONAL


def wider(scope: Scope, scope_id: int, qty: int | None, notional: int | None) -> SetScopeLimits:
    return SetScopeLimits(
        ScopeLimits(
            scope,
            scope_id,
            BTC_USD,
            None if qty is None else Qty(qty),
            None if notional is None else Money(notional),
        )
    )


def refusal_text(event: Event) -> str:
    assert isinstance(event, OrderRejected)
    instrument = Desk().exchange.reference.instruments[BTC_USD]
    return explain(
        event.reason,
        limit=event.limit,
        actual=event.actual,
        instrument=instrument,
        scope=event.scope,
    )


def test_firm_and_session_limit_orders_too(desk: Desk) -> None:
    """The first limit that is passed is named with its scope: account, then firm, then session."""
    session_id = SessionId(7)
    desk.apply(OpenSession(session_id))
    first = session_order(session_id, 1, 1)
    desk.apply(wider(Scope.FIRM, 1, 40, None))
    desk.apply(wider(Scope.SESSION, 7, 30, 200_000))
    for number, (qty, price, text) in enumerate(
        [
            (51, 1, "MAX_ORDER_QTY: order qty 0.0051 above account limit 0.0050"),
            (41, 1, "MAX_ORDER_QTY: order qty 0.0041 above firm limit 0.0040"),
            (31, 1, "MAX_ORDER_QTY: order qty 0.0031 above session limit 0.0030"),
            (
                30,
                80,
                "MAX_ORDER_NOTIONAL: notional 0.00240000 USD above session limit 0.00200000 USD",
            ),
        ],
        start=1,
    ):
        command = msgspec.structs.replace(
            first, msg_seq_num=number, order_qty=Qty(qty), price=Price(price)
        )
        (event,) = desk.apply(command)
        assert refusal_text(event) == text
    assert isinstance(desk.buy(ALICE, 40, 1)[0], OrderAccepted)  # Over another session.
    assert isinstance(desk.buy(AccountId(2), 41, 1)[0], OrderAccepted)  # Of another firm.


def test_wider_limits_can_be_taken_away(desk: Desk) -> None:
    """Without a row there is no limit of that scope; the account's stays."""
    desk.apply(wider(Scope.FIRM, 1, 10, None))
    assert isinstance(desk.buy(ALICE, 11, 1)[0], OrderRejected)
    assert desk.apply(wider(Scope.FIRM, 1, None, None)) == [
        ScopeLimitsSet(ScopeLimits(Scope.FIRM, 1, BTC_USD, None, None))
    ]
    assert isinstance(desk.buy(ALICE, 11, 1)[0], OrderAccepted)
    assert isinstance(desk.buy(ALICE, 51, 1)[0], OrderRejected)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (wider(Scope.ACCOUNT, 1, 1, 1), RejectReason.UNSUPPORTED),
        (wider(Scope.EVERYTHING, 0, 1, 1), RejectReason.UNSUPPORTED),
        (wider(Scope.FIRM, 0, 1, 1), RejectReason.AMOUNT_INVALID),
        (wider(Scope.FIRM, 1, -1, 1), RejectReason.AMOUNT_INVALID),
        (wider(Scope.SESSION, 1, 1, -1), RejectReason.AMOUNT_INVALID),
        (SetAccountThrottle(AccountId(9), 1, 1), RejectReason.ACCOUNT_UNKNOWN),
        (SetAccountThrottle(ALICE, 1, None), RejectReason.AMOUNT_INVALID),
        (SetAccountThrottle(ALICE, None, 1), RejectReason.AMOUNT_INVALID),
        (SetAccountThrottle(ALICE, 0, 1), RejectReason.AMOUNT_INVALID),
        (SetAccountThrottle(ALICE, 1, 1_000_001), RejectReason.AMOUNT_INVALID),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    desk: Desk, command: SetScopeLimits | SetAccountThrottle, reason: RejectReason
) -> None:
    """And nothing changes."""
    before = desk.exchange.state()
    (event,) = desk.apply(command)
    assert isinstance(event, CommandRefused)
    assert event.reason is reason
    assert desk.exchange.state() == before


def test_account_may_enter_orders_as_often_as_its_budget_says(desk: Desk) -> None:
    """Over all doors together; cancels are not counted, and who waits as told is served."""
    desk.apply(SetAccountThrottle(ALICE, 4, 2))
    assert isinstance(desk.buy(ALICE, 1, 1)[0], OrderAccepted)
    assert isinstance(desk.buy(ALICE, 1, 2)[0], OrderAccepted)
    (refused,) = desk.buy(ALICE, 1, 3)
    assert refusal_text(refused) == "RATE_LIMIT: at most 4 orders a second, wait 0.250 s"
    assert isinstance(desk.cancel(ALICE, "c1", "x1")[0], OrderCanceled)
    assert isinstance(desk.buy(AccountId(2), 1, 1)[0], OrderAccepted)
    desk.now_ns += 250_000_000
    assert isinstance(desk.buy(ALICE, 1, 3)[0], OrderAccepted)
    assert isinstance(desk.buy(ALICE, 1, 4)[0], OrderRejected)
    assert desk.apply(SetAccountThrottle(ALICE)) == [AccountThrottleSet(ALICE, None)]
    for price in range(1, 20):
        assert isinstance(desk.buy(ALICE, 1, price)[0], OrderAccepted)
