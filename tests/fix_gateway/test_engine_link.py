"""The gateway's link: what is in doubt is sent again with its session's grant, nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import uvloop

from engine.commands import CancelOrder, SessionCommand
from engine.events import CancelRejected, CommandRefused
from engine.exchange import Exchange
from engine.runtime.client import EngineLink, LinkClosedError
from engine.runtime.codec import (
    COMMAND_FRAME_BYTES_MAX,
    FrameKind,
    Record,
    Welcome,
    encode_frame,
)
from engine.runtime.journal import Journal, lock_journal
from engine.runtime.metrics import EngineMetrics
from engine.runtime.sequencer import Sequencer
from engine.runtime.server import LinkServer
from engine.session_commands import OpenSession
from engine.session_events import SessionOpened
from engine.units import ClOrdId, OrderId, Seq, SessionId
from fix_gateway.fix.engine_link import GatewayLink
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, START_NS

SESSION = SessionId(1)


def request(number: int, *, generation: int) -> CancelOrder:
    """Return a command that can be told from others by its number."""
    name = ClOrdId(f"c{number}")
    return CancelOrder(SESSION, generation, 1, number, ALICE, name, ClOrdId("unknown"))


class Gateway:
    """An engine, a link to it, and the link's owner, which notes what it is told."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "engine.sock"
        lock_journal(directory / "journal")
        self.journal = Journal(directory / "journal", next_seq=Seq(1))
        self.sequencer = Sequencer(
            Exchange(PreTradeGate()),
            self.journal,
            last_seq=Seq(0),
            last_ns=0,
            clock_ns=lambda: START_NS,
        )
        self.server = self.make_server()
        self.link = GatewayLink(self.socket, directory / "journal", self)
        self.opens = True
        self.fails_when_linked = False
        self.linked: list[bool] = []
        self.grant: SessionOpened | CommandRefused | None = None
        self.rejected: list[str] = []
        self.unsendable: list[int] = []
        self.changed = asyncio.Event()

    def make_server(self) -> LinkServer:
        return LinkServer(
            self.sequencer, EngineMetrics(), durability="fsync", on_fault=lambda _fault: None
        )

    async def restart_server(self) -> None:
        self.server.stop()
        self.server = self.make_server()
        await self.server.start(self.socket)

    async def open(self, *, reset: bool = False) -> None:
        generation = self.grant.generation if isinstance(self.grant, SessionOpened) else 0
        self.grant = await self.link.open_session(SESSION, generation=generation, reset=reset)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 10)

    async def on_linked(self, welcome: Welcome, *, is_first: bool) -> None:
        del welcome
        self.linked.append(is_first)
        if self.fails_when_linked:
            self.fails_when_linked = False
            raise LinkClosedError("the engine went away meanwhile")
        if self.opens:
            await self.open()

    def on_record(self, record: Record) -> None:
        self.rejected += [
            event.cl_ord_id for event in record.events() if isinstance(event, CancelRejected)
        ]

    def on_batch_end(self) -> None:
        self.changed.set()

    def on_unsendable(self, command: SessionCommand) -> None:
        self.unsendable.append(command.msg_seq_num)

    def on_available(self, *, is_available: bool) -> None:
        if not is_available:
            self.grant = None
        self.changed.set()


def with_a_gateway(tmp_path: Path, scenario: Callable[[Gateway], Awaitable[None]]) -> None:
    """Run the scenario on a gateway whose link is kept up."""

    async def run() -> None:
        gateway = Gateway(tmp_path)
        await gateway.server.start(gateway.socket)
        work = asyncio.ensure_future(gateway.link.run())
        try:
            await scenario(gateway)
        finally:
            while not work.done():  # Python 3.11's `wait_for` may swallow a cancellation.
                work.cancel()
                await asyncio.sleep(0.01)
            await asyncio.gather(work, return_exceptions=True)
            gateway.server.stop()
            gateway.journal.close()

    uvloop.run(asyncio.wait_for(run(), 30))


