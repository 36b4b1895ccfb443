"""Unix sockets that are not there: bytes arrive late, in pieces, and links break anywhere."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any, Final, cast

from tests.simulation.loop import PROCESS, Process, ProcessKilledError, SimLoop

PIECES_MAX: Final = 4

Tap = Callable[["SimTransport", bytes], None]


class Network:
    """All links there are, and the seeded mischief that is done to them."""

    def __init__(self, loop: SimLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.lag_max_s = 0.002
        self.links: list[SimTransport] = []
        self.taps: list[Tap] = []
        self._listeners: dict[str, tuple[Callable[[], asyncio.BaseProtocol], Process]] = {}
        self._kill_after_writes: dict[Process, int] = {}

    def delay_s(self) -> float:
        """Return how long some bytes take."""
        dice = self.random.random()
        if dice < 0.9:
            return self.random.uniform(0.00002, self.lag_max_s)
        return self.random.uniform(0.01, 0.4) if dice < 0.998 else self.random.uniform(1, 8)

    def listen(self, path: str, factory: Callable[[], asyncio.BaseProtocol]) -> "SimServer":
        """Let the process that calls take connections at the path."""
        process = PROCESS.get()
        assert process is not None
        self._listeners[path] = (factory, process)
        return SimServer(self, path, process)

    def close(self, path: str, process: Process) -> None:
        """Take no more connections."""
        if path in self._listeners and self._listeners[path][1] is process:
            del self._listeners[path]

    async def connect(
        self, path: str, factory: Callable[[], asyncio.BaseProtocol]
    ) -> "tuple[SimTransport, asyncio.BaseProtocol]":
        """Connect the process that calls. Raises ConnectionRefusedError when nobody listens."""
        await asyncio.sleep(self.delay_s())
        door = PROCESS.get()
        assert door is not None
        make, engine = self._listeners.get(path, (None, None))
        if make is None or engine is None or not engine.is_alive:
            raise ConnectionRefusedError(f"nobody listens at {path}")
        protocol = factory()
        near = SimTransport(self, door, protocol, is_server=False)
        far_context = engine.context()
        far = SimTransport(self, engine, far_context.run(make), is_server=True)
        near.peer, far.peer = far, near
        for transport in (near, far):
            transport.process.on_death.append(transport.die)
        self.links.append(near)
        near.meet()
        protocol.connection_made(near)
        return near, protocol

    def kill_after(self, process: Process, write_count: int) -> None:
        """Let the process die in the middle of a later write to a link."""
        self._kill_after_writes[process] = write_count

    def on_write(self, transport: "SimTransport", data: bytes) -> None:
        """Tell the taps, and kill who was to be killed at this write."""
        for tap in self.taps:
            tap(transport, data)
        process = transport.process
        if process in self._kill_after_writes:
            self._kill_after_writes[process] -= 1
            if self._kill_after_writes[process] < 0:
                del self._kill_after_writes[process]
                process.kill()
                raise ProcessKilledError

    def cut_some_link(self) -> None:
        """Break a link. Its two ends notice at different times."""
        self.links = [link for link in self.links if not link.is_closing()]
        if self.links:
            link = self.random.choice(self.links)
            for end in (link, link.peer):
                end.cut(self.random.choice((0.0, 0.001, 0.1, 3.0)))

    def stall_some_link(self, stall_s: float) -> None:
        """Hold up what one side of a link is sent from now on."""
        self.links = [link for link in self.links if not link.is_closing()]
        if self.links:
            link = self.random.choice(self.links)
            self.random.choice((link, link.peer)).hold_up(stall_s)


class SimServer:
    """What `create_unix_server` returns, as far as it is used."""

    def __init__(self, network: Network, path: str, process: Process) -> None:
        self._network = network
        self._path = path
        self._process = process

    def close(self) -> None:
        """Take no more connections."""
        self._network.close(self._path, self._process)


class SimTransport(asyncio.Transport):
    """One end of a link."""

    def __init__(
        self, network: Network, process: Process, protocol: asyncio.BaseProtocol, *, is_server: bool
    ) -> None:
        super().__init__()
        self.process = process
        self.is_server = is_server
        self.peer: SimTransport
        self._network = network
        self._protocol = protocol
        self._context: Context = process.context()
        # On the way to the other end; b"" makes the connection, None ends it.
        self._in_flight: deque[bytes | None] = deque()
        self._arrives_at_s = 0.0
        self._is_closed = False
        self._is_cut = False

    def meet(self) -> None:
        """Let the other end know of the connection."""
        self._post(b"", self._network.delay_s())

    def write(self, data: Any) -> None:
        """Send bytes; they arrive in order, sooner or later, in whatever pieces."""
        if self._is_closed or not self.process.is_alive:
            return
        data = bytes(data)
        self._network.on_write(self, data)
        if self._is_cut:
            return
        random = self._network.random
        cuts = sorted(random.randrange(len(data)) for _ in range(random.randrange(PIECES_MAX)))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if start < end:
                self._post(data[start:end], self._network.delay_s())

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are on their way."""
        return sum(len(piece) for piece in self._in_flight if piece)

    def is_closing(self) -> bool:
        """Whether this end is closed, or broken without knowing yet."""
        return self._is_closed or self._is_cut

    def close(self) -> None:
        """Hang up once all is sent."""
        self._close(None)
        if not self._is_cut:
            self._post(None, self._network.delay_s())

    def abort(self) -> None:
        """Hang up at once; what was not written out yet is lost."""
        self._close(None)
        self._lose_the_end(0.0)

    def die(self) -> None:
        """The process is gone: what it had not written out yet is lost."""
        self._is_closed = True
        self._lose_the_end(0.0)

    def cut(self, notice_s: float) -> None:
        """The way to the other end breaks; the other end notices after a while."""
        self._lose_the_end(notice_s)

    def hold_up(self, stall_s: float) -> None:
        """What is sent from now on arrives only after a while."""
        self._arrives_at_s = max(self._arrives_at_s, self._network.loop.now_s + stall_s)

    def _lose_the_end(self, notice_s: float) -> None:
        if self._is_cut:
            return
        self._is_cut = True
        kept = deque[bytes | None]()
        room = self._network.random.randint(0, self.get_write_buffer_size())
        for piece in self._in_flight:
            if piece is None or (piece and not room):
                break
            kept.append(piece[:room] if piece else piece)
            room -= min(room, len(piece))
        self._in_flight = kept
        self._post(None, notice_s + self._network.delay_s())

    def _post(self, piece: bytes | None, delay_s: float) -> None:
        loop = self._network.loop
        self._in_flight.append(piece)
        self._arrives_at_s = max(self._arrives_at_s, loop.now_s + delay_s)
        loop.call_at(self._arrives_at_s, self._arrive, context=Context())

    def _arrive(self) -> None:
        if self._in_flight:
            self.peer._take(self._in_flight.popleft())

    def _take(self, piece: bytes | None) -> None:
        if self._is_closed or not self.process.is_alive:
            return
        protocol = cast("asyncio.Protocol", self._protocol)
        try:
            if piece is None:
                self._close(ConnectionResetError("the other end is gone"))
            elif piece:
                self._context.run(protocol.data_received, piece)
            else:
                self._context.run(protocol.connection_made, self)
        except ProcessKilledError:
            pass

    def _close(self, cause: Exception | None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self.process.is_alive:
            self._network.loop.call_soon(
                self._protocol.connection_lost, cause, context=self._context.copy()
            )


class NetworkLoop(SimLoop):
    """The loop with its network: what asyncio calls Unix sockets are links of it."""

    def __init__(self, random: Random, network_random: Random) -> None:
        super().__init__(random)
        self.network = Network(self, network_random)

    async def create_unix_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], path: str
    ) -> SimServer:
        """Take connections at the path."""
        await asyncio.sleep(0)
        return self.network.listen(path, protocol_factory)

    async def create_unix_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], path: str
    ) -> tuple[SimTransport, asyncio.BaseProtocol]:
        """Connect to the path. Raises ConnectionRefusedError when nobody listens."""
        return await self.network.connect(path, protocol_factory)
