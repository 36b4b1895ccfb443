"""What a mode allows, what leads to it and who may end it; limits of several levels; overrides."""

from collections.abc import Callable
from itertools import product

import msgspec
import pytest

from engine.commands import AdjustBalance
from engine.controls import (
    NS_PER_S,
    Control,
    InstrumentRules,
    Level,
    Limit,
    Mode,
    ModeCause,
    Override,
    TradingMode,
)
from engine.events import (
    CancelRejected,
    CommandRefused,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
)
from engine.exchange import Exchange
from engine.limits import RiskLimits
from engine.reasons import CancelReason, RejectReason
from engine.risk_commands import (
    GrantOverride,
    RevokeOverride,
    SetInstrumentRules,
    SetLimit,
    SetRiskLimits,
    SetTradingMode,
)
from engine.risk_events import LimitSet, OverrideGranted, OverrideRevoked, TradingModeSet
from engine.scope import Scope
from engine.units import AssetId, InstrumentId, Money, Qty
from risk.modes import ALLOWED, REASONS, TRIPPED, Act
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BASE_FACTOR, BOB, BTC, BTC_USD, NOTIONAL_FACTOR, USD, Desk

MINUTE_NS = 60 * NS_PER_S
ACTS: dict[Act, Callable[[Desk], list[Event]]] = {
    Act.ENTER: lambda desk: desk.buy(ALICE, 1, 90),
    Act.REDUCE: lambda desk: desk.sell(ALICE, 1, 110),
    Act.SHRINK: lambda desk: desk.amend(ALICE, "c1", "a1", 4, 100),
    Act.CANCEL: lambda desk: desk.cancel(ALICE, "c1", "x1"),
}


def set_limit(
    control: Control,
    value: int | None,
    level: Level = Level.OPERATOR,
    *,
    scope: Scope = Scope.ACCOUNT,
    instrument_id: int = 0,
    asset_id: int = 0,
    window_ns: int = 0,
) -> SetLimit:
    limit = Limit(
        level, scope, 1, control, value, InstrumentId(instrument_id), AssetId(asset_id), window_ns
    )
    return SetLimit(limit, "ann")


def set_mode(
    mode: Mode, level: Level = Level.OPERATOR, scope: Scope = Scope.ACCOUNT
) -> SetTradingMode:
    scope_id = 0 if scope is Scope.EVERYTHING else 1
    return SetTradingMode(scope, scope_id, level, mode, "a test", "ann")


@pytest.mark.parametrize(("mode", "act"), list(product(Mode, Act)))
def test_mode_allows_what_its_table_says(mode: Mode, act: Act) -> None:
    """Every cell of the table, done; what is refused bears the code of the mode."""
    desk = Desk()
    desk.buy(ALICE, 5, 100)
    # BLOCKED cancels at once what is open: there is nothing to shrink or cancel any more.
    is_gone = mode is Mode.BLOCKED and act in (Act.SHRINK, Act.CANCEL)
    desk.apply(set_mode(mode))
    event = ACTS[act](desk)[0]
    if is_gone:
        assert isinstance(event, CancelRejected)
        assert event.reason is RejectReason.TOO_LATE_TO_CANCEL
    elif ALLOWED[(mode, act)]:
        assert not isinstance(event, OrderRejected | CancelRejected)
    else:
        assert isinstance(event, OrderRejected | CancelRejected)
        assert event.reason is REASONS[mode]


@pytest.mark.parametrize("scope", list(Scope))
def test_mode_of_every_scope_holds_for_its_orders(scope: Scope) -> None:
    """Of the exchange, an instrument, a firm, an account, a user, a session."""
    desk = Desk()
    command = set_mode(Mode.CANCEL_ONLY, scope=scope)
    if scope is Scope.SESSION:
        assert desk.apply(command) == [CommandRefused(RejectReason.SESSION_UNKNOWN, actual=1)]
        return
    (event,) = desk.apply(command)
    assert isinstance(event, TradingModeSet)
    (refused,) = desk.buy(ALICE, 1, 100)
    is_concerned = scope is not Scope.USER  # These orders are of no user.
    assert isinstance(refused, OrderRejected) is is_concerned
    if isinstance(refused, OrderRejected):
        assert (refused.reason, refused.scope) == (RejectReason.CANCEL_ONLY, scope)
        assert refused.detail is not None
        assert refused.detail.level is Level.OPERATOR


