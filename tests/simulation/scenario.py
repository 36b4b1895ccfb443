"""One simulated venue from one seed: two doors, an engine, an operator, and all that goes wrong."""

import asyncio
import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from engine.commands import AdjustBalance, Command
from engine.exchange import Exchange
from engine.runtime.client import EngineLink, LinkClosedError
from engine.units import AccountId, Money, Seq, SessionId
from fix_gateway.fix.engine_link import GatewayLink
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    NOTIONAL_FACTOR,
    REFERENCE_COMMANDS,
    USD,
    account_commands,
)
from tests.simulation.client import Client
from tests.simulation.disk import MountedDisk, SimDisk
from tests.simulation.door import DoorFiles, DoorProcess
from tests.simulation.engine import STOPPED, Clock, EngineProcess, Parts
from tests.simulation.judge import ORDER_QTY_MAX, Judge, Released
from tests.simulation.loop import PROCESS, Process
from tests.simulation.network import NetworkLoop

ACCOUNTS: Final = {1: ALICE, 2: BOB, 3: ALICE, 4: BOB}
DOORS: Final = ((1, 2, 3), (4, 1))  # Session 1 is wanted by both.
FUNDS: Final = 60 * 100
SETTLE_S: Final = 400.0
UNTRACED: Final = ("event", "seconds")  # Real seconds differ from run to run.


class Variant(Parts):
    """What the venue is made of. A bug is a variant that replaces a part."""

    def make_link(self, socket: Path, journal: Path, door: DoorProcess, clock: Any) -> GatewayLink:
        """Return the door's link."""
        return GatewayLink(socket, journal, door, clock)


@dataclass
class Outcome:
    """What became of a seed. `fault` is None when everything was as it must be."""

    seed: int
    fault: str | None = None
    trace: list[str] = field(default_factory=list)
    record_count: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    simulated_s: float = 0.0


