"""Tells the engine whether the client is there, and what its leaving means for its open orders.

The engine decides and keeps the time, so that it happens also when this process dies. It is told
again with each new grant: what was said under an earlier one may never have arrived.
"""

from typing import Final

import msgspec

from engine.scope import Scope
from engine.session_commands import LogOffSession, LogOnSession
from fix_gateway.fix.logon import Admission
from fix_gateway.fix.session_tools import Engine
from store.sessions import FixSessionRow

NS_PER_MS: Final = 1_000_000
STRANDED_AFTER_S: Final = 3.0
YES: Final = "Y"
# CancelOrdersOnDisconnect(8013) of the Logon, and the session's own setting.
ASKED_SCOPES: Final = {
    "N": None,
    "S": Scope.SESSION,
    "A": Scope.ACCOUNT,
    "Y": Scope.ACCOUNT,
}
SET_SCOPES: Final = {"off": None, "session": Scope.SESSION, "account": Scope.ACCOUNT}


class Presence:
    """What was last said of one session's client. Belongs to the gateway's one thread."""

    def __init__(self, row: FixSessionRow, engine: Engine) -> None:
        self._engine = engine
        self._session_id = row.session_id
        self._admission: Admission | None = None
        self._has_said_goodbye = False
        self._is_sent_away = False
        self._stranded_since_s: float | None = None
        # A process that has just started has no clients, whatever its predecessor had.
        self._statement: LogOnSession | LogOffSession = LogOffSession(row.session_id, 0)

    def log_on(self, row: FixSessionRow, admission: Admission, generation: int) -> None:
        """The client is logged on, as it was let in."""
        self._has_said_goodbye = self._is_sent_away = False
        self._admission = admission
        self._statement = make_logon(row, admission)
        self.tell(generation)

    def change(self, row: FixSessionRow, generation: int) -> None:
        """Other settings hold from now on, also for a client that is logged on."""
        if self._admission is not None:
            self._statement = make_logon(row, self._admission)
            self.tell(generation)

    def is_stranded(self, now_s: float, has_no_grant: bool) -> bool:  # noqa: FBT001 - A state.
        """Whether a client is there to whose session the engine has not granted anything for long.

        Another process has it, then. Once a second.
        """
        if not has_no_grant or not self._engine.is_available:
            self._stranded_since_s = None
        elif self._stranded_since_s is None:
            self._stranded_since_s = now_s
        return (
            self._stranded_since_s is not None and now_s - self._stranded_since_s > STRANDED_AFTER_S
        )

    def note_goodbye(self) -> None:
        """The client has said Logout(5)."""
        self._has_said_goodbye = True

    def note_sent_away(self) -> None:
        """The client has been told to leave: its Logout is an answer, not its own will."""
        self._is_sent_away = True

    def log_off(self, generation: int) -> None:
        """The client has left."""
        is_graceful = self._has_said_goodbye and not self._is_sent_away
        self._admission = None
        self._statement = LogOffSession(self._session_id, 0, is_graceful)
        self.tell(generation)

    def tell(self, generation: int) -> None:
        """Say it under this grant. Without one, 0, it is said as soon as there is one."""
        if generation:
            self._engine.tell(msgspec.structs.replace(self._statement, generation=generation))


def make_logon(row: FixSessionRow, admission: Admission) -> LogOnSession:
    """Return what the engine is told of a client: its own word goes before the session's setting.

    The edge has let nobody in with a word that is not known.
    """
    asked = admission.cancel_on_disconnect
    asked_on_loss = admission.cancel_on_internal_loss
    return LogOnSession(
        session_id=row.session_id,
        generation=0,
        account_id=row.account_id,
        cancel_scope=(
            SET_SCOPES[row.cancel_on_disconnect] if asked is None else ASKED_SCOPES[asked]
        ),
        grace_ns=row.cancel_grace_ms * NS_PER_MS,
        cancels_on_logout=row.cancel_on_logout,
        cancels_on_internal_loss=(
            row.cancel_on_internal_loss if asked_on_loss is None else asked_on_loss == YES
        ),
    )