def test_strictest_of_all_modes_decides_and_each_level_lifts_its_own() -> None:
    """The firm cannot lift what the operator has set, nor the other way round."""
    desk = Desk()
    desk.apply(set_mode(Mode.REDUCE_ONLY))
    desk.apply(set_mode(Mode.CANCEL_ONLY, Level.FIRM, Scope.FIRM))
    assert refusal(desk.sell(ALICE, 1, 100)) is RejectReason.CANCEL_ONLY
    desk.apply(set_mode(Mode.NORMAL, Level.FIRM))
    assert refusal(desk.sell(ALICE, 1, 100)) is RejectReason.CANCEL_ONLY
    desk.apply(set_mode(Mode.NORMAL, Level.FIRM, Scope.FIRM))
    assert refusal(desk.buy(ALICE, 1, 100)) is RejectReason.REDUCE_ONLY
    assert isinstance(desk.sell(ALICE, 1, 100)[0], OrderAccepted)
    desk.apply(set_mode(Mode.NORMAL))
    assert isinstance(desk.buy(ALICE, 1, 100)[0], OrderAccepted)


def test_blocking_cancels_what_is_open() -> None:
    """Of its scope alone."""
    desk = Desk()
    desk.buy(ALICE, 1, 90)
    desk.buy(BOB, 1, 90)
    events = desk.apply(set_mode(Mode.BLOCKED))
    assert isinstance(events[0], TradingModeSet)
    (canceled,) = events[1:]
    assert isinstance(canceled, OrderCanceled)
    assert (canceled.order.account_id, canceled.reason) == (ALICE, CancelReason.SUSPENDED)


def test_tables_of_the_state_machine_are_whole() -> None:
    """No cell is missing; a limit never makes a mode milder; cancels are allowed in all."""
    assert set(ALLOWED) == set(product(Mode, Act))
    causes = [cause for cause in ModeCause if cause is not ModeCause.PERSON]
    assert set(TRIPPED) == set(product(Mode, causes))
    for (before, _), after in TRIPPED.items():
        assert after.value >= before.value
    assert all(ALLOWED[(mode, Act.CANCEL)] for mode in Mode)
    for act in Act:
        allowed = [ALLOWED[(mode, act)] for mode in Mode]
        assert allowed == sorted(allowed, reverse=True), "a stricter mode allows nothing more"


def refusal(events: list[Event]) -> RejectReason:
    (event,) = events
    assert isinstance(event, OrderRejected | CancelRejected), event
    return event.reason


def test_reduce_only_counts_what_open_orders_reduce_already() -> None:
    """ALICE has 100 BTC: two orders of 60 could sell 120, so the second is refused."""
    desk = Desk()
    desk.apply(set_mode(Mode.REDUCE_ONLY))
    whole = 100 * 10**4
    assert isinstance(desk.sell(ALICE, 60 * 10**4, 100)[0], OrderAccepted)
    assert refusal(desk.sell(ALICE, 60 * 10**4, 100)) is RejectReason.REDUCE_ONLY
    assert isinstance(desk.sell(ALICE, 40 * 10**4, 100)[0], OrderAccepted)
    # An amendment counts its own order once.
    assert not isinstance(desk.amend(ALICE, "c1", "a1", 60 * 10**4, 101)[0], CancelRejected)
    assert refusal(desk.amend(ALICE, "a1", "a2", whole, 101)) is RejectReason.REDUCE_ONLY


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (set_limit(Control.FILLS, 2, Level.CLIENT, window_ns=15 * NS_PER_S), "3 fills within 15 s"),
        (
            set_limit(
                Control.FILLED_QTY,
                5,
                Level.CLIENT,
                instrument_id=BTC_USD,
                window_ns=15 * NS_PER_S,
            ),
            "filled 0.0006 BTC within 15 s",
        ),
    ],
)
def test_execution_throttle_cancels_the_group_and_holds_until_it_is_reset(
    limit: SetLimit, words: str
) -> None:
    """The fill that passes the limit stands; then everything of the account goes."""
    desk = Desk()
    desk.apply(limit)
    desk.buy(ALICE, 1, 50)
    for _ in range(2):
        desk.buy(ALICE, 2, 100)
        assert not any(isinstance(event, TradingModeSet) for event in desk.sell(BOB, 2, 100))
    desk.buy(ALICE, 2, 100)
    events = desk.sell(BOB, 2, 100)
    (set_event,) = [event for event in events if isinstance(event, TradingModeSet)]
    assert set_event.mode == TradingMode(
        Scope.ACCOUNT,
        1,
        Level.CLIENT,
        Mode.CANCEL_ONLY,
        ModeCause.EXECUTION_THROTTLE,
        words,
        "engine",
        desk.now_ns,
    )
    (canceled,) = [event for event in events if isinstance(event, OrderCanceled)]
    assert canceled.reason is CancelReason.EXECUTION_THROTTLE
    assert canceled.order.cl_ord_id == "c1"
    assert refusal(desk.sell(ALICE, 1, 100)) is RejectReason.CANCEL_ONLY
    assert isinstance(desk.buy(BOB, 1, 100)[0], OrderAccepted)
    desk.now_ns += 60 * NS_PER_S
    assert refusal(desk.sell(ALICE, 1, 100)) is RejectReason.CANCEL_ONLY
    desk.apply(set_mode(Mode.NORMAL, Level.CLIENT))
    assert isinstance(desk.sell(ALICE, 1, 110)[0], OrderAccepted)


