"""How far orders trade once they are let in: protection, collar, and the circuit breaker's band."""

import msgspec

from engine.commands import DefineInstrument, SetTradingState
from engine.controls import NS_PER_S, BreakerPhase, BreakerRules, InstrumentRules
from engine.events import (
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    Trade,
    TradingStateChanged,
)
from engine.exchange import Exchange
from engine.order import TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.risk_commands import SetInstrumentRules, SetReferencePrice
from engine.risk_events import BreakerChanged
from engine.trading_state import TradingState
from engine.units import InstrumentId, Price
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, BTC_USD, BTC_USD_DEFINITION, Desk

BREAKER = BreakerRules(
    band_bps=1000,
    window_ns=300 * NS_PER_S,
    limit_state_ns=15 * NS_PER_S,
    pause_ns=300 * NS_PER_S,
    collects_ns=60 * NS_PER_S,
    opening_band_bps=2000,
    opening_ns=900 * NS_PER_S,
)


def make_desk(reference: int | None = 1000, **values: int | BreakerRules) -> Desk:
    desk = Desk()
    rules = msgspec.structs.replace(InstrumentRules(BTC_USD), **values)
    desk.apply(SetInstrumentRules(rules))
    if reference is not None:
        desk.apply(SetReferencePrice(BTC_USD, Price(reference)))
    return desk


def story(events: list[Event]) -> list[object]:
    """Return what happened in short."""
    lines: list[object] = []
    for event in events:
        if isinstance(event, Trade) and not event.is_resting:
            lines.append(("trade", event.qty, event.price))
        elif isinstance(event, OrderCanceled):
            lines.append((event.reason, event.canceled_qty))
        elif isinstance(event, BreakerChanged | TradingStateChanged):
            lines.append(event)
        elif isinstance(event, OrderRejected):
            lines.append(event.reason)
    return lines


def test_market_order_trades_no_further_than_its_protection() -> None:
    """Measured from the reference price, not from what it finds; the rest is cancelled."""
    desk = make_desk(market_protection_bps=500)
    for price in (1049, 1050, 1051):
        desk.sell(BOB, 1, price)
    assert story(desk.buy(ALICE, 3, None)) == [
        ("trade", 1, 1049),
        ("trade", 1, 1050),
        (CancelReason.MARKET_PROTECTION, 1),
    ]
    # The reference is the last trade now.
    assert story(desk.buy(ALICE, 1, None)) == [("trade", 1, 1051)]


def test_limit_order_is_not_protected_but_collared() -> None:
    """Fills beyond the execution collar are prevented, fixed for the whole of the order."""
    desk = make_desk(market_protection_bps=500, execution_collar_bps=1000)
    for price in (1060, 1100, 1101):
        desk.sell(BOB, 1, price)
    assert story(desk.buy(ALICE, 3, 2000)) == [
        ("trade", 1, 1060),
        ("trade", 1, 1100),
        (CancelReason.EXECUTION_COLLAR, 1),
    ]
    assert desk.buy(ALICE, 1, 1000) != []
    for price in (990, 989):
        desk.buy(BOB, 1, price)
    # From 1100: 990 is still within a tenth.
    assert story(desk.sell(ALICE, 3, 1)) == [
        ("trade", 1, 1000),
        ("trade", 1, 990),
        (CancelReason.EXECUTION_COLLAR, 1),
    ]


def test_fill_or_kill_does_not_count_what_lies_beyond() -> None:
    """It is filled whole or not at all: the collar does not leave it half filled."""
    desk = make_desk(execution_collar_bps=1000)
    desk.sell(BOB, 1, 1100)
    desk.sell(BOB, 1, 1101)
    assert story(desk.buy(ALICE, 2, 2000, TimeInForce.FOK)) == [(CancelReason.FOK_CANNOT_FILL, 2)]
    assert story(desk.buy(ALICE, 1, 2000, TimeInForce.FOK)) == [("trade", 1, 1100)]


def test_amendment_that_would_trade_beyond_ends_the_order() -> None:
    """What it can trade it trades, the rest cannot stand beside what it crosses."""
    desk = make_desk(execution_collar_bps=1000)
    desk.sell(BOB, 1, 1100)
    desk.sell(BOB, 1, 1101)
    desk.buy(ALICE, 3, 1000)
    events = desk.amend(ALICE, "c3", "a1", 3, 2000)
    assert story(events) == [("trade", 1, 1100), (CancelReason.EXECUTION_COLLAR, 2)]


