"""Trades undone and corrected: what moved goes back, to the unit, and no order is opened again."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.commands import AdjustBalance
from engine.events import CommandRefused, Event, OrderCanceled, Trade, recipients
from engine.exchange import Exchange
from engine.fee_rates import FeeRates
from engine.ledger import FEES
from engine.ledger_commands import SetFees
from engine.ledger_events import CreditLineSet
from engine.order import OrdStatus, Side
from engine.order_memory import CLOSED_AGE_MAX_NS
from engine.reasons import RejectReason
from engine.report import make_report
from engine.risk_events import CreditUsed
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade, TradeSide
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import AccountId, InstrumentId, Money, Price, Qty, TradeId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    USD,
    Desk,
    view,
)

FUNDS = {USD: Money(1_000_000), BTC: Money(1_000_000)}
RATES = FeeRates(maker_ppm=-10_000, taker_ppm=30_000)


def book(desk: Desk, events: list[Event]) -> BookedTrade:
    """Return the first trade among the events of the last command."""
    trades = [(index, event) for index, event in enumerate(events) if isinstance(event, Trade)]
    (index, taker), (_, maker) = trades[:2]
    return BookedTrade(
        taker.trade_id,
        desk.seq,
        BTC_USD,
        taker.qty,
        taker.price,
        TradeSide(taker.order, index, taker.fee),
        TradeSide(maker.order, index + 1, maker.fee),
    )


@pytest.fixture
def desk() -> Desk:
    desk = Desk(FUNDS)
    desk.apply(SetFees(BTC_USD, 0, RATES))
    return desk


@pytest.fixture
def trade(desk: Desk) -> BookedTrade:
    """ALICE has bought 10 of her 12 at 50 from BOB, whose order is filled: 50,000 USD."""
    desk.sell(BOB, 10, 50)
    return book(desk, desk.buy(ALICE, 12, 50))


def bust(trade: BookedTrade, *, is_forced: bool = False) -> BustTrade:
    return BustTrade(trade, "clearly erroneous", "carol", is_forced)


def correct(trade: BookedTrade, qty: int, price: int, *, is_forced: bool = False) -> CorrectTrade:
    return CorrectTrade(trade, Qty(qty), Price(price), "wrong price", "carol", is_forced)


def balances(desk: Desk) -> dict[tuple[int, int], int]:
    return {(line.account_id, line.asset_id): line.balance for line in desk.balances()}


def test_bust_moves_everything_back(desk: Desk, trade: BookedTrade) -> None:
    """Fees too. The open order gets smaller, the filled one has ended unfilled."""
    shared: dict[str, Any] = {
        "trade_id": trade.trade_id,
        "trade_seq": trade.trade_seq,
        "qty": Qty(10),
        "price": Price(50),
        "notional": Money(10 * 50 * NOTIONAL_FACTOR),
        "base_amount": Money(10 * BASE_FACTOR),
        "base_asset_id": BTC,
        "quote_asset_id": USD,
        "reason": "clearly erroneous",
        "actor": "carol",
    }
    bought, sold = trade.aggressor.order.order_id, trade.resting.order.order_id
    assert desk.apply(bust(trade)) == [
        TradeBusted(
            order=view(bought, ALICE, "c2", Side.BUY, qty=2, price=50),
            event_index=1,
            fee=Money(1500),
            is_resting=False,
            **shared,
        ),
        TradeBusted(
            order=view(
                sold, BOB, "c1", Side.SELL, qty=10, price=50, leaves_qty=0,
                ord_status=OrdStatus.CANCELED,
            ),
            event_index=2,
            fee=Money(-500),
            is_resting=True,
            **shared,
        ),
    ]  # fmt: skip
    hold = 2 * 50 * NOTIONAL_FACTOR
    assert desk.balance(ALICE, USD) == (1_000_000, hold + hold * 30_000 // 10**6)
    assert desk.balance(ALICE, BTC) == desk.balance(BOB, BTC) == (1_000_000, 0)
    assert desk.balance(BOB, USD) == (1_000_000, 0)
    assert desk.balance(FEES, USD) == (0, 0)


def test_what_was_open_goes_on_trading(desk: Desk, trade: BookedTrade) -> None:
    """The rest of the order, and no more: its total is what is filled and what is open."""
    desk.apply(bust(trade))
    trades = [event for event in desk.sell(BOB, 5, 50) if isinstance(event, Trade)]
    assert [(event.qty, event.order.order_qty, event.order.cum_qty) for event in trades] == [
        (2, 5, 2),
        (2, 2, 2),
    ]


def test_only_one_of_several_fills_goes(desk: Desk, trade: BookedTrade) -> None:
    """CumQty and what it cost fall by that fill; the order stays partly filled."""
    second = book(desk, desk.sell(BOB, 1, 50))
    aggressor, resting = desk.apply(bust(second))
    assert isinstance(aggressor, TradeBusted)
    assert isinstance(resting, TradeBusted)
    order = resting.order
    assert (order.order_qty, order.cum_qty, order.leaves_qty) == (11, 10, 1)
    assert (order.cum_notional, order.ord_status) == (50_000, OrdStatus.PARTIALLY_FILLED)
    (canceled,) = desk.cancel(ALICE, "c2", "x1")
    assert isinstance(canceled, OrderCanceled)
    (first, _) = desk.apply(bust(trade))
    assert isinstance(first, TradeBusted)
    assert (first.order.cum_qty, first.order.ord_status) == (0, OrdStatus.CANCELED)


@pytest.mark.parametrize("is_restored", [True, False])
def test_trade_is_undone_once(desk: Desk, trade: BookedTrade, is_restored: bool) -> None:
    """Also after a restart: a repeat moves nothing."""
    desk.apply(bust(trade))
    if is_restored:
        desk.exchange = Exchange.restore(PreTradeGate(), desk.exchange.state())
    before = desk.exchange.state()
    refused = CommandRefused(RejectReason.TRADE_BUSTED, actual=trade.trade_id)
    assert desk.apply(bust(trade, is_forced=True)) == [refused]
    assert desk.apply(correct(trade, 10, 51, is_forced=True)) == [refused]
    assert desk.exchange.state() == before


def test_correction_settles_the_difference(desk: Desk, trade: BookedTrade) -> None:
    """At another price, or for less; fees in proportion; again from where the last one left it."""
    before = balances(desk)
    events = desk.apply(correct(trade, 8, 40))
    aggressor, resting = events
    assert isinstance(aggressor, TradeCorrected)
    assert isinstance(resting, TradeCorrected)
    assert (aggressor.qty, aggressor.price, aggressor.notional, aggressor.fee) == (
        8,
        40,
        32000,
        960,
    )
    former = (aggressor.former_qty, aggressor.former_price, aggressor.former_notional)
    assert (*former, aggressor.former_fee) == (10, 50, 50_000, 1500)
    assert (resting.fee, resting.former_fee) == (-320, -500)
    assert (aggressor.order.order_qty, aggressor.order.cum_qty) == (10, 8)
    assert (resting.order.cum_qty, resting.order.ord_status) == (8, OrdStatus.CANCELED)
    after = balances(desk)
    changes = {key: amount - before[key] for key, amount in after.items() if amount != before[key]}
    assert changes == {
        (ALICE, USD): 18_000 + 540,
        (BOB, USD): -18_000 - 180,
        (FEES, USD): -360,
        (ALICE, BTC): -2 * BASE_FACTOR,
        (BOB, BTC): 2 * BASE_FACTOR,
    }
    (again, _) = desk.apply(correct(trade, 8, 41))
    assert isinstance(again, TradeCorrected)
    assert (again.former_price, again.price) == (40, 41)
    desk.apply(bust(trade))
    assert desk.balance(BOB, USD) == (1_000_000, 0)
    assert desk.balance(FEES, USD) == (0, 0)


def test_filled_order_stays_filled_when_the_price_alone_is_corrected(
    desk: Desk, trade: BookedTrade
) -> None:
    """What it cost is another sum, nothing else."""
    (_, resting) = desk.apply(correct(trade, 10, 49))
    assert isinstance(resting, TradeCorrected)
    assert resting.order.ord_status is OrdStatus.FILLED
    assert (resting.order.cum_qty, resting.order.cum_notional) == (10, 49_000)


@pytest.mark.parametrize(
    ("qty", "price", "refusal"),
    [
        (11, 50, CommandRefused(RejectReason.AMOUNT_INVALID, limit=10, actual=11)),
        (10, 50, CommandRefused(RejectReason.AMOUNT_INVALID, limit=10, actual=10)),
        (0, 50, CommandRefused(RejectReason.LOT_SIZE, limit=1, actual=0)),
        (10, 0, CommandRefused(RejectReason.TICK_SIZE, limit=1, actual=0)),
        (10, 2**62, CommandRefused(RejectReason.AMOUNT_INVALID, actual=2**62)),
    ],
)
def test_correction_to_what_cannot_be_is_refused(
    desk: Desk, trade: BookedTrade, qty: int, price: int, refusal: CommandRefused
) -> None:
    """More than was traded, nothing at all, no price, or what is settled already."""
    before = desk.exchange.state()
    assert desk.apply(correct(trade, qty, price)) == [refusal]
    assert desk.exchange.state() == before


def spend(desk: Desk, account_id: AccountId) -> None:
    """Take all USD out of the account."""
    balance, held = desk.balance(account_id, USD)
    desk.apply(AdjustBalance(account_id, USD, Money(held - balance), "all"))


def test_spent_money_cannot_be_given_back_unless_forced(desk: Desk, trade: BookedTrade) -> None:
    """Refused with what is missing; forced, the account owes exactly that, and its line says so."""
    spend(desk, BOB)
    before = desk.exchange.state()
    assert desk.apply(bust(trade)) == [
        CommandRefused(RejectReason.TRADE_NOT_COVERED, limit=0, actual=50_500)
    ]
    assert desk.exchange.state() == before
    line, *sides, used = desk.apply(bust(trade, is_forced=True))
    assert line == CreditLineSet(BOB, USD, Money(50_500))
    assert [type(event) for event in sides] == [TradeBusted, TradeBusted]
    assert used == CreditUsed(BOB, USD, 100, used=Money(50_500), credit=Money(50_500))
    assert desk.balance(BOB, USD) == (-50_500, 0)
    (refused,) = desk.buy(BOB, 1, 1)
    assert make_report(refused, "1.1", desk.exchange.reference).reason == "INSUFFICIENT_BALANCE"  # type: ignore[arg-type]


def test_what_cannot_have_happened_is_refused(desk: Desk, trade: BookedTrade) -> None:
    """The engine compares with all it still knows: the orders, their sides and their fills."""
    bought, sold = trade.aggressor, trade.resting
    other = replace(bought, order=replace(bought.order, order_id=sold.order.order_id))
    impossible = [
        replace(trade, trade_id=TradeId(2)),
        replace(trade, trade_id=TradeId(0)),
        replace(trade, qty=Qty(0)),
        replace(trade, qty=Qty(11)),
        replace(trade, price=Price(51)),
        replace(trade, price=Price(0)),
        replace(trade, aggressor=sold),
        replace(trade, aggressor=other),
        replace(trade, aggressor=replace(bought, order=replace(bought.order, account_id=BOB))),
        replace(
            trade, aggressor=replace(bought, order=replace(bought.order, account_id=AccountId(9)))
        ),
    ]
    before = desk.exchange.state()
    for wrong in impossible:
        refused = CommandRefused(RejectReason.TRADE_UNKNOWN, actual=wrong.trade_id)
        assert desk.apply(bust(wrong, is_forced=True)) == [refused]
    unknown = replace(trade, instrument_id=InstrumentId(9))
    assert desk.apply(bust(unknown)) == [CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=9)]
    assert desk.exchange.state() == before


def test_trade_of_forgotten_orders_can_be_undone(desk: Desk, trade: BookedTrade) -> None:
    """A day later nobody knows the filled order: its report shows it as the trade left it."""
    desk.advance_to(desk.now_ns + CLOSED_AGE_MAX_NS)
    desk.sell(BOB, 1, 99)
    desk.cancel(BOB, "c3", "x1")  # Another end makes room.
    assert not desk.knows(BOB, "c1")
    _, resting = desk.apply(bust(trade))
    assert isinstance(resting, TradeBusted)
    assert resting.order == view(
        trade.resting.order.order_id, BOB, "c1", Side.SELL, qty=10, price=50, leaves_qty=0,
        ord_status=OrdStatus.CANCELED,
    )  # fmt: skip
    assert desk.balance(BOB, USD) == (1_000_000, 0)


def test_reports_name_the_fill(desk: Desk, trade: BookedTrade) -> None:
    """ExecType G and H, with the ExecID of the report that is not true any more."""
    reports = [
        make_report(event, "99.0", desk.exchange.reference)
        for command in (correct(trade, 8, 40), bust(trade))
        for event in desk.apply(command)
        if isinstance(event, TradeCorrected | TradeBusted)
    ]
    assert [
        (report.exec_type, report.exec_ref_id, report.last_qty, report.last_px, report.fee)
        for report in reports
    ] == [
        ("G", f"{trade.trade_seq}.1", "0.0008", "0.40", "0.00000960"),
        ("G", f"{trade.trade_seq}.2", "0.0008", "0.40", "-0.00000320"),
        ("H", f"{trade.trade_seq}.1", "0.0008", "0.40", "0.00000960"),
        ("H", f"{trade.trade_seq}.2", "0.0008", "0.40", "-0.00000320"),
    ]
    assert {report.text for report in reports} == {"wrong price", "clearly erroneous"}


def test_owners_are_told_over_their_sessions(desk: Desk, trade: BookedTrade) -> None:
    """As of the fill itself."""
    for event in desk.apply(bust(trade)):
        assert isinstance(event, TradeBusted)
        assert recipients(event) == ()
        over_session = replace(event, order=replace(event.order, session_id=7))
        assert recipients(over_session) == (7,)