def test_loss_limit_leads_to_reduce_only() -> None:
    """ALICE buys at 100, the price falls to 80: what she still has is worth less."""
    desk = Desk()
    limit = 15 * 10 * NOTIONAL_FACTOR
    desk.apply(set_limit(Control.DAY_LOSS, limit, asset_id=USD))
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 10, 100)
    desk.buy(ALICE, 1, 80)
    events = desk.sell(BOB, 1, 80)
    (set_event,) = [event for event in events if isinstance(event, TradingModeSet)]
    assert set_event.mode == TradingMode(
        Scope.ACCOUNT,
        1,
        Level.OPERATOR,
        Mode.REDUCE_ONLY,
        ModeCause.LOSS_LIMIT,
        "lost 0.00020000 USD today",
        "engine",
        desk.now_ns,
    )
    assert refusal(desk.buy(ALICE, 1, 80)) is RejectReason.REDUCE_ONLY
    assert isinstance(desk.sell(ALICE, 1, 80)[0], OrderAccepted)


def test_loss_that_others_make_is_seen_at_the_next_order() -> None:
    """The price has fallen without her: no mode was set, what adds risk is refused all the same."""
    desk = Desk()
    desk.apply(set_limit(Control.DAY_LOSS, 15 * 10 * NOTIONAL_FACTOR, asset_id=USD))
    desk.buy(ALICE, 10, 100)
    desk.sell(BOB, 10, 100)
    desk.buy(BOB, 1, 80)
    desk.sell(BOB, 1, 80)
    assert refusal(desk.buy(ALICE, 1, 80)) is RejectReason.LOSS_LIMIT
    assert isinstance(desk.sell(ALICE, 1, 90)[0], OrderAccepted)
    assert desk.exchange.state().gate.modes == []


def test_unfilled_orders_are_credited_back_by_fills() -> None:
    """Who trades may go on; who only enters and cancels may not."""
    desk = Desk()
    desk.apply(set_limit(Control.UNFILLED_ORDERS, 2, window_ns=MINUTE_NS))
    for number in range(5):
        desk.sell(BOB, 1, 100)
        assert isinstance(desk.buy(ALICE, 1, 100)[0], OrderAccepted), number
    desk.buy(ALICE, 1, 90)
    desk.buy(ALICE, 1, 91)
    desk.cancel(ALICE, "c11", "x1")
    assert refusal(desk.buy(ALICE, 1, 92)) is RejectReason.TOO_MANY_UNFILLED
    desk.now_ns += 2 * MINUTE_NS
    assert isinstance(desk.buy(ALICE, 1, 92)[0], OrderAccepted)


