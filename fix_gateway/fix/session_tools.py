"""What the sessions of a gateway share, and how their reports leave."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.commands import PresenceCommand, SessionCommand
from engine.events import CommandRefused, SessionOpened
from engine.reference import Reference
from engine.runtime.feed import Position, SessionEvent
from engine.units import SessionId
from fix_gateway.fix.acceptor import SessionAcceptor, SessionHandler
from fix_gateway.fix.delivery import Delivery
from fix_gateway.fix.dialect import find_dialect
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.message_store import SessionIdentity, SessionStore
from fix_gateway.fix.position import PositionFile
from fix_gateway.fix.resend import ResendPace
from fix_gateway.fix.throttle import ThrottleDefaults
from fix_gateway.fix.translate import Translator
from fix_gateway.metrics import GatewayMetrics


class Engine(Protocol):
    """The engine, as a session sees it."""

    @property
    def is_available(self) -> bool:
        """Whether commands are taken now."""

    def enter(self, command: SessionCommand) -> None:
        """Send a command with the next frame. Its effects come back as events."""

    def tell(self, command: PresenceCommand) -> None:
        """Say whether a client is there. Lost with the link: it is said again with each grant."""

    async def open_session(
        self, session_id: SessionId, *, generation: int, reset: bool
    ) -> SessionOpened | CommandRefused:
        """Ask for a session. Raises LinkClosedError or TimeoutError."""

    def release_session(self, session_id: SessionId, generation: int) -> None:
        """Give a session back."""

    def read_session_events(self, session_id: SessionId, after: Position) -> Iterator[SessionEvent]:
        """Return what the session was told after a position, from the journal files.

        Blocks as it is advanced; on any thread.
        """


@dataclass(frozen=True)
class SessionTools:
    """What all sessions of a gateway share.

    `translators` go by BeginString(8), `worker` is the number of the process. Acceptors of sessions
    that it has given up are kept.
    """

    engine: Engine
    reference: Reference
    translators: dict[str, Translator]
    metrics: GatewayMetrics
    gateway_comp_id: str
    store_dir: Path
    sockets_dir: Path
    proof_wait_s: float
    resend_pace: ResendPace
    throttle: ThrottleDefaults
    worker: int = 0
    kept_acceptors: dict[SessionIdentity, SessionAcceptor] = field(default_factory=dict)

    def make_builder(self, begin_string: str) -> ReportBuilder:
        """Return what builds the messages of a session of that version."""
        return ReportBuilder(self.reference, find_dialect(begin_string))

    def make_delivery(
        self, session_id: SessionId, position_file: PositionFile, builder: ReportBuilder
    ) -> Delivery:
        """Return what brings a session its reports."""
        return Delivery(
            position_file,
            builder,
            self.metrics,
            lambda after: self.engine.read_session_events(session_id, after),
            proof_wait_s=self.proof_wait_s,
        )

    def obtain_acceptor(
        self,
        session_id: SessionId,
        identity: SessionIdentity,
        store: SessionStore,
        handler: SessionHandler,
    ) -> SessionAcceptor:
        """Return the session's acceptor: the one that was kept, or else a new one."""
        kept = self.kept_acceptors.pop(identity, None)
        if kept is not None:
            kept.hand_on(store, handler)
            return kept
        path = self.sockets_dir / f"fix-{self.worker}-{session_id}.sock"
        return SessionAcceptor(identity, store, path, handler)


class Outlet:
    """How a session's reports leave (`delivery.Sender`): through QuickFIX, and on to the client."""

    def __init__(
        self, acceptor: SessionAcceptor, may_send: Callable[[], bool], drain: Callable[[], None]
    ) -> None:
        self._acceptor = acceptor
        self._may_send = may_send
        self._drain = drain

    def may_send(self) -> bool:
        """Whether the client is logged on, and so there to be told anything."""
        return self._may_send()

    @property
    def next_sender_msg_seq_num(self) -> int:
        """The MsgSeqNum(34) that the next message will bear."""
        return self._acceptor.next_sender_msg_seq_num

    def send(self, body: str) -> None:
        """Send a message, given as fields from 35= on."""
        self._acceptor.send(body)

    def drain(self) -> None:
        """Pass on to the client what has been sent."""
        self._drain()
