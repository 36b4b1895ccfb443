"""Which kill switches are pulled: while one is, no new order of its scope is taken."""

from engine.commands import PullKillSwitch
from engine.controls import Level
from engine.events import KillSwitchPulled
from engine.instrument import Account
from engine.kept import PulledSwitch
from engine.scope import Scope
from engine.units import InstrumentId, SessionId, UserId


class KillSwitches:
    """The switches that are pulled. Belongs to the thread that applies commands.

    Each scope has one for every level. They nest: while any is pulled, the scope is stopped.
    `is_any_pulled`: no order needs to be looked at while none is.
    """

    __slots__ = ("_pulled", "is_any_pulled")

    def __init__(self) -> None:
        self._pulled: dict[tuple[Scope, int, Level], PulledSwitch] = {}
        self.is_any_pulled = False

    def pull(self, now_ns: int, command: PullKillSwitch) -> None:
        """Stop the scope, or stop it for another reason."""
        switch = PulledSwitch(
            command.scope,
            command.scope_id,
            command.reason,
            command.actor,
            now_ns,
            command.level,
        )
        self.restore(switch)

    def lift(self, scope: Scope, scope_id: int, level: Level) -> None:
        """Let the scope go on, as far as this switch goes. It is pulled."""
        del self._pulled[(scope, scope_id, level)]
        self.is_any_pulled = bool(self._pulled)

    def find_pulled(self, scope: Scope, scope_id: int, level: Level) -> PulledSwitch | None:
        """Return the switch, None when it is not pulled."""
        return self._pulled.get((scope, scope_id, level))

    def find(
        self, session_id: SessionId, account: Account, user_id: UserId, instrument_id: InstrumentId
    ) -> PulledSwitch | None:
        """Return the widest switch that stops such an order, None when none does."""
        if not self._pulled:
            return None
        for scope, scope_id in (
            (Scope.EVERYTHING, 0),
            (Scope.INSTRUMENT, instrument_id),
            (Scope.FIRM, account.firm_id),
            (Scope.ACCOUNT, account.account_id),
            (Scope.USER, user_id),
            (Scope.SESSION, session_id),
        ):
            for level in Level:
                switch = self._pulled.get((scope, scope_id, level))
                if switch is not None:
                    return switch
        return None

    def events(self) -> list[KillSwitchPulled]:
        """Return the switches that are pulled, as the events that have said so."""
        return [
            KillSwitchPulled(
                switch.scope, switch.scope_id, switch.reason, switch.actor, switch.level
            )
            for switch in self._pulled.values()
        ]

    def restore(self, switch: PulledSwitch) -> None:
        """Put back a switch as it was pulled."""
        self._pulled[(switch.scope, switch.scope_id, switch.level)] = switch
        self.is_any_pulled = True

    def pulled(self) -> list[PulledSwitch]:
        """Return all that are pulled, in the order in which they were first pulled."""
        return list(self._pulled.values())
