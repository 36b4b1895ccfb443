"""Commands of FIX sessions: who owns one, and whether its client is there.

A part of `engine.commands`.
"""

import msgspec

from engine.scope import Scope
from engine.units import AccountId, SessionId


class OpenSession(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Grant a FIX session to the process that asks. Answered by `SessionOpened` or a refusal.

    `generation` is the grant that the asker already holds, 0 for none. `reset` opens a new epoch:
    MsgSeqNum(34) starts again from 1 in both directions.
    """

    session_id: SessionId
    generation: int = 0
    reset: bool = False


class ReleaseSession(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """End a grant: its owner is gone. Ignored when a later grant is in force."""

    session_id: SessionId
    generation: int


class ResetSession(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Open a new epoch of a session and end its grant, whoever holds it: an operator's reset."""

    session_id: SessionId


class ReleaseAllSessions(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """End every grant. The engine's first command after a start: no owner outlived its link."""


class LogOnSession(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Say that the session's client is logged on, and what its leaving means for open orders.

    Only who holds the grant may; again after each new grant, for a client that has stayed.
    `cancel_scope` None cancels nothing, SESSION the orders of the session, ACCOUNT all orders of
    the account. They are cancelled once the client has been away for `grace_ns`. A Logout counts
    with `cancels_on_logout`, the loss of the link between the session's owner and the engine with
    `cancels_on_internal_loss`.
    """

    session_id: SessionId
    generation: int
    account_id: AccountId
    cancel_scope: Scope | None = None
    grace_ns: int = 0
    cancels_on_logout: bool = False
    cancels_on_internal_loss: bool = False


class LogOffSession(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Say that the session's client has left. `is_graceful`: it has said Logout(5) itself.

    Only who holds the grant may. Ignored for a client that is not known to be there.
    """

    session_id: SessionId
    generation: int
    is_graceful: bool = False


PresenceCommand = LogOnSession | LogOffSession
"""What the owner of a FIX session says of its client."""
