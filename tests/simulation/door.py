"""A gateway without FIX: the real `GatewayLink`, and round it what `fix_gateway.app` does.

What the real one keeps in files (the position, the refusals) survives the process here too.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Final

from engine.commands import SessionCommand
from engine.events import CommandRefused, OrderEvent, recipients
from engine.runtime.client import LinkClosedError
from engine.runtime.codec import Record, Welcome
from engine.runtime.feed import BEFORE_ALL, Position, SessionEvent
from engine.session_events import SessionOpened
from engine.units import SessionId
from fix_gateway.fix.engine_link import GatewayLink
from fix_gateway.fix.logon import Admission
from fix_gateway.fix.presence import Presence
from tests.simulation.client import Client, Take, with_grant
from tests.simulation.loop import PROCESS, Process

TICK_S: Final = 1.0
REPEAT_CHANCE: Final = 0.05  # Of sending a command twice, as a door must be free to.
EVENTS_PER_SLICE: Final = 40
ADMISSION: Final = Admission(b"", "", 0)

MakeLink = Callable[["DoorProcess"], GatewayLink]


@dataclass
class DoorFiles:
    """What a session's files say: they survive the process. One process at a time has them."""

    owner: Process | None = None
    sent: Position = BEFORE_ALL
    refusals: set[tuple[int, int]] = field(default_factory=set)


class DoorSession:
    """One session in one door process."""

    def __init__(self, client: Client, files: DoorFiles, link: GatewayLink) -> None:
        self.client = client
        self.presence = Presence(client.row, link)
        self.take: Take | None = None  # What this process gave its client, if it let it in.
        self.files = files
        self.generation = 0
        self.epoch = 0
        self.expected = 0
        self.is_adopted = False
        self.is_told = False
        self.is_logging_on = False
        self.entered: set[tuple[int, int]] = set()
        self.entered_number = 0
        self.outbox: list[SessionEvent] = []

    @property
    def is_logged_on(self) -> bool:
        """Whether this process has the client."""
        return self.client.take is not None

    def note_leaving(self, *, is_graceful: bool) -> None:
        """Say that the client has left, if it has and nobody has said so."""
        if self.take is not None and self.client.take is not self.take:
            self.take = None
            if is_graceful:
                self.presence.note_goodbye()
            self.presence.log_off(self.generation)

    def deliver(self) -> None:
        """Tell the client what is due, if it is logged on. Position and send are one step."""
        if not self.is_logged_on or not self.is_told:
            return
        for event in self.outbox:
            if event.position > self.files.sent:
                self.files.sent = event.position
                self.client.received.append((event.position, event.event))
        self.outbox.clear()


