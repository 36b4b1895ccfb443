"""Self-trade prevention: what each mode does when two orders of one owner meet."""

import pytest
from msgspec.structs import replace

from engine.commands import AdjustBalance, OpenAccount, SetSelfTradeMode
from engine.events import (
    CancelRejected,
    CommandRefused,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderStatusReported,
    SelfTradeModeSet,
    Trade,
)
from engine.instrument import Account
from engine.limits import RiskLimits
from engine.order import OrderTerms, SelfTradeMode, Side, TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.risk_commands import SetRiskLimits
from engine.scope import Scope
from engine.units import AccountId, FirmId, Money, Qty
from tests.exchange_desk import ALICE, BOB, BTC, BTC_USD, NOTIONAL_FACTOR, USD, Desk, new_order

AGGRESSOR = OrderTerms(self_trade=SelfTradeMode.CANCEL_AGGRESSOR)
RESTING = OrderTerms(self_trade=SelfTradeMode.CANCEL_RESTING)
BOTH = OrderTerms(self_trade=SelfTradeMode.CANCEL_BOTH)
DECREMENT = OrderTerms(self_trade=SelfTradeMode.DECREMENT)
SISTER = AccountId(3)  # Another account of Alice's firm.


@pytest.fixture
def desk() -> Desk:
    return Desk()


def told(events: list[Event]) -> list[tuple[str, str, int]]:
    """Return what happened to whom and how much of it, without the acceptance."""
    lines: list[tuple[str, str, int]] = []
    for event in events:
        match event:
            case Trade():
                lines.append(("trade", event.order.cl_ord_id, int(event.qty)))
            case OrderCanceled():
                assert event.reason is CancelReason.SELF_TRADE
                lines.append(("cancel", event.order.cl_ord_id, int(event.canceled_qty)))
            case OrderRestated():
                assert event.reason is CancelReason.SELF_TRADE
                lines.append(("restate", event.order.cl_ord_id, int(event.decreased_qty)))
            case _:
                assert isinstance(event, OrderAccepted | OrderReplaced)
    return lines


def standing(desk: Desk) -> dict[str, int]:
    """Return what is open of every order."""
    return {
        item.order.cl_ord_id: int(item.order.leaves_qty)
        for item in desk.exchange.state().open_orders
    }


@pytest.mark.parametrize(
    ("terms", "qty", "lines", "rests"),
    [
        # Bob's 3 come first, then Alice's own 4, then Bob's 5.
        (AGGRESSOR, 10, [("cancel", "c4", 7)], {"c2": 4, "c3": 5}),
        (RESTING, 10, [("cancel", "c2", 4), ("trade", "c4", 5), ("trade", "c3", 5)], {"c4": 2}),
        (BOTH, 10, [("cancel", "c2", 4), ("cancel", "c4", 7)], {"c3": 5}),
        (BOTH, 5, [("cancel", "c2", 4), ("cancel", "c4", 2)], {"c3": 5}),
        (DECREMENT, 5, [("restate", "c2", 2), ("cancel", "c4", 2)], {"c2": 2, "c3": 5}),
        (DECREMENT, 7, [("cancel", "c2", 4), ("cancel", "c4", 4)], {"c3": 5}),
        (
            DECREMENT,
            9,
            [("cancel", "c2", 4), ("restate", "c4", 4), ("trade", "c4", 2), ("trade", "c3", 2)],
            {"c3": 3},
        ),
    ],
)
def test_mode_of_the_aggressor_decides(
    desk: Desk,
    terms: OrderTerms,
    qty: int,
    lines: list[tuple[str, str, int]],
    rests: dict[str, int],
) -> None:
    """Strangers that stand ahead are traded with first; no rest is left to cross the book."""
    desk.sell(BOB, 3, 100)
    desk.sell(ALICE, 4, 100, TimeInForce.GTC, BOTH)
    desk.sell(BOB, 5, 101)
    events = desk.buy(ALICE, qty, 101, TimeInForce.GTC, terms)
    assert told(events) == [("trade", "c4", 3), ("trade", "c1", 3), *lines]
    assert standing(desk) == rests


