"""Who owns a FIX session, and how much of it the engine has seen.

One process at a time speaks for a session. It is granted by `OpenSession` with a generation that
only grows; a command of an older generation, or of an epoch before the last reset of sequence
numbers, is refused. Within an epoch MsgSeqNum(34) only grows: what was seen is ignored, so a
command may be sent again without harm.
"""

from dataclasses import dataclass
from typing import assert_never

from engine.commands import SessionCommand
from engine.events import CommandRefused, Event
from engine.reasons import RejectReason
from engine.session_commands import (
    OpenSession,
    PresenceCommand,
    ReleaseAllSessions,
    ReleaseSession,
    ResetSession,
)
from engine.session_events import SessionOpened, SessionReleased, SessionReset
from engine.units import SessionId


@dataclass(slots=True)
class Grant:
    """A session's owner and position. `is_held` is false while nobody owns the session."""

    session_id: SessionId
    generation: int = 0
    epoch: int = 0
    watermark: int = 0
    is_held: bool = False


class Ownership:
    """The grants of all sessions. Belongs to the thread that applies commands."""

    __slots__ = ("_grants",)

    def __init__(self) -> None:
        self._grants: dict[SessionId, Grant] = {}

    def apply(
        self, command: OpenSession | ReleaseSession | ReleaseAllSessions | ResetSession
    ) -> list[Event]:
        """Change who owns which session, and return what happened."""
        match command:
            case OpenSession():
                return [self.open(command)]
            case ReleaseSession():
                return [*self.release(command)]
            case ReleaseAllSessions():
                return [*self.release_all()]
            case ResetSession():
                return [self.reset(command)]
            case _:
                assert_never(command)

    def open(self, command: OpenSession) -> SessionOpened | CommandRefused:
        """Grant the session, unless another process holds it. The first grant opens epoch 1."""
        session_id = command.session_id
        grant = self._grants.get(session_id)
        if grant is None:
            grant = self._grants[session_id] = Grant(session_id, epoch=1)
        elif grant.is_held and grant.generation != command.generation:
            return CommandRefused(RejectReason.SESSION_HELD, session_id, actual=grant.generation)
        if command.reset:
            grant.epoch += 1
            grant.watermark = 0
        grant.generation += 1
        grant.is_held = True
        return SessionOpened(session_id, grant.generation, grant.epoch, grant.watermark)

    def reset(self, command: ResetSession) -> SessionReset | CommandRefused:
        """Open a new epoch and end the grant: the owner has to ask again, and learns of it so."""
        grant = self._grants.get(command.session_id)
        if grant is None:
            return CommandRefused(RejectReason.SESSION_UNKNOWN, command.session_id)
        grant.epoch += 1
        grant.watermark = 0
        grant.is_held = False
        return SessionReset(grant.session_id, grant.generation, grant.epoch)

    def release(self, command: ReleaseSession) -> list[SessionReleased]:
        """End the grant, if it is still the one in force."""
        grant = self._grants.get(command.session_id)
        if grant is None or not grant.is_held or grant.generation != command.generation:
            return []
        grant.is_held = False
        return [SessionReleased(grant.session_id, grant.generation)]

    def release_all(self) -> list[SessionReleased]:
        """End every grant."""
        released = []
        for grant in self._grants.values():
            if grant.is_held:
                grant.is_held = False
                released.append(SessionReleased(grant.session_id, grant.generation))
        return released

    def disowns(self, command: SessionCommand | PresenceCommand) -> CommandRefused | None:
        """Return that the sender does not own the session, None when it does."""
        grant = self._grants.get(command.session_id)
        held_generation = grant.generation if grant is not None and grant.is_held else 0
        if grant is None or command.generation != held_generation:
            return CommandRefused(
                RejectReason.STALE_GENERATION,
                command.session_id,
                limit=held_generation,
                actual=command.generation,
            )
        return None

    def refusal(self, command: SessionCommand) -> CommandRefused | None:
        """Return why the sender may not speak for the session, None when it may."""
        refused = self.disowns(command)
        if refused is not None:
            return refused
        grant = self._grants[command.session_id]
        if command.epoch != grant.epoch:
            return CommandRefused(
                RejectReason.STALE_EPOCH,
                command.session_id,
                limit=grant.epoch,
                actual=command.epoch,
            )
        return None

    def admit(self, command: SessionCommand) -> bool:
        """Note that the message was seen. Returns False when it had been seen before."""
        grant = self._grants[command.session_id]
        if command.msg_seq_num <= grant.watermark:
            return False
        grant.watermark = command.msg_seq_num
        return True

    def knows(self, session_id: SessionId) -> bool:
        """Whether the session was ever granted to anybody."""
        return session_id in self._grants

    def restore(self, grant: Grant) -> None:
        """Put back a grant as it stood."""
        self._grants[grant.session_id] = grant

    def grants(self) -> list[Grant]:
        """Return all sessions the engine has ever granted, held or not."""
        return list(self._grants.values())