class DoorProcess:
    """A door from its start to its death, a `fix_gateway.fix.engine_link.LinkOwner`."""

    def __init__(
        self,
        clients: list[Client],
        files: dict[SessionId, DoorFiles],
        random: Random,
        make_link: MakeLink,
        clock_ns: Callable[[], int],
    ) -> None:
        self.sessions: dict[SessionId, DoorSession] = {}
        self._clients = clients
        self._files = files
        self.flush_chance = 0.8
        self._random = random
        self._clock_ns = clock_ns
        self._touched: dict[SessionId, DoorSession] = {}
        self._is_caught_up = False
        self.link = make_link(self)

    async def run(self) -> None:
        """Serve until killed."""
        process = PROCESS.get()
        assert process is not None
        process.on_death.append(self._lose_clients)
        self._take_stores(process)
        process.spawn(self.link.run())
        while True:
            await asyncio.sleep(TICK_S)
            self.link.check_progress(asyncio.get_running_loop().time())
            self.link.flush()
            self._take_stores(process)
            for session in self.sessions.values():
                session.note_leaving(is_graceful=self._random.random() < 0.3)
            if self.link.is_available:
                await self._retry_held()

    def is_settled(self) -> bool:
        """Whether everything that was sent is answered and told."""
        return (
            self.link.is_available
            and self.link.depth == 0
            and all(
                session.generation
                and session.is_logged_on
                and not session.outbox
                and session.expected == len(session.client.messages[session.epoch]) + 1
                for session in self.sessions.values()
            )
        )

    # The engine (`LinkOwner`), as `fix_gateway.app.Gateway` does it.

    async def on_linked(self, welcome: Welcome, *, is_first: bool) -> None:
        """Regain the sessions and catch up."""
        del welcome
        await asyncio.gather(*(self._open(session) for session in self.sessions.values()))
        if is_first:
            await self._read_the_past()
            self._is_caught_up = True
        for session in self.sessions.values():
            self._keep_informed(session)

    def on_record(self, record: Record) -> None:
        """Note what sessions are to be told."""
        for event_index, event in enumerate(record.events()):
            if not isinstance(event, OrderEvent):
                continue
            for session_id in recipients(event):
                session = self.sessions.get(session_id)
                if session is not None and session.is_told:
                    position = Position(record.seq, event_index)
                    session.outbox.append(SessionEvent(session_id, position, record.now_ns, event))
                    self._touched[session_id] = session

    def on_batch_end(self) -> None:
        """Tell the clients."""
        touched, self._touched = self._touched, {}
        for session in touched.values():
            session.deliver()

    def on_unsendable(self, command: SessionCommand) -> None:
        """No client here says what cannot be sent."""
        raise AssertionError(command)

    def on_available(self, *, is_available: bool) -> None:
        """Without the engine no grant holds."""
        if not is_available:
            for session in self.sessions.values():
                session.generation = 0

    # Sessions.

    def _take_stores(self, process: Process) -> None:
        for client in self._clients:
            files = self._files[client.session_id]
            if files.owner is None or not files.owner.is_alive:
                files.owner = process
                self.sessions[client.session_id] = DoorSession(client, files, self.link)

    async def _open(self, session: DoorSession) -> None:
        event = await self.link.open_session(
            session.client.session_id, generation=session.generation, reset=False
        )
        if isinstance(event, SessionOpened):
            self._adopt(session, event)
            session.note_leaving(is_graceful=False)
            session.presence.tell(session.generation)

    def _adopt(self, session: DoorSession, opened: SessionOpened) -> None:
        session.generation = opened.generation
        is_same = session.is_adopted and opened.epoch == session.epoch
        # Only orders that did not come from here prove that somebody else has spoken.
        if is_same and opened.watermark <= session.entered_number:
            return
        if session.is_adopted:
            session.client.take = None
        session.is_adopted = True
        session.epoch = opened.epoch
        session.entered_number = opened.watermark
        session.expected = opened.watermark + 1

    async def _retry_held(self) -> None:
        for session in self.sessions.values():
            if session.generation:
                continue
            try:
                await self._open(session)
            except (LinkClosedError, TimeoutError):
                return
            self._keep_informed(session)

    def _keep_informed(self, session: DoorSession) -> None:
        if session.generation and not session.is_told:
            session.outbox = list(
                self.link.read_session_events(session.client.session_id, session.files.sent)
            )
            session.is_told = True
            session.deliver()

    async def _read_the_past(self) -> None:
        granted = {key: session for key, session in self.sessions.items() if session.generation}
        events = self.link.read_events({key: item.files.sent for key, item in granted.items()})
        while part := await asyncio.to_thread(lambda: list(islice(events, EVENTS_PER_SLICE))):
            for event in part:
                granted[event.session_id].outbox.append(event)
        for session in granted.values():
            session.is_told = True
            session.deliver()

    # Clients.

    async def log_on(self, session: DoorSession, *, is_reset: bool) -> None:
        """Let the client log on if that is possible now. Its numbers must fit, or be reset."""
        client = session.client
        if not self._is_caught_up or session.is_logged_on or session.is_logging_on:
            return
        if not session.generation:
            return
        if is_reset or client.epoch not in (0, session.epoch):
            session.is_logging_on = True
            try:
                event = await self.link.open_session(
                    client.session_id, generation=session.generation, reset=True
                )
            except (LinkClosedError, TimeoutError):
                return
            finally:
                session.is_logging_on = False
            if isinstance(event, CommandRefused):
                return
            session.generation = event.generation
            session.epoch = event.epoch
            session.entered_number = event.watermark
            session.expected = event.watermark + 1
            client.must_run |= session.entered
            client.start_epoch(event.epoch)
        elif client.epoch == 0:
            client.start_epoch(session.epoch)
        process = PROCESS.get()
        assert process is not None
        session.note_leaving(is_graceful=False)
        session.take = client.take = lambda number, command: process.call(
            self._consume, session, number, command
        )
        session.presence.log_on(client.row, ADMISSION, session.generation)
        client.resend(session.expected)
        session.deliver()

    def _consume(self, session: DoorSession, number: int, command: SessionCommand) -> None:
        if number < session.expected:
            return
        assert number == session.expected
        session.expected += 1
        key = (session.epoch, number)
        if key in session.files.refusals:
            return
        if not session.generation or not self.link.is_available:
            session.files.refusals.add(key)
            session.client.refused.add(key)
            return
        granted = with_grant(command, session.generation, self._clock_ns())
        session.entered.add(key)
        session.entered_number = number
        self.link.enter(granted)
        if self._random.random() < REPEAT_CHANCE:
            self.link.enter(granted)
        if self._random.random() < self.flush_chance:
            self.link.flush()

    def _lose_clients(self) -> None:
        for session in self.sessions.values():
            session.client.take = None