def test_in_doubt_waits_until_its_session_is_granted_again(tmp_path: Path) -> None:
    """Somebody else has the session when the link is back: what is in doubt is not forgotten."""

    async def scenario(gateway: Gateway) -> None:
        await gateway.until(lambda: gateway.link.is_available)
        gateway.opens = False
        gateway.server.stop()
        gateway.link.enter(request(1, generation=1))
        gateway.link.enter(request(2, generation=1))
        gateway.link.flush()
        await gateway.restart_server()
        other = await EngineLink.connect(
            gateway.socket, "other", on_records=lambda _: None, on_closed=lambda _: None
        )
        await other.submit(OpenSession(SESSION))
        await gateway.until(lambda: gateway.link.is_available)
        await gateway.open()
        assert isinstance(gateway.grant, CommandRefused)
        assert gateway.link.depth == 2
        other.close()
        while not isinstance(gateway.grant, SessionOpened):
            await gateway.open()
        await gateway.until(lambda: len(gateway.rejected) == 2)
        assert gateway.rejected == ["c1", "c2"]
        assert gateway.link.depth == 0

    with_a_gateway(tmp_path, scenario)


def test_reset_does_not_overtake_what_was_entered_before(tmp_path: Path) -> None:
    """A command of the old epoch runs before the new epoch begins, flushed or not."""

    async def scenario(gateway: Gateway) -> None:
        await gateway.until(lambda: gateway.link.is_available)
        assert isinstance(gateway.grant, SessionOpened)
        gateway.link.enter(request(1, generation=gateway.grant.generation))
        await gateway.open(reset=True)
        assert gateway.rejected == ["c1"]
        assert gateway.grant == SessionOpened(SESSION, 2, 2, 0)

    with_a_gateway(tmp_path, scenario)


def test_first_link_counts_once_it_is_complete(tmp_path: Path) -> None:
    """An engine that goes away in the middle of the first greeting is greeted first again."""

    async def scenario(gateway: Gateway) -> None:
        gateway.fails_when_linked = True
        await gateway.until(lambda: gateway.link.is_available)
        assert gateway.linked == [True, True]
        await gateway.restart_server()
        await gateway.until(lambda: len(gateway.linked) == 3)
        assert gateway.linked[-1] is False

    with_a_gateway(tmp_path, scenario)


def test_command_that_no_frame_can_hold_is_refused_alone(tmp_path: Path) -> None:
    """The others of its frame arrive in their order, and the link goes on."""

    async def scenario(gateway: Gateway) -> None:
        await gateway.until(lambda: gateway.link.is_available)
        assert isinstance(gateway.grant, SessionOpened)
        good = [request(number, generation=gateway.grant.generation) for number in (1, 3, 5)]
        surrogate = msgspec.structs.replace(good[0], msg_seq_num=2, cl_ord_id=ClOrdId("\udcff"))
        too_big = msgspec.structs.replace(good[0], msg_seq_num=4, received_at_ns=1 << 64)
        for command in (good[0], surrogate, good[1], too_big, good[2]):
            gateway.link.enter(command)
        gateway.link.flush()
        assert gateway.unsendable == [2, 4]
        await gateway.until(lambda: len(gateway.rejected) == 3)
        assert gateway.rejected == ["c1", "c3", "c5"]
        assert gateway.link.depth == 0

    with_a_gateway(tmp_path, scenario)


def test_any_number_of_commands_in_doubt_arrives(tmp_path: Path) -> None:
    """They are more than fit a frame."""
    count = 10_000
    names = [f"c{number:035}" for number in range(count)]
    commands = [
        CancelOrder(
            session_id=SESSION,
            generation=1,
            epoch=1,
            msg_seq_num=number,
            account_id=ALICE,
            cl_ord_id=ClOrdId(name),
            orig_cl_ord_id=ClOrdId("u" * 36),
            order_id=OrderId(10**17),
            received_at_ns=START_NS,
        )
        for number, name in enumerate(names, start=1)
    ]
    assert len(encode_frame(FrameKind.COMMANDS, commands)) > COMMAND_FRAME_BYTES_MAX

    async def scenario(gateway: Gateway) -> None:
        await gateway.until(lambda: gateway.link.is_available)
        gateway.server.stop()
        for command in commands:
            gateway.link.enter(command)
        gateway.link.flush()
        await gateway.restart_server()
        await gateway.until(lambda: len(gateway.rejected) == count)
        assert gateway.rejected == names
        assert gateway.link.depth == 0

    with_a_gateway(tmp_path, scenario)
