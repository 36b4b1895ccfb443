"""`wcx kill --local`: with nothing but the engine, and with the kernel's word for who asks."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from engine.commands import LiftKillSwitch, PullKillSwitch
from engine.events import OrderAccepted, OrderRejected
from engine.exchange import Exchange
from engine.order import Side
from engine.reasons import RejectReason
from engine.runtime.journal import Journal, inspect_tail, lock_journal, read_records
from engine.runtime.metrics import EngineMetrics
from engine.runtime.sequencer import Sequencer
from engine.runtime.server import LinkServer
from engine.scope import Scope
from engine.sweeper import CANCELED_MAX
from engine.units import Seq
from fix_gateway.break_glass import BreakGlassError, send
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BTC,
    REFERENCE_COMMANDS,
    START_NS,
    USD,
    account_commands,
    new_order,
)

USER = f"os:{getpass.getuser()}"


class Venue:
    """An engine without doors, on which ALICE may trade."""

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
        self.server = LinkServer(
            self.sequencer, EngineMetrics(), durability="fsync", on_fault=lambda _fault: None
        )
        funds = {USD: 10**15, BTC: 10**15}
        accounts = account_commands(ALICE, funds)  # type: ignore[arg-type]
        self.sequencer.commit([*REFERENCE_COMMANDS, *accounts])

    def order(self, name: str) -> OrderAccepted | OrderRejected:
        order = new_order(ALICE, Side.BUY, 1, 1, cl_ord_id=name)
        ((event,),) = self.sequencer.commit([order]).events
        assert isinstance(event, OrderAccepted | OrderRejected)
        return event

    async def kill(self, scope: Scope, name: str) -> str:
        return await send(self.socket, PullKillSwitch(scope, 0, "a test"), name)

    async def revive(self, scope: Scope, name: str) -> str:
        return await send(self.socket, LiftKillSwitch(scope, 0, "it is over"), name)


def on_a_venue(tmp_path: Path, scenario: Callable[[Venue], Awaitable[None]]) -> None:
    async def run() -> None:
        venue = Venue(tmp_path)
        await venue.server.start(venue.socket)
        try:
            await scenario(venue)
        finally:
            venue.server.stop()
            venue.journal.close()

    uvloop.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize(
    ("scope", "name", "title"),
    [
        (Scope.EVERYTHING, "0", "the venue"),
        (Scope.FIRM, "1", "firm 1"),
        (Scope.ACCOUNT, "1", "account 1"),
        (Scope.ACCOUNT, "ALICE", "account 1"),
    ],
)
def test_killed_and_revived(tmp_path: Path, scope: Scope, name: str, title: str) -> None:
    """It says what it has done, and who the kernel says has asked for it."""

    async def scenario(venue: Venue) -> None:
        venue.order("a")
        assert await venue.kill(scope, name) == f"{title}: stopped, 1 orders cancelled, by {USER}"
        refused = venue.order("b")
        assert isinstance(refused, OrderRejected)
        assert refused.reason is RejectReason.KILLED
        assert await venue.revive(scope, name) == f"{title}: takes new orders again, by {USER}"
        assert isinstance(venue.order("c"), OrderAccepted)

    on_a_venue(tmp_path, scenario)


def test_waits_until_the_last_order_is_cancelled(tmp_path: Path) -> None:
    """However many there are; the count is that of all."""

    async def scenario(venue: Venue) -> None:
        count = 2 * CANCELED_MAX + 1
        orders = [new_order(ALICE, Side.BUY, 1, 1, cl_ord_id=f"o{n}") for n in range(count)]
        venue.sequencer.commit(orders)
        assert f"stopped, {count} orders" in await venue.kill(Scope.EVERYTHING, "0")
        assert venue.sequencer.exchange.open_order_count() == 0

    on_a_venue(tmp_path, scenario)


def test_nobody_can_speak_in_another_name(tmp_path: Path) -> None:
    """A door may say who asks; the user of its process stands behind it in the journal."""

    async def scenario(venue: Venue) -> None:
        command = PullKillSwitch(Scope.EVERYTHING, 0, "a test", "operator:carol os:root-not")
        said = await send(venue.socket, command, "0")
        assert said.endswith(f"by operator:carol os:root-not {USER}")

    on_a_venue(tmp_path, scenario)
    directory = tmp_path / "journal"
    (actor,) = [
        command.actor
        for record in read_records(directory, until_seq=inspect_tail(directory).last_seq)
        for command in [record.command()]
        if isinstance(command, PullKillSwitch)
    ]
    assert actor.endswith(f" {USER}")


@pytest.mark.parametrize(
    ("scope", "name", "text"),
    [
        (Scope.ACCOUNT, "9", "nothing done: ACCOUNT_UNKNOWN: no such account"),
        (Scope.ACCOUNT, "NOBODY", "nothing done: 0 accounts are named NOBODY"),
        (Scope.FIRM, "ALICE", "nothing done: ALICE is no number of a firm"),
        (Scope.SESSION, "5", "nothing done: SESSION_UNKNOWN: no such session"),
    ],
)
def test_slip_of_the_finger_is_told(tmp_path: Path, scope: Scope, name: str, text: str) -> None:
    """Nobody must believe that something was stopped when it was not."""

    async def scenario(venue: Venue) -> None:
        with pytest.raises(BreakGlassError) as caught:
            await venue.kill(scope, name)
        assert str(caught.value) == text

    on_a_venue(tmp_path, scenario)


def test_no_engine_is_told(tmp_path: Path) -> None:
    """Nothing was done, and it says so."""

    async def ask() -> None:
        command = PullKillSwitch(Scope.EVERYTHING, 0, "a test")
        with pytest.raises(BreakGlassError, match="nothing done: no engine answers at"):
            await send(tmp_path / "engine.sock", command, "0")

    uvloop.run(ask())