@pytest.mark.parametrize("is_poss_resend", [True, False])
@pytest.mark.parametrize("terms", [AGGRESSOR, RESTING, BOTH, DECREMENT])
def test_order_that_met_its_own_is_not_filled_again_on_retry(
    desk: Desk, terms: OrderTerms, is_poss_resend: bool
) -> None:
    """Sent again it is answered with what has become of it, or refused; nothing trades twice."""
    desk.sell(BOB, 3, 100)
    desk.sell(ALICE, 4, 100)
    desk.sell(BOB, 9, 101)
    order = new_order(ALICE, Side.BUY, 6, 100, cl_ord_id="r", terms=terms)
    assert told(desk.apply(order))[:2] == [("trade", "r", 3), ("trade", "c1", 3)]
    before = desk.exchange.state()
    (answer,) = desk.apply(replace(order, is_poss_resend=is_poss_resend))
    if is_poss_resend:
        assert isinstance(answer, OrderStatusReported)
        assert answer.order.cum_qty == 3
    else:
        assert isinstance(answer, OrderRejected)
        assert answer.reason is RejectReason.DUPLICATE_CLORDID
    assert desk.exchange.state() == before


@pytest.mark.parametrize("terms", [AGGRESSOR, RESTING, BOTH, DECREMENT])
def test_own_order_out_of_reach_is_no_obstacle(desk: Desk, terms: OrderTerms) -> None:
    """An order that is filled before it comes to its own trades as if that were not there."""
    desk.sell(BOB, 5, 100)
    desk.sell(ALICE, 5, 100)
    events = desk.buy(ALICE, 5, 105, TimeInForce.FOK, terms)
    assert told(events) == [("trade", "c3", 5), ("trade", "c1", 5)]
    assert standing(desk) == {"c2": 5}


@pytest.mark.parametrize(
    ("terms", "is_filled"), [(AGGRESSOR, False), (RESTING, True), (BOTH, False), (DECREMENT, False)]
)
def test_fok_counts_strangers_alone(desk: Desk, terms: OrderTerms, is_filled: bool) -> None:
    """One that its own order keeps from being filled whole touches nothing, nor its own order."""
    desk.sell(BOB, 5, 100)
    desk.sell(ALICE, 5, 100)
    desk.sell(BOB, 5, 101)
    events = desk.buy(ALICE, 10, 101, TimeInForce.FOK, terms)
    if is_filled:
        assert standing(desk) == {}
        return
    last = events[-1]
    assert isinstance(last, OrderCanceled)
    assert last.reason is CancelReason.FOK_CANNOT_FILL
    assert standing(desk) == {"c1": 5, "c2": 5, "c3": 5}


def test_market_order_pays_for_what_it_trades_alone() -> None:
    """What its own orders ask is not counted against its funds."""
    desk = Desk({USD: Money(1000 * NOTIONAL_FACTOR), BTC: Money(100_00000000)})
    desk.sell(ALICE, 5, 100)
    desk.sell(BOB, 5, 200)
    events = desk.buy(ALICE, 5, None, TimeInForce.IOC, RESTING)
    assert told(events) == [("cancel", "c1", 5), ("trade", "c3", 5), ("trade", "c2", 5)]


@pytest.mark.parametrize("terms", [AGGRESSOR, BOTH, DECREMENT])
def test_amendment_never_ends_its_order(desk: Desk, terms: OrderTerms) -> None:
    """One that would meet its own is refused; the order stands as it was, and its own too."""
    desk.buy(ALICE, 5, 99, TimeInForce.GTC, terms)
    desk.sell(BOB, 3, 100)
    desk.sell(ALICE, 5, 100)
    before = desk.exchange.state()
    (refused,) = desk.amend(ALICE, "c1", "a1", 5, 100)
    assert isinstance(refused, CancelRejected)
    assert refused.reason is RejectReason.SELF_TRADE
    assert desk.exchange.state() == before
    assert told(desk.amend(ALICE, "c1", "a1", 3, 100)) == [("trade", "a1", 3), ("trade", "c2", 3)]
    assert standing(desk) == {"c3": 5}