def test_cancels_are_messages_and_are_never_refused() -> None:
    """Orders, amendments and all cancels count; what is refused of orders does not."""
    desk = Desk()
    desk.apply(set_limit(Control.MESSAGES, 5, window_ns=MINUTE_NS))
    desk.buy(BOB, 1, 80)
    desk.buy(ALICE, 1, 90)  # 1
    desk.amend(ALICE, "c2", "a1", 2, 90)  # 2
    (refused,) = desk.amend(ALICE, "a1", "a2", 0, 90)
    assert isinstance(refused, CancelRejected)
    desk.cancel(ALICE, "a1", "x1")  # 3
    (unknown,) = desk.cancel(ALICE, "a1", "x2")  # 4
    assert isinstance(unknown, CancelRejected)
    assert isinstance(desk.cancel(ALICE, "nobody", "x3")[0], CancelRejected)  # 5
    assert refusal(desk.buy(ALICE, 1, 91)) is RejectReason.MESSAGE_LIMIT
    restored = Exchange.restore(PreTradeGate(), desk.exchange.state())
    assert restored.state() == desk.exchange.state()
    desk.exchange = restored
    assert refusal(desk.buy(ALICE, 1, 91)) is RejectReason.MESSAGE_LIMIT
    desk.apply(set_limit(Control.MESSAGES, 6, window_ns=MINUTE_NS))
    assert isinstance(desk.buy(ALICE, 1, 91)[0], OrderAccepted)
    assert refusal(desk.buy(ALICE, 1, 91)) is RejectReason.MESSAGE_LIMIT
    assert isinstance(desk.cancel(ALICE, "c5", "x4")[0], OrderCanceled)
    desk.now_ns += 2 * MINUTE_NS
    assert isinstance(desk.buy(ALICE, 1, 91)[0], OrderAccepted)


def test_each_fill_pays_for_messages() -> None:
    """So many may go without one; both sides of a match are credited."""
    desk = Desk()
    desk.apply(set_limit(Control.MESSAGES_PER_FILL, 2, window_ns=MINUTE_NS))
    desk.buy(ALICE, 1, 90)
    desk.cancel(ALICE, "c1", "x1")
    assert refusal(desk.buy(ALICE, 1, 90)) is RejectReason.ORDER_TO_TRADE
    desk.now_ns += 2 * MINUTE_NS
    desk.buy(ALICE, 1, 90)
    desk.sell(BOB, 1, 90)
    for price in (91, 92, 93):
        assert isinstance(desk.buy(ALICE, 1, price)[0], OrderAccepted), price
    assert refusal(desk.buy(ALICE, 1, 94)) is RejectReason.ORDER_TO_TRADE


def test_messages_for_a_fill_have_a_bound() -> None:
    """The sum that they make must fit the journal."""
    (event,) = Desk().apply(set_limit(Control.MESSAGES_PER_FILL, 1_000_001, window_ns=MINUTE_NS))
    assert isinstance(event, CommandRefused)
    assert event.reason is RejectReason.AMOUNT_INVALID


def test_order_may_be_amended_so_often() -> None:
    """Counted per order, and remembered with it."""
    desk = Desk()
    desk.apply(set_limit(Control.AMENDMENTS, 2))
    desk.buy(ALICE, 5, 90)
    desk.amend(ALICE, "c1", "a1", 4, 90)
    desk.amend(ALICE, "a1", "a2", 4, 91)
    assert refusal(desk.amend(ALICE, "a2", "a3", 3, 91)) is RejectReason.MAX_AMENDS


def test_tightest_level_decides_and_clients_only_tighten() -> None:
    """Operator 10, firm 20, client 5: 5 holds; a client cannot widen."""
    desk = Desk()

    def limit(value: int | None, level: Level) -> SetLimit:
        return set_limit(Control.ORDER_QTY, value, level, instrument_id=BTC_USD)

    for value, level in ((10, Level.OPERATOR), (20, Level.FIRM), (5, Level.CLIENT)):
        (event,) = desk.apply(limit(value, level))
        assert isinstance(event, LimitSet)
    assert refusal(desk.buy(ALICE, 6, 100)) is RejectReason.FAT_FINGER_QTY
    refused = CommandRefused(RejectReason.NOT_TIGHTER, limit=10, actual=11)
    assert desk.apply(limit(11, Level.CLIENT)) == [refused]
    desk.apply(limit(None, Level.CLIENT))
    assert isinstance(desk.buy(ALICE, 10, 100)[0], OrderAccepted)
    assert refusal(desk.buy(ALICE, 11, 100)) is RejectReason.MAX_ORDER_QTY
    desk.apply(limit(None, Level.OPERATOR))
    assert refusal(desk.buy(ALICE, 21, 100)) is RejectReason.FAT_FINGER_QTY


