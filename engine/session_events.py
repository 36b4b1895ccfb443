"""Events of FIX sessions: who owns one, and whether its client is there.

A part of `engine.events`.
"""

import msgspec

from engine.scope import Scope
from engine.units import SessionId


class SessionOpened(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The session belongs to the process that asked.

    `watermark` is the MsgSeqNum(34) of the last application message that the engine has seen in
    this epoch, 0 for none.
    """

    session_id: SessionId
    generation: int
    epoch: int
    watermark: int


class SessionReleased(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The grant has ended. Commands that still bear its generation are refused."""

    session_id: SessionId
    generation: int


class SessionReset(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """An operator has reset the session: its grant has ended, its numbers begin anew."""

    session_id: SessionId
    generation: int
    epoch: int


class SessionLoggedOn(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The session's client is logged on. `cancel_scope` is what its leaving would cancel."""

    session_id: SessionId
    generation: int
    cancel_scope: Scope | None = None


class SessionLoggedOff(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The session's client has left, `is_graceful` when it has said Logout(5).

    `cancels_at_ns` is when its orders are cancelled unless it is back by then, 0 for never.
    """

    session_id: SessionId
    generation: int
    is_graceful: bool
    cancels_at_ns: int = 0
