"""The edge: a connection that ends in the middle of its Logon takes nothing with it."""

import asyncio
import dataclasses
import time
from typing import cast

import uvloop

from engine.units import SessionId
from fix_gateway.fix.edge import Edge, EdgeLimits
from fix_gateway.fix.entrance import (
    Arrival,
    Authentic,
    Authenticator,
    Entrance,
    EntranceLimits,
)
from fix_gateway.fix.logon import HeartBtIntBounds, Logon
from fix_gateway.fix.sessions import FixSession
from fix_gateway.metrics import GatewayMetrics
from store.sessions import FixSessionRow
from tests.integration.raw_client import RawClient

LIMITS = EdgeLimits(
    logon_wait_s=5.0,
    connections_max=9,
    connections_per_address_max=9,
    connection_rate=9,
    connection_burst=9,
    session_message_rate=9,
    session_message_burst=9,
)
ENTRANCE_LIMITS = EntranceLimits(
    logon_wait_s=5.0, refusal_delay_s=0.1, probe_wait_s=1.0, heart_bt_int=HeartBtIntBounds(1, 60)
)


class Everybody(Authenticator):
    """Lets everybody in."""

    async def authenticate(
        self, row: FixSessionRow | None, logon: Logon, arrival: Arrival
    ) -> Authentic:
        return Authentic(7)

    async def change_password(
        self, session_id: SessionId, username: str, password: str, new_password: str
    ) -> str | None:
        return None


class Waiting:
    """A session that waits for its grant, and remembers who was attached."""

    has_client = False
    client = None
    is_granted = True

    def __init__(self) -> None:
        self.granted = asyncio.Event()
        self.is_waiting = asyncio.Event()
        self.is_attached = asyncio.Event()
        self.attached: list[object] = []
        self.row = cast("FixSessionRow", self)
        self.session_id = 1
        self.heart_bt_int_min_s = self.heart_bt_int_max_s = None

    async def wait_until_granted(self, timeout_s: float) -> bool:
        self.is_waiting.set()
        await asyncio.wait_for(self.granted.wait(), timeout_s)
        return True

    def attach(self, client: object, logon: bytes) -> None:
        self.attached.append((client, logon))
        self.is_attached.set()

    def detach(self) -> None:
        self.attached.clear()


def test_connection_lost_in_the_moment_of_the_grant_is_not_attached() -> None:
    """Nobody would ever detach it, and the session would let no other client in."""

    async def scenario() -> list[object]:
        session = Waiting()
        names = ("FIX.4.4", "T01")
        metrics = GatewayMetrics()
        entrance = Entrance(
            {names: cast("FixSession", session)},
            Everybody(),
            ENTRANCE_LIMITS,
            metrics,
            gateway_comp_id="WCX",
        )
        entrance.is_ready.set()
        edge = Edge(entrance, LIMITS, metrics, flush=lambda: None)
        port = edge.open("127.0.0.1", 0)
        client = await asyncio.to_thread(RawClient, port, "T01")
        client.send_bytes(client.logon_message(is_reset=False))
        await session.is_waiting.wait()
        await asyncio.sleep(0)  # Until it does wait.
        (connection,) = edge._connections
        session.granted.set()
        await asyncio.sleep(0)  # The grant is on its way to the task when the connection ends.
        connection.connection_lost(None)
        await asyncio.sleep(0.05)
        attached = list(session.attached)
        client.cut()
        edge.close()
        connection.abort()
        await asyncio.sleep(0.05)
        return attached

    assert uvloop.run(scenario()) == []


