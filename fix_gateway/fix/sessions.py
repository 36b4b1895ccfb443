"""A FIX session between the client and the engine: its numbers, its epoch and what it was told."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from engine.commands import SessionCommand
from engine.events import CommandRefused, SessionOpened
from engine.runtime.feed import Position, SessionEvent
from engine.units import SessionId
from fix_gateway.fix.acceptor import SessionAcceptor, SessionIdentity, SessionStore
from fix_gateway.fix.delivery import Delivery
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.fields import (
    SOH,
    BusinessRejectReason,
    Fields,
    MsgType,
    Tag,
    parse_message,
)
from fix_gateway.fix.position import NO_EPOCH, PositionFile
from fix_gateway.fix.refusals import RefusalLog
from fix_gateway.fix.translate import Refusal, SessionContext, Translator
from fix_gateway.metrics import GatewayMetrics
from store.sessions import FixSessionRow

FAR: Final = 1 << 62
HEARTBEAT: Final = f"{SOH}35={MsgType.HEARTBEAT}{SOH}"
LOGOUT: Final = f"{SOH}35={MsgType.LOGOUT}{SOH}"

log = structlog.get_logger("fix.session")


class Client(Protocol):
    """The client's connection, as the session sees it."""

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""

    def close(self) -> None:
        """Hang up once all has been sent."""


class Engine(Protocol):
    """The engine, as a session sees it."""

    @property
    def is_available(self) -> bool:
        """Whether commands are taken now."""

    def enter(self, command: SessionCommand) -> None:
        """Send a command with the next frame. Its effects come back as events."""

    async def open_session(
        self, session_id: SessionId, *, generation: int, reset: bool
    ) -> SessionOpened | CommandRefused:
        """Ask for a session. Raises LinkClosedError or TimeoutError."""

    def read_session_events(self, session_id: SessionId, after: Position) -> Iterator[SessionEvent]:
        """Return what the session was told after a position, from the journal files.

        Blocks as it is advanced; on any thread.
        """


@dataclass(frozen=True)
class SessionTools:
    """What all sessions of a gateway share."""

    engine: Engine
    builder: ReportBuilder
    translator: Translator
    metrics: GatewayMetrics
    gateway_comp_id: str
    store_dir: Path
    sockets_dir: Path
    proof_wait_s: float


