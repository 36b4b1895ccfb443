"""Whether a FIX session's client is there, and when its orders are cancelled because it is not.

The owner of a session says who logs on and leaves. When its link breaks, nobody knows: the owner
may have died, and the client's connection with it, or it may be back at once, the client never
gone. So unless the loss of the link itself counts, the owner is waited for, to say that its client
is still there.
"""

from typing import Final

import msgspec
from sortedcontainers import SortedSet

from engine.scope import Scope
from engine.session_commands import LogOffSession, LogOnSession
from engine.session_events import SessionLoggedOff, SessionLoggedOn
from engine.units import AccountId, SessionId

OWNER_WAIT_NS: Final = 5_000_000_000


class Attendance(msgspec.Struct, array_like=True):
    """What is known of a session's client.

    `lost_at_ns` is when the link to its owner broke, 0 while nobody waits for the owner;
    `cancels_at_ns` when its orders are cancelled, 0 for never. Once that `has_happened`, the next
    logon draws the line: an order that was first sent before `stale_before_ns` is not taken.
    """

    session_id: SessionId
    account_id: AccountId
    cancel_scope: Scope | None = None
    grace_ns: int = 0
    cancels_on_logout: bool = False
    cancels_on_internal_loss: bool = False
    is_present: bool = False
    has_said_logout: bool = False
    lost_at_ns: int = 0
    cancels_at_ns: int = 0
    has_happened: bool = False
    stale_before_ns: int = 0


class Presence:
    """The clients of all sessions. Belongs to the thread that applies commands."""

    __slots__ = ("_attendances", "_due")

    def __init__(self) -> None:
        self._attendances: dict[SessionId, Attendance] = {}
        self._due: SortedSet[tuple[int, SessionId]] = SortedSet()

    def log_on(self, now_ns: int, command: LogOnSession) -> SessionLoggedOn:
        """The client is there: whatever was about to happen because it was not does not."""
        known = self._attendances.get(command.session_id)
        stale_before_ns = 0
        if known is not None:
            self._schedule(known, 0)
            stale_before_ns = now_ns if known.has_happened else known.stale_before_ns
        self._attendances[command.session_id] = Attendance(
            session_id=command.session_id,
            account_id=command.account_id,
            cancel_scope=command.cancel_scope,
            grace_ns=command.grace_ns,
            cancels_on_logout=command.cancels_on_logout,
            cancels_on_internal_loss=command.cancels_on_internal_loss,
            is_present=True,
            stale_before_ns=stale_before_ns,
        )
        return SessionLoggedOn(command.session_id, command.generation, command.cancel_scope)

    def log_off(self, now_ns: int, command: LogOffSession) -> list[SessionLoggedOff]:
        """The client has left, now or when the link to its owner broke."""
        known = self._attendances.get(command.session_id)
        if known is None or not (known.is_present or known.lost_at_ns):
            return []
        left_at_ns = known.lost_at_ns or now_ns
        is_decided = known.lost_at_ns > 0 and known.cancels_on_internal_loss
        known.is_present = False
        known.lost_at_ns = 0
        if known.cancel_scope is not None and not is_decided:
            counts = known.cancels_on_logout or not command.is_graceful
            known.has_said_logout = command.is_graceful
            self._schedule(known, left_at_ns + known.grace_ns if counts else 0)
        return [
            SessionLoggedOff(
                command.session_id, command.generation, command.is_graceful, known.cancels_at_ns
            )
        ]

    def lose(self, now_ns: int, session_id: SessionId) -> None:
        """The link to the session's owner broke while the client was there, as far as is known."""
        known = self._attendances.get(session_id)
        if known is not None and known.is_present:
            known.is_present = False
            known.lost_at_ns = now_ns
            self._await_owner(known, now_ns)

    def lose_all(self, now_ns: int) -> None:
        """No owner outlived its link. Who was waited for already has as long again to come back."""
        for known in self._attendances.values():
            if known.is_present:
                self.lose(now_ns, known.session_id)
            elif known.lost_at_ns and not known.cancels_on_internal_loss:
                self._await_owner(known, now_ns)

    def take_due(self, now_ns: int) -> list[Attendance]:
        """Return whose orders are to be cancelled by now, the longest due first, each once."""
        due = []
        while self._due and self._due[0][0] <= now_ns:
            known = self._attendances[self._due[0][1]]
            self._schedule(known, 0)
            known.lost_at_ns = 0
            known.has_happened = True
            known.stale_before_ns = now_ns
            due.append(known)
        return due

    def stale_before_ns(self, session_id: SessionId) -> int:
        """Return before when an order of the session must not have been first sent, 0 for never."""
        known = self._attendances.get(session_id)
        return 0 if known is None else known.stale_before_ns

    def next_ns(self) -> int | None:
        """Return when `take_due` next returns somebody, None when nobody is waited for."""
        return self._due[0][0] if self._due else None

    def restore(self, attendance: Attendance) -> None:
        """Put back what was known of a session's client. It is not shared."""
        self._attendances[attendance.session_id] = attendance
        if attendance.cancels_at_ns:
            self._due.add((attendance.cancels_at_ns, attendance.session_id))

    def attendances(self) -> list[Attendance]:
        """Return copies of all that is known, in the order of the sessions' first logons."""
        return [msgspec.structs.replace(known) for known in self._attendances.values()]

    def _await_owner(self, known: Attendance, now_ns: int) -> None:
        if known.cancel_scope is not None:
            wait_ns = 0 if known.cancels_on_internal_loss else OWNER_WAIT_NS
            self._schedule(known, now_ns + wait_ns + known.grace_ns)

    def _schedule(self, known: Attendance, cancels_at_ns: int) -> None:
        if known.cancels_at_ns:
            self._due.discard((known.cancels_at_ns, known.session_id))
        known.cancels_at_ns = cancels_at_ns
        if cancels_at_ns:
            self._due.add((cancels_at_ns, known.session_id))
