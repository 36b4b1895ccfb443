"""Which kill switches are pulled: while one is, no new order of its scope is taken."""

import msgspec

from engine.commands import PullKillSwitch
from engine.instrument import Account
from engine.scope import Scope
from engine.units import SessionId


class PulledSwitch(msgspec.Struct, frozen=True, array_like=True):
    """A switch that is pulled: since when, by whom and why."""

    scope: Scope
    scope_id: int
    reason: str
    actor: str
    pulled_at_ns: int


class KillSwitches:
    """The switches that are pulled. Belongs to the thread that applies commands."""

    __slots__ = ("_pulled",)

    def __init__(self) -> None:
        self._pulled: dict[tuple[Scope, int], PulledSwitch] = {}

    def pull(self, now_ns: int, command: PullKillSwitch) -> None:
        """Stop the scope, or stop it for another reason."""
        switch = PulledSwitch(
            command.scope, command.scope_id, command.reason, command.actor, now_ns
        )
        self.restore(switch)

    def lift(self, scope: Scope, scope_id: int) -> bool:
        """Let the scope go on. Returns False when it was not stopped."""
        return self._pulled.pop((scope, scope_id), None) is not None

    def find(self, session_id: SessionId, account: Account) -> Scope | None:
        """Return the widest scope that stops the session or the account, None when none does."""
        if not self._pulled:
            return None
        for scope, scope_id in (
            (Scope.EVERYTHING, 0),
            (Scope.FIRM, account.firm_id),
            (Scope.ACCOUNT, account.account_id),
            (Scope.SESSION, session_id),
        ):
            if (scope, scope_id) in self._pulled:
                return scope
        return None

    def restore(self, switch: PulledSwitch) -> None:
        """Put back a switch as it was pulled."""
        self._pulled[(switch.scope, switch.scope_id)] = switch

    def pulled(self) -> list[PulledSwitch]:
        """Return all that are pulled, in the order in which they were first pulled."""
        return list(self._pulled.values())
