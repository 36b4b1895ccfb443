"""What the sessions of a gateway share, and how their reports leave."""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.commands import SessionCommand
from engine.events import CommandRefused
from engine.reference import Reference
from engine.runtime.feed import AccountEvent, Position, SessionEvent
from engine.session_commands import PresenceCommand
from engine.session_events import SessionOpened
from engine.units import AccountId, SessionId
from fix_gateway.fix.acceptor import SessionAcceptor, SessionHandler
from fix_gateway.fix.answers import AnswerBuilder
from fix_gateway.fix.delivery import Delivery
from fix_gateway.fix.dialect import Dialect, dialect_of
from fix_gateway.fix.event_messages import EventMessages
from fix_gateway.fix.event_resend import EventResender, Listener
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.listening import Listening
from fix_gateway.fix.market_data_desk import MarketDataDesk, MarketDataDoor, Subscriber
from fix_gateway.fix.message_store import SessionIdentity, SessionStore
from fix_gateway.fix.position import PositionFile
from fix_gateway.fix.resend import ResendPace
from fix_gateway.fix.throttle import ThrottleDefaults
from fix_gateway.fix.translate import Translator
from fix_gateway.fix.translate_requests import RequestTranslator
from fix_gateway.fix.venue_answers import TradingStates, VenueAnswers
from fix_gateway.fix.venue_watch import VenueWatch
from fix_gateway.metrics import GatewayMetrics
from store.sessions import FixSessionRow


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

    @property
    def last_seq(self) -> int:
        """The last durable record that this process knows of."""

    def read_session_events(
        self, session_id: SessionId, after: Position, heard: AbstractSet[AccountId]
    ) -> Iterator[SessionEvent]:
        """Return what the session was told after a position, from the journal files.

        It is told, too, of what happened to the orders of the accounts that it has `heard`. Blocks
        as it is advanced; on any thread.
        """

    def read_account_events(
        self, account_ids: AbstractSet[AccountId], after: Position
    ) -> Iterator[AccountEvent | None]:
        """Return what happened to the accounts' orders after a position, likewise.

        None is a pause in a long search.
        """


@dataclass(frozen=True)
class SessionTools:
    """What all sessions of a gateway share.

    `translators` go by BeginString(8), `worker` is the number of the process. `market_data` is None
    where no market data sessions are served. Acceptors of sessions that it has given up are kept.
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
    market_data: MarketDataDesk | None = None
    requests: RequestTranslator = field(init=False)
    trading_states: TradingStates = field(default_factory=dict)
    listeners: dict[SessionId, Listening] = field(default_factory=dict)
    watches: dict[SessionId, VenueWatch] = field(default_factory=dict)
    kept_acceptors: dict[SessionIdentity, SessionAcceptor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make what needs nothing but the others."""
        object.__setattr__(self, "requests", RequestTranslator(self.reference))

    def make_builder(self, dialect: Dialect) -> ReportBuilder:
        """Return what builds the messages of a session that speaks so."""
        return ReportBuilder(self.reference, dialect)

    def make_answer_builder(self, dialect: Dialect) -> AnswerBuilder:
        """Return what builds the answers to a session that speaks so."""
        return AnswerBuilder(self.reference, dialect)

    def make_messages(self, dialect: Dialect) -> EventMessages:
        """Return what tells a session that speaks so of events."""
        return EventMessages(self.make_builder(dialect), self.make_answer_builder(dialect))

    def make_venue_watch(self, row: FixSessionRow, send: Callable[[str], None]) -> VenueWatch:
        """Return what answers a session's questions about the venue, and tells it of changes."""
        answers = self.make_venue_answers(dialect_of(row))
        return VenueWatch(row.session_id, self.watches, answers, send)

    def make_venue_answers(self, dialect: Dialect) -> VenueAnswers:
        """Return what answers questions about the venue to a session that speaks so."""
        return VenueAnswers(self.reference, self.trading_states, dialect)

    def make_delivery(
        self, row: FixSessionRow, position_file: PositionFile, listening: Listening
    ) -> Delivery:
        """Return what brings a session its reports."""
        return Delivery(
            position_file,
            self.make_messages(dialect_of(row)),
            self.metrics,
            lambda after: self.engine.read_session_events(
                row.session_id, after, listening.heard(self.reference.accounts)
            ),
            proof_wait_s=self.proof_wait_s,
        )

    def make_event_resender(
        self, row: FixSessionRow, listener: Listener, listening: Listening
    ) -> EventResender:
        """Return what sends a session reports of its accounts again."""

        def read(after: Position) -> Iterator[AccountEvent | None]:
            asked_about = listening.asked_about(self.reference.accounts)
            return self.engine.read_account_events(asked_about, after)

        # A builder of its own: it is used on other threads.
        builder = self.make_builder(dialect_of(row))
        return EventResender(
            listener, builder, self.resend_pace, read, lambda: self.engine.last_seq
        )

    def make_market_data_door(self, row: FixSessionRow, subscriber: Subscriber) -> MarketDataDoor:
        """Return how a session gets at market data."""
        desk = self.market_data if row.is_market_data else None
        return MarketDataDoor(desk, subscriber, dialect_of(row))

    def obtain_acceptor(
        self,
        row: FixSessionRow,
        identity: SessionIdentity,
        store: SessionStore,
        handler: SessionHandler,
    ) -> SessionAcceptor:
        """Return the session's acceptor: the one that was kept, or else a new one."""
        kept = self.kept_acceptors.pop(identity, None)
        if kept is not None:
            kept.hand_on(store, handler)
            return kept
        path = self.sockets_dir / f"fix-{self.worker}-{row.session_id}.sock"
        # What was told of a market is never told again: later it is not true any more.
        return SessionAcceptor(
            identity, store, path, handler, keeps_messages=not row.is_market_data
        )


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