def test_missing_reference_fails_closed_and_open_only_if_it_is_said() -> None:
    """Without any price a market order is refused, unless the instrument is to trade without."""
    desk = make_desk(None, market_protection_bps=500)
    desk.sell(BOB, 1, 1000)
    assert story(desk.buy(ALICE, 1, None)) == [RejectReason.NO_REFERENCE_PRICE]
    desk = make_desk(None, market_protection_bps=500, trades_without_reference=True)
    desk.sell(BOB, 1, 1000)
    assert story(desk.buy(ALICE, 1, None)) == [("trade", 1, 1000)]
    desk = make_desk(None, breaker=BREAKER)
    assert story(desk.buy(ALICE, 1, 1000)) == [RejectReason.NO_REFERENCE_PRICE]


def test_trade_at_the_edge_of_the_band_does_not_end_the_limit_state() -> None:
    """Nothing trades beyond; who reaches the band is cut, everybody is told once."""
    desk = make_desk(breaker=BREAKER)
    desk.sell(BOB, 1, 1101)
    (_, _, began) = desk.buy(ALICE, 1, 1200)
    assert isinstance(began, BreakerChanged)
    assert (began.phase, began.low, began.high) == (BreakerPhase.LIMIT_STATE, 900, 1100)
    desk.sell(BOB, 1, 1100)
    assert story(desk.buy(ALICE, 1, 1100)) == [("trade", 1, 1100)]
    assert desk.exchange.next_timer_ns() == began.until_ns
    # The mean is that one trade's now: 1101 lies within.
    (trade, ended) = story(desk.buy(ALICE, 1, 1101))
    assert trade == ("trade", 1, 1101)
    assert ended == BreakerChanged(BTC_USD, BreakerPhase.NORMAL, Price(990), Price(1210))


