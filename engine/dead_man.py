"""Dead-man timers: all orders of an account go unless it says in time that it is still there.

They ask for no connection: a client that hangs keeps its TCP connection up, and one that trades
over REST has none.
"""

import msgspec
from sortedcontainers import SortedSet

from engine.commands import SetDeadManTimer
from engine.controls import DAY_NS
from engine.events import CommandRefused, DeadManTimerSet
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.units import AccountId


class DeadManTimer(msgspec.Struct, frozen=True, array_like=True):
    """When all orders of an account are cancelled, unless it is put off by then."""

    account_id: AccountId
    expires_at_ns: int


class DeadManTimers:
    """The timers that run, at most one per account. Belongs to the thread that applies commands."""

    __slots__ = ("_due", "_expiries_ns", "_reference")

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._expiries_ns: dict[AccountId, int] = {}
        self._due: SortedSet[tuple[int, AccountId]] = SortedSet()

    def set(self, now_ns: int, command: SetDeadManTimer) -> DeadManTimerSet | CommandRefused:
        """Start the account's timer, anew if it runs, or stop it, or say why not."""
        account_id, timeout_ns = command.account_id, command.timeout_ns
        if account_id not in self._reference.accounts:
            return CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=account_id)
        if not 0 <= timeout_ns <= DAY_NS:
            return CommandRefused(RejectReason.AMOUNT_INVALID, limit=DAY_NS, actual=timeout_ns)
        self._stop(account_id)
        expires_at_ns = now_ns + timeout_ns if timeout_ns else 0
        if expires_at_ns:
            self.restore(DeadManTimer(account_id, expires_at_ns))
        return DeadManTimerSet(account_id, expires_at_ns, command.actor)

    def take_due(self, now_ns: int) -> list[AccountId]:
        """Return whose orders are to be cancelled by now, the longest due first, each once."""
        due = []
        while self._due and self._due[0][0] <= now_ns:
            account_id = self._due[0][1]
            self._stop(account_id)
            due.append(account_id)
        return due

    def next_ns(self) -> int | None:
        """Return when `take_due` next returns somebody, None when no timer runs."""
        return self._due[0][0] if self._due else None

    def restore(self, timer: DeadManTimer) -> None:
        """Let a timer run that is not running."""
        self._expiries_ns[timer.account_id] = timer.expires_at_ns
        self._due.add((timer.expires_at_ns, timer.account_id))

    def timers(self) -> list[DeadManTimer]:
        """Return the timers that run, the first to expire first."""
        return [DeadManTimer(account_id, expires_at_ns) for expires_at_ns, account_id in self._due]

    def events(self) -> list[DeadManTimerSet]:
        """Return the timers that run as the events that would set them now, of nobody."""
        return [DeadManTimerSet(timer.account_id, timer.expires_at_ns) for timer in self.timers()]

    def _stop(self, account_id: AccountId) -> None:
        expires_at_ns = self._expiries_ns.pop(account_id, None)
        if expires_at_ns is not None:
            self._due.remove((expires_at_ns, account_id))
