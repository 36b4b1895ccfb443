"""The gateway's link to the engine: kept up, resumed without a gap, and nothing sent is forgotten.

Commands that were sent and not answered when the link went down are in doubt: never refused, sent
again in order as soon as their session is granted again, before anything else of it. The engine
ignores those that it has seen.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from engine.commands import Command, NewOrder, ReplaceOrder, SessionCommand
from engine.events import CommandRefused
from engine.runtime import faults
from engine.runtime.client import EngineLink, LinkClosedError
from engine.runtime.codec import Record, Welcome
from engine.runtime.feed import (
    AccountEvent,
    Position,
    SessionEvent,
    follow_accounts,
    read_session_events,
)
from engine.runtime.journal import read_records
from engine.session_commands import OpenSession, PresenceCommand, ReleaseSession, ResetSession
from engine.session_events import SessionOpened
from engine.units import AccountId, SessionId

RETRY_S: Final = 0.2
ANSWER_WAIT_MAX_S: Final = 5.0
IN_DOUBT_MAX: Final = 10_000
# At a kilobyte each, which none comes near, they fit the frame that the engine takes at most.
COMMANDS_PER_FRAME: Final = 1000
RECORDS_PER_SLICE: Final = 2000
UNSENDABLE: Final = (OverflowError, TypeError, ValueError)

log = structlog.get_logger("fix.engine_link")


class LinkOwner(Protocol):
    """The gateway, as its link sees it."""

    async def on_linked(self, welcome: Welcome, *, is_first: bool) -> None:
        """The engine is there again: regain what must be held. May raise LinkClosedError."""

    def on_record(self, record: Record) -> None:
        """A durable record, in order and without gaps."""

    def on_batch_end(self) -> None:
        """All records that came together have been passed on."""

    def on_available(self, *, is_available: bool) -> None:
        """The engine takes commands, or does not any more."""

    def on_unsendable(self, command: SessionCommand) -> None:
        """The command holds what no frame can, and was not sent: a fault of our own."""


class GatewayLink:
    """The `fix.sessions.Engine` of all sessions. Belongs to the gateway's one thread."""

    def __init__(
        self,
        socket_path: Path,
        journal_dir: Path,
        owner: LinkOwner,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock_s = clock_s
        self._socket_path = socket_path
        self._journal_dir = journal_dir
        self._owner = owner
        self._link: EngineLink | None = None
        self._batch: list[SessionCommand | PresenceCommand] = []
        self._in_doubt: list[SessionCommand] = []
        self._queued: list[Record] | None = None
        self._last_seq = 0
        self._was_linked = False
        self._is_available = False
        self._progress_at_s = 0.0

    @property
    def is_available(self) -> bool:
        """Whether commands are taken now."""
        return self._is_available

    @property
    def last_seq(self) -> int:
        """The last durable record that this process knows of."""
        return self._last_seq

    @property
    def depth(self) -> int:
        """How many commands are on their way or in doubt."""
        waiting = 0 if self._link is None else self._link.unanswered_count
        return waiting + len(self._in_doubt) + len(self._batch)

    @property
    def is_full(self) -> bool:
        """Whether clients must not be read for now."""
        return self.depth >= IN_DOUBT_MAX

    def enter(self, command: SessionCommand) -> None:
        """Send a command with the next `flush`."""
        self._batch.append(command)

    def tell(self, command: PresenceCommand) -> None:
        """Say whether a client is there. Lost with the link: it is said again with each grant."""
        if self._link is not None:
            self._batch.append(command)
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send what was entered as one frame."""
        if not self._batch:
            return
        faults.reach("gateway.before_commands")
        batch, self._batch = self._batch, []
        if self._link is None:
            self._in_doubt += _session_commands(batch)
            return
        if self._link.unanswered_count == 0:
            self._progress_at_s = self._clock_s()
        self._send(self._link, batch)
        faults.reach("gateway.after_commands")

    async def open_session(
        self, session_id: SessionId, *, generation: int, reset: bool
    ) -> SessionOpened | CommandRefused:
        """Ask for a session. What is in doubt of it is sent again as soon as it is granted.

        Raises LinkClosedError or TimeoutError.
        """
        link = self._link
        if link is None:
            raise LinkClosedError("the link to the engine is down")
        self.flush()  # A reset must not overtake what was entered before it.
        outcome = await link.submit(OpenSession(session_id, generation, reset))
        (event,) = outcome.events
        assert isinstance(event, SessionOpened | CommandRefused)
        if self._link is not link:
            raise LinkClosedError("the link went down as the answer came")
        if isinstance(event, SessionOpened):
            self._send_again(link, event)
        return event

    async def reset_session(self, session_id: SessionId) -> None:
        """Begin both numbers anew and end the grant. The event tells when it has happened.

        Raises LinkClosedError or TimeoutError: it may have happened or not.
        """
        if self._link is None:
            raise LinkClosedError("the link to the engine is down")
        self.flush()
        await self._link.submit(ResetSession(session_id))

    def release_session(self, session_id: SessionId, generation: int) -> None:
        """Give a session back, after all that was entered for it. Without a link it is nobody's."""
        self.flush()
        if self._link is not None:
            self._link.send([ReleaseSession(session_id, generation)])

    def read_session_events(
        self,
        session_id: SessionId,
        after: Position,
        heard: AbstractSet[AccountId] = frozenset(),
    ) -> Iterator[SessionEvent]:
        """Return what the session was told after a position, up to what is durable now.

        It is told, too, of what happened to the orders of the accounts that it has `heard`.
        """
        return self.read_events({session_id: after}, {session_id: heard} if heard else {})

    def read_events(
        self,
        positions: Mapping[SessionId, Position],
        heard: Mapping[SessionId, AbstractSet[AccountId]] | None = None,
    ) -> Iterator[SessionEvent]:
        """Return what the sessions were told after their positions, up to what is durable now."""
        return read_session_events(
            self._journal_dir, positions, until_seq=self.last_seq, copied=heard
        )

    def read_account_events(
        self, account_ids: AbstractSet[AccountId], after: Position
    ) -> Iterator[AccountEvent | None]:
        """Return what happened to the accounts' orders after a position, up to now."""
        return follow_accounts(self._journal_dir, account_ids, after, until_seq=self.last_seq)

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            try:
                await self._serve_once()
            except (OSError, LinkClosedError, TimeoutError) as error:
                log.info("engine_away", error=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_S)

    def check_progress(self, now_s: float) -> None:
        """Hang up on an engine that does not answer any more; the link is then tried anew."""
        link = self._link
        if link is None or not link.unanswered_count:
            return
        if now_s - self._progress_at_s > ANSWER_WAIT_MAX_S:
            log.error("engine_does_not_answer", unanswered=link.unanswered_count)
            link.close()

    async def _serve_once(self) -> None:
        closed = asyncio.Event()
        self._queued = []

        def on_closed(in_doubt: list[Command]) -> None:
            self._link = None
            self._set_available(is_available=False)
            batch = _session_commands(self._batch)
            self._in_doubt = _session_commands(in_doubt) + self._in_doubt + batch
            self._batch = []
            closed.set()

        link = await EngineLink.connect(
            self._socket_path, "gateway", on_records=self._take, on_closed=on_closed
        )
        self._link = link
        self._progress_at_s = self._clock_s()
        try:
            await self._resume(link)
            await closed.wait()
        finally:
            link.close()

    async def _resume(self, link: EngineLink) -> None:
        durable_seq = link.welcome.next_seq - 1
        if self._was_linked:
            await self._read_gap(self._last_seq, durable_seq)
        else:
            self._last_seq = durable_seq
        await self._owner.on_linked(link.welcome, is_first=not self._was_linked)
        self._was_linked = True
        if self._link is not link:
            raise LinkClosedError("the link went down while sessions were regained")
        self._pass_on_queued()
        self._set_available(is_available=True)

    async def _read_gap(self, last_seq: int, durable_seq: int) -> None:
        records = read_records(self._journal_dir, after_seq=last_seq, until_seq=durable_seq)
        while part := await asyncio.to_thread(_next_slice, records):
            for record in part:
                self._pass_on(record)
            self._owner.on_batch_end()

    def _pass_on_queued(self) -> None:
        queued, self._queued = self._queued or [], None
        for record in queued:
            self._pass_on(record)
        self._owner.on_batch_end()

    def _take(self, records: list[Record]) -> None:
        self._progress_at_s = self._clock_s()
        if self._queued is not None:
            self._queued += records
            return
        for record in records:
            self._pass_on(record)
        self._owner.on_batch_end()

    def _pass_on(self, record: Record) -> None:
        assert record.seq == self._last_seq + 1
        self._last_seq = record.seq
        self._owner.on_record(record)

    def _send_again(self, link: EngineLink, opened: SessionOpened) -> None:
        """Nothing newer of the session can have been sent: nobody knew yet that it is granted."""
        again: list[SessionCommand] = []
        others: list[SessionCommand] = []
        for command in self._in_doubt:
            is_of_it = command.session_id == opened.session_id
            (again if is_of_it else others).append(command)
        self._in_doubt = others
        if again:
            log.warning("commands_sent_again", session_id=opened.session_id, count=len(again))
            self._send(link, [_renewed(command, opened.generation) for command in again])

    def _send(self, link: EngineLink, commands: Sequence[SessionCommand | PresenceCommand]) -> None:
        for start in range(0, len(commands), COMMANDS_PER_FRAME):
            part = commands[start : start + COMMANDS_PER_FRAME]
            try:
                link.send(part)
            except UNSENDABLE:
                for command in part:
                    self._send_alone(link, command)

    def _send_alone(self, link: EngineLink, command: SessionCommand | PresenceCommand) -> None:
        """Send what can be sent of a frame that could not: one bad command spoils no other."""
        try:
            link.send([command])
        except UNSENDABLE:
            log.exception("command_not_sendable", command=type(command).__name__)
            if isinstance(command, SessionCommand):
                self._owner.on_unsendable(command)

    def _set_available(self, *, is_available: bool) -> None:
        if is_available != self._is_available:
            self._is_available = is_available
            log.info("engine_available" if is_available else "engine_unavailable")
            self._owner.on_available(is_available=is_available)


def _session_commands(commands: Sequence[Command]) -> list[SessionCommand]:
    return [command for command in commands if isinstance(command, SessionCommand)]


def _renewed(command: SessionCommand, generation: int) -> SessionCommand:
    """Return the command under a new grant. An order says when it was first on its way."""
    if isinstance(command, NewOrder | ReplaceOrder):
        sent_ns = command.orig_sent_at_ns or command.received_at_ns
        return msgspec.structs.replace(command, generation=generation, orig_sent_at_ns=sent_ns)
    return msgspec.structs.replace(command, generation=generation)


def _next_slice(records: Iterator[Record]) -> list[Record]:
    part = []
    for record in records:
        part.append(record)
        if len(part) == RECORDS_PER_SLICE:
            break
    return part
