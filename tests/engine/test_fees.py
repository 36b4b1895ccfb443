"""Fees: exact to the unit, held beforehand, and never more than was agreed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.commands import AdjustBalance
from engine.events import CommandRefused, Event, OrderAccepted, OrderRejected, Trade
from engine.exchange import Exchange
from engine.fee_rates import FEE_PPM_MAX, PPM, FeeRates
from engine.fees import TIER_MAX
from engine.ledger import FEES
from engine.ledger_commands import SetFees, SetFirmFeeTier
from engine.ledger_events import FeesSet, FirmFeeTierSet
from engine.order import OrderTerms, TimeInForce
from engine.reasons import RejectReason
from engine.report import make_report
from engine.units import FirmId, InstrumentId, Money
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, BTC, BTC_USD, USD, Desk

RATES = FeeRates(maker_ppm=-100, taker_ppm=500)
IOC = TimeInForce.IOC


@pytest.fixture
def desk() -> Desk:
    """On which makers get 1 and takers pay 5 hundredths of a percent."""
    desk = Desk()
    assert desk.apply(SetFees(BTC_USD, 0, RATES)) == [FeesSet(BTC_USD, 0, RATES)]
    return desk


def fees_of(events: list[Event]) -> list[int]:
    trades = [event for event in events if isinstance(event, Trade)]
    assert {event.fee_asset_id for event in trades} <= {USD}
    return [event.fee for event in trades]


@given(
    notional=st.integers(0, 2**62).map(Money),
    parts=st.lists(st.integers(0, 2**40).map(Money), max_size=20),
    maker=st.integers(-FEE_PPM_MAX, FEE_PPM_MAX),
    taker=st.integers(-FEE_PPM_MAX, FEE_PPM_MAX),
)
def test_rounding_is_towards_zero_and_less_than_a_unit(
    notional: Money, parts: list[Money], maker: int, taker: int
) -> None:
    """No fee is above the exact one, and what is held for the whole covers any of its parts."""
    rates = FeeRates(maker, taker)
    for ppm, is_resting in ((maker, True), (taker, False)):
        fee = rates.fee(notional, is_resting=is_resting)
        exact = notional * ppm  # In millionths of a unit.
        assert 0 <= abs(exact) - abs(fee) * PPM < PPM
        assert fee * exact >= 0
        total = sum(rates.fee(part, is_resting=is_resting) for part in parts)
        assert total <= rates.worst_fee(Money(sum(parts)))


def test_taker_pays_and_maker_is_paid(desk: Desk) -> None:
    """The worked example of the rule book: both fees in the quote asset, the venue's beside."""
    desk.sell(BOB, 10_000, 100_00)  # 1 BTC at 100.00 USD.
    bought = desk.buy(ALICE, 10_000, 101_00)
    assert fees_of(bought) == [5000000, -1000000]  # 0.05 USD and -0.01 USD.
    assert desk.balance(ALICE, USD) == (10_000_00000000 - 100_00000000 - 5000000, 0)
    assert desk.balance(BOB, USD) == (10_000_00000000 + 100_00000000 + 1000000, 0)
    assert desk.balance(FEES, USD) == (4000000, 0)
    taker, maker = (
        make_report(event, "1.1", desk.exchange.reference)
        for event in bought
        if isinstance(event, Trade)
    )
    assert (taker.fee, taker.fee_asset) == ("0.05000000", "USD")
    assert (maker.fee, maker.fee_asset) == ("-0.01000000", "USD")


def test_seller_pays_out_of_what_he_is_paid() -> None:
    """He needs no money of his own for it, however high the fee."""
    desk = Desk({USD: Money(0), BTC: Money(10**8)})
    desk.apply(SetFees(BTC_USD, 0, FeeRates(0, FEE_PPM_MAX)))
    desk.apply(AdjustBalance(ALICE, USD, Money(200_000), "fund"))
    desk.buy(ALICE, 10, 100)
    assert fees_of(desk.sell(BOB, 10, None, IOC)) == [10_000, 0]
    assert desk.balance(BOB, USD) == (90_000, 0)
    assert desk.balance(FEES, USD) == (10_000, 0)


def test_buyer_holds_the_worst_fee_and_gets_the_rest_back(desk: Desk) -> None:
    """Price improvement and the difference between the fees come back at once, to the unit."""
    worst = 7 * 33 * 100 * 500 // PPM
    desk.buy(ALICE, 7, 33)
    assert desk.balance(ALICE, USD)[1] == 7 * 33 * 100 + worst
    desk.sell(BOB, 3, 33)
    assert desk.balance(ALICE, USD)[1] == 4 * 33 * 100 + 4 * 33 * 100 * 500 // PPM
    desk.amend(ALICE, "c1", "a1", 5, 33)
    assert desk.balance(ALICE, USD)[1] == 2 * 33 * 100 + 2 * 33 * 100 * 500 // PPM
    desk.cancel(ALICE, "a1", "x1")
    assert desk.balance(ALICE, USD)[1] == 0
    desk.sell(BOB, 10, 30)
    desk.buy(ALICE, 10, 40)
    assert desk.balance(ALICE, USD)[1] == 0


