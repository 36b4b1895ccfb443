"""The gate in front of the book: every check, in the order of precedence of their reasons."""

from collections.abc import Iterator, Sequence
from typing import Final

from engine.book import OrderBook
from engine.commands import NewOrder
from engine.controls import InstrumentRules, Limit, Override, TradingMode
from engine.events import (
    CancelRejected,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderReplaced,
    OrderRestated,
    Trade,
    TradingStateChanged,
)
from engine.gate import Bound, Candidate, Consequence, Rejection
from engine.gate_state import GateState
from engine.instrument import Account, Instrument
from engine.ledger import postings_of
from engine.limit_usage import Usage
from engine.limits import AccountThrottle, RiskLimits, ScopeLimits
from engine.live_order import Order
from engine.order import OrderView, Side
from engine.reasons import CancelReason, RejectReason
from engine.risk_events import BreakerChanged
from engine.scope import Scope
from engine.units import AccountId, AssetId, ClOrdId, InstrumentId, Money, Price, SessionId, UserId
from risk.day_results import DayResults
from risk.holdings import ALL_INSTRUMENTS, Holdings
from risk.limit_usage import usages_of
from risk.limits import FED_BY_MESSAGES, LimitRow, LimitRows, LimitTable, ScopeLimitTable
from risk.markets import Markets
from risk.modes import Modes
from risk.overrides import Overrides
from risk.plans import Plan, Windows, windows_of
from risk.precedence import Checked, PlanKey
from risk.rate_limiter import RateLimiter
from risk.reference_price import Source
from risk.screen import Ranges
from risk.usage import feed_amendment, feed_entry, feed_fill, feed_message, trips_of

BUY = Side.BUY
FIRM, ACCOUNT, USER, SESSION = Scope.FIRM, Scope.ACCOUNT, Scope.USER, Scope.SESSION
PLANS_MAX: Final = 100_000
ASKED_FOR: Final = (CancelReason.REQUESTED, CancelReason.AMENDED_TO_FILLED)
CIRCUIT_BREAKER = CancelReason.CIRCUIT_BREAKER
OrderChange = OrderReplaced | OrderExpired | OrderRestated
ORDER_CHANGES: Final = (OrderReplaced, OrderExpired, OrderRestated)


