"""The edge: TCP connections, framing, admission and Logon authentication.

Nobody reaches QuickFIX who has not been authenticated here. Every wait has an end and every buffer
a limit; a client that oversteps one loses its own connection and costs the others nothing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, cast

import structlog

from engine.runtime.client import LinkClosedError
from engine.units import SessionId
from fix_gateway.fix.fields import MsgType
from fix_gateway.fix.framing import Frame, FrameReader
from fix_gateway.fix.logon import (
    Admission,
    HeartBtIntBounds,
    Logon,
    build_refusal,
    check_heart_bt_int,
    parse_logon,
)
from fix_gateway.fix.sessions import FixSession
from fix_gateway.metrics import GatewayMetrics

READ_BYTES_MAX: Final = 16 << 10  # Per client and turn of the loop: nobody starves the others.
LOGON_BYTES_MAX: Final = 8 << 10
DISCARDED_BYTES_MAX: Final = 64 << 10
OUTBOUND_BYTES_MAX: Final = 8 << 20
CLOSE_WAIT_S: Final = 2.0
REFUSED: Final = "logon refused"

log = structlog.get_logger("fix.edge")


class Authenticator(Protocol):
    """Says whether a Logon's secrets open a session."""

    async def verify(self, session_id: SessionId | None, username: str, password: str) -> bool:
        """Whether username and password open the session; None takes as long and is False.

        Raises AuthenticationUnavailableError when that cannot be found out now.
        """


class AuthenticationUnavailableError(Exception):
    """Nobody can be authenticated at the moment."""


@dataclass(frozen=True)
class EdgeLimits:
    """What a connection may use."""

    logon_wait_s: float
    connections_max: int
    heart_bt_int: HeartBtIntBounds


class Edge:
    """Listens for clients. Belongs to the gateway's one thread."""

    def __init__(
        self,
        sessions: Mapping[tuple[str, str], FixSession],
        authenticator: Authenticator,
        limits: EdgeLimits,
        metrics: GatewayMetrics,
        *,
        gateway_comp_id: str,
        flush: Callable[[], None],
    ) -> None:
        self.sessions = sessions
        self.authenticator = authenticator
        self.limits = limits
        self.metrics = metrics
        self.gateway_comp_id = gateway_comp_id
        self.flush = flush
        self.is_paused = False
        self._connections: dict[Connection, None] = {}
        self._server: asyncio.AbstractServer | None = None

    async def open(self, host: str, port: int) -> int:
        """Let clients in, and return the port. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def close(self) -> None:
        """Let nobody in any more. Open connections stay."""
        if self._server is not None:
            self._server.close()

    def abort_connections(self) -> None:
        """Hang up on everybody."""
        for connection in list(self._connections):
            connection.abort()

    def pause(self, *, is_paused: bool) -> None:
        """Stop reading all clients, or go on: the link to the engine is full, or not any more."""
        if is_paused == self.is_paused:
            return
        self.is_paused = is_paused
        for connection in self._connections:
            connection.regulate_reading()

    def admit(self, connection: "Connection") -> bool:
        """Count a new connection. Returns False when there are too many."""
        if len(self._connections) >= self.limits.connections_max:
            return False
        self._connections[connection] = None
        self.metrics.connections.set(len(self._connections))
        return True

    def forget(self, connection: "Connection") -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)
        self.metrics.connections.set(len(self._connections))

    def heart_bt_int_bounds(self, session: FixSession) -> HeartBtIntBounds:
        """Return the session's own bounds, or else those of the gateway."""
        own, general = session.row, self.limits.heart_bt_int
        return HeartBtIntBounds(
            own.heart_bt_int_min_s or general.min_s, own.heart_bt_int_max_s or general.max_s
        )