def test_limit_state_that_lasts_pauses_the_market_and_it_resumes_by_an_uncrossing() -> None:
    """Halted, then collecting, then one price for all; the band is wider after that."""
    desk = make_desk(breaker=BREAKER)
    desk.sell(BOB, 5, 1101)
    (accepted, canceled, changed) = desk.buy(ALICE, 2, 1200)
    assert isinstance(accepted, OrderAccepted)
    assert story([canceled]) == [(CancelReason.CIRCUIT_BREAKER, 2)]
    began_ns = desk.now_ns
    due_ns = began_ns + 15 * NS_PER_S
    low, high = Price(900), Price(1100)
    assert changed == BreakerChanged(BTC_USD, BreakerPhase.LIMIT_STATE, low, high, due_ns)
    # Another touch changes nothing.
    assert story(desk.buy(ALICE, 1, 1200)) == [(CancelReason.CIRCUIT_BREAKER, 1)]
    assert desk.exchange.next_timer_ns() == due_ns
    halted_until_ns = due_ns + 300 * NS_PER_S
    assert story(desk.advance_to(due_ns)) == [
        BreakerChanged(
            BTC_USD, BreakerPhase.PAUSE, low, high, halted_until_ns, collects_ns=60 * NS_PER_S
        ),
        TradingStateChanged(
            BTC_USD,
            TradingState.CONTINUOUS,
            TradingState.HALTED,
            "the circuit breaker has tripped",
            "exchange",
            halted_until_ns,
        ),
    ]
    assert story(desk.buy(ALICE, 1, 1000)) == [RejectReason.MARKET_HALTED]
    (collecting,) = story(desk.advance_to(halted_until_ns))
    assert isinstance(collecting, TradingStateChanged)
    assert collecting.state is TradingState.PRE_OPEN
    desk.buy(ALICE, 2, 1150)
    events = desk.advance_to(collecting.ends_at_ns)
    trades = [event for event in events if isinstance(event, Trade)]
    assert [(trade.qty, trade.is_uncrossing) for trade in trades] == [(2, True)] * 2
    assert isinstance(events[-1], TradingStateChanged)
    assert events[-1].state is TradingState.CONTINUOUS
    # The mean is that of the uncrossing, and the band a fifth wide for a quarter of an hour.
    price = trades[0].price
    desk.cancel(BOB, "c1", "x1")
    desk.sell(BOB, 1, price * 12 // 10)
    assert story(desk.buy(ALICE, 1, 2000)) == [("trade", 1, price * 12 // 10)]


def test_limit_state_goes_on_when_the_band_is_not_known_any_more() -> None:
    """Nothing has traded yet and the operator takes his price back: the market pauses as told."""
    desk = make_desk(breaker=BREAKER)
    desk.sell(BOB, 1, 1101)
    desk.buy(ALICE, 1, 1200)
    desk.apply(SetReferencePrice(BTC_USD, None))
    due_ns = desk.exchange.next_timer_ns()
    assert due_ns is not None
    paused, halted = story(desk.advance_to(due_ns))
    until_ns, collects_ns = due_ns + 300 * NS_PER_S, 60 * NS_PER_S
    assert paused == BreakerChanged(
        BTC_USD, BreakerPhase.PAUSE, Price(0), Price(0), until_ns, collects_ns
    )
    assert isinstance(halted, TradingStateChanged)
    assert halted.state is TradingState.HALTED


def test_trade_within_the_band_ends_the_limit_state() -> None:
    """Whoever was there went away, or came to terms: the market does not pause."""
    desk = make_desk(breaker=BREAKER)
    desk.sell(BOB, 1, 1101)
    desk.buy(ALICE, 1, 1200)
    assert desk.exchange.next_timer_ns() is not None
    desk.sell(BOB, 1, 1050)
    assert story(desk.buy(ALICE, 1, 1050)) == [
        ("trade", 1, 1050),
        BreakerChanged(BTC_USD, BreakerPhase.NORMAL, Price(900), Price(1100)),
    ]
    assert desk.exchange.next_timer_ns() is None


def test_nothing_trades_outside_the_band_on_either_side() -> None:
    """A bargain below the band is as wrong as a price above it: the order is cancelled whole."""
    desk = make_desk(breaker=BREAKER)
    desk.sell(BOB, 1, 899)
    (_, canceled, changed) = desk.buy(ALICE, 1, 1000)
    assert story([canceled]) == [(CancelReason.CIRCUIT_BREAKER, 1)]
    assert isinstance(changed, BreakerChanged)
    assert changed.phase is BreakerPhase.LIMIT_STATE
    desk.cancel(BOB, "c1", "x1")
    desk.sell(BOB, 1, 900)
    assert story(desk.buy(ALICE, 1, 1000))[0] == ("trade", 1, 900)


def test_band_follows_the_mean_of_the_window() -> None:
    """Each trade counts once, whatever its size; what is older than the window does not."""
    desk = make_desk(breaker=BREAKER)
    for price in (1000, 1100):
        desk.sell(BOB, 7, price)
        desk.buy(ALICE, 7, price)
    # The mean of 1000 and 1100: up to 1155.
    desk.sell(BOB, 1, 1156)
    (_, canceled, changed) = desk.buy(ALICE, 1, 2000)
    assert isinstance(canceled, OrderCanceled)
    assert isinstance(changed, BreakerChanged)
    assert (changed.low, changed.high) == (945, 1155)
    # Once those are older than the window, what trades next is the mean.
    desk.now_ns += 400 * NS_PER_S
    desk.sell(BOB, 1, 950)
    assert story(desk.buy(ALICE, 1, 950))[0] == ("trade", 1, 950)
    (_, _, changed) = desk.buy(ALICE, 1, 2000)
    assert isinstance(changed, BreakerChanged)
    assert (changed.low, changed.high) == (855, 1045)


def test_operator_who_halts_ends_the_limit_state() -> None:
    """The breaker does not pause a market that somebody else has stopped."""
    desk = make_desk(breaker=BREAKER)
    desk.sell(BOB, 1, 1101)
    desk.buy(ALICE, 1, 1200)
    desk.apply(SetTradingState(BTC_USD, TradingState.HALTED, "news", "ann"))
    assert desk.exchange.next_timer_ns() is None


def test_breaker_that_was_taken_away_for_a_while_is_restored_in_its_place() -> None:
    """Where two markets pause at once, the restored exchange says it in the same order."""
    other = InstrumentId(2)
    desk = make_desk(breaker=BREAKER)
    definition = msgspec.structs.replace(
        BTC_USD_DEFINITION, instrument_id=other, symbol="BTC-USD-2"
    )
    desk.apply(DefineInstrument(definition))
    desk.apply(SetInstrumentRules(InstrumentRules(other, breaker=BREAKER)))
    desk.apply(SetInstrumentRules(InstrumentRules(BTC_USD)))
    desk.apply(SetInstrumentRules(InstrumentRules(BTC_USD, breaker=BREAKER)))
    state = desk.exchange.state()
    assert [breaker.instrument_id for breaker in state.gate.breakers] == [other, BTC_USD]
    assert Exchange.restore(PreTradeGate(), state).state() == state
