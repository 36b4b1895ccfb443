"""A connection that landed on the wrong gateway process: its bytes are passed to the right one.

TLS has ended in this process; what travels over the owner's control socket, after one line that
says whose connection it is, are the client's plain bytes, both ways. Neither side is read faster
than the other takes it, and when one hangs up so is the other.
"""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Final, cast

import msgspec

from fix_gateway.fix.entrance import Arrival

CLIENT_CLOSE_WAIT_S: Final = 2.0
OWNER_CLOSE_WAIT_S: Final = 30.0

Transport = asyncio.Transport


class RelayRequest(msgspec.Struct, frozen=True, tag_field="do", tag="relay"):
    """The first line of a connection that is passed on: where it comes from."""

    peer: str
    is_tls: bool = False
    client_cert_sha256: str | None = None

    @classmethod
    def of(cls, arrival: Arrival) -> "RelayRequest":
        """Return the request to take a connection that has arrived here."""
        return cls(arrival.peer, arrival.is_tls, arrival.client_cert_sha256)

    @property
    def arrival(self) -> Arrival:
        """Where the connection comes from. Raises ValueError when the peer is no address."""
        host, _, port = self.peer.rpartition(":")
        address = str(ip_address(host.removeprefix("[").removesuffix("]")))
        return Arrival(address, int(port), self.is_tls, self.client_cert_sha256)


class OwnerEnd(asyncio.Protocol):
    """The relay's connection to the session's owner."""

    def __init__(self) -> None:
        self._client: Transport | None = None
        self._transport: Transport
        self._is_lost = False

    @classmethod
    async def connect(cls, path: Path) -> "OwnerEnd":
        """Connect to the owner's control socket. Raises OSError when nobody is there."""
        loop = asyncio.get_running_loop()
        _, end = await loop.create_unix_connection(cls, str(path))
        return end

    def bridge(
        self, client: Transport, arrival: Arrival, early: bytes, on_lost: Callable[[], None]
    ) -> None:
        """Pass the client's connection on, beginning with `early`, what was read of it already.

        From now on the relay has the transport; `on_lost` is called when the client is gone.
        """
        self._client = client
        if self._is_lost:
            client.abort()
        client.set_protocol(_ClientEnd(client, self._transport, on_lost))
        self._transport.write(msgspec.json.encode(RelayRequest.of(arrival)) + b"\n" + early)
        client.resume_reading()

    def close(self) -> None:
        """Hang up on the owner: the connection is not passed on after all."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._client is not None:
            self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        del exc
        self._is_lost = True
        if self._client is not None:
            _close(self._client, CLIENT_CLOSE_WAIT_S)

    def pause_writing(self) -> None:
        """Called by the event loop."""
        if self._client is not None and not self._client.is_closing():
            self._client.pause_reading()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        if self._client is not None and not self._client.is_closing():
            self._client.resume_reading()


class _ClientEnd(asyncio.Protocol):
    """The client's connection, once it is passed on."""

    def __init__(self, client: Transport, owner: Transport, on_lost: Callable[[], None]) -> None:
        self._client = client
        self._owner = owner
        self._on_lost = on_lost

    def data_received(self, data: bytes) -> None:
        self._owner.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        # What the client has sent before it hung up still arrives.
        _close(self._owner, OWNER_CLOSE_WAIT_S)
        self._on_lost()

    def pause_writing(self) -> None:
        if not self._owner.is_closing():
            self._owner.pause_reading()

    def resume_writing(self) -> None:
        if not self._owner.is_closing():
            self._owner.resume_reading()


def _close(transport: Transport, wait_s: float) -> None:
    """Hang up once all has been sent, or after a while."""
    if not transport.is_closing():
        transport.close()
        asyncio.get_running_loop().call_later(wait_s, transport.abort)
