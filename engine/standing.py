"""Who may trade at all: kill switches and trading modes, and what they cancel."""

from engine.commands import KillCommand, LiftKillSwitch, PullKillSwitch, SetTradingState
from engine.controls import Level, Mode, ModeCause, TradingMode
from engine.events import CommandRefused, Event, KillSwitchLifted, KillSwitchPulled
from engine.gate import RiskGate
from engine.kept import Sweep
from engine.kill_switches import KillSwitches
from engine.order_finder import OrderFinder
from engine.phases import EXCHANGE
from engine.reasons import CancelReason, RejectReason
from engine.risk_commands import SetTradingMode
from engine.risk_events import BreakerChanged, TradingModeSet
from engine.sweeper import Sweeper
from engine.trading import Trading
from engine.trading_state import TradingState
from engine.units import OrderId, Seq

CIRCUIT_BREAKER = "the circuit breaker has tripped"


class Standing:
    """Stops and lets go. Belongs to the thread that applies commands."""

    def __init__(
        self,
        finder: OrderFinder,
        gate: RiskGate,
        kill_switches: KillSwitches,
        sweeper: Sweeper,
        trading: Trading,
    ) -> None:
        self._finder = finder
        self._gate = gate
        self._kill_switches = kill_switches
        self._sweeper = sweeper
        self._trading = trading

    def apply(self, seq: Seq, now_ns: int, command: KillCommand | SetTradingMode) -> list[Event]:
        """Stop a scope, or let it go on, or say why not."""
        unknown = self._finder.unknown_scope(command.scope, command.scope_id)
        if unknown is not None:
            return [CommandRefused(unknown, actual=command.scope_id)]
        match command:
            case PullKillSwitch():
                return self._pull(seq, now_ns, command)
            case LiftKillSwitch():
                return [self._lift(command)]
            case SetTradingMode():
                return self._set_mode(seq, now_ns, command)

    def enforce(self, seq: Seq, now_ns: int, mode: TradingMode) -> list[Event]:
        """Say that a mode holds from now on, and cancel what must not stay open in it."""
        events: list[Event] = [TradingModeSet(mode)]
        if mode.cause is ModeCause.EXECUTION_THROTTLE:
            reason = CancelReason.EXECUTION_THROTTLE
        elif mode.mode is Mode.BLOCKED:
            reason = CancelReason.SUSPENDED
        else:
            return events
        self._sweeper.start(Sweep(mode.scope, mode.scope_id, reason, OrderId(seq)))
        return events + self._sweeper.go_on(now_ns)

    def pause(self, now_ns: int, changed: BreakerChanged) -> list[Event]:
        """Stop an instrument's trading because its circuit breaker says so, and say it."""
        command = SetTradingState(
            changed.instrument_id,
            TradingState.HALTED,
            CIRCUIT_BREAKER,
            EXCHANGE,
            ends_at_ns=changed.until_ns,
            collects_ns=changed.collects_ns,
        )
        return [changed, *self._trading.set_state(now_ns, command)]

    def _pull(self, seq: Seq, now_ns: int, command: PullKillSwitch) -> list[Event]:
        scope, scope_id = command.scope, command.scope_id
        # The switch first: whatever the cancelling takes, nothing new comes in behind it.
        self._kill_switches.pull(now_ns, command)
        self._sweeper.start(Sweep(scope, scope_id, CancelReason.KILLED, OrderId(seq)))
        pulled = KillSwitchPulled(scope, scope_id, command.reason, command.actor, command.level)
        return [pulled, *self._sweeper.go_on(now_ns)]

    def _lift(self, command: LiftKillSwitch) -> Event:
        scope, scope_id, level = command.scope, command.scope_id, command.level
        pulled = self._kill_switches.find_pulled(scope, scope_id, level)
        if pulled is None:
            return CommandRefused(RejectReason.NOT_KILLED, actual=scope_id)
        name = _name_in(command.actor)
        # A client's own switch is his own: he may have slipped.
        if level is not Level.CLIENT and name and name == _name_in(pulled.actor):
            return CommandRefused(RejectReason.SAME_OPERATOR, actual=scope_id)
        self._kill_switches.lift(scope, scope_id, level)
        return KillSwitchLifted(scope, scope_id, command.reason, command.actor, level)

    def _set_mode(self, seq: Seq, now_ns: int, command: SetTradingMode) -> list[Event]:
        mode = TradingMode(
            command.scope,
            command.scope_id,
            command.level,
            command.mode,
            ModeCause.PERSON,
            command.reason,
            command.actor,
            now_ns,
        )
        self._gate.set_mode(mode)
        return self.enforce(seq, now_ns, mode)


def _name_in(actor: str) -> str:
    """Return who has asked as the door knows him, "" for whom the operating system alone knows.

    That is the way in when everything else is down: the machine's operator is trusted then, and
    the journal names him.
    """
    name, _, _ = actor.partition("os:")
    return name.strip()
