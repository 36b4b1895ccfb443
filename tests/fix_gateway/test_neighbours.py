"""Several processes: who takes a dead one's sessions, and a connection that is passed on."""

import asyncio
import socket
from pathlib import Path
from typing import cast

import uvloop

from engine.units import SessionId
from fix_gateway.fix.entrance import Arrival
from fix_gateway.fix.relay import OwnerEnd, RelayRequest
from fix_gateway.neighbours import (
    DEAD_AFTER_S,
    FIRST_LOOK_WAIT_S,
    Neighbours,
    Worker,
    control_socket,
)
from tests.session_row import make_row

COUNT = 3
SESSIONS = [make_row(session_id=SessionId(number)) for number in range(1, 31)]
MANY_BYTES = 32 << 20  # More than all the buffers on the way.


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def listen(sockets_dir: Path, number: int) -> socket.socket:
    path = control_socket(sockets_dir, number)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    return listener


def heirs(processes: list[Neighbours]) -> list[int]:
    """Return for each session which process would take it; exactly one would."""
    found = []
    for row in SESSIONS:
        (heir,) = [n for n, each in enumerate(processes) if each.is_heir(row)]
        found.append(heir)
    return found


def test_the_living_share_what_the_dead_had(tmp_path: Path) -> None:
    """Only once one has been silent for a while; it gets its own again when it is back."""
    clock = Clock()
    listeners = [listen(tmp_path, number) for number in range(COUNT)]
    processes = [
        Neighbours(Worker(number, COUNT), tmp_path, tmp_path, {}, clock) for number in range(COUNT)
    ]

    def pass_time(seconds: float) -> None:
        clock.now_s += seconds
        for process in processes:
            process.look()

    pass_time(FIRST_LOOK_WAIT_S)
    own = [row.session_id % COUNT for row in SESSIONS]
    assert heirs(processes) == own
    listeners[1].close()
    pass_time(0.0)
    pass_time(DEAD_AFTER_S / 2)
    assert heirs(processes) == own
    pass_time(DEAD_AFTER_S)
    living = [processes[0], processes[2]]
    shared = heirs(living)
    assert all(heir == number // 2 for heir, number in zip(shared, own, strict=True) if number != 1)
    inherited = [heir for heir, number in zip(shared, own, strict=True) if number == 1]
    assert sorted(inherited) == [0] * 5 + [1] * 5
    listeners[1] = listen(tmp_path, 1)
    pass_time(0.0)
    assert heirs(processes) == own
    for listener in listeners:
        listener.close()


def test_nobody_is_taken_for_dead_while_all_are_starting(tmp_path: Path) -> None:
    """The last one may take its time."""
    clock = Clock()
    first = Neighbours(Worker(0, 2), tmp_path, tmp_path, {}, clock)
    first.look()
    clock.now_s += FIRST_LOOK_WAIT_S - 0.1
    first.look()
    assert not first.is_heir(SESSIONS[0])
    clock.now_s += 0.2
    assert first.is_heir(SESSIONS[0])


def test_market_data_sessions_have_a_process_of_their_own(tmp_path: Path) -> None:
    """It takes no others, also when everybody else is dead; and nobody takes its sessions."""
    clock = Clock()
    processes = [
        Neighbours(Worker(number, 2, has_market_data=True), tmp_path, tmp_path, {}, clock)
        for number in range(3)
    ]
    market_data = make_row(session_id=SessionId(4), is_market_data=True)
    for _ in range(3):
        clock.now_s += FIRST_LOOK_WAIT_S
        for process in processes:
            process.look()
        assert [each.is_heir(market_data) for each in processes] == [False, False, True]
        assert not any(processes[2].is_heir(row) for row in SESSIONS)


def test_request_says_where_a_connection_comes_from() -> None:
    """Both ways, also for IPv6 and certificates."""
    for arrival in (Arrival("192.0.2.7", 5555), Arrival("2001:db8::1", 1, True, "ab" * 32)):
        assert RelayRequest.of(arrival).arrival == arrival


class ClientSide(asyncio.Protocol):
    """Accepts a client and passes it on, as the edge does after the first message."""

    def __init__(self, owner: Path, lost: asyncio.Event) -> None:
        self._owner = owner
        self._lost = lost
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.pause_reading()
        self._task = asyncio.ensure_future(self._pass_on(data))

    async def _pass_on(self, data: bytes) -> None:
        owner = await OwnerEnd.connect(self._owner)
        owner.bridge(self._transport, Arrival("192.0.2.7", 5555), data, self._lost.set)


def test_bytes_are_passed_on_no_faster_than_they_are_taken(tmp_path: Path) -> None:
    """Both ways and whole; who does not read keeps the other side from being read."""

    async def scenario() -> None:
        received: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await received.put((reader, writer))

        lost = asyncio.Event()
        path = tmp_path / "owner.sock"
        owner_server = await asyncio.start_unix_server(take, str(path))
        loop = asyncio.get_running_loop()
        edge = await loop.create_server(lambda: ClientSide(path, lost), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*edge.sockets[0].getsockname())
        writer.write(b"first" + bytes(MANY_BYTES))
        owner_reader, owner_writer = await received.get()
        line = await owner_reader.readline()
        assert b'"do":"relay"' in line
        assert b'"peer":"192.0.2.7:5555"' in line
        await asyncio.sleep(0.1)  # Long enough for all of it, if nobody held it back.
        assert writer.transport.get_write_buffer_size() > 0
        assert await owner_reader.readexactly(5) == b"first"
        assert await owner_reader.readexactly(MANY_BYTES) == bytes(MANY_BYTES)
        owner_writer.write(bytes(MANY_BYTES) + b"last")
        await asyncio.sleep(0.1)
        assert owner_writer.transport.get_write_buffer_size() > 0
        assert await reader.readexactly(MANY_BYTES) == bytes(MANY_BYTES)
        owner_writer.close()
        assert await reader.read() == b"last"
        writer.close()
        await asyncio.wait_for(lost.wait(), 20)
        edge.close()
        owner_server.close()

    uvloop.run(asyncio.wait_for(scenario(), 30))
