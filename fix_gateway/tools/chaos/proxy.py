"""A TCP proxy between one client and the gateway that tears connections down in mid-message.

It also remembers every message that left the gateway, whether or not it reached the client.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Final

from fix_gateway.fix.framing import FrameReader

READ_BYTES: Final = 1 << 16
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
START_WAIT_S: Final = 5.0


@dataclass
class WireConnection:
    """What went over one connection of the client's, as far as it was well-formed."""

    to_gateway: list[bytes] = field(default_factory=list)
    to_client: list[bytes] = field(default_factory=list)


@dataclass
class _Cut:
    """Cut when so many more bytes have gone in this direction."""

    bytes_left: int
    is_to_client: bool


class ProxyThread:
    """Runs the proxies of all clients on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._proxies: list[CuttingProxy] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()

    def open(self, target_port: int, rng: random.Random) -> "CuttingProxy":
        """Return a proxy that listens on a port of its own."""
        proxy = CuttingProxy(target_port, rng, self._loop)
        asyncio.run_coroutine_threadsafe(proxy.start(), self._loop).result(START_WAIT_S)
        self._proxies.append(proxy)
        return proxy

    def stop(self) -> None:
        """End all proxies and their connections."""
        for proxy in self._proxies:
            self._loop.call_soon_threadsafe(proxy.close)
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(START_WAIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_WAIT_S)
        self._loop.close()


class CuttingProxy:
    """The way of one client to the gateway. Everything but `cut` happens on the proxy's thread."""

    def __init__(
        self, target_port: int, rng: random.Random, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.port = 0
        self.connections: list[WireConnection] = []
        self._target_port = target_port
        self._rng = rng
        self._loop = loop
        self._cut: _Cut | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more. On the proxy's thread."""
        if self._server is not None:
            self._server.close()

    def cut(self, *, after_bytes: int, is_to_client: bool) -> None:
        """Cut the connection when so many more bytes have gone in one direction. On any thread."""
        self._cut = _Cut(after_bytes, is_to_client)

    def spare(self) -> None:
        """Do not cut what was to be cut and has not been yet. On any thread."""
        self._cut = None

    def cut_now(self) -> None:
        """Cut the connection there is. On any thread."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def _abort_all(self) -> None:
        for writer in self._open:
            _abort(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = WireConnection()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _abort(writer)
            return
        both = {writer, far_writer}
        self._open |= both
        self.connections.append(wire)
        pumps = [
            asyncio.ensure_future(
                self._pump(reader, far_writer, wire.to_gateway, is_to_client=False)
            ),
            asyncio.ensure_future(
                self._pump(far_reader, writer, wire.to_client, is_to_client=True)
            ),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._open -= both
            for end in both:
                if self._rng.choice((True, False)):
                    _abort(end)
                end.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        frames: list[bytes],
        *,
        is_to_client: bool,
    ) -> None:
        framer = FrameReader()
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                frames += [frame.raw for frame in framer.feed(data)]
                cut = self._cut
                if cut is not None and cut.is_to_client == is_to_client:
                    if len(data) >= cut.bytes_left:
                        self._cut = None
                        writer.write(data[: cut.bytes_left])
                        await writer.drain()
                        return
                    cut.bytes_left -= len(data)
                writer.write(data)
                await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
