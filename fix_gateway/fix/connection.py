"""One client's TCP connection: strange, then authenticated, then a session's client.

Every wait has an end and every buffer a limit; a client that oversteps one loses its own connection
and costs the others nothing.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Final, Protocol, cast

import structlog

from fix_gateway.fix.entrance import (
    PASSWORD_INCORRECT,
    Arrival,
    AuthenticationUnavailableError,
    Entrance,
    Entry,
    GaveUp,
    Refusal,
)
from fix_gateway.fix.fields import MsgType, Tag
from fix_gateway.fix.framing import Frame, FrameReader, split_fields
from fix_gateway.fix.logon import Admission, Logon, build_refusal, parse_logon
from fix_gateway.fix.relay import OwnerEnd
from fix_gateway.fix.sessions import FixSession
from fix_gateway.fix.tls import client_fingerprint
from fix_gateway.fix.user_request import (
    ASK_STATUS,
    ASK_THROTTLE,
    CHANGE_PASSWORD,
    UserRequest,
    UserStatus,
    build_throttles,
    build_user_response,
    describe_throttle,
    parse_user_request,
)
from fix_gateway.metrics import GatewayMetrics
from risk.rate_limiter import RateLimiter

READ_BYTES_MAX: Final = 16 << 10  # Per client and turn of the loop: nobody starves the others.
LOGON_BYTES_MAX: Final = 8 << 10
DISCARDED_BYTES_MAX: Final = 64 << 10
EARLY_BYTES_MAX: Final = 64 << 10  # What is read ahead while a Logon is considered.
OUTBOUND_BYTES_MAX: Final = 8 << 20
CLOSE_WAIT_S: Final = 2.0
NEW_SEQ_NO_MAX: Final = 1_000_000_000
NUMBER_DIGITS_MAX: Final = 18
FIX_4_2: Final = "FIX.4.2"  # It has no UserRequest(BE).
FIXT: Final = "FIXT.1.1"
# What the edge looks at itself; application messages have a throttle of their own.
TO_BE_LOOKED_AT: Final = frozenset(
    {
        MsgType.LOGON, MsgType.HEARTBEAT, MsgType.TEST_REQUEST, MsgType.RESEND_REQUEST,
        MsgType.REJECT, MsgType.SEQUENCE_RESET, MsgType.USER_REQUEST,
    }
)  # fmt: skip

log = structlog.get_logger("fix.edge")


class Neighbours(Protocol):
    """Knows which process of the gateway has which session."""

    async def reach(self, names: tuple[str, str], is_here: Callable[[], bool]) -> OwnerEnd | None:
        """Connect to the process that has the session, None when it is to be served here.

        Waits while nobody has it; `is_here` says whether this process has it by now.
        """


class House(Protocol):
    """The edge, as its connections see it."""

    metrics: GatewayMetrics
    entrance: Entrance
    is_paused: bool
    logon_wait_s: float
    neighbours: Neighbours | None

    def remember(self, connection: "Connection") -> None:
        """A connection is there."""

    def forget(self, connection: "Connection") -> None:
        """A connection is gone."""

    def flush(self) -> None:
        """Send the commands that have been collected."""

    def make_session_message_limiter(self) -> RateLimiter:
        """Return what bounds the session-level messages of one connection."""


class Connection(asyncio.BufferedProtocol):
    """One client's TCP connection. `arrival` says where it comes from.

    One that `is_relayed` was accepted, and is counted, by another process.
    """

    def __init__(self, edge: House, arrival: Arrival, *, is_relayed: bool = False) -> None:
        self.arrival = arrival
        self.is_relayed = is_relayed
        self.was_made = False
        self._edge = edge
        self._buffer = bytearray(READ_BYTES_MAX)
        self._reader = FrameReader()
        self._session: FixSession | None = None
        self._early: list[Frame] = []
        self._early_bytes = 0
        self._raw = bytearray()  # What was read before the connection was a session's.
        self._received_bytes = 0
        self._discarded_bytes = 0
        self._is_closing = False
        self._is_busy = False
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._log = log.bind(peer=arrival.peer)
        self._session_messages = edge.make_session_message_limiter()
        self._transport: asyncio.Transport

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop, when the edge has admitted the connection."""
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            fingerprint = client_fingerprint(tls)
            self.arrival = replace(self.arrival, is_tls=True, client_cert_sha256=fingerprint)
        self.was_made = True
        self._edge.remember(self)
        self._timer = asyncio.get_running_loop().call_later(
            self._edge.logon_wait_s, self._give_up, "no Logon in time"
        )
        self.regulate_reading()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Called by the event loop."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the event loop."""
        frames = self._reader.feed(bytes(self._buffer[:nbytes]))
        self._received_bytes += nbytes
        self._count_discarded()
        if self._is_closing:
            return
        if self._session is None:
            self._raw += self._buffer[:nbytes]
        if self._is_busy:
            self._early += frames
            self._early_bytes += nbytes
            self.regulate_reading()
        elif self._session is None:
            self._take_before_logon(frames)
        elif frames:
            self._take_in_session(self._session, frames)

    def eof_received(self) -> bool:
        """Called by the event loop: half an open connection is none."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        del exc
        self._is_closing = True
        self._edge.forget(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._session is not None:
            self._session.detach()
            self._session = None

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self._is_writable.clear()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._is_writable.set()

    # The session's side (`resend.Resendee`).

    def write(self, data: bytes) -> None:
        """Send bytes to the client, or hang up on one that does not read."""
        if self._is_closing:
            return
        self._transport.write(data)
        self._edge.metrics.count_sent(data)
        if self._transport.get_write_buffer_size() > OUTBOUND_BYTES_MAX:
            self._log.warning("slow_reader_cut_off")
            self.abort()

    @property
    def is_writable(self) -> bool:
        """Whether the client has taken most of what it was sent."""
        return self._is_writable.is_set()

    async def wait_until_writable(self) -> None:
        """Return once the client has taken most of what it was sent."""
        await self._is_writable.wait()

    def close(self) -> None:
        """Hang up once all has been sent, or after a short while."""
        if self._is_closing:
            return
        self._is_closing = True
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self._transport.abort)

    def abort(self) -> None:
        """Hang up at once."""
        self._is_closing = True
        self._transport.abort()

    def regulate_reading(self) -> None:
        """Read or do not read, as things stand.

        While a Logon is considered, reading goes on: only who reads hears that the client has hung
        up, and that its password need not be verified any more.
        """
        if self._is_closing:
            return
        must_wait = self._session is not None or self._early_bytes > EARLY_BYTES_MAX
        if self._edge.is_paused or (self._is_busy and must_wait):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Before the Logon.

    def _take_before_logon(self, frames: list[Frame]) -> None:
        if self._discarded_bytes or self._received_bytes > LOGON_BYTES_MAX:
            self._give_up("bytes that are no Logon")
        elif frames:
            self._early = frames[1:]
            logon = parse_logon(frames[0])
            if isinstance(logon, Logon):
                self._start(self._log_on(logon))
            else:
                self._give_up(logon)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Do something that takes a while. What comes meanwhile waits until it is done."""
        self._is_busy = True
        self.regulate_reading()
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._is_busy = False
        self._task = None
        if not task.cancelled() and task.exception() is not None:
            self._log.error("connection_failed", exc_info=task.exception())
            self.abort()
        early, self._early, self._early_bytes = self._early, [], 0
        if early and self._session is not None and not self._is_closing:
            self._take_in_session(self._session, early)
        self.regulate_reading()

    async def _log_on(self, logon: Logon) -> None:
        if not self.is_relayed and await self._pass_on(logon):
            return
        outcome = await self._edge.entrance.log_on(logon, self.arrival)
        if self._is_closing:
            # The client is gone, and Python 3.11's `wait_for` may have swallowed the cancellation:
            # a session attached to a dead connection would have a client for ever.
            return
        match outcome:
            case GaveUp(cause):
                self._give_up(cause)
            case Refusal():
                self._refuse(logon, outcome)
            case Entry(session, admission):
                self._enter(session, admission)

    async def _pass_on(self, logon: Logon) -> bool:
        """Hand the connection to the process that has its session, if it is another one."""
        entrance, neighbours = self._edge.entrance, self._edge.neighbours
        names = (logon.begin_string, logon.client_comp_id)
        if neighbours is None:
            return False
        owner = await neighbours.reach(names, lambda: entrance.serves(names))
        if owner is None:
            return False
        if self._is_closing:
            owner.close()
            return True
        self._is_closing = True  # For this process it is only to be counted until it ends.
        if self._timer is not None:
            self._timer.cancel()
        self._log.info("connection_passed_on", session=logon.client_comp_id)
        lost = functools.partial(self.connection_lost, None)
        owner.bridge(self._transport, self.arrival, bytes(self._raw), lost)
        return True

    def _enter(self, session: FixSession, admission: Admission) -> None:
        self._session = session
        if self._timer is not None:
            self._timer.cancel()
        self._edge.metrics.logons.labels("accepted").inc()
        self._edge.metrics.count_received({MsgType.LOGON: 1})
        session.attach(self, admission)
        self._raw.clear()
        closed = self._edge.entrance.why_closed(session.row)
        if closed is not None:
            session.end_client(closed)

    def _refuse(self, logon: Logon, refusal: Refusal) -> None:
        self._log.warning("logon_refused", session=logon.client_comp_id, cause=refusal.cause)
        self._edge.metrics.logons.labels("refused").inc()
        self.write(
            build_refusal(
                logon,
                self._edge.entrance.gateway_comp_id,
                refusal.text,
                refusal.session_status,
                time.time_ns(),
            )
        )
        self.close()

    def _give_up(self, cause: str) -> None:
        self._log.warning("connection_refused", cause=cause)
        self._edge.metrics.logons.labels("dropped").inc()
        self.abort()

    # In the session.

    def _take_in_session(self, session: FixSession, frames: list[Frame]) -> None:
        pieces: list[bytes] = []
        counts: dict[str, int] = {}
        for index, frame in enumerate(frames):
            counts[frame.msg_type] = counts.get(frame.msg_type, 0) + 1
            if frame.msg_type not in TO_BE_LOOKED_AT:
                pieces.append(frame.raw)
                continue
            session.receive(b"".join(pieces))
            pieces.clear()
            if not self._take_session_message(session, frame):
                break
            if self._is_busy:
                self._early = frames[index + 1 :]
                break
        session.receive(b"".join(pieces))
        self._edge.metrics.count_received(counts)
        self._edge.flush()

    def _take_session_message(self, session: FixSession, frame: Frame) -> bool:
        """Take a message that is not QuickFIX's alone. Returns False when it ends the session."""
        if frame.msg_type == MsgType.LOGON:
            # With 141=Y QuickFIX would wipe its store before anybody could refuse.
            return self._cut_off(session, "a Logon inside a session is not accepted")
        if self._session_messages.take(time.monotonic_ns()):
            return self._cut_off(session, "too many session-level messages")
        if frame.msg_type == MsgType.RESEND_REQUEST:
            session.answer_resend_request(frame.raw)
        elif frame.msg_type == MsgType.USER_REQUEST and session.row.begin_string != FIX_4_2:
            request = parse_user_request(frame.raw)
            if request is not None and session.take_number(request.msg_seq_num, request.heartbeat):
                self._start(self._answer_user_request(session, request))
        elif frame.msg_type == MsgType.SEQUENCE_RESET and jumps_too_far(frame.raw):
            return self._cut_off(session, f"NewSeqNo(36) is above {NEW_SEQ_NO_MAX}")
        else:
            session.receive(frame.raw)
        return True

    async def _answer_user_request(self, session: FixSession, request: UserRequest) -> None:
        status, text = UserStatus.OTHER, "only UserRequestType(924)=3, 4 and 5 are served"
        throttles: list[tuple[int, str]] = []
        if request.request_type == ASK_STATUS:
            status, text = UserStatus.LOGGED_IN, "logged on to this session"
        elif request.request_type == ASK_THROTTLE:
            status, text = UserStatus.LOGGED_IN, _describe_throttle(session)
            if session.row.begin_string == FIXT:
                throttles = build_throttles(session.throttle, session.row.throttle_policy)
        elif request.request_type == CHANGE_PASSWORD:
            try:
                refusal = await self._edge.entrance.authenticator.change_password(
                    session.row.session_id, request.username, request.password, request.new_password
                )
            except AuthenticationUnavailableError:
                text = "not possible now, try again in a moment"
            else:
                status = UserStatus.OTHER if refusal else UserStatus.PASSWORD_CHANGED
                text = refusal or "changed"
                if refusal == PASSWORD_INCORRECT:
                    status = UserStatus.PASSWORD_INCORRECT
        self._log.info("user_request", session=session.row.client_comp_id, outcome=status.name)
        if self._is_closing:
            return
        session.send(build_user_response(request, status, text, throttles))

    def _cut_off(self, session: FixSession, reason: str) -> bool:
        self._log.warning("client_cut_off", session=session.row.client_comp_id, cause=reason)
        session.log_out(reason)
        self.close()
        return False

    def _count_discarded(self) -> None:
        fresh = self._reader.discarded_bytes - self._discarded_bytes
        if not fresh:
            return
        self._discarded_bytes += fresh
        self._edge.metrics.discarded_bytes.inc(fresh)
        if self._discarded_bytes > DISCARDED_BYTES_MAX and self._session is not None:
            self._cut_off(self._session, "too many bytes that are no FIX message")


def _describe_throttle(session: FixSession) -> str:
    return describe_throttle(session.throttle, time.monotonic_ns())


def jumps_too_far(raw: bytes) -> bool:
    """Whether a SequenceReset(4) would take the numbers to where no session ever gets."""
    fields = split_fields(raw)
    value = b"" if fields is None else dict(fields).get(Tag.NEW_SEQ_NO, b"")
    if len(value) > NUMBER_DIGITS_MAX:
        return True
    return value.isdigit() and int(value) > NEW_SEQ_NO_MAX