class Venue:
    """Everything of one simulation. All of it happens in the loop's thread."""

    def __init__(self, loop: NetworkLoop, directory: Path, seed: int, variant: Variant) -> None:
        self.loop = loop
        self.directory = directory
        self.variant = variant
        self.outcome = Outcome(seed)
        self.random = Random(f"{seed}/schedule")
        self.disk = SimDisk(directory, loop, Random(f"{seed}/disk"))
        self.clock = Clock(loop, self.random)
        self.segment_bytes_max = self.random.choice((700, 1500, 4000, 1 << 20))
        self.released = Released()
        loop.network.taps.append(self.released.tap)
        self.clients = {
            number: Client(SessionId(number), account_id, Random(f"{seed}/client {number}"))
            for number, account_id in ACCOUNTS.items()
        }
        self.files = {SessionId(number): DoorFiles() for number in ACCOUNTS}
        self.judge = Judge(directory / "journal", self.released, list(self.clients.values()))
        self.engine: EngineProcess | None = None
        self.doors: list[tuple[Process, DoorProcess] | None] = [None for _ in DOORS]
        self.is_quiet = False
        self.is_set_up = False
        self.is_paying = False
        self.payments: list[str] = []
        self.operator = Process("operator")

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        text = text.replace(f"{self.directory}/", "")
        self.outcome.trace.append(f"{self.loop.now_s:11.6f}  {text}")

    def count(self, what: str) -> None:
        """Count what has happened, for the summary."""
        self.outcome.counts[what] = self.outcome.counts.get(what, 0) + 1

    # The engine.

    def start_engine(self) -> None:
        """Start the engine, unless it runs."""
        if self.engine is not None and self.engine.process.is_alive:
            return
        if self.random.random() < 0.1:
            self.note("machine: files are read anew from the disk")
            self.disk.drop_cache()
        self.engine = EngineProcess(
            self.directory, self.disk, self.clock, self, self.variant, self.on_disk_death
        )
        self.engine.process.on_death.append(self._restart_engine)
        self.engine.process.spawn(self.engine.run(self.segment_bytes_max))
        if not self.is_quiet and self.random.random() < 0.15:
            # It will not even recover undisturbed.
            self.engine.disk.kill_after = self.random.randint(0, 12)

    def _restart_engine(self) -> None:
        self.loop.after(self.random.choice((0.05, 0.2, 1.0, 4.0)), self.start_engine)

    def on_recovered(self, exchange: Exchange, last_seq: Seq) -> None:
        """An engine stands where the journal ends."""
        self.note(f"engine: recovered up to {last_seq}")
        self.judge.look_at_recovery(exchange, last_seq)

    def on_engine_end(self, cause: str) -> None:
        """An engine has ended by itself."""
        self.note(f"engine: ended, {cause}")
        self.count("engine ended by itself")
        if cause != STOPPED and not self.is_quiet and self.random.random() < 0.4:
            # A machine whose disk fails is seldom well otherwise.
            self.loop.after(0.0, self.cut_power)

    def on_disk_death(self, process: Process) -> None:
        """The engine dies in a system call, alone or with the whole machine."""
        if self.random.random() < 0.5:
            self.note("engine: killed in a system call")
            process.kill()
            self.count("killed in a system call")
        else:
            self.cut_power()

    def cut_power(self) -> None:
        """Everything on the machine dies; of what was not synced some is lost."""
        self.note("machine: power cut")
        if self.engine is not None:
            self.engine.process.kill()
        for place in range(len(DOORS)):
            self._kill_door(place)
        self.disk.fail_power()
        self.count("power cut")

    # Doors.

    def start_door(self, place: int) -> None:
        """Start the door, unless it runs."""
        running = self.doors[place]
        if running is not None and running[0].is_alive:
            return
        process = Process(f"door{place}")
        door = process.context().run(
            DoorProcess,
            [self.clients[number] for number in DOORS[place]],
            self.files,
            Random(self.random.random()),
            lambda door: self.variant.make_link(
                self.directory / "engine.sock", self.directory / "journal", door, self.loop.time
            ),
            self.clock,
        )
        self.doors[place] = (process, door)
        process.on_death.append(
            lambda: self.loop.after(self.random.choice((0.1, 1.0, 5.0)), self.start_door, place)
        )
        process.spawn(door.run())

    def _kill_door(self, place: int) -> None:
        running = self.doors[place]
        if running is not None:
            running[0].kill()

    def log_on(self, number: int, *, is_reset: bool = False) -> None:
        """A client tries its doors, as it does for ever."""
        client = self.clients[number]
        if client.take is not None:
            return
        for running in self.doors:
            if running is None or not running[0].is_alive:
                continue
            process, door = running
            session = door.sessions.get(client.session_id)
            if session is not None and session.generation:
                is_reset = is_reset or (not self.is_quiet and self.random.random() < 0.15)
                if is_reset:
                    self.count("reset of the numbers")
                process.spawn(door.log_on(session, is_reset=is_reset))
                return

    # Mischief.

    def misbehave(self) -> None:
        """Do something bad, chosen by the seed."""
        what = self.random.choice(MISCHIEF)
        self.count(what.__name__.strip("_").replace("_", " "))
        what(self)

    def _kill_engine(self) -> None:
        self.note("engine: killed")
        if self.engine is not None:
            self.engine.process.kill()

    def _kill_engine_at_the_disk(self) -> None:
        if self.engine is not None:
            self.engine.disk.kill_after = self.random.randint(0, 15)

    def _kill_engine_as_it_sends(self) -> None:
        if self.engine is not None:
            self.loop.network.kill_after(self.engine.process, self.random.randint(0, 8))

    def _stop_engine(self) -> None:
        self.note("engine: asked to stop")
        if self.engine is not None:
            self.engine.stopped.set()

    def _kill_a_door(self) -> None:
        place = self.random.randrange(len(DOORS))
        self.note(f"door{place}: killed")
        self._kill_door(place)

    def _kill_a_door_as_it_sends(self) -> None:
        running = self.random.choice(self.doors)
        if running is not None:
            self.loop.network.kill_after(running[0], self.random.randint(0, 4))

    def _cut_a_link(self) -> None:
        self.note("network: a link is cut")
        self.loop.network.cut_some_link()

    def _stall_a_link(self) -> None:
        self.note("network: a link stalls")
        self.loop.network.stall_some_link(self.random.choice((0.5, 3.0, 7.0)))

    def _disconnect_a_client(self) -> None:
        self.random.choice(list(self.clients.values())).take = None

    def _reset_in_full_flight(self) -> None:
        number = self.random.choice(list(self.clients))
        client = self.clients[number]
        if client.take is None:
            return
        doors = [running[1] for running in self.doors if running is not None]
        for door in doors:
            door.flush_chance = 0.0
        client.send(is_lost=False)
        for door in doors:
            door.flush_chance = 0.8
        client.take = None
        self.log_on(number, is_reset=True)

    def _break_disk(self) -> None:
        call = self.random.choice(DISK_FAULTS)
        self.note(f"disk: fault of {call}")
        self.count(f"disk fault of {call}")
        if call == "full":
            self.disk.is_full = True
            self.loop.after(self.random.choice((0.5, 3.0)), self._make_room)
        else:
            self.disk.fail_next[call] = self.random.choice((errno.EIO, errno.ENOSPC))

    def _make_room(self) -> None:
        self.disk.is_full = False

    def _set_clock(self) -> None:
        step_s = self.random.choice((-3600, -5, -0.5, 2, 30, 3600))
        self.note(f"clock: set by {step_s} s")
        self.clock.offset_ns += int(step_s * 1e9)

    # The operator.

    async def operate(self) -> None:
        """Define what is traded, then pay money in, again and again, each time until it is done."""
        commands: list[Command] = [*REFERENCE_COMMANDS]
        funds = {USD: FUNDS * NOTIONAL_FACTOR, BTC: FUNDS // 100 * BASE_FACTOR}
        for account_id in (ALICE, BOB):
            commands += _accounts(account_id, funds)
        for command in commands:
            await self._insist(command)
        self.is_set_up = True
        while not self.is_quiet:
            await asyncio.sleep(self.random.uniform(0, 1))
            self.is_paying = True
            self.payments.append(f"payment {len(self.payments)}")
            account_id = self.random.choice((ALICE, BOB))
            amount = Money(self.random.randint(1, 10**6))
            await self._insist(AdjustBalance(account_id, USD, amount, self.payments[-1]))
            self.is_paying = False

    async def _insist(self, command: Command) -> None:
        link: EngineLink | None = None
        while True:
            try:
                link = await EngineLink.connect(
                    self.directory / "engine.sock",
                    "operator",
                    on_records=lambda _records: None,
                    on_closed=lambda _in_doubt: None,
                )
                await link.submit(command)
                if self.random.random() < 0.2:
                    status = await link.status(with_state_hash=True)
                    self.released.hashes[status.last_seq] = status.state_hash
                link.close()
            except (OSError, LinkClosedError, TimeoutError):
                if link is not None:
                    link.close()
                await asyncio.sleep(0.2)
            else:
                return


MISCHIEF: Final = (
    Venue._kill_engine,
    Venue._kill_engine_at_the_disk,
    Venue._kill_engine_at_the_disk,
    Venue._kill_engine_as_it_sends,
    Venue._stop_engine,
    Venue.cut_power,
    Venue._kill_a_door,
    Venue._kill_a_door_as_it_sends,
    Venue._cut_a_link,
    Venue._stall_a_link,
    Venue._break_disk,
    Venue._break_disk,
    Venue._set_clock,
    Venue._disconnect_a_client,
    Venue._reset_in_full_flight,
)
DISK_FAULTS: Final = ("write", "sync", "sync", "open", "unlink", "ftruncate", "full", "full")


def _accounts(account_id: AccountId, funds: dict[Any, int]) -> list[Command]:
    return account_commands(account_id, funds, order_qty_max=ORDER_QTY_MAX)  # type: ignore[arg-type]


async def play(venue: Venue) -> None:
    """Set the venue up, trade while it is broken in every way, let it settle, and judge."""
    random = venue.random
    loop = venue.loop
    venue.start_engine()
    for place in range(len(DOORS)):
        venue.start_door(place)
    venue.operator.spawn(venue.operate())
    is_wild_from_the_start = random.random() < 0.3
    while not venue.is_set_up:
        await asyncio.sleep(0.05)
        if is_wild_from_the_start and random.random() < 0.1:
            venue.misbehave()
        assert loop.now_s < SETTLE_S, "the operator never came through"
    mischief = random.choice((0.0, 0.01, 0.03, 0.06))
    for _ in range(random.choice((60, 150))):
        await asyncio.sleep(random.choice((0.0005, 0.003, 0.02, 0.3)))
        number = random.choice(list(venue.clients))
        client = venue.clients[number]
        if client.take is None:
            venue.log_on(number)
        else:
            for _ in range(random.choice((1, 1, 2, 6))):
                if client.take is not None:
                    client.send(is_lost=random.random() < 0.01)
        if random.random() < mischief:
            venue.misbehave()
    await _settle(venue)
    venue.judge.look_at_the_end(venue.payments)
    venue.cut_power()
    disk = MountedDisk(venue.disk, lambda: True, lambda: None)
    exchange, done = venue.variant.recover(venue.directory / "journal", disk)
    venue.on_recovered(exchange, done.last_seq)
    venue.outcome.record_count = done.last_seq


async def _settle(venue: Venue) -> None:
    """Stop the mischief and wait until everything is answered and told."""
    venue.is_quiet = True
    venue.note("mischief ends")
    venue.disk.fail_next.clear()
    venue.disk.is_full = False
    if venue.engine is not None:
        venue.engine.disk.kill_after = None
    deadline_s = venue.loop.now_s + SETTLE_S
    while not _is_settled(venue):
        assert venue.loop.now_s < deadline_s, f"never settled: {_what_is_open(venue)}"
        await asyncio.sleep(0.5)
        for number in venue.clients:
            venue.log_on(number)


def _is_settled(venue: Venue) -> bool:
    return not _what_is_open(venue)


def _what_is_open(venue: Venue) -> list[str]:
    open_ends = ["the operator is at work"] if venue.is_paying else []
    for place, running in enumerate(venue.doors):
        if running is None or not running[0].is_alive:
            open_ends.append(f"door{place} is down")
        elif not running[1].link.is_available or running[1].link.depth:
            open_ends.append(f"door{place} waits, depth {running[1].link.depth}")
        elif running[1].link.last_seq < venue.released.last_seq:
            open_ends.append(f"door{place} has read up to {running[1].link.last_seq}")
    for client in venue.clients.values():
        holders = [
            session
            for running in venue.doors
            if running is not None and running[0].is_alive
            for session in [running[1].sessions.get(client.session_id)]
            if session is not None and session.generation and session.is_logged_on
        ]
        if not holders:
            open_ends.append(f"session {client.session_id} is not logged on")
        elif holders[0].expected != len(client.messages[client.epoch]) + 1:
            open_ends.append(f"session {client.session_id} expects {holders[0].expected}")
        elif holders[0].outbox:
            open_ends.append(f"session {client.session_id} has reports to be sent")
    return open_ends


@contextmanager
def _logs_into(venue: Venue) -> Iterator[None]:
    def take(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        del logger, method
        process = PROCESS.get()
        name = "-" if process is None else process.name
        fields = [f"{key}={value}" for key, value in event.items() if key not in UNTRACED]
        venue.note(" ".join([f"{name}:", str(event["event"]), *fields]))
        raise structlog.DropEvent

    saved = structlog.get_config()
    structlog.configure(
        processors=[take], wrapper_class=structlog.BoundLogger, cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**saved)


def simulate(seed: int, variant: Variant | None = None) -> Outcome:
    """Play one seed and return what became of it. The same seed gives the same outcome."""
    with tempfile.TemporaryDirectory(prefix="wcx-simulation-") as directory:
        loop = NetworkLoop(Random(f"{seed}/threads"), Random(f"{seed}/network"))
        venue = Venue(loop, Path(directory), seed, variant or Variant())
        with _logs_into(venue):
            try:
                _run(loop, venue)
            except Exception as fault:
                venue.outcome.fault = f"{type(fault).__name__}: {fault}"
                venue.note(venue.outcome.fault)
            finally:
                venue.is_quiet = True
                for running in venue.doors:
                    if running is not None:
                        running[0].kill()
                if venue.engine is not None:
                    venue.engine.process.kill()
                loop.close()
        venue.outcome.simulated_s = loop.now_s
    return venue.outcome


def _run(loop: NetworkLoop, venue: Venue) -> None:
    work = loop.create_task(play(venue))
    work.add_done_callback(lambda _: loop.stop())
    loop.run_forever()
    if loop.faults:
        raise loop.faults[0]
    work.result()
