"""The exchange: a state machine that turns each command into the events that follow from it.

Deterministic: the same commands with the same sequence numbers and times give the same events, byte
for byte. It reads no clock and keeps nothing outside itself.
"""

from itertools import chain
from typing import Final, assert_never

from engine.book import OrderBook
from engine.commands import (
    AdvanceTime,
    CancelOrder,
    Command,
    DefineAsset,
    DefineInstrument,
    KillCommand,
    LiftKillSwitch,
    NewOrder,
    OpenAccount,
    PullKillSwitch,
    RefuseRequest,
    ReplaceOrder,
    SessionCommand,
    SetClOrdIdsMax,
    SetDeadManTimer,
    SetSelfTradeMode,
    SetStorageLow,
    SetTradingState,
)
from engine.controls import TradingMode
from engine.events import (
    ClOrdIdsMaxSet,
    CommandRefused,
    DeadManTimerExpired,
    Event,
    ReferenceEvent,
    SelfTradeModeSet,
    StorageLowSet,
)
from engine.gate import Rejection, RiskGate
from engine.kept import Sweep
from engine.limit_desk import LimitDesk
from engine.limit_usage import count_used
from engine.parts import Parts
from engine.presence import Attendance
from engine.reasons import CancelReason, RejectReason
from engine.request_events import BalanceLine
from engine.risk_commands import (
    GrantOverride,
    LimitCommand,
    RevokeOverride,
    SetAccountThrottle,
    SetInstrumentRules,
    SetLimit,
    SetReferencePrice,
    SetRiskLimits,
    SetScopeLimits,
    SetTradingMode,
)
from engine.rules_in_force import rules_in_force
from engine.scope import Scope
from engine.session_commands import (
    LogOffSession,
    LogOnSession,
    OpenSession,
    PresenceCommand,
    ReleaseAllSessions,
    ReleaseSession,
    ResetSession,
)
from engine.session_events import SessionOpened, SessionReleased, SessionReset
from engine.standing import Standing
from engine.state import ExchangeState
from engine.trade_commands import BustTrade, CorrectTrade
from engine.units import AccountId, InstrumentId, OrderId, Seq

RULES_VERSION: Final = 1
"""Goes up with every change after which an old journal would give other events."""