def test_every_change_of_a_limit_has_a_version() -> None:
    """It goes up by one with each, whatever kind of limit it is."""
    desk = Desk()
    before = desk.exchange.state().gate.version
    events = [
        *desk.apply(set_limit(Control.OPEN_ORDERS, 5)),
        *desk.apply(SetInstrumentRules(InstrumentRules(BTC_USD))),
        *desk.apply(SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(5), Money(5)))),
        *desk.apply(set_limit(Control.OPEN_ORDERS, None)),
    ]
    versions = [event.version for event in events if hasattr(event, "version")]
    assert versions == [before + 1, before + 2, before + 4]


@pytest.mark.parametrize(
    ("cl_ord_id", "value", "is_let_through"),
    [("c1", 20, True), ("", 20, True), ("c9", 20, False), ("c1", 19, False)],
)
def test_override_lets_one_order_or_account_pass_for_a_while(
    cl_ord_id: str, value: int, is_let_through: bool
) -> None:
    """Two people, up to an amount, until a time; nothing else passes with it."""
    desk = Desk()
    desk.apply(SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(10), Money(10**15))))
    override = Override(
        ALICE,
        RejectReason.MAX_ORDER_QTY,
        value,
        desk.now_ns + MINUTE_NS,
        "ann",
        "ben",
        cl_ord_id,  # type: ignore[arg-type]  # A ClOrdId is a str.
    )
    assert desk.apply(GrantOverride(override)) == [OverrideGranted(override)]
    (event,) = desk.buy(ALICE, 20, 100)
    assert isinstance(event, OrderAccepted) is is_let_through
    assert refusal(desk.buy(ALICE, 21, 100)) is RejectReason.MAX_ORDER_QTY
    desk.now_ns += 2 * MINUTE_NS
    assert refusal(desk.buy(ALICE, 20, 100)) is RejectReason.MAX_ORDER_QTY


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"approver": "ann"}, RejectReason.APPROVER_MISSING),
        ({"approver": ""}, RejectReason.APPROVER_MISSING),
        ({"expires_at_ns": 1}, RejectReason.EXPIRE_TIME_INVALID),
        ({"account_id": 99}, RejectReason.ACCOUNT_UNKNOWN),
        ({"asset_id": 99}, RejectReason.ASSET_UNKNOWN),
        ({"reason": RejectReason.INSUFFICIENT_BALANCE}, RejectReason.UNSUPPORTED),
        ({"reason": RejectReason.KILLED}, RejectReason.UNSUPPORTED),
    ],
)
def test_override_needs_two_people_and_an_end(
    changes: dict[str, object], reason: RejectReason
) -> None:
    """And what guards money and the venue cannot be overridden."""
    desk = Desk()
    override = Override(ALICE, RejectReason.MAX_ORDER_QTY, 1, desk.now_ns + MINUTE_NS, "ann", "ben")
    (event,) = desk.apply(GrantOverride(msgspec.structs.replace(override, **changes)))
    assert isinstance(event, CommandRefused)
    assert event.reason is reason


def test_override_of_an_asset_lets_nothing_of_the_other_pass() -> None:
    """An order moves two: more of one may pass, and the other's limit holds."""
    desk = Desk()
    for asset_id, value in ((BTC, 5 * BASE_FACTOR), (USD, 500 * NOTIONAL_FACTOR)):
        desk.apply(set_limit(Control.ORDER_ASSET, value, asset_id=asset_id))
    ends_at_ns = desk.now_ns + MINUTE_NS
    enough = 10**15
    of_btc = Override(ALICE, RejectReason.MAX_ASSET, enough, ends_at_ns, "ann", "ben", asset_id=BTC)
    of_usd = msgspec.structs.replace(of_btc, asset_id=USD)
    assert refusal(desk.buy(ALICE, 6, 50)) is RejectReason.MAX_ASSET
    desk.apply(GrantOverride(of_btc))
    assert isinstance(desk.buy(ALICE, 6, 50)[0], OrderAccepted)
    (refused,) = desk.buy(ALICE, 6, 100)
    assert isinstance(refused, OrderRejected)
    assert (refused.reason, refused.actual) == (RejectReason.MAX_ASSET, 600 * NOTIONAL_FACTOR)
    desk.apply(GrantOverride(of_usd))
    assert isinstance(desk.buy(ALICE, 6, 100)[0], OrderAccepted)
    revoke = RevokeOverride(ALICE, RejectReason.MAX_ASSET, actor="cid", asset_id=BTC)
    assert desk.apply(revoke) == [OverrideRevoked(of_btc, "cid")]
    assert refusal(desk.buy(ALICE, 6, 50)) is RejectReason.MAX_ASSET
    assert isinstance(desk.buy(ALICE, 5, 120)[0], OrderAccepted)