class Undecided(Everybody):
    """Never comes to a decision about a Logon."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.is_spared = asyncio.Event()

    async def authenticate(
        self, row: FixSessionRow | None, logon: Logon, arrival: Arrival
    ) -> Authentic:
        self.is_asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.is_spared.set()
        raise AssertionError


def test_client_that_hangs_up_need_not_be_authenticated() -> None:
    """Many who give up waiting and come back would otherwise keep everybody waiting for ever."""

    async def scenario() -> None:
        authenticator, metrics = Undecided(), GatewayMetrics()
        entrance = Entrance({}, authenticator, ENTRANCE_LIMITS, metrics, gateway_comp_id="WCX")
        entrance.is_ready.set()
        limits = dataclasses.replace(LIMITS, logon_wait_s=600)
        edge = Edge(entrance, limits, metrics, flush=lambda: None)
        port = edge.open("127.0.0.1", 0)
        client = await asyncio.to_thread(RawClient, port, "T01")
        client.send_bytes(client.logon_message(is_reset=False))
        await asyncio.wait_for(authenticator.is_asked.wait(), 30)
        client.cut()
        await asyncio.wait_for(authenticator.is_spared.wait(), 30)
        edge.close()
        await asyncio.sleep(0)

    uvloop.run(scenario())


def test_more_connections_than_allowed_are_closed_at_once() -> None:
    """Counted per address before a byte is read, and counted down when they end."""
    limits = dataclasses.replace(LIMITS, connections_per_address_max=2)

    async def scenario() -> list[bytes]:
        metrics = GatewayMetrics()
        entrance = Entrance({}, Everybody(), ENTRANCE_LIMITS, metrics, gateway_comp_id="WCX")
        edge = Edge(entrance, limits, metrics, flush=lambda: None)
        port = edge.open("127.0.0.1", 0)
        first, second, third = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        heard = [await third[0].read()]
        first[1].close()
        await asyncio.sleep(0.05)
        fourth = await asyncio.open_connection("127.0.0.1", port)
        fourth[1].write(b"no Logon, but listened to" * 3)
        heard.append(await fourth[0].read())
        assert metrics.registry.get_sample_value("fixgw_connections") == 1
        for _, writer in (second, third, fourth):
            writer.close()
        edge.close()
        await asyncio.sleep(0.05)
        assert metrics.registry.get_sample_value("fixgw_connections") == 0
        return heard

    assert uvloop.run(scenario()) == [b"", b""]


def test_connections_in_quick_succession_are_slowed_down() -> None:
    """An address that connects more often than allowed is let in again a moment later."""
    limits = dataclasses.replace(LIMITS, connection_rate=10, connection_burst=2)
    edge = Edge(cast("Entrance", None), limits, GatewayMetrics(), flush=lambda: None)
    outcomes = [edge.admit("192.0.2.1") for _ in range(3)]
    assert outcomes == [None, None, "too many new connections from this address"]
    assert edge.admit("192.0.2.2") is None
    time.sleep(0.11)
    assert edge.admit("192.0.2.1") is None


def test_client_that_does_not_read_is_cut_off() -> None:
    """What it has not taken waits in memory, up to a limit; then its session is free again."""

    async def scenario() -> tuple[int, bool, list[object]]:
        session = Waiting()
        session.granted.set()
        metrics = GatewayMetrics()
        entrance = Entrance(
            {("FIX.4.4", "T01"): cast("FixSession", session)},
            Everybody(),
            ENTRANCE_LIMITS,
            metrics,
            gateway_comp_id="WCX",
        )
        entrance.is_ready.set()
        edge = Edge(entrance, LIMITS, metrics, flush=lambda: None)
        client = await asyncio.to_thread(RawClient, edge.open("127.0.0.1", 0), "T01")
        client.send_bytes(client.logon_message(is_reset=False))
        await session.is_attached.wait()
        (connection,) = edge._connections
        chunk = bytes(1 << 20)
        count = 0
        while not connection._is_closing and count < 100:
            connection.write(chunk)
            count += 1
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        client.cut()
        edge.close()
        return count, connection in edge._connections, session.attached

    count, is_kept, attached = uvloop.run(scenario())
    assert 8 <= count < 100
    assert not is_kept
    assert attached == []