class Connection(asyncio.BufferedProtocol):
    """One client's TCP connection: strange, then authenticated, then a session's client."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._buffer = bytearray(READ_BYTES_MAX)
        self._reader = FrameReader()
        self._session: FixSession | None = None
        self._early: list[Frame] = []
        self._received_bytes = 0
        self._discarded_bytes = 0
        self._is_closing = False
        self._is_authenticating = False
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._logon_task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._log = log
        self._peer = ""
        self._transport: asyncio.Transport

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}"
        self._log = log.bind(peer=self._peer)
        if not self._edge.admit(self):
            self._log.warning("connection_refused", cause="too many connections")
            self.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(
            self._edge.limits.logon_wait_s, self._give_up, "no Logon in time"
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
        if self._logon_task is not None:
            self._logon_task.cancel()
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
        if self._transport.get_write_buffer_size() > OUTBOUND_BYTES_MAX:
            self._log.warning("slow_reader_cut_off")
            self.abort()

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
        """Read or do not read, as things stand."""
        if self._is_closing:
            return
        if self._edge.is_paused or self._is_authenticating:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Before the Logon.

    def _take_before_logon(self, frames: list[Frame]) -> None:
        if self._discarded_bytes or self._received_bytes > LOGON_BYTES_MAX:
            self._give_up("bytes that are no Logon")
        elif frames and self._logon_task is None:
            self._early = frames[1:]
            self._is_authenticating = True
            self.regulate_reading()
            self._logon_task = asyncio.ensure_future(self._log_on(frames[0]))
            self._logon_task.add_done_callback(self._end_logon)
        else:
            self._early += frames

    async def _log_on(self, frame: Frame) -> None:
        logon = parse_logon(frame)
        if isinstance(logon, str):
            self._give_up(logon)
            return
        session = self._edge.sessions.get((logon.begin_string, logon.client_comp_id))
        is_addressed = logon.gateway_comp_id == self._edge.gateway_comp_id
        try:
            session_id = session.row.session_id if session is not None and is_addressed else None
            is_authentic = await self._edge.authenticator.verify(
                session_id, logon.username, logon.password
            )
            if session is None or not is_authentic:
                self._refuse(logon, REFUSED, cause="unknown session, name or secret")
                return
            refusal = check_heart_bt_int(logon, self._edge.heart_bt_int_bounds(session))
            if refusal is not None:
                self._refuse(logon, refusal, cause=refusal)
                return
            await self._enter(session, logon)
        except (AuthenticationUnavailableError, LinkClosedError, TimeoutError) as error:
            # Without a message: QuickFIX counts every Logout, whatever its number, and would pass
            # over the next message that it has not received yet.
            self._give_up(f"not available now: {error!r}")

    async def _enter(self, session: FixSession, logon: Logon) -> None:
        if session.has_client:
            # Without a message: the numbers of the live session are not this newcomer's to use.
            self._give_up("the session is logged on already")
            return
        # The engine may be on its way back: many a client takes a refusal for the last word.
        if not await session.wait_until_granted(self._edge.limits.logon_wait_s):
            self._give_up("not available now: the engine has not granted the session")
            return
        if logon.is_reset:
            # To its end, also when this connection is given up meanwhile: whoever misses the
            # engine's answer does not hold the session any more.
            refusal = await asyncio.shield(asyncio.ensure_future(session.start_epoch()))
            if refusal is not None:
                self._give_up(f"not available now: no reset, {refusal}")
                return
        if self._is_closing:
            # The client is gone, and Python 3.11's `wait_for` may have swallowed the cancellation:
            # a session attached to a dead connection would have a client for ever.
            return
        if session.has_client:
            self._give_up("the session was logged on meanwhile")
            return
        self._session = session
        if self._timer is not None:
            self._timer.cancel()
        self._edge.metrics.logons.labels("accepted").inc()
        self._edge.metrics.count_received(MsgType.LOGON)
        session.attach(self, Admission(logon.without_secrets, self._peer, 0))
        if self._early:
            self._take_in_session(session, self._early)
            self._early = []

    def _end_logon(self, task: asyncio.Task[None]) -> None:
        self._is_authenticating = False
        if not task.cancelled() and task.exception() is not None:
            self._log.error("logon_failed", exc_info=task.exception())
            self.abort()
        self.regulate_reading()

    def _refuse(self, logon: Logon, text: str, *, cause: str) -> None:
        self._log.warning("logon_refused", session=logon.client_comp_id, cause=cause)
        self._edge.metrics.logons.labels("refused").inc()
        self.write(
            build_refusal(
                logon.begin_string,
                self._edge.gateway_comp_id,
                logon.client_comp_id,
                text,
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
        for frame in frames:
            self._edge.metrics.count_received(frame.msg_type)
            if frame.msg_type == MsgType.LOGON:
                # With 141=Y QuickFIX would wipe its store before anybody could refuse.
                session.receive(b"".join(pieces))
                session.log_out("a Logon inside a session is not accepted")
                self.close()
                return
            if frame.msg_type == MsgType.RESEND_REQUEST:
                session.receive(b"".join(pieces))
                pieces.clear()
                session.answer_resend_request(frame.raw)
                continue
            pieces.append(frame.raw)
        session.receive(b"".join(pieces))
        self._edge.flush()

    def _count_discarded(self) -> None:
        fresh = self._reader.discarded_bytes - self._discarded_bytes
        if not fresh:
            return
        self._discarded_bytes += fresh
        self._edge.metrics.discarded_bytes.inc(fresh)
        if self._discarded_bytes > DISCARDED_BYTES_MAX and self._session is not None:
            self._log.warning("garbage_cut_off", discarded_bytes=self._discarded_bytes)
            self._session.log_out("too many bytes that are no FIX message")
            self.close()