class FixSession:
    """One session that this process owns or wants to. Belongs to the gateway's one thread.

    It is told by QuickFIX of what the client sends (`SessionHandler`) and by the gateway of what
    the engine decides.
    """

    def __init__(self, row: FixSessionRow, tools: SessionTools) -> None:
        self.row = row
        self._tools = tools
        self._identity = SessionIdentity(
            row.begin_string, tools.gateway_comp_id, row.client_comp_id
        )
        self._log = log.bind(session=row.client_comp_id)
        directory = tools.store_dir / f"{row.begin_string}-{row.client_comp_id}"
        self._store = SessionStore(directory, self._identity)
        self._position = PositionFile(directory / "position")
        self._refusals = RefusalLog(directory / "refusals")
        self._delivery = Delivery(
            self._position,
            tools.builder,
            tools.metrics,
            lambda after: tools.engine.read_session_events(row.session_id, after),
            proof_wait_s=tools.proof_wait_s,
        )
        self._acceptor: SessionAcceptor | None = None
        self._client: Client | None = None
        self._generation = 0
        self._epoch = 0
        self._granted = asyncio.Event()
        self._is_authenticated = False
        self._is_logged_on = False

    # The grant.

    @property
    def is_granted(self) -> bool:
        """Whether the engine lets this process speak for the session."""
        return self._generation > 0

    @property
    def generation(self) -> int:
        """The grant in force, 0 for none."""
        return self._generation

    @property
    def is_logged_on(self) -> bool:
        """Whether the client is logged on."""
        return self._is_logged_on

    @property
    def proven(self) -> Position:
        """The last event that the client has proven to have received."""
        return self._position.marks.proven

    def revoke(self) -> None:
        """The grant is void: the engine or the link to it is gone."""
        self._generation = 0
        self._granted.clear()

    async def wait_until_granted(self, timeout_s: float) -> bool:
        """Return True as soon as this process may speak for the session, False after the time."""
        try:
            await asyncio.wait_for(self._granted.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def adopt(self, opened: SessionOpened, last_seq: int) -> None:
        """Take over the session as the engine has granted it. `last_seq` is what is durable.

        The first time this makes QuickFIX's session, which then expects of the client what the
        engine has not seen; later it merely notes the new grant.
        """
        if self._acceptor is not None and opened.epoch == self._epoch:
            self._generation = opened.generation
            self._granted.set()
            return
        marks = self._position.marks
        if self._position.is_new and opened.generation > 1:
            # Our own memory of what was sent is lost: whatever there is may have been sent before.
            marks.poss_resend = Position(last_seq, FAR)
        if marks.epoch != opened.epoch:
            if not self._position.is_new:
                self._log.warning("store_wiped", store_epoch=marks.epoch, epoch=opened.epoch)
            if marks.epoch != NO_EPOCH:
                marks.start_epoch()
            self._forget_numbers()
            marks.epoch = opened.epoch
            self._position.save()
        self._note_grant(opened)
        if self._acceptor is None:
            socket_path = self._tools.sockets_dir / f"fix-{self.row.session_id}.sock"
            self._acceptor = SessionAcceptor(self._identity, self._store, socket_path, self)
            self._delivery.connect(_Outlet(self, self._acceptor))
        self._acceptor.expect(opened.watermark + 1)
        self._delivery.rewind()
        self._position.is_new = False
        self._granted.set()

    async def start_epoch(self) -> str | None:
        """Reset the numbers at the engine, before a Logon with ResetSeqNumFlag(141)=Y.

        Returns why it is not possible now, None when it is done. QuickFIX resets its own store
        when it reads that Logon. Raises LinkClosedError or TimeoutError.
        """
        event = await self._tools.engine.open_session(
            self.row.session_id, generation=self._generation, reset=True
        )
        if isinstance(event, CommandRefused):
            return event.reason.name
        self._note_grant(event)
        self._position.marks.start_epoch()
        self._position.save()
        self._delivery.rewind()
        return None

    def _note_grant(self, opened: SessionOpened) -> None:
        self._generation, self._epoch = opened.generation, opened.epoch
        self._refusals.load(opened.epoch, opened.watermark)

    def _forget_numbers(self) -> None:
        if self._acceptor is None:
            self._store.wipe()
        else:
            if self._client is not None:
                self._client.close()
            self.detach()
            self._acceptor.reset()

    # The client's connection.

    @property
    def has_client(self) -> bool:
        """Whether a client is connected, logged on or about to be."""
        return self._client is not None

    def attach(self, client: Client, logon: bytes) -> None:
        """Let an authenticated client log on. `logon` is its Logon without the secrets."""
        assert self._acceptor is not None
        assert self._client is None
        self._client = client
        self._acceptor.connect()
        self._is_authenticated = True
        try:
            written = self._acceptor.feed(logon)
        finally:
            self._is_authenticated = False
        marks = self._position.marks
        if marks.epoch == NO_EPOCH:
            # QuickFIX has reset its store. Only now may the client see the first number of it.
            if self._acceptor.next_sender_msg_seq_num > 2:  # noqa: PLR2004 - Its Logon was 1.
                self._log.error("store_not_reset_by_logon")
                self._acceptor.reset()
            marks.epoch = self._epoch
            self._position.save()
        self._hand_on(written)

    def receive(self, frames: bytes) -> None:
        """Take whole frames of the client."""
        if self._acceptor is not None and self._acceptor.is_connected:
            self._hand_on(self._acceptor.feed(frames))

    def detach(self) -> None:
        """The client's connection is gone."""
        self._client = None
        if self._acceptor is not None:
            self._acceptor.disconnect()

    def log_out(self, reason: str) -> None:
        """Send Logout(5) with the reason, if the client is logged on."""
        if self._acceptor is not None and self._is_logged_on:
            self._acceptor.log_out(reason)
            self.drain()

    def tick(self, now_s: float) -> None:
        """Once a second: QuickFIX's timers, and the question whether the client has it all."""
        if self._acceptor is not None:
            self._acceptor.poll_timers()
            self._delivery.ask_for_proof(now_s)
            self.drain()

    def drain(self) -> None:
        """Pass on to the client what QuickFIX has written."""
        if self._acceptor is not None and self._acceptor.is_connected:
            self._hand_on(self._acceptor.drain())

    def _hand_on(self, written: bytes) -> None:
        assert self._acceptor is not None
        if self._client is None:
            return
        if written:
            self._client.write(written)
        if not self._acceptor.is_connected:
            self._client.close()

    # What QuickFIX tells (SessionHandler).

    def may_log_on(self) -> bool:
        """Whether the edge has just authenticated the client whose Logon QuickFIX now reads."""
        return self._is_authenticated

    def on_logon(self) -> None:
        """The session is logged on: what the client does not have yet follows the Logon."""
        self._is_logged_on = True
        self._tools.metrics.sessions_logged_on.inc()
        self._log.info("session_logged_on", epoch=self._epoch)
        asyncio.get_running_loop().call_soon(self.deliver)

    def on_logout(self) -> None:
        """The session is logged off, or its connection is gone."""
        if self._is_logged_on:
            self._is_logged_on = False
            self._tools.metrics.sessions_logged_on.dec()
            self._log.info("session_logged_off")

    def on_session_message(self, text: str) -> None:
        """A session-level message came that QuickFIX accepts."""
        if text.find(HEARTBEAT) != -1:
            test_req_id = parse_message(text).get(Tag.TEST_REQ_ID)
            if test_req_id is not None:
                self._delivery.note_answer(test_req_id)
        elif text.find(LOGOUT) != -1:
            self._delivery.note_goodbye()

    def on_application_message(self, text: str) -> None:
        """An application message came, in sequence and well-formed."""
        fields = parse_message(text)
        msg_type = fields[Tag.MSG_TYPE]
        if int(fields[Tag.MSG_SEQ_NUM]) in self._refusals:
            return
        if msg_type == MsgType.BUSINESS_MESSAGE_REJECT:
            # Never answered: a reject of a reject has no end.
            self._log.warning("client_rejected_message", text=fields.get(Tag.TEXT))
            return
        engine = self._tools.engine
        if not self.is_granted or not engine.is_available:
            reason = BusinessRejectReason.APPLICATION_NOT_AVAILABLE
            self._refuse_business(fields, reason, "ENGINE_UNAVAILABLE: try again in a moment")
            return
        context = SessionContext(
            self.row.session_id,
            self.row.firm_id,
            self.row.account_id,
            self._generation,
            self._epoch,
        )
        now_ns = time.time_ns()
        outcome = self._tools.translator.translate(fields, context, now_ns)
        if outcome is None:
            reason = BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE
            self._refuse_business(fields, reason, "UNSUPPORTED: message type not spoken here")
        elif isinstance(outcome, Refusal):
            self._refuse(fields, outcome, now_ns)
        else:
            engine.enter(outcome)

    def on_unprocessed_message(self, text: str) -> None:
        """Our own code failed on a message: the client must not wait for ever."""
        self._refuse_business(
            parse_message(text), BusinessRejectReason.OTHER, "INTERNAL_ERROR: not processed"
        )

    # Refusals at the door: written down before they are replied to.

    def _refuse(self, fields: Fields, refusal: Refusal, now_ns: int) -> None:
        msg_seq_num = int(fields[Tag.MSG_SEQ_NUM])
        self._refusals.add(msg_seq_num)
        self._tools.metrics.refusals.labels(refusal.reason.name).inc()
        builder = self._tools.builder
        if fields[Tag.MSG_TYPE] == MsgType.NEW_ORDER_SINGLE:
            exec_id = f"D{self.row.session_id}.{self._epoch}.{msg_seq_num}"
            self._reply(builder.build_refused_order(fields, refusal, exec_id, now_ns))
        else:
            self._reply(builder.build_refused_cancel(fields, refusal, now_ns))

    def _refuse_business(self, fields: Fields, reason: BusinessRejectReason, text: str) -> None:
        self._refusals.add(int(fields[Tag.MSG_SEQ_NUM]))
        self._tools.metrics.refusals.labels(reason.name).inc()
        self._reply(self._tools.builder.build_business_reject(fields, reason, text))

    def _reply(self, body: str) -> None:
        assert self._acceptor is not None
        self._acceptor.send(body)

    # Reports.

    def push(self, event: SessionEvent) -> None:
        """Take in an event that has just happened. `deliver` sends it."""
        self._delivery.push(event)

    def skip_to(self, position: Position) -> None:
        """Leave what happened up to `position` to be read from the journal at the next logon."""
        self._delivery.skip_to(position)

    def rewind(self) -> None:
        """Go on sending from where the session stands."""
        self._delivery.rewind()

    def deliver(self) -> None:
        """Send the reports that are due, if the client is logged on."""
        self._delivery.deliver()

    def close(self) -> None:
        """Let go of the session's files. It is not used after this."""
        self._delivery.close()
        self._position.close()
        self._refusals.close()
        self._store.release()


class _Outlet:
    """How a session's reports leave: through QuickFIX, and on to the client."""

    def __init__(self, session: FixSession, acceptor: SessionAcceptor) -> None:
        self._session = session
        self._acceptor = acceptor

    def may_send(self) -> bool:
        return self._session.is_logged_on

    @property
    def next_sender_msg_seq_num(self) -> int:
        return self._acceptor.next_sender_msg_seq_num

    def send(self, body: str) -> None:
        self._acceptor.send(body)

    def drain(self) -> None:
        self._session.drain()
