"""Whose orders must be cancelled when, found anew from a short history each time: plainly right."""

from dataclasses import dataclass

from engine.scope import Scope
from engine.session_commands import LogOffSession, LogOnSession

OWNER_WAIT_NS = 5_000_000_000


@dataclass
class NaiveSession:
    """What was said of a client last, and what happened to the link since."""

    rule: LogOnSession
    left_at_ns: int | None = None
    is_logout: bool = False
    lost_at_ns: int | None = None  # When the link broke while nobody had said that it left.
    waited_from_ns: int = 0  # Since when its owner has had the chance to come back.
    changed_in_batch: int = 0
    is_over: bool = False  # Its orders have been cancelled.
    stale_before_ns: int = 0

    def deadline_ns(self) -> int | None:
        """Return when its orders go, None when they stay."""
        rule = self.rule
        if rule.cancel_scope is None or self.is_over:
            return None
        if self.lost_at_ns is not None and rule.cancels_on_internal_loss:
            return self.lost_at_ns + rule.grace_ns
        if self.left_at_ns is not None:
            if self.is_logout and not rule.cancels_on_logout:
                return None
            return self.left_at_ns + rule.grace_ns
        if self.lost_at_ns is not None:
            return self.waited_from_ns + OWNER_WAIT_NS + rule.grace_ns
        return None


class NaivePresence:
    """The clients of all sessions, and the orders that may go with them."""

    def __init__(self) -> None:
        self.mortal: dict[int, tuple[int, int]] = {}  # Session and account by OrderID.
        self._sessions: dict[int, NaiveSession] = {}
        self._batch = 0

    def log_on(self, now_ns: int, command: LogOnSession) -> None:
        """The client is there."""
        known = self._sessions.get(command.session_id)
        stale_before_ns = 0
        if known is not None:
            stale_before_ns = now_ns if known.is_over else known.stale_before_ns
        self._sessions[command.session_id] = NaiveSession(command, stale_before_ns=stale_before_ns)

    def log_off(self, now_ns: int, command: LogOffSession) -> None:
        """The client is said to have left."""
        known = self._sessions.get(command.session_id)
        if known is None or known.left_at_ns is not None or known.is_over:
            return
        known.left_at_ns = now_ns if known.lost_at_ns is None else known.lost_at_ns
        known.is_logout = command.is_graceful
        known.changed_in_batch = self._batch

    def lose(self, now_ns: int, session_id: int) -> None:
        """The link to the session's owner broke."""
        known = self._sessions.get(session_id)
        if known is not None and known.left_at_ns is None and known.lost_at_ns is None:
            known.lost_at_ns = known.waited_from_ns = now_ns
            known.changed_in_batch = self._batch

    def lose_all(self, now_ns: int) -> None:
        """All links broke; who was waited for already is waited for anew."""
        for session_id, known in self._sessions.items():
            if known.lost_at_ns is not None:
                known.waited_from_ns = now_ns
            self.lose(now_ns, session_id)

    def take_due(self, now_ns: int, batch: int, *, is_time: bool) -> set[int]:
        """Return which orders go now, if they are there still.

        Only the passing of time does it, which goes before the commands of a batch.
        """
        self._batch = batch
        due: set[int] = set()
        for session_id, known in self._sessions.items():
            deadline_ns = known.deadline_ns()
            if deadline_ns is None or deadline_ns > now_ns:
                continue
            if known.changed_in_batch == batch and not is_time:
                continue
            assert is_time, f"orders of session {session_id} outlived its client"
            known.is_over = True
            known.stale_before_ns = now_ns
            is_of_session = known.rule.cancel_scope is Scope.SESSION
            due |= {
                order_id
                for order_id, (owner, account_id) in self.mortal.items()
                if (owner == session_id if is_of_session else account_id == known.rule.account_id)
            }
        return due

    def stale_before_ns(self, session_id: int) -> int:
        """Return before when an order of the session must not have been first sent."""
        known = self._sessions.get(session_id)
        return 0 if known is None else known.stale_before_ns
