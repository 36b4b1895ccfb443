"""Random commands: the exchange and its slow twin must agree on every fill, balance and level."""

from dataclasses import replace as naive_replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)
from msgspec.structs import replace

from engine.commands import LiftKillSwitch, PullKillSwitch, SetSelfTradeMode, SetStorageLow
from engine.events import (
    CancelRejected,
    CommandRefused,
    Event,
    KillCompleted,
    KillSwitchLifted,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderStatusReported,
    OrderTriggered,
    SelfTradeModeSet,
    StorageLowSet,
    Trade,
    TradingStateChanged,
)
from engine.exchange import Exchange
from engine.ledger import postings_of
from engine.order import OrderTerms, OrdStatus, SelfTradeMode, Side, TimeInForce, TriggerDirection
from engine.order_memory import CLOSED_AGE_MAX_NS
from engine.reasons import CancelReason, RejectReason
from engine.request_events import (
    BalanceLine,
    BalancesReported,
    MassCancelCompleted,
    MassCancelReported,
    OrderStatusRefused,
)
from engine.scope import Scope
from engine.trading_state import TradingState
from engine.units import AccountId, Money, Price, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    NS_PER_S,
    USD,
    WatchedDesk,
)
from tests.model.naive_exchange import NaiveCut, NaiveExchange, NaiveFill, NaiveOrder, NaiveStep

PRICES = st.integers(95, 105)
QTYS = st.integers(1, 20)
ACCOUNTS = st.sampled_from([ALICE, BOB])
SIDES = st.sampled_from(list(Side))
PROTECTION_BPS = 300
MODES = {
    None: "allow",
    SelfTradeMode.ALLOW: "allow",
    SelfTradeMode.CANCEL_AGGRESSOR: "aggressor",
    SelfTradeMode.CANCEL_RESTING: "resting",
    SelfTradeMode.CANCEL_BOTH: "both",
    SelfTradeMode.DECREMENT: "decrement",
}
GUARDED = st.builds(
    OrderTerms,
    self_trade=st.none() | st.sampled_from(list(SelfTradeMode)),
    self_trade_group=st.sampled_from([0, 1]),
)
TERMS = st.one_of(
    GUARDED,
    st.builds(OrderTerms, is_post_only=st.just(True)),
    st.builds(OrderTerms, min_qty=st.sampled_from([1, 5, 15])),
)
SIDE_OF = {True: Side.BUY, False: Side.SELL}
AMENDED_STOPS = [None, None, *range(95, 106, 2)]
RESTING_TIMES = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)
TIMES = st.sampled_from(list(TimeInForce))
# Little enough that orders are refused for want of funds now and then.
FUNDS = {USD: Money(100 * 100 * NOTIONAL_FACTOR), BTC: Money(100 * BASE_FACTOR)}
REFUSALS = {
    TradingState.PRE_OPEN: RejectReason.NOT_WHILE_COLLECTING,
    TradingState.HALTED: RejectReason.MARKET_HALTED,
    TradingState.CANCEL_ONLY: RejectReason.MARKET_CANCEL_ONLY,
    TradingState.POST_ONLY: RejectReason.MARKET_POST_ONLY,
    TradingState.CLOSED: RejectReason.MARKET_CLOSED,
}
AMENDING = (TradingState.CONTINUOUS, TradingState.PRE_OPEN, TradingState.POST_ONLY)
UNCROSSED = (TradingState.CONTINUOUS, TradingState.POST_ONLY)
ENDED = {OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED}