def test_amendment_may_cancel_what_stands_against_it(desk: Desk) -> None:
    """With the mode that cancels the other, there is nothing that the amendment could destroy."""
    desk.buy(ALICE, 5, 99, TimeInForce.GTC, RESTING)
    desk.sell(ALICE, 4, 100)
    assert told(desk.amend(ALICE, "c1", "a1", 5, 100)) == [("cancel", "c2", 4)]
    assert standing(desk) == {"a1": 5}


@pytest.mark.parametrize(("group", "is_one"), [(7, True), (8, False), (0, False)])
def test_group_makes_accounts_of_a_firm_one(desk: Desk, group: int, is_one: bool) -> None:
    """Only within the firm: the number of another firm's group means nothing."""
    desk.apply(OpenAccount(Account(SISTER, FirmId(ALICE), "SISTER")))
    desk.apply(SetRiskLimits(RiskLimits(SISTER, BTC_USD, Qty(10**9), Money(10**16))))
    desk.apply(AdjustBalance(SISTER, BTC, Money(10**10), "fund"))
    theirs = OrderTerms(self_trade_group=group)
    desk.sell(SISTER, 5, 100, TimeInForce.GTC, theirs)
    desk.sell(BOB, 5, 100, TimeInForce.GTC, OrderTerms(self_trade_group=7))
    mine = OrderTerms(self_trade=SelfTradeMode.CANCEL_RESTING, self_trade_group=7)
    lines = told(desk.buy(ALICE, 5, 100, TimeInForce.GTC, mine))
    assert lines[-1] == ("trade", "c2" if is_one else "c1", 5)
    assert (("cancel", "c1", 5) in lines) is is_one


def test_venue_has_a_default_that_orders_may_overrule(desk: Desk) -> None:
    """It holds for orders that come in from then on, those that rest already included."""
    everything = (Scope.EVERYTHING, 0)
    desk.sell(ALICE, 9, 100)
    mode = SelfTradeMode.CANCEL_AGGRESSOR
    assert desk.apply(SetSelfTradeMode(*everything, mode)) == [SelfTradeModeSet(*everything, mode)]
    assert told(desk.buy(ALICE, 2, 100)) == [("cancel", "c2", 2)]
    allowed = OrderTerms(self_trade=SelfTradeMode.ALLOW)
    assert told(desk.buy(ALICE, 2, 100, TimeInForce.GTC, allowed))[0] == ("trade", "c3", 2)
    desk.apply(SetSelfTradeMode(*everything, None))
    assert told(desk.buy(ALICE, 2, 100))[0] == ("trade", "c4", 2)
    assert desk.exchange.state().self_trade_defaults == []


@pytest.mark.parametrize(
    ("scope", "scope_id", "reason"),
    [
        (Scope.FIRM, 1, RejectReason.UNSUPPORTED),
        (Scope.ACCOUNT, 1, RejectReason.UNSUPPORTED),
        (Scope.EVERYTHING, 1, RejectReason.AMOUNT_INVALID),
        (Scope.SESSION, 0, RejectReason.AMOUNT_INVALID),
        (Scope.SESSION, -1, RejectReason.AMOUNT_INVALID),
    ],
)
def test_default_is_of_a_session_or_the_venue(
    desk: Desk, scope: Scope, scope_id: int, reason: RejectReason
) -> None:
    """Anything else is refused."""
    (event,) = desk.apply(SetSelfTradeMode(scope, scope_id, SelfTradeMode.CANCEL_BOTH))
    assert isinstance(event, CommandRefused)
    assert event.reason is reason
