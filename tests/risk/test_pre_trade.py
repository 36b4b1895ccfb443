"""Pre-trade checks: each refuses exactly what it is for, in a fixed order."""

import pytest

from engine.commands import SetRiskLimits
from engine.events import OrderAccepted, OrderRejected
from engine.limits import RiskLimits
from engine.order import Side
from engine.reasons import RejectReason
from engine.units import AccountId, Money, Qty
from risk.pre_trade import CHECKS
from tests.exchange_desk import ALICE, BTC_USD, NOTIONAL_FACTOR, Desk, new_order

PRECEDENCE = ["check_limits_exist", "check_order_qty", "check_notional", "check_balance"]


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.apply(SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(50), Money(400_000))))
    return desk


def test_order_of_checks_is_the_documented_precedence() -> None:
    """The first check that refuses gives the reason, so their order is part of the contract."""
    assert [check.__name__ for check in CHECKS] == PRECEDENCE


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