def test_whole_balance_can_be_spent_but_no_unit_more() -> None:
    """The fee counts when an order is checked: a limit order and a market order alike."""
    cost = 10 * 100 * 100
    fee = cost * 500 // PPM
    for price in (100, None):
        for shortage in (0, 1):
            desk = Desk({USD: Money(cost + fee - shortage), BTC: Money(10**8)})
            desk.apply(SetFees(BTC_USD, 0, RATES))
            desk.sell(BOB, 10, 100)
            events = desk.buy(ALICE, 10, price, IOC)
            if shortage:
                (refused,) = events
                assert isinstance(refused, OrderRejected)
                assert (refused.reason, refused.limit, refused.actual) == (
                    RejectReason.INSUFFICIENT_BALANCE,
                    cost + fee - 1,
                    cost + fee,
                )
            else:
                assert fees_of(events) == [fee, -10]
                assert desk.balance(ALICE, USD) == (0, 0)


@pytest.mark.parametrize("is_restored", [False, True])
def test_order_keeps_the_rates_it_was_accepted_under(desk: Desk, is_restored: bool) -> None:
    """A change concerns later orders: what is held always suffices. An amendment is a later one."""
    desk.buy(ALICE, 10_000, 100_00)
    desk.buy(ALICE, 10_000, 100_00)
    desk.buy(ALICE, 10_000, 100_00)
    desk.apply(SetFees(BTC_USD, 0, FeeRates(2000, 3000)))
    desk.amend(ALICE, "c2", "smaller", 5_000, 100_00)
    desk.amend(ALICE, "c3", "moved", 10_000, 101_00)
    if is_restored:
        desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    # The amended one has the best price now; then come the two in their order.
    assert fees_of(desk.sell(BOB, 10_000, 101_00)) == [30300000, 20200000]
    assert fees_of(desk.sell(BOB, 15_000, 100_00)) == [30000000, -1000000, 15000000, -500000]


def test_raised_fee_does_not_forbid_to_ask_for_less(desk: Desk) -> None:
    """What only gets smaller keeps its rates, so it is never short of money for them."""
    desk.buy(ALICE, 10_000, 9_995_00)  # 9995 USD and a fee of almost 5: all that ALICE has.
    desk.apply(SetFees(BTC_USD, 0, FeeRates(0, FEE_PPM_MAX)))
    (replaced,) = desk.amend(ALICE, "c1", "a1", 9_999, 9_995_00)
    assert type(replaced).__name__ == "OrderReplaced"
    (refused,) = desk.amend(ALICE, "a1", "a2", 9_999, 9_990_00)
    assert type(refused).__name__ == "CancelRejected"


def test_firms_are_charged_by_their_tier(desk: Desk) -> None:
    """A tier without rates of its own is charged as tier 0; without any rates nothing is."""
    desk.apply(SetFees(BTC_USD, 3, FeeRates(0, 100)))
    assert desk.apply(SetFirmFeeTier(FirmId(ALICE), 3)) == [FirmFeeTierSet(FirmId(ALICE), 3)]
    assert desk.apply(SetFirmFeeTier(FirmId(BOB), 4)) == [FirmFeeTierSet(FirmId(BOB), 4)]
    desk.sell(BOB, 10_000, 100_00)
    assert fees_of(desk.buy(ALICE, 10_000, 100_00)) == [1000000, -1000000]
    desk.apply(SetFirmFeeTier(FirmId(ALICE), 0))
    desk.sell(BOB, 10_000, 100_00)
    assert fees_of(desk.buy(ALICE, 10_000, 100_00)) == [5000000, -1000000]
    for tier in (0, 3):
        desk.apply(SetFees(BTC_USD, tier, None))
    desk.sell(BOB, 10_000, 100_00)
    trades = [event for event in desk.buy(ALICE, 10_000, 100_00) if isinstance(event, Trade)]
    assert [(trade.fee, trade.fee_asset_id) for trade in trades] == [(0, 0), (0, 0)]


def test_post_only_holds_as_others_do(desk: Desk) -> None:
    """It may be amended into one that takes: one rule for all."""
    (accepted,) = desk.buy(ALICE, 10_000, 100_00, terms=OrderTerms(is_post_only=True))
    assert isinstance(accepted, OrderAccepted)
    assert desk.balance(ALICE, USD)[1] == 100_00000000 + 5000000


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (
            SetFees(InstrumentId(9), 0, RATES),
            CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=9),
        ),
        (
            SetFees(BTC_USD, -1, RATES),
            CommandRefused(RejectReason.FEE_TIER_INVALID, limit=TIER_MAX, actual=-1),
        ),
        (
            SetFees(BTC_USD, 0, FeeRates(-FEE_PPM_MAX - 1, 0)),
            CommandRefused(
                RejectReason.FEE_RATE_INVALID, limit=FEE_PPM_MAX, actual=-FEE_PPM_MAX - 1
            ),
        ),
        (SetFirmFeeTier(FirmId(9), 0), CommandRefused(RejectReason.FIRM_UNKNOWN, actual=9)),
        (
            SetFirmFeeTier(FirmId(ALICE), TIER_MAX + 1),
            CommandRefused(RejectReason.FEE_TIER_INVALID, limit=TIER_MAX, actual=TIER_MAX + 1),
        ),
    ],
)
def test_slip_of_the_finger_changes_nothing(
    desk: Desk, command: SetFees | SetFirmFeeTier, refusal: CommandRefused
) -> None:
    """A rate of more than a tenth is a mistake."""
    before = desk.exchange.state()
    assert desk.apply(command) == [refusal]
    assert desk.exchange.state() == before
