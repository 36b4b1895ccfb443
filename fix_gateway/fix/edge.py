"""The edge: where clients connect, in plain text or over TLS, and how many may.

Nobody reaches QuickFIX who has not been authenticated here. A connection is counted before the
first byte of it is read, so that handshakes that never end are bounded like everything else.
"""

import asyncio
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from fix_gateway.fix.connection import Connection, Neighbours
from fix_gateway.fix.entrance import Arrival, Entrance
from fix_gateway.fix.tls import TlsCertificate
from fix_gateway.metrics import GatewayMetrics
from risk.rate_limiter import RateLimiter

ADDRESSES_REMEMBERED_MAX: Final = 10_000
BACKLOG: Final = 1024
ACCEPT_RETRY_S: Final = 0.1

log = structlog.get_logger("fix.edge")


@dataclass(frozen=True)
class EdgeLimits:
    """What connections may use. Rates are per second, bursts at once."""

    logon_wait_s: float
    connections_max: int
    connections_per_address_max: int
    connection_rate: int
    connection_burst: int
    session_message_rate: int
    session_message_burst: int


class Edge:
    """Listens for clients (`connection.House`). Belongs to the gateway's one thread."""

    def __init__(
        self,
        entrance: Entrance,
        limits: EdgeLimits,
        metrics: GatewayMetrics,
        *,
        flush: Callable[[], None],
    ) -> None:
        self.entrance = entrance
        self.metrics = metrics
        self.flush = flush
        self.is_paused = False
        self.neighbours: Neighbours | None = None
        """Set where there are several gateway processes."""
        self.logon_wait_s = limits.logon_wait_s
        self._limits = limits
        self._connections: dict[Connection, None] = {}
        self._handshakes: dict[asyncio.Task[None], None] = {}
        self._counts: Counter[str] = Counter()
        self._limiters: OrderedDict[str, RateLimiter] = OrderedDict()
        self._doors: list[asyncio.Task[None]] = []

    def open(
        self,
        host: str,
        port: int,
        certificate: TlsCertificate | None = None,
        *,
        is_shared: bool = False,
    ) -> int:
        """Let clients in, over TLS if there is a certificate, and return the port.

        Processes of one user that all say `is_shared` listen on the same port; the system deals
        out the connections. Raises OSError when the port is taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server(
            (host, port), family=family, backlog=BACKLOG, reuse_port=is_shared
        )
        listener.settimeout(0)
        self._doors.append(asyncio.ensure_future(self._accept(listener, certificate)))
        bound: int = listener.getsockname()[1]
        return bound

    def take_relayed(self, arrival: Arrival) -> Connection:
        """Return the protocol for a connection that another process has accepted and counts."""
        return Connection(self, arrival, is_relayed=True)

    def close(self) -> None:
        """Let nobody in any more. Open connections stay."""
        for door in self._doors:
            door.cancel()

    def abort_connections(self) -> None:
        """Hang up on everybody."""
        for handshake in list(self._handshakes):
            handshake.cancel()
        for connection in list(self._connections):
            connection.abort()

    def pause(self, *, is_paused: bool) -> None:
        """Stop reading all clients, or go on: the link to the engine is full, or not any more."""
        if is_paused == self.is_paused:
            return
        self.is_paused = is_paused
        for connection in self._connections:
            connection.regulate_reading()

    def admit(self, host: str) -> str | None:
        """Count a connection from the address. Returns in words why it is not let in, or None."""
        limits = self._limits
        if self._limiter_of(host).take(time.monotonic_ns()):
            return "too many new connections from this address"
        if self._counts[host] >= limits.connections_per_address_max:
            return "too many connections from this address"
        if self._counts.total() >= limits.connections_max:
            return "too many connections"
        self._counts[host] += 1
        self.metrics.connections.set(self._counts.total())
        return None

    def dismiss(self, host: str) -> None:
        """A connection that was admitted is gone."""
        self._counts[host] -= 1
        if not self._counts[host]:
            del self._counts[host]
        self.metrics.connections.set(self._counts.total())

    def remember(self, connection: Connection) -> None:
        """A client's connection is there: TLS, if it is to be, has been agreed on."""
        self._connections[connection] = None

    def forget(self, connection: Connection) -> None:
        """A client's connection is gone."""
        if self._connections.pop(connection, connection) is None and not connection.is_relayed:
            self.dismiss(connection.arrival.host)

    def make_session_message_limiter(self) -> RateLimiter:
        """Return what bounds the session-level messages of one connection."""
        return RateLimiter(self._limits.session_message_rate, self._limits.session_message_burst)

    async def _accept(self, listener: socket.socket, certificate: TlsCertificate | None) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    client, address = await loop.sock_accept(listener)
                except OSError as error:  # Out of descriptors: those who wait may be served later.
                    log.warning("accept_failed", error=str(error))
                    await asyncio.sleep(ACCEPT_RETRY_S)
                    continue
                arrival = Arrival(address[0], address[1])
                cause = self.admit(arrival.host)
                if cause is not None:
                    self.metrics.logons.labels("dropped").inc()
                    log.warning("connection_refused", peer=arrival.peer, cause=cause)
                    client.close()
                    continue
                handshake = loop.create_task(self._welcome(client, arrival, certificate))
                self._handshakes[handshake] = None
                handshake.add_done_callback(self._handshakes.pop)

    async def _welcome(
        self, client: socket.socket, arrival: Arrival, certificate: TlsCertificate | None
    ) -> None:
        """Make a connection of a socket, once the TLS handshake is over, if there is one."""
        connection = Connection(self, arrival)
        options = {} if certificate is None else {"ssl_handshake_timeout": self.logon_wait_s}
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                client,
                ssl=None if certificate is None else certificate.context,
                **options,
            )
        except OSError as error:  # Also what is wrong with the handshake, and its time limit.
            self.metrics.logons.labels("dropped").inc()
            log.warning("connection_failed", peer=arrival.peer, error=str(error))
            client.close()
        finally:
            if not connection.was_made:
                self.dismiss(arrival.host)

    def _limiter_of(self, host: str) -> RateLimiter:
        limiter = self._limiters.get(host)
        if limiter is None:
            limiter = RateLimiter(self._limits.connection_rate, self._limits.connection_burst)
            self._limiters[host] = limiter
            if len(self._limiters) > ADDRESSES_REMEMBERED_MAX:
                self._limiters.popitem(last=False)
        return limiter
