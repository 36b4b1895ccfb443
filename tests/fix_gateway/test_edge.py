"""The edge: a connection that ends in the middle of its Logon takes nothing with it."""

import asyncio
from typing import cast

import uvloop

from engine.units import SessionId
from fix_gateway.fix.edge import Authenticator, Edge, EdgeLimits
from fix_gateway.fix.logon import HeartBtIntBounds
from fix_gateway.fix.sessions import FixSession
from fix_gateway.metrics import GatewayMetrics
from store.sessions import FixSessionRow
from tests.integration.raw_client import RawClient

LIMITS = EdgeLimits(logon_wait_s=5.0, connections_max=9, heart_bt_int=HeartBtIntBounds(1, 60))


class Everybody(Authenticator):
    """Lets everybody in."""

    async def verify(self, session_id: SessionId | None, username: str, password: str) -> bool:
        return True


class Waiting:
    """A session that waits for its grant, and remembers who was attached."""

    has_client = False

    def __init__(self) -> None:
        self.granted = asyncio.Event()
        self.is_waiting = asyncio.Event()
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

    def detach(self) -> None:
        self.attached.clear()


def test_connection_lost_in_the_moment_of_the_grant_is_not_attached() -> None:
    """Nobody would ever detach it, and the session would let no other client in."""

    async def scenario() -> list[object]:
        session = Waiting()
        names = ("FIX.4.4", "T01")
        edge = Edge(
            {names: cast("FixSession", session)},
            Everybody(),
            LIMITS,
            GatewayMetrics(),
            gateway_comp_id="WCX",
            flush=lambda: None,
        )
        port = await edge.open("127.0.0.1", 0)
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