class PreTradeGate:
    """Pre-trade risk of the exchange, an `engine.gate.RiskGate`.

    Fails closed: an order for which the account has no limits is refused. Belongs to the thread
    that applies commands.
    """

    def __init__(self) -> None:
        self._limits = LimitTable()
        self._scope_limits = ScopeLimitTable()
        self._throttles: dict[AccountId, RateLimiter] = {}
        self._rows = LimitRows()
        self._markets = Markets()
        self._modes = Modes()
        self._overrides = Overrides()
        self._holdings = Holdings()
        self._day = DayResults()
        self._version = 0
        # Thrown away whenever something changes that they were made of.
        self._plans: dict[PlanKey, Checked] = {}
        self._ranges: dict[InstrumentId, Ranges] = {}
        self._messages: dict[tuple[AccountId, SessionId], Windows] = {}
        # The order whose trader was checked last, and what was found for it.
        self._asked: NewOrder | None = None
        self._found: Checked | None = None

    def set_limits(self, limits: RiskLimits) -> None:
        """Replace the limits of an account in an instrument."""
        self._limits.set(limits)
        self._change()

    def limits(self) -> list[RiskLimits]:
        """Return all limits in force, in the order in which they were first set."""
        return self._limits.rows()

    def set_scope_limits(self, limits: ScopeLimits) -> None:
        """Replace the limits of a firm or a session in an instrument."""
        self._scope_limits.set(limits)
        self._change()

    def scope_limits(self) -> list[ScopeLimits]:
        """Return those in force, in the order in which they were first set."""
        return self._scope_limits.rows()

    def set_throttle(self, throttle: AccountThrottle) -> None:
        """Let the account enter orders that often, from the state of use that it bears."""
        self._throttles[throttle.account_id] = RateLimiter(
            throttle.rate, throttle.burst, debt=throttle.debt, at_ns=throttle.at_ns
        )
        self._change()

    def change_throttle(
        self, account_id: AccountId, rate: int, burst: int, now_ns: int
    ) -> AccountThrottle:
        """Let another rate and burst hold from now on, and return them with what has been used."""
        limiter = self._throttles.get(account_id)
        if limiter is None:
            limiter = self._throttles[account_id] = RateLimiter(rate, burst, at_ns=now_ns)
        else:
            limiter.change(rate, burst, now_ns)
        self._change()
        return _state_of(account_id, limiter)

    def lift_throttle(self, account_id: AccountId) -> None:
        """Let the account enter orders as often as it likes."""
        self._throttles.pop(account_id, None)
        self._change()

    def throttles(self) -> list[AccountThrottle]:
        """Return those in force, with what has been used of them, by account."""
        return [_state_of(*item) for item in sorted(self._throttles.items())]

    def set_limit(self, limit: Limit) -> int:
        """Let a limit hold from now on. Returns the version of all limits from then on."""
        self._rows.set(limit)
        return self._change()

    def tightest_above(self, limit: Limit) -> int | None:
        """Return the tightest value that levels wider than the limit's have set for the same."""
        row = self._rows.find(limit)
        if row is None:
            return None
        wider = (value for level, value in row.levels.items() if level.value < limit.level.value)
        return min(wider, default=None)

    def set_rules(self, rules: InstrumentRules) -> int:
        """Replace the rules of an instrument. Returns the version of all limits from then on."""
        self._markets.set_rules(rules)
        return self._change()

    def set_reference_price(
        self, instrument_id: InstrumentId, price: Price | None, now_ns: int
    ) -> None:
        """Take an operator's word for an instrument's price, None: not any more."""
        source = self._markets.sources[instrument_id]
        source.operator_price = price or Price(0)
        source.operator_at_ns = now_ns if price else 0

    def set_mode(self, mode: TradingMode) -> None:
        """Put a scope into a mode, at a level."""
        self._modes.set(mode)
        self._forget_plans()

    def grant(self, override: Override, now_ns: int) -> None:
        """Let through what would be refused, for a while. Forgets what has expired."""
        self._overrides.grant(override, now_ns)

    def revoke(
        self,
        account_id: AccountId,
        reason: RejectReason,
        cl_ord_id: ClOrdId,
        instrument_id: InstrumentId,
        asset_id: AssetId,
    ) -> Override | None:
        """Take back what was granted for that, and return it, None for nothing."""
        return self._overrides.revoke(account_id, reason, cl_ord_id, instrument_id, asset_id)

    def add_account(self, account: Account) -> None:
        """An account exists."""
        self._holdings.add_account(account)

    def add_instrument(self, instrument: Instrument) -> None:
        """An instrument exists."""
        self._markets.add_instrument(instrument)
        self._holdings.add_instrument(instrument)

    def add_balance(self, account_id: AccountId, asset_id: AssetId, amount: Money) -> None:
        """An account has so much of an asset, as restored."""
        self._holdings.add_balance(account_id, asset_id, amount)

    def add_open_order(self, order: OrderView) -> None:
        """An order is open, as restored."""
        desk = self._holdings.desk(order.account_id, order.instrument_id)
        desk.change(order, order.leaves_qty, 1)
        self._holdings.note_display(order, desk)

    def restore(self, state: GateState) -> None:
        """Go on as the gate would whose state it is. Accounts and instruments are known."""
        for limit in state.limits:
            self._rows.set(limit)
        for row, usage in zip(self._rows.rows(), state.usages, strict=True):
            row.restore_usage(usage)
        for known in state.sources:
            self._markets.sources[known.instrument_id] = Source(known)
        for rules in state.rules:
            self._markets.set_rules(rules)
        for breaker in state.breakers:
            self._markets.restore_breaker(breaker)
        for mode in state.modes:
            self._modes.set(mode)
        for override in state.overrides:
            self._overrides.grant(override, 0)
        for result in state.day_results:
            instrument_id = result.instrument_id
            source = self._markets.sources[instrument_id]
            self._day.restore(result, self._markets.instruments[instrument_id], source)
        self._forget_plans()
        self._version = state.version

    def state(self) -> GateState:
        """Return what is remembered, in an order that depends on the commands alone."""
        return GateState(
            version=self._version,
            limits=[limit for row in self._rows.rows() for limit in row.limits()],
            usages=[row.usage() for row in self._rows.rows()],
            rules=list(self._markets.rules.values()),
            sources=[source.state() for source in self._markets.sources.values()],
            modes=self._modes.modes(),
            overrides=self._overrides.granted(),
            day_results=self._day.results(),
            breakers=self._markets.breakers(),
        )

    def check_trader(self, order: NewOrder, replaced: Order | None) -> Rejection | None:
        """Return why the trader may not do this at all at present, None when he may."""
        self._asked, self._found = order, self._find(order)
        for check in self._found.trader_checks:
            rejection = check(self._found.plan, order, replaced)
            if rejection is not None:
                return rejection
        return None

    def check_entry(self, entry: Candidate) -> Rejection | None:
        """Return the first check's refusal, None when all let the order pass. Changes nothing."""
        # Mostly of the order whose trader was just checked.
        found = self._found if entry.order is self._asked else None
        if found is None:
            found = self._find(entry.order)
        if found.screen.lets_through(entry):
            return None
        plan = found.plan
        for check in found.entry_checks():
            rejection = check(plan, entry)
            if rejection is not None and not self._overrides.allow(
                rejection, entry.order, entry.now_ns
            ):
                return rejection
        return None

    def find_bound(
        self, instrument: Instrument, side: Side, book: OrderBook, now_ns: int, *, is_market: bool
    ) -> Bound | None:
        """Return how far an order may trade now, whatever its own price is, None for any price."""
        return self._markets.find_bound(instrument, side, book, now_ns, is_market=is_market)

    def learn(self, now_ns: int, events: Sequence[Event]) -> Sequence[Consequence]:
        """Take in what has happened, and return what follows from it."""
        consequences: list[Consequence] = []
        for event in events:
            # What happens most is asked for first; `isinstance` asks a struct's class at length.
            if type(event) is OrderCanceled:
                self._learn_cancel(event, now_ns, consequences)
            elif type(event) is OrderAccepted:
                self._learn_entry(event.order, now_ns)
            elif type(event) is Trade:
                self._learn_trade(event, now_ns, consequences)
            elif type(event) is CancelRejected:
                self._learn_refused_cancel(event, now_ns)
            elif isinstance(event, ORDER_CHANGES):
                self._learn_change(event, now_ns)
            elif isinstance(event, TradingStateChanged):
                self._markets.learn_state(event, now_ns)
            else:
                self._holdings.post(postings_of(event))
        return consequences

    def take_due(self, now_ns: int) -> Sequence[BreakerChanged]:
        """Return which markets are to pause by now, each once."""
        return self._markets.take_due(now_ns)

    def next_ns(self) -> int | None:
        """Return when `take_due` next has something to say, None when nothing waits."""
        return self._markets.next_ns()

    def usages(self, now_ns: int) -> Iterator[Usage]:
        """Yield how much of the limits on what there is is used. Changes nothing."""
        return usages_of(self._rows.rows(), self._holdings, self._day, now_ns)

    def _learn_entry(self, order: OrderView, now_ns: int) -> None:
        plan = self._find(order).plan
        plan.desk.change(order, order.order_qty, 1)
        if order.terms is not None:
            self._holdings.note_display(order, plan.desk)
        plan.source.book_changed_at_ns = now_ns
        if plan.throttle is not None:
            plan.throttle.take(now_ns)
        if plan.is_fed:
            feed_entry(plan, order, now_ns)

    def _learn_cancel(
        self, event: OrderCanceled, now_ns: int, consequences: list[Consequence]
    ) -> None:
        order = event.order
        plan = self._find(order).plan
        plan.source.book_changed_at_ns = now_ns
        plan.desk.change(order, -event.canceled_qty, -1)
        if event.reason in ASKED_FOR:
            feed_message(plan, now_ns)
        elif event.reason is CIRCUIT_BREAKER:
            consequences += self._markets.learn_touch(order.instrument_id, now_ns)
        if order.terms is not None:
            self._holdings.note_display(order, plan.desk)

    def _learn_change(self, event: OrderChange, now_ns: int) -> None:
        order = event.order
        plan = self._find(order).plan
        plan.source.book_changed_at_ns = now_ns
        match event:
            case OrderReplaced():
                plan.desk.change(order, order.order_qty - event.orig_order_qty)
                if plan.throttle is not None:
                    plan.throttle.take(now_ns)
                feed_amendment(plan, event, now_ns)
            case OrderExpired():
                plan.desk.change(order, -event.expired_qty, -1)
            case OrderRestated():
                plan.desk.change(order, -event.decreased_qty)
        if order.terms is not None:
            self._holdings.note_display(order, plan.desk)

    def _learn_refused_cancel(self, event: CancelRejected, now_ns: int) -> None:
        if event.is_replace or not self._rows.counts_messages:
            return
        if event.order is not None:
            feed_message(self._find(event.order).plan, now_ns)
            return
        account = self._holdings.accounts.get(event.account_id)
        if account is not None:
            for window in self._find_messages(account, event.session_id):
                window.add(1, now_ns)

    def _find_messages(self, account: Account, session_id: SessionId) -> Windows:
        """Return what counts the messages about no known order."""
        key = (account.account_id, session_id)
        windows = self._messages.get(key)
        if windows is None:
            rows: list[LimitRow] = []
            for scope, scope_id in (
                (FIRM, account.firm_id),
                (ACCOUNT, account.account_id),
                (SESSION, session_id),
            ):
                rows += self._rows.of(scope, scope_id, ALL_INSTRUMENTS, ())
            counting = [row for row in rows if row.control in FED_BY_MESSAGES]
            windows = self._messages[key] = windows_of(counting)
        return windows

    def _learn_trade(self, trade: Trade, now_ns: int, consequences: list[Consequence]) -> None:
        plan = self._find(trade.order).plan
        desk, source = plan.desk, plan.source
        if now_ns >= desk.day_ends_ns:
            self._day.begin(desk, source, now_ns)
        desk.settle(trade)
        if trade.order.terms is not None:
            self._holdings.note_display(trade.order, desk)
        # Each match is two events: one of them counts.
        if plan.breaker is not None and trade.order.side is BUY:
            if plan.breaker.limited_since_ns:
                consequences += self._markets.end_limit_state(trade, now_ns)
            plan.breaker.note_trade(trade.price, now_ns)
        source.trade_price = trade.price
        source.trade_at_ns = source.book_changed_at_ns = now_ns
        if plan.is_fed and feed_fill(plan, trade, now_ns):
            for mode in trips_of(plan, self._modes, now_ns):
                self.set_mode(mode)
                consequences.append(mode)

    def _change(self) -> int:
        self._forget_plans()
        self._version += 1
        return self._version

    def _find(self, order: NewOrder | OrderView) -> Checked:
        """Return the plan of such orders. Account and instrument exist."""
        key = (order.account_id, order.instrument_id, order.session_id, order.user_id)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= PLANS_MAX:
                self._forget_plans()
            plan = self._make_plan(*key)
            found = self._plans[key] = Checked(plan, self._find_ranges(plan))
        return found

    def _find_ranges(self, plan: Plan) -> Ranges:
        instrument_id = plan.instrument.instrument_id
        ranges = self._ranges.get(instrument_id)
        if ranges is None:
            ranges = self._ranges[instrument_id] = Ranges(plan.instrument, plan.rules)
        return ranges

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._ranges.clear()
        self._messages.clear()
        self._asked = self._found = None

    def _make_plan(
        self,
        account_id: AccountId,
        instrument_id: InstrumentId,
        session_id: SessionId,
        user_id: UserId,
    ) -> Plan:
        desk = self._holdings.desk(account_id, instrument_id)
        account = self._holdings.accounts[account_id]
        markets = self._markets
        instrument = markets.instruments[instrument_id]
        plan = Plan(account, instrument, desk, markets.sources[instrument_id], self._day)
        plan.limits = self._limits.find(account_id, instrument_id)
        if plan.limits is not None:
            plan.order_limits.append(plan.limits)
        traders: tuple[tuple[Scope, int], ...] = (
            (FIRM, account.firm_id),
            (ACCOUNT, account_id),
            (USER, user_id),
            (SESSION, session_id),
        )
        plan.order_limits += self._scope_limits.of(traders, instrument_id)
        plan.rules = markets.rules.get(instrument_id)
        plan.breaker = markets.breaker(instrument_id)
        plan.throttle = self._throttles.get(account_id)
        plan.mode = self._modes.strictest(account, session_id, user_id, instrument_id)
        assets = (instrument.base.asset_id, instrument.quote.asset_id)
        rows: list[LimitRow] = []
        for scope, scope_id in traders:
            if scope_id:
                rows += self._rows.of(scope, scope_id, instrument_id, assets)
        if rows:
            plan.add_rows(rows)
        return plan


def _state_of(account_id: AccountId, limiter: RateLimiter) -> AccountThrottle:
    debt, at_ns = limiter.state()
    return AccountThrottle(account_id, limiter.rate, limiter.burst, debt, at_ns)