def test_override_is_taken_back_by_one() -> None:
    """What was not granted, or is taken back already, is refused; the rest stays granted."""
    desk = Desk()
    desk.apply(SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(10), Money(10**15))))
    ends_at_ns = desk.now_ns + MINUTE_NS
    of_all = Override(ALICE, RejectReason.MAX_ORDER_QTY, 20, ends_at_ns, "ann", "ben")
    of_one = msgspec.structs.replace(of_all, cl_ord_id="c1")
    desk.apply(GrantOverride(of_all))
    desk.apply(GrantOverride(of_one))
    revoke = RevokeOverride(ALICE, RejectReason.MAX_ORDER_QTY, actor="cid")
    assert desk.apply(revoke) == [OverrideRevoked(of_all, "cid")]
    assert desk.apply(revoke) == [CommandRefused(RejectReason.NOT_GRANTED, actual=ALICE)]
    assert isinstance(desk.buy(ALICE, 20, 100)[0], OrderAccepted)  # As c1.
    assert refusal(desk.buy(ALICE, 20, 100)) is RejectReason.MAX_ORDER_QTY


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (set_limit(Control.ORDER_QTY, 1), RejectReason.UNSUPPORTED),
        (set_limit(Control.ORDER_ASSET, 1), RejectReason.UNSUPPORTED),
        (set_limit(Control.FILLS, 1), RejectReason.UNSUPPORTED),
        (set_limit(Control.OPEN_ORDERS, 1, window_ns=MINUTE_NS), RejectReason.UNSUPPORTED),
        (set_limit(Control.OPEN_ORDERS, 1, scope=Scope.USER), RejectReason.UNSUPPORTED),
        (set_limit(Control.OPEN_ORDERS, -1), RejectReason.AMOUNT_INVALID),
        (set_limit(Control.FILLS, 1, window_ns=1), RejectReason.AMOUNT_INVALID),
        (set_limit(Control.RESTRICTED, 64), RejectReason.AMOUNT_INVALID),
        (set_limit(Control.OPEN_ORDERS, 1, instrument_id=9), RejectReason.SYMBOL_UNKNOWN),
        (set_limit(Control.POSITION, 1, asset_id=9), RejectReason.ASSET_UNKNOWN),
        (SetInstrumentRules(InstrumentRules(InstrumentId(9))), RejectReason.SYMBOL_UNKNOWN),
        (
            SetInstrumentRules(InstrumentRules(BTC_USD, buy_down_bps=10_000)),
            RejectReason.AMOUNT_INVALID,
        ),
        (
            SetInstrumentRules(
                InstrumentRules(BTC_USD, order_qty_min=Qty(2), order_qty_max=Qty(1))
            ),
            RejectReason.AMOUNT_INVALID,
        ),
    ],
)
def test_limit_that_makes_no_sense_is_refused(
    command: SetLimit | SetInstrumentRules, reason: RejectReason
) -> None:
    """And nothing changes."""
    desk = Desk()
    before = desk.exchange.state()
    (event,) = desk.apply(command)
    assert isinstance(event, CommandRefused)
    assert event.reason is reason
    assert desk.exchange.state() == before


def test_position_limit_follows_money_that_came_otherwise() -> None:
    """A deposit counts like a purchase."""
    desk = Desk()
    cap = 100 * 10**8 + 10 * BASE_FACTOR
    desk.apply(set_limit(Control.POSITION, cap, asset_id=BTC))
    assert isinstance(desk.buy(ALICE, 4, 90)[0], OrderAccepted)
    desk.apply(AdjustBalance(ALICE, BTC, Money(5 * BASE_FACTOR), "in"))
    assert refusal(desk.buy(ALICE, 2, 90)) is RejectReason.POSITION_LIMIT
    assert isinstance(desk.amend(ALICE, "c1", "a1", 5, 90)[0], OrderReplaced)
    assert refusal(desk.amend(ALICE, "a1", "a2", 6, 90)) is RejectReason.POSITION_LIMIT