class Exchange:
    """The state machine. Belongs to one thread, the sequencer's."""

    def __init__(self, gate: RiskGate) -> None:
        parts = self._parts = Parts(gate)
        self.reference = parts.reference
        self._gate = gate
        self._ledger = parts.ledger
        self._fees = parts.fees
        self._treasury = parts.treasury
        self._ownership = parts.ownership
        self._presence = parts.presence
        self._kill_switches = parts.kill_switches
        self._dead_man = parts.dead_man
        self._trading = parts.trading
        self._trade_amendments = parts.trade_amendments
        self._sweeper = parts.sweeper
        self._credit_watch = parts.credit_watch
        self._requests = parts.requests
        self._standing = Standing(
            parts.finder, gate, parts.kill_switches, parts.sweeper, parts.trading
        )
        self._limit_desk = LimitDesk(parts.reference, parts.finder, gate)

    @classmethod
    def restore(cls, gate: RiskGate, state: ExchangeState) -> "Exchange":
        """Return an exchange that goes on as the one would from which `state` was taken.

        The gate must be a new one: it is given the limits.
        """
        exchange = cls(gate)
        exchange._parts.restore(state)
        return exchange

    def apply(self, seq: Seq, now_ns: int, command: Command) -> list[Event]:
        """Apply the command at its place and time, and return what happened.

        A refusal is an event. Raises only when the exchange itself is broken: whoever calls must
        stop then, for the state can no longer be trusted.
        """
        events = self._apply(seq, now_ns, command)
        # What follows from them cannot lead any further.
        for consequence in self._gate.learn(now_ns, events):
            if isinstance(consequence, TradingMode):
                further = self._standing.enforce(seq, now_ns, consequence)
                self._gate.learn(now_ns, further)
                events += further
            else:
                events.append(consequence)
        return events + self._credit_watch.learn(events)

    def find_refusal(self, now_ns: int, order: NewOrder) -> Rejection | None:
        """Return why the order would be refused now, None if it would be let in.

        Its place in its session is not looked at. Changes nothing.
        """
        return self._trading.find_refusal(now_ns, order)

    def _apply(self, seq: Seq, now_ns: int, command: Command) -> list[Event]:
        # Asked first without `isinstance`, which asks a struct's class at length.
        if (
            type(command) is NewOrder
            or type(command) is CancelOrder
            or isinstance(command, SessionCommand)
        ):
            return self._apply_session_command(seq, now_ns, command)
        match command:
            case AdvanceTime():
                return self._let_time_pass(seq, now_ns)
            case OpenSession() | ReleaseSession() | ReleaseAllSessions() | ResetSession():
                return self._change_owner(now_ns, command)
            case LogOnSession() | LogOffSession():
                return self._note_presence(now_ns, command)
            case DefineAsset() | DefineInstrument() | OpenAccount():
                return [self._define(command)]
            case (
                SetRiskLimits()
                | SetScopeLimits()
                | SetAccountThrottle()
                | SetLimit()
                | SetInstrumentRules()
                | SetReferencePrice()
                | GrantOverride()
                | RevokeOverride()
                | SetSelfTradeMode()
            ):
                return [self._limit(now_ns, command)]
            case SetStorageLow() | SetClOrdIdsMax():
                return self._set_bounds(command)
            case (
                PullKillSwitch()
                | LiftKillSwitch()
                | SetTradingMode()
                | SetTradingState()
                | SetDeadManTimer()
            ):
                return self._switch(seq, now_ns, command)
            case BustTrade() | CorrectTrade():
                return self._trade_amendments.apply(command)
            case _:
                return [self._treasury.apply(seq, command)]

    @property
    def is_storage_low(self) -> bool:
        """Whether new orders are refused for want of space on the journal's disk."""
        return self._trading.is_storage_low

    @property
    def cl_ord_ids_max(self) -> int:
        """How many ClOrdIDs of ended orders are known per account."""
        return self._trading.memory.closed_max

    def name_reach_ns(self, now_ns: int) -> int:
        """Return how long ClOrdIDs of ended orders are known at least."""
        return self._trading.memory.reach_ns(now_ns)

    def next_timer_ns(self) -> int | None:
        """Return when `AdvanceTime` next has something to do, None when nothing waits."""
        if self._sweeper.is_busy or self._requests.status_reports.is_busy:
            return 0
        timers = (
            self._trading.next_timer_ns(),
            self._presence.next_ns(),
            self._dead_man.next_ns(),
            self._gate.next_ns(),
        )
        return min((timer_ns for timer_ns in timers if timer_ns is not None), default=None)

    def session_events(self) -> list[SessionOpened | SessionReleased]:
        """Return who owns which session now, as the events that say so."""
        return [
            SessionOpened(grant.session_id, grant.generation, grant.epoch, grant.watermark)
            if grant.is_held
            else SessionReleased(grant.session_id, grant.generation)
            for grant in self._ownership.grants()
        ]

    def rule_events(self) -> list[Event]:
        """Return which limits, rules, modes, switches and trading states hold, as their events."""
        rules = rules_in_force(self._gate, self._kill_switches)
        return [*rules, *self._trading.state_events()]

    def balances_of(self, account_id: AccountId) -> list[BalanceLine]:
        """Return what an account has of each asset of which it has some, [] for one not there."""
        return self._ledger.lines_of(account_id)

    def count_funds_used(self, *, percent: int) -> int:
        """Return of how many balances so much of what may be reserved is."""
        return self._ledger.count_used(percent=percent)

    def count_limits_used(self, now_ns: int) -> dict[tuple[str, int], int]:
        """Return of how many limits how many percent are used, as `count_used` of them does."""
        return count_used(chain(self._ledger.usages(), self._gate.usages(now_ns)))

    def standing_events(self) -> list[Event]:
        """Return what else holds now until something is said to the contrary, as events.

        Kill switches that are pulled, fees, lines of credit, withdrawals under way, and dead-man
        timers that run.
        """
        return [
            *self._kill_switches.events(),
            *self._fees.events(),
            *self._ledger.credit_events(),
            *self._ledger.withdrawal_events(),
            *self._dead_man.events(),
        ]

    def find_book(self, instrument_id: InstrumentId) -> OrderBook | None:
        """Return the live book of an instrument, to be looked at; None where there is none."""
        return self._trading.books.get(instrument_id)

    def open_order_count(self) -> int:
        """Return how many orders rest in the books or wait for their stop price."""
        return len(self._trading.open_orders)

    def state(self) -> ExchangeState:
        """Return the whole state as data. Takes time in proportion to the orders known."""
        return self._parts.state()

    def _apply_session_command(self, seq: Seq, now_ns: int, command: SessionCommand) -> list[Event]:
        if command.session_id:
            refused = self._ownership.refusal(command)
            if refused is not None:
                return [refused]
            if not self._ownership.admit(command):
                return []
        match command:
            case NewOrder():
                return self._trading.enter(seq, now_ns, command)
            case CancelOrder():
                return self._trading.cancel(now_ns, command)
            case ReplaceOrder():
                return self._trading.replace(now_ns, command)
            case RefuseRequest():
                return [self._trading.refuse(command)]
            case _:
                return self._requests.apply(seq, now_ns, command)

    def _let_time_pass(self, seq: Seq, now_ns: int) -> list[Event]:
        events = self._trading.let_time_pass(now_ns)
        for gone in self._presence.take_due(now_ns):
            self._sweeper.start(_sweep_of(gone, seq))
        for account_id in self._dead_man.take_due(now_ns):
            events.append(DeadManTimerExpired(account_id))
            sweep = Sweep(Scope.ACCOUNT, account_id, CancelReason.DEAD_MAN, OrderId(seq))
            self._sweeper.start(sweep)
        for pause in self._gate.take_due(now_ns):
            events += self._standing.pause(now_ns, pause)
        events += self._sweeper.go_on(now_ns)
        return events + self._requests.status_reports.go_on()

    def _change_owner(
        self,
        now_ns: int,
        command: OpenSession | ReleaseSession | ReleaseAllSessions | ResetSession,
    ) -> list[Event]:
        events = self._ownership.apply(command)
        if isinstance(command, ReleaseAllSessions):
            self._presence.lose_all(now_ns)
        for event in events:
            if isinstance(event, SessionReleased | SessionReset):
                self._presence.lose(now_ns, event.session_id)
        return events

    def _note_presence(self, now_ns: int, command: PresenceCommand) -> list[Event]:
        refused = self._ownership.disowns(command)
        if refused is not None:
            return [refused]
        if isinstance(command, LogOnSession):
            return [self._presence.log_on(now_ns, command)]
        return [*self._presence.log_off(now_ns, command)]

    def _switch(
        self,
        seq: Seq,
        now_ns: int,
        command: KillCommand | SetTradingMode | SetTradingState | SetDeadManTimer,
    ) -> list[Event]:
        if isinstance(command, SetDeadManTimer):
            return [self._dead_man.set(now_ns, command)]
        if isinstance(command, SetTradingState):
            return self._trading.set_state(now_ns, command)
        return self._standing.apply(seq, now_ns, command)

    def _define(self, command: DefineAsset | DefineInstrument | OpenAccount) -> Event:
        event: ReferenceEvent | CommandRefused
        match command:
            case DefineAsset():
                event = self.reference.define_asset(command)
            case DefineInstrument():
                event = self.reference.define_instrument(command)
            case OpenAccount():
                event = self.reference.open_account(command)
            case _:
                assert_never(command)
        if not isinstance(event, CommandRefused):
            self._parts.learn(event)
        return event

    def _limit(self, now_ns: int, command: LimitCommand | SetSelfTradeMode) -> Event:
        if isinstance(command, SetSelfTradeMode):
            return self._set_self_trade_mode(command)
        return self._limit_desk.apply(now_ns, command)

    def _set_self_trade_mode(self, command: SetSelfTradeMode) -> Event:
        scope, scope_id = command.scope, command.scope_id
        if scope not in (Scope.SESSION, Scope.EVERYTHING):
            return CommandRefused(RejectReason.UNSUPPORTED, actual=scope.value)
        if scope_id < 0 or (scope_id == 0) is not (scope is Scope.EVERYTHING):
            return CommandRefused(RejectReason.AMOUNT_INVALID, actual=scope_id)
        self._trading.self_trade.set(command)
        return SelfTradeModeSet(scope, scope_id, command.mode)

    def _set_bounds(self, command: SetStorageLow | SetClOrdIdsMax) -> list[Event]:
        if isinstance(command, SetClOrdIdsMax):
            if command.count < 1:
                return [CommandRefused(RejectReason.AMOUNT_INVALID, limit=1, actual=command.count)]
            self._trading.memory.closed_max = command.count
            return [ClOrdIdsMaxSet(command.count)]
        if command.is_low == self._trading.is_storage_low:
            return []
        self._trading.set_storage_low(is_low=command.is_low)
        return [StorageLowSet(command.is_low)]


def _sweep_of(gone: Attendance, seq: Seq) -> Sweep:
    """Return what is to be cancelled because a client is gone."""
    is_of_session = gone.cancel_scope is Scope.SESSION
    return Sweep(
        scope=Scope.SESSION if is_of_session else Scope.ACCOUNT,
        scope_id=gone.session_id if is_of_session else gone.account_id,
        reason=CancelReason.LOGGED_OUT if gone.has_said_logout else CancelReason.DISCONNECTED,
        order_id_max=OrderId(seq),
    )
