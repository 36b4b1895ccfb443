"""The control socket of a gateway process: what operators' tools and other processes ask of it.

A connection begins with one line of JSON that says what to `do`. The answer is one line too, and
the end; but after "relay" follow the bytes of a FIX client. Whoever can open the socket may ask for
anything: it stands in the private directory of sockets.
"""

import asyncio
import socket
from collections.abc import Awaitable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, cast

import msgspec
import structlog

from engine.units import SessionId
from fix_gateway.control_requests import (
    LINE_WAIT_S,
    WORK_WAIT_S,
    AskStatus,
    LogOut,
    PlanMaintenance,
    Refresh,
)
from fix_gateway.fix.connection import Connection
from fix_gateway.fix.entrance import Arrival
from fix_gateway.fix.fields import printable
from fix_gateway.fix.relay import RelayRequest
from fix_gateway.neighbours import is_listening
from store.postgres import StoreError

LINE_BYTES_MAX: Final = 16 << 10
CLOSE_WAIT_S: Final = 2.0

log = structlog.get_logger("gateway.control")


Request = Refresh | LogOut | AskStatus | PlanMaintenance | RelayRequest


class Controlled(Protocol):
    """The gateway, as its control socket sees it."""

    async def refresh(self) -> None:
        """Read sessions and credentials again; return once they hold. Raises StoreError."""

    def log_out(self, session_id: SessionId, text: str) -> bool:
        """Log the client out. Returns whether there was one."""

    def plan_maintenance(self, at: datetime | None, text: str) -> None:
        """Log everybody out then and let nobody in any more, or call that off."""

    def describe(self) -> dict[str, Any]:
        """Return how the process and its sessions are, ready for JSON."""

    def take_relayed(self, arrival: Arrival) -> Connection:
        """Return the protocol for a client's connection that is passed on."""


class ControlServer:
    """Listens on the control socket. Belongs to the gateway's one thread."""

    def __init__(self, controlled: Controlled) -> None:
        self.controlled = controlled
        self._server: asyncio.AbstractServer | None = None
        self._path: Path

    async def open(self, path: Path) -> None:
        """Listen. Raises OSError when a living process does so already."""
        if is_listening(path):
            raise FileExistsError(f"another gateway process listens on {path}")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: _Conversation(self), sock=_bind_private(path)
        )

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def answer(
        self, request: Refresh | LogOut | AskStatus | PlanMaintenance
    ) -> dict[str, Any]:
        """Do what is asked, and return the answer."""
        match request:
            case Refresh():
                await self.controlled.refresh()
                return {"ok": True}
            case LogOut():
                text = printable(request.text)
                found = self.controlled.log_out(request.session_id, text)
                return {"ok": True, "found": found}
            case PlanMaintenance():
                self.controlled.plan_maintenance(request.at, request.text)
                return {"ok": True}
            case AskStatus():
                return {"ok": True, **self.controlled.describe()}


def _bind_private(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # A dead process's.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


class _Conversation(asyncio.Protocol):
    """One connection to the control socket, until its line is read or answered."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._line = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LINE_WAIT_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._line += data
        line, end, rest = self._line.partition(b"\n")
        if not end and len(line) <= LINE_BYTES_MAX:
            return
        self._transport.pause_reading()
        self._timer.cancel()
        # What is too long is cut, and so no JSON any more.
        try:
            request = msgspec.json.decode(line[:LINE_BYTES_MAX], type=Request)
            if isinstance(request, RelayRequest):
                self._relay(request.arrival, rest)
                return
        except ValueError as error:
            log.warning("control_request_refused", error=str(error))
            self._answer({"ok": False, "error": str(error)})
            return
        self._task = asyncio.ensure_future(self._work(self._server.answer(request)))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._timer.cancel()

    async def _work(self, work: Awaitable[dict[str, Any]]) -> None:
        """Answer. What has begun is done, also when the asker does not wait for it."""
        try:
            answer = await asyncio.wait_for(work, WORK_WAIT_S)
        except (StoreError, TimeoutError) as error:
            answer = {"ok": False, "error": str(error) or type(error).__name__}
        self._answer(answer)

    def _answer(self, answer: dict[str, Any]) -> None:
        self._transport.write(msgspec.json.encode(answer) + b"\n")
        self._transport.close()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self._transport.abort)

    def _relay(self, arrival: Arrival, early: bytes) -> None:
        connection = self._server.controlled.take_relayed(arrival)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        while early:
            buffer = connection.get_buffer(-1)
            piece, early = early[: len(buffer)], early[len(buffer) :]
            buffer[: len(piece)] = piece
            connection.buffer_updated(len(piece))
