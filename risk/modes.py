"""NORMAL, REDUCE_ONLY, CANCEL_ONLY, BLOCKED: what each allows, and what leads from one to another.

Everything about the state machine is in the two tables here. A mode is that of a FIX session, a
user, an account, a firm, an instrument or the whole exchange, at the level of whoever set it; of
all that concern an order the strictest decides. A limit that is passed only ever makes a mode
stricter; only a person of its level, or of a wider one, makes it milder again.
"""

from enum import Enum
from typing import Final

from engine.controls import Level, Mode, ModeCause, TradingMode
from engine.instrument import Account
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import InstrumentId, SessionId, UserId

NORMAL, REDUCE_ONLY, CANCEL_ONLY, BLOCKED = Mode
LOSS_LIMIT, EXECUTION_THROTTLE = ModeCause.LOSS_LIMIT, ModeCause.EXECUTION_THROTTLE


class Act(Enum):
    """What a trader wants to do."""

    ENTER = 1
    REDUCE = 2  # Enter or amend an order that can only bring the position nearer to 0.
    SHRINK = 3  # Amend an order to a smaller quantity at its price.
    CANCEL = 4


ALLOWED: Final[dict[tuple[Mode, Act], bool]] = {
    (NORMAL, Act.ENTER): True,
    (NORMAL, Act.REDUCE): True,
    (NORMAL, Act.SHRINK): True,
    (NORMAL, Act.CANCEL): True,
    (REDUCE_ONLY, Act.ENTER): False,
    (REDUCE_ONLY, Act.REDUCE): True,
    (REDUCE_ONLY, Act.SHRINK): True,
    (REDUCE_ONLY, Act.CANCEL): True,
    (CANCEL_ONLY, Act.ENTER): False,
    (CANCEL_ONLY, Act.REDUCE): False,
    (CANCEL_ONLY, Act.SHRINK): False,
    (CANCEL_ONLY, Act.CANCEL): True,
    (BLOCKED, Act.ENTER): False,
    (BLOCKED, Act.REDUCE): False,
    (BLOCKED, Act.SHRINK): False,
    (BLOCKED, Act.CANCEL): True,  # The exchange cancels all there is; who comes first may.
}
"""Cancels are allowed always: who wants out gets out."""

TRIPPED: Final[dict[tuple[Mode, ModeCause], Mode]] = {
    (NORMAL, LOSS_LIMIT): REDUCE_ONLY,
    (REDUCE_ONLY, LOSS_LIMIT): REDUCE_ONLY,
    (CANCEL_ONLY, LOSS_LIMIT): CANCEL_ONLY,
    (BLOCKED, LOSS_LIMIT): BLOCKED,
    (NORMAL, EXECUTION_THROTTLE): CANCEL_ONLY,
    (REDUCE_ONLY, EXECUTION_THROTTLE): CANCEL_ONLY,
    (CANCEL_ONLY, EXECUTION_THROTTLE): CANCEL_ONLY,
    (BLOCKED, EXECUTION_THROTTLE): BLOCKED,
}
"""What a limit that is passed makes of a mode. A person may set any."""

REASONS: Final[dict[Mode, RejectReason]] = {
    REDUCE_ONLY: RejectReason.REDUCE_ONLY,
    CANCEL_ONLY: RejectReason.CANCEL_ONLY,
    BLOCKED: RejectReason.SUSPENDED,
}


class Modes:
    """The modes that are not NORMAL. Belongs to the thread that applies commands."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set: dict[tuple[Scope, int, Level], TradingMode] = {}

    def set(self, mode: TradingMode) -> None:
        """Let a mode hold from now on at its level."""
        key = (mode.scope, mode.scope_id, mode.level)
        if mode.mode is NORMAL:
            self._set.pop(key, None)
        else:
            self._set[key] = mode

    def find(self, scope: Scope, scope_id: int, level: Level) -> Mode:
        """Return the mode that was set for the scope at the level."""
        known = self._set.get((scope, scope_id, level))
        return NORMAL if known is None else known.mode

    def strictest(
        self, account: Account, session_id: SessionId, user_id: UserId, instrument_id: InstrumentId
    ) -> TradingMode | None:
        """Return the strictest mode that concerns such an order, the widest of several alike."""
        if not self._set:
            return None
        found = None
        for scope, scope_id in (
            (Scope.EVERYTHING, 0),
            (Scope.INSTRUMENT, instrument_id),
            (Scope.FIRM, account.firm_id),
            (Scope.ACCOUNT, account.account_id),
            (Scope.USER, user_id),
            (Scope.SESSION, session_id),
        ):
            for level in Level:
                known = self._set.get((scope, scope_id, level))
                if known and (found is None or known.mode.value > found.mode.value):
                    found = known
        return found

    def modes(self) -> list[TradingMode]:
        """Return all that are not NORMAL, in the order in which they were first set."""
        return list(self._set.values())