class ExchangeAgainstTwin(RuleBasedStateMachine):
    """Each rule applies one command to both and compares all that came of it."""

    orders: Bundle[str] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.desk = WatchedDesk(FUNDS, market_protection_bps=PROTECTION_BPS)
        self.twin = NaiveExchange(
            notional_factor=NOTIONAL_FACTOR,
            base_factor=BASE_FACTOR,
            protection_bps=PROTECTION_BPS,
        )
        for account_id in (ALICE, BOB):
            self.twin.deposit(account_id, "quote", FUNDS[USD])
            self.twin.deposit(account_id, "base", FUNDS[BTC])
        self.ids: dict[str, tuple[AccountId, int]] = {}
        self.ended: dict[int, int] = {}
        self.replaced: dict[str, int] = {}
        self.self_trade_default: SelfTradeMode | None = None
        self.has_own_mode: set[int] = set()
        self.post_only: set[int] = set()
        self.count = 0
        self.killed: set[AccountId | None] = set()  # None is the whole venue.
        self.state = TradingState.CONTINUOUS
        self.reference: int | None = None

    @rule(
        target=orders,
        account_id=ACCOUNTS,
        side=SIDES,
        qty=QTYS,
        price=st.none() | PRICES,
        time=TIMES,
        terms=TERMS,
    )
    def enter(
        self,
        account_id: AccountId,
        side: Side,
        qty: int,
        price: int | None,
        time: TimeInForce,
        terms: OrderTerms,
    ) -> MultipleResults[str] | str:
        return self.enter_order(account_id, side, qty, price, time, terms)

    def enter_order(
        self,
        account_id: AccountId,
        side: Side,
        qty: int,
        price: int | None,
        time: TimeInForce,
        terms: OrderTerms,
    ) -> MultipleResults[str] | str:
        """Enter an order on both sides, and compare what came of it."""
        if time is TimeInForce.GTD:
            terms = replace(terms, expires_at_ns=self.desk.now_ns + 10**15)
        mode = terms.self_trade or self.self_trade_default
        order = NaiveOrder(
            order_id=self.desk.seq + 1,
            account_id=account_id,
            is_buy=side is Side.BUY,
            price=price,
            open_qty=qty,
            is_day=time is TimeInForce.DAY,
            ends_at_ns=terms.expires_at_ns,
            mode=MODES[mode],
            owner=f"{account_id}" if terms.self_trade_group else "",
            display=terms.display_qty,
        )
        reason = self.entry_refusal(order, time, terms)
        self.twin.seq = self.desk.seq + 1
        events = self.desk.enter(account_id, side, qty, price, time, terms)
        if reason is not None:
            (event,) = events
            assert isinstance(event, OrderRejected)
            assert event.reason is reason
            return multiple()
        assert isinstance(events[0], OrderAccepted)
        may_rest = price is not None and time in RESTING_TIMES
        matches = self.state is TradingState.CONTINUOUS
        steps = self.twin.plan(order) if matches else []
        least_qty = qty if time is TimeInForce.FOK else terms.min_qty
        if matches and self.twin.tradable(order) < least_qty:
            steps, may_rest = [], False
        self.twin.execute(order, steps, may_rest=may_rest)
        open_qty = order.open_qty
        self.compare(events, steps)
        canceled = [
            event.canceled_qty
            for event in events
            if isinstance(event, OrderCanceled)
            and event.reason is not CancelReason.SELF_TRADE
            and event.order.order_id == order.order_id
        ]
        assert canceled == ([open_qty] if open_qty and not may_rest else [])
        cl_ord_id = events[0].order.cl_ord_id
        self.ids[cl_ord_id] = (account_id, order.order_id)
        if terms.is_post_only:
            self.post_only.add(order.order_id)
        if terms.self_trade is not None:
            self.has_own_mode.add(order.order_id)
        return cl_ord_id

    @rule(target=orders, account_id=ACCOUNTS, side=SIDES, qty=QTYS, price=PRICES, terms=GUARDED)
    def enter_to_rest(
        self, account_id: AccountId, side: Side, qty: int, price: int, terms: OrderTerms
    ) -> MultipleResults[str] | str:
        return self.enter_order(account_id, side, qty, price, TimeInForce.GTC, terms)

    @rule(
        target=orders,
        account_id=ACCOUNTS,
        side=SIDES,
        qty=QTYS,
        price=PRICES,
        terms=st.builds(
            OrderTerms,
            display_qty=st.sampled_from([1, 2, 5]),
            self_trade=st.none() | st.sampled_from(list(SelfTradeMode)),
        ),
    )
    def enter_iceberg(
        self, account_id: AccountId, side: Side, qty: int, price: int, terms: OrderTerms
    ) -> MultipleResults[str] | str:
        return self.enter_order(account_id, side, qty, price, TimeInForce.GTC, terms)

    @rule(target=orders, side=SIDES, qty=QTYS, price=PRICES, mode=st.sampled_from(SelfTradeMode))
    def enter_to_meet_its_own(
        self, side: Side, qty: int, price: int, mode: SelfTradeMode
    ) -> MultipleResults[str] | str:
        terms = OrderTerms(self_trade=mode)
        return self.enter_order(ALICE, side, qty, price, TimeInForce.GTC, terms)

    @rule(
        target=orders,
        account_id=ACCOUNTS,
        side=SIDES,
        qty=QTYS,
        prices=st.tuples(st.none() | PRICES, PRICES),
        trigger=st.none() | st.sampled_from(TriggerDirection),
        time=st.sampled_from(RESTING_TIMES),
    )
    def enter_stop(
        self,
        account_id: AccountId,
        side: Side,
        qty: int,
        prices: tuple[int | None, int],
        trigger: TriggerDirection | None,
        time: TimeInForce,
    ) -> MultipleResults[str] | str:
        price, stop = prices
        self.twin.seq = self.desk.seq + 1
        terms = OrderTerms(stop_price=Price(stop), trigger=trigger)
        if time is TimeInForce.GTD:
            terms = replace(terms, expires_at_ns=self.desk.now_ns + 10**15)
        order = NaiveOrder(
            order_id=self.desk.seq + 1,
            account_id=account_id,
            is_buy=side is Side.BUY,
            price=price,
            open_qty=qty,
            is_day=time is TimeInForce.DAY,
            ends_at_ns=terms.expires_at_ns,
            mode=MODES[self.self_trade_default],
            stop=stop,
            rises=(trigger or TriggerDirection(1 if side is Side.BUY else 2)).name == "UP",
        )
        self.twin.wait(order)
        self.twin.remove(order.order_id)
        reason = self.entry_refusal(order, time, terms)
        events = self.desk.enter(account_id, side, qty, price, time, terms)
        if reason is not None:
            (event,) = events
            assert isinstance(event, OrderRejected)
            assert event.reason is reason
            return multiple()
        self.twin.wait(order)
        if self.state is TradingState.CONTINUOUS:
            self.twin.reach()
        assert isinstance(events[0], OrderAccepted)
        self.compare(events, [])
        cl_ord_id = events[0].order.cl_ord_id
        self.ids[cl_ord_id] = (account_id, order.order_id)
        return cl_ord_id

    def compare(self, events: list[Event], steps: list[NaiveStep]) -> None:
        """Compare what happened with what the twin says, and with what it does to stop orders."""
        order_ids: list[int] = []
        if self.state is TradingState.CONTINUOUS:
            order_ids, more_steps = self.twin.run_stops()
            steps = [*steps, *more_steps]
        triggered = [event.order.order_id for event in events if isinstance(event, OrderTriggered)]
        assert triggered == order_ids
        assert steps_of(events) == steps
        self.note_endings(events)

    def entry_refusal(
        self, order: NaiveOrder, time: TimeInForce, terms: OrderTerms
    ) -> RejectReason | None:
        """Return why such an order may not be entered."""
        if self.twin.is_storage_low:
            return RejectReason.STORAGE_LOW
        if {None, order.account_id} & self.killed:
            return RejectReason.KILLED
        is_limited = order.price is not None or order.stop is not None
        is_waiting = is_limited and time in RESTING_TIMES and not terms.is_post_only
        is_taken = {
            TradingState.CONTINUOUS: True,
            TradingState.PRE_OPEN: is_waiting,
            TradingState.POST_ONLY: terms.is_post_only,
        }
        if not is_taken.get(self.state, False):
            return REFUSALS[self.state]
        if terms.is_post_only and (order.price is None or time not in RESTING_TIMES):
            return RejectReason.POST_ONLY_CANNOT_REST
        if terms.min_qty and (time is not TimeInForce.IOC or terms.min_qty > order.open_qty):
            return RejectReason.MIN_QTY_INVALID
        if terms.is_post_only and self.twin.candidates(order):
            return RejectReason.POST_ONLY_WOULD_TRADE
        return None if self.twin.can_pay(order) else RejectReason.INSUFFICIENT_BALANCE

    @rule(mode=st.sampled_from([None, *SelfTradeMode]))
    def set_self_trade_default(self, mode: SelfTradeMode | None) -> None:
        command = SetSelfTradeMode(Scope.EVERYTHING, 0, mode)
        assert self.desk.apply(command) == [SelfTradeModeSet(Scope.EVERYTHING, 0, mode)]
        self.self_trade_default = mode
        for order in self.twin.resting:
            if order.order_id not in self.has_own_mode:
                order.mode = MODES[mode]

    @rule(
        target=orders,
        cl_ord_id=orders,
        qty=QTYS,
        limit=PRICES,
        stop=st.sampled_from(AMENDED_STOPS),
        display=st.sampled_from([None, None, None, 0, 1, 3]),
    )
    def amend(
        self, cl_ord_id: str, qty: int, limit: int, stop: int | None, display: int | None
    ) -> MultipleResults[str] | str:
        account_id, order_id = self.ids[cl_ord_id]
        self.count += 1
        name = f"a{self.count}"
        place = self.desk.seq + 1
        is_known = self.desk.knows(account_id, cl_ord_id)
        order = self.resting().get(order_id)
        price = None if order is not None and order.price is None else limit
        display = display if price is not None else None
        self.twin.seq = place
        events = self.desk.amend(
            account_id, cl_ord_id, name, qty, price, stop_price=stop, display_qty=display
        )
        reason = self.amend_refusal(cl_ord_id, order, qty, price, stop) if is_known else None
        if order is None or reason is not None or not is_known:
            (event,) = events
            assert isinstance(event, CancelRejected)
            assert event.is_replace
            ended = RejectReason.TOO_LATE_TO_CANCEL if is_known else RejectReason.UNKNOWN_ORDER
            assert is_known or self.may_be_forgotten(cl_ord_id)
            assert event.reason is (reason or ended)
            return multiple()
        if qty <= order.filled_qty:
            (event,) = events
            assert isinstance(event, OrderCanceled)
            assert event.reason is CancelReason.AMENDED_TO_FILLED
            self.twin.remove(order_id)
            self.note_endings(events)
            return multiple()
        was_smaller = (
            price == order.price
            and stop in (None, order.stop)
            and display in (None, order.display)
            and qty < order.open_qty + order.filled_qty
        )
        matches = self.state is TradingState.CONTINUOUS
        steps = self.twin.amend(order, qty, price, stop, place, display=display, matches=matches)
        assert isinstance(events[0], OrderReplaced)
        assert events[0].keeps_priority is was_smaller
        self.compare(events, steps)
        self.replaced[cl_ord_id] = self.desk.now_ns
        self.ids[name] = (account_id, order_id)
        return name

    def amend_refusal(
        self,
        cl_ord_id: str,
        order: NaiveOrder | None,
        qty: int,
        price: int | None,
        stop: int | None,
    ) -> RejectReason | None:
        """Return why an open order may not be amended so."""
        if order is None:
            return None
        if cl_ord_id in self.replaced:
            return RejectReason.ORIG_CLORDID_REPLACED
        if self.twin.is_storage_low:
            return RejectReason.STORAGE_LOW
        if {None, order.account_id} & self.killed:
            return RejectReason.KILLED
        if self.state not in AMENDING:
            return REFUSALS[self.state]
        if order in self.twin.reached:
            return RejectReason.STOP_TRIGGERED
        if order.stop is not None and not order.is_waiting and stop not in (None, order.stop):
            return RejectReason.STOP_TRIGGERED
        if order.stop is None and stop is not None:
            return RejectReason.STOP_PRICE_NOT_ALLOWED
        if qty <= order.filled_qty:
            return None
        return self.book_refusal(order, qty, price, stop)

    def book_refusal(
        self, order: NaiveOrder, qty: int, price: int | None, stop: int | None
    ) -> RejectReason | None:
        """Return what the book and the money say against it."""
        amended = naive_replace(order, price=price)
        is_post_only = order.order_id in self.post_only or self.state is TradingState.POST_ONLY
        if is_post_only and not order.is_waiting and self.twin.candidates(amended):
            return RejectReason.POST_ONLY_WOULD_TRADE
        matches = self.state is TradingState.CONTINUOUS and not order.is_waiting
        if matches and price is not None and self.twin.would_end_itself(order, qty, price):
            return RejectReason.SELF_TRADE
        if not self.twin.can_amend(order, qty, price, stop):
            return RejectReason.INSUFFICIENT_BALANCE
        return None

    def resting(self) -> dict[int, NaiveOrder]:
        """Return the orders in the twin's book by their id."""
        return {order.order_id: order for order in self.twin.resting}

    def may_be_forgotten(self, cl_ord_id: str) -> bool:
        """Whether the name's order ended, or got another name, a day ago."""
        _, order_id = self.ids[cl_ord_id]
        ended_at_ns = self.replaced.get(cl_ord_id, self.ended.get(order_id, self.desk.now_ns))
        return self.desk.now_ns - ended_at_ns >= CLOSED_AGE_MAX_NS

    @rule(cl_ord_id=orders)
    def cancel(self, cl_ord_id: str) -> None:
        account_id, order_id = self.ids[cl_ord_id]
        self.count += 1
        is_known = self.desk.knows(account_id, cl_ord_id)
        (event,) = self.desk.cancel(account_id, cl_ord_id, f"x{self.count}")
        resting = self.resting()
        if not is_known:
            assert self.may_be_forgotten(cl_ord_id)
            assert isinstance(event, CancelRejected)
            assert event.reason is RejectReason.UNKNOWN_ORDER
        elif order_id in resting:
            assert isinstance(event, OrderCanceled)
            assert event.reason is CancelReason.REQUESTED
            assert event.canceled_qty == resting[order_id].open_qty
            self.twin.remove(order_id)
        else:
            assert isinstance(event, CancelRejected)
            assert event.reason is RejectReason.TOO_LATE_TO_CANCEL
        self.note_endings([event])

    @rule(cl_ord_id=consumes(orders))
    def cancel_of_another_account_finds_nothing(self, cl_ord_id: str) -> None:
        account_id, _ = self.ids[cl_ord_id]
        other = BOB if account_id == ALICE else ALICE
        self.count += 1
        (event,) = self.desk.cancel(other, cl_ord_id, f"x{self.count}")
        assert isinstance(event, CancelRejected)
        assert event.reason is RejectReason.UNKNOWN_ORDER

    @rule(is_low=st.sampled_from([False, False, False, False, True]))
    def set_storage_low(self, is_low: bool) -> None:
        was_low, self.twin.is_storage_low = self.twin.is_storage_low, is_low
        assert self.desk.apply(SetStorageLow(is_low)) == (
            [] if is_low == was_low else [StorageLowSet(is_low)]
        )

    @rule(account_id=st.none() | ACCOUNTS, stays=st.sampled_from([False, False, True]))
    def pull_the_switch(self, account_id: AccountId | None, stays: bool) -> None:
        events = self.desk.apply(PullKillSwitch(*scope_of(account_id), "trouble"))
        canceled = [event for event in events if isinstance(event, OrderCanceled)]
        killed = sorted(
            order.order_id for order in self.twin.resting if account_id in (None, order.account_id)
        )
        assert [event.order.order_id for event in canceled] == killed
        assert events[-1] == KillCompleted(*scope_of(account_id), len(killed))
        for order_id in killed:
            self.twin.remove(order_id)
        self.note_endings(events)
        self.killed.add(account_id)
        if not stays:
            self.lift_switch(account_id)

    @rule(account_id=st.sampled_from([AccountId(0), ALICE, BOB]), side=st.none() | SIDES)
    def mass_cancel(self, account_id: AccountId, side: Side | None) -> None:
        self.count += 1
        meant = self.meant(account_id, side)
        scope, scope_id = (Scope.ACCOUNT, account_id) if account_id else (Scope.EVERYTHING, 0)
        events = self.desk.mass_cancel(account_id, f"m{self.count}", scope, scope_id, side=side)
        report, end = events[0], events[-1]
        assert isinstance(report, MassCancelReported)
        assert isinstance(end, MassCancelCompleted)
        canceled = [event for event in events[1:-1] if isinstance(event, OrderCanceled)]
        assert len(canceled) == len(events) - 2
        assert [order.order_id for order in report.affected] == meant
        assert [event.order.order_id for event in canceled] == meant
        assert (report.total, end.canceled_count) == (len(meant), len(meant))
        for order_id in meant:
            self.twin.remove(order_id)
        self.note_endings(events)

    @rule(account_id=st.sampled_from([AccountId(0), ALICE, BOB]), side=st.none() | SIDES)
    def report_open_orders(self, account_id: AccountId, side: Side | None) -> None:
        meant = self.meant(account_id, side)
        scope, scope_id = (Scope.ACCOUNT, account_id) if account_id else (Scope.EVERYTHING, 0)
        events = self.desk.report_open_orders(account_id, "q", scope, scope_id, side=side)
        if not meant:
            if self.twin.is_storage_low:
                reason = RejectReason.STORAGE_LOW
            else:
                reason = RejectReason.UNKNOWN_ORDER
            refusal = OrderStatusRefused(
                SessionId(0), account_id, "q", reason, side=side, is_last=True
            )
            assert events == [refusal]
        elif not self.twin.is_storage_low:
            told = [event for event in events if isinstance(event, OrderStatusReported)]
            resting = self.resting()
            assert [
                (event.order.order_id, event.order.leaves_qty, event.mass_total, event.is_last)
                for event in told
            ] == [
                (order_id, resting[order_id].open_qty, len(meant), order_id == meant[-1])
                for order_id in meant
            ]
            assert len(told) == len(events)

    @rule(cl_ord_id=orders)
    def report_order(self, cl_ord_id: str) -> None:
        account_id, order_id = self.ids[cl_ord_id]
        is_known = self.desk.knows(account_id, cl_ord_id)
        (event,) = self.desk.report_order(account_id, cl_ord_id, "q")
        resting = self.resting().get(order_id)
        if isinstance(event, OrderStatusRefused):
            assert (event.reason, is_known) == (RejectReason.UNKNOWN_ORDER, False)
            assert self.may_be_forgotten(cl_ord_id)
        else:
            assert isinstance(event, OrderStatusReported)
            assert event.order.order_id == order_id
            assert event.order.leaves_qty == (0 if resting is None else resting.open_qty)

    @rule(account_id=ACCOUNTS)
    def report_balances(self, account_id: AccountId) -> None:
        (event,) = self.desk.report_balances(account_id, "q")
        expected = []
        for asset_id, asset in ((USD, "quote"), (BTC, "base")):
            balance, held = self.twin.balance(account_id, asset), self.twin.held(account_id, asset)
            if balance or held:
                line = (asset_id, Money(balance), Money(held), Money(balance - held))
                expected.append(BalanceLine(*line))
        assert event == BalancesReported(SessionId(0), account_id, "q", expected)

    def meant(self, account_id: AccountId, side: Side | None) -> list[int]:
        """Return the resting orders of the account, 0 for all, on the side, None for both."""
        return sorted(
            order.order_id
            for order in self.twin.resting
            if account_id in (0, order.account_id) and side in (None, SIDE_OF[order.is_buy])
        )

    @rule(account_id=st.none() | ACCOUNTS)
    def lift_the_switch(self, account_id: AccountId | None) -> None:
        self.lift_switch(account_id)

    def lift_switch(self, account_id: AccountId | None) -> None:
        """Let the account trade again."""
        (event,) = self.desk.apply(LiftKillSwitch(*scope_of(account_id), "all is well"))
        assert isinstance(event, KillSwitchLifted) is (account_id in self.killed)
        self.killed.discard(account_id)

    @rule(state=st.sampled_from(TradingState), reference=st.none() | PRICES)
    def set_trading_state(self, state: TradingState, reference: int | None) -> None:
        self.change_state(state, reference)

    @rule(reference=st.none() | PRICES)
    def open_the_market(self, reference: int | None) -> None:
        self.change_state(TradingState.PRE_OPEN, None)
        self.enter_to_rest(ALICE, Side.BUY, 7, 103, OrderTerms())
        self.enter_to_rest(BOB, Side.SELL, 9, 97, OrderTerms())
        self.change_state(TradingState.CONTINUOUS, reference)

    @precondition(lambda self: self.state is not TradingState.CONTINUOUS)
    @rule()
    def go_on_trading(self) -> None:
        self.change_state(TradingState.CONTINUOUS, None)

    def change_state(self, state: TradingState, reference: int | None) -> None:
        """Put the market into another state, and uncross the book where it must not be crossed."""
        self.twin.seq = self.desk.seq + 1
        events = self.desk.set_state(state, reference_price=reference)
        if state is TradingState.OPENING:
            assert events == [CommandRefused(RejectReason.STATE_NOT_SETTABLE, actual=state.value)]
            return
        self.reference = reference or self.reference
        may_cross = self.state not in UNCROSSED
        self.state = state
        changes = [event for event in events if isinstance(event, TradingStateChanged)]
        if not may_cross or state not in UNCROSSED:
            assert len(changes) == 1
            if state is TradingState.CONTINUOUS:
                self.twin.reach()
            self.compare(events, [])
            return
        price, fills = self.twin.uncross(self.reference)
        if state is TradingState.CONTINUOUS:
            self.twin.reach()
        opening, closing = changes
        volume = sum(fill.qty for fill in fills)
        assert (opening.state, opening.price, opening.volume) == (
            TradingState.OPENING, price, volume,
        )  # fmt: skip
        assert closing.state is state
        self.reference = None
        self.compare(events, [*fills])

    @rule()
    def end_the_day(self) -> None:
        day_ns = 24 * 3600 * NS_PER_S
        events = self.desk.advance_to((self.desk.now_ns // day_ns + 1) * day_ns)
        assert all(isinstance(event, OrderExpired) for event in events)
        expired = [event.order.order_id for event in events if isinstance(event, OrderExpired)]
        assert sorted(expired) == self.twin.end_day(self.desk.now_ns)
        self.note_endings(events)

    @rule()
    def go_on_from_a_snapshot(self) -> None:
        self.desk.exchange = Exchange.restore(PreTradeGate(), self.desk.exchange.state())

    @invariant()
    def balances_agree(self) -> None:
        for account_id in (ALICE, BOB):
            for asset_id, asset in ((USD, "quote"), (BTC, "base")):
                assert self.desk.balance(account_id, asset_id) == (
                    self.twin.balance(account_id, asset),
                    self.twin.held(account_id, asset),
                )

    @invariant()
    def books_agree(self) -> None:
        book = self.desk.exchange._trading.books[BTC_USD]
        assert book.bids.depth(1000) == self.twin.depth(is_buy=True)
        assert book.asks.depth(1000) == self.twin.depth(is_buy=False)
        open_orders = [item.order for item in self.desk.exchange.state().open_orders]
        standing = [order for order in self.twin.resting if not order.is_waiting]
        assert [order.order_id for order in open_orders if not order.is_waiting] == [
            order.order_id
            for order in sorted(standing, key=lambda order: (not order.is_buy, order.priority()))
        ]
        waiting = [order.order_id for order in open_orders if order.is_waiting]
        assert sorted(waiting) == sorted(
            order.order_id for order in self.twin.resting if order.is_waiting
        )

    def note_endings(self, events: list[Event]) -> None:
        """Every order ends once, and the postings of every event sum to zero."""
        for event in events:
            totals: dict[int, int] = {}
            for posting in postings_of(event):
                totals[posting.asset_id] = totals.get(posting.asset_id, 0) + posting.amount
            assert not any(totals.values())
            if isinstance(event, Trade | OrderCanceled | OrderExpired):
                assert event.order.order_id not in self.ended
                if event.order.ord_status in ENDED:
                    self.ended[event.order.order_id] = self.desk.now_ns


def scope_of(account_id: AccountId | None) -> tuple[Scope, int]:
    """Return what a kill switch is named by. None is the whole venue."""
    return (Scope.EVERYTHING, 0) if account_id is None else (Scope.ACCOUNT, account_id)


def steps_of(events: list[Event]) -> list[NaiveStep]:
    """Return the matches and what was done instead of matches, as they happened."""
    steps: list[NaiveStep] = []
    fills = fills_of(events)
    for event in events:
        if isinstance(event, Trade) and event.order.order_id == fills[0].resting_id:
            steps.append(fills.pop(0))
        elif isinstance(event, OrderRestated):
            steps.append(NaiveCut(event.order.order_id, event.decreased_qty, ends=False))
        elif isinstance(event, OrderCanceled) and event.reason is CancelReason.SELF_TRADE:
            steps.append(NaiveCut(event.order.order_id, event.canceled_qty, ends=True))
    return steps


def fills_of(events: list[Event]) -> list[NaiveFill]:
    """Return the matches, each made of the two trade events that stand side by side."""
    trades = [event for event in events if isinstance(event, Trade)]
    pairs = list(zip(trades[::2], trades[1::2], strict=True))
    for aggressor, resting in pairs:
        assert (aggressor.is_resting, resting.is_resting) == (aggressor.is_uncrossing, True)
        assert (aggressor.trade_id, aggressor.qty, aggressor.price) == (
            resting.trade_id,
            resting.qty,
            resting.price,
        )
        assert aggressor.is_uncrossing is resting.is_uncrossing
    return [
        NaiveFill(resting.order.order_id, aggressor.order.order_id, resting.qty, resting.price)
        for aggressor, resting in pairs
    ]


TestExchangeAgainstTwin = ExchangeAgainstTwin.TestCase
TestExchangeAgainstTwin.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    suppress_health_check=list(HealthCheck),
)
