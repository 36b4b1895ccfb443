"""The link: commands in, events out, over a Unix socket.

One thread: what arrives while a batch is being made durable is the next batch. Every door gets an
answer to each of its commands in order (`ACK`, the seqs), and, if it asked for the feed, every
record before the answer that it belongs to. A door that owns sessions is told at once; one that
only follows gets what has happened meanwhile in one piece, every few milliseconds, so that it does
not take the processor from those whose clients wait. A door that does not read its feed is cut off;
it resumes from the journal files.
"""

import asyncio
import os
import pwd
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import msgspec
import structlog

from engine.commands import (
    AdvanceTime,
    Command,
    KillCommand,
    NewOrder,
    SetClOrdIdsMax,
    SetStorageLow,
    SetTradingState,
)
from engine.events import Event
from engine.exchange import RULES_VERSION
from engine.runtime.codec import (
    COMMAND_FRAME_BYTES_MAX,
    LINK_PROTOCOL,
    Balances,
    Book,
    BookQuery,
    FrameKind,
    FrameReader,
    Status,
    Welcome,
    WhatIf,
    decode_balances_query,
    decode_book_query,
    decode_commands,
    decode_hello,
    decode_records,
    decode_status_query,
    decode_what_if_query,
    encode_frame,
    encode_records_frame,
)
from engine.runtime.metrics import (
    FEED_BYTES,
    FUNDS_80,
    FUNDS_95,
    OPEN_ORDERS,
    QUEUED,
    EngineMetrics,
)
from engine.runtime.record_trace import RecordTrace
from engine.runtime.replay import hash_state
from engine.runtime.sequencer import BATCH_COMMANDS_MAX, Sequencer
from engine.session_commands import OpenSession, ReleaseAllSessions, ReleaseSession
from engine.session_events import SessionOpened
from engine.units import AccountId, Seq, SessionId

HELLO_WAIT_S: Final = 5.0
FEED_BUFFER_BYTES_MAX: Final = 64 << 20
FOLLOWER_WAIT_S: Final = 0.005
BOOK_LEVELS_MAX: Final = 10_000  # Of each side: who asks for more holds up all others.
TIMER_WAIT_MAX_S: Final = 60.0  # A clock that is set is noticed within this.

PEER_CREDENTIALS: Final = struct.Struct("=iII")  # pid, uid and gid: `struct ucred`.

SEQUENCER_ONLY: Final = (AdvanceTime, ReleaseAllSessions, SetClOrdIdsMax, SetStorageLow)

log = structlog.get_logger("engine.link")


class LinkServer:
    """Serves the doors and commits what they send. Belongs to the event loop's thread.

    `on_fault` is called once, with the exception, when a batch could not be committed: from then on
    nothing is released any more and the process must end.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        metrics: EngineMetrics,
        *,
        durability: str,
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._sequencer = sequencer
        self._metrics = metrics
        self._durability = durability
        self._on_fault = on_fault
        self._loop = asyncio.get_running_loop()
        # Everybody who is connected, and of them those who have been welcomed.
        self.connections: dict[_Link, None] = {}
        self._links: dict[_Link, None] = {}
        self._pending: list[tuple[_Link | None, Command]] = []
        self._is_commit_due = False
        self._is_stopped = False
        self._clock_steps_seen = 0
        self._trace = RecordTrace("record_committed")
        self._timer: asyncio.TimerHandle | None = None
        self._follower_timer: asyncio.TimerHandle | None = None
        self._server: asyncio.AbstractServer | None = None
        metrics.watch(
            {
                QUEUED: lambda: len(self._pending),
                FEED_BYTES: self._feed_bytes_max,
                OPEN_ORDERS: sequencer.exchange.open_order_count,
                FUNDS_80: lambda: sequencer.exchange.count_funds_used(percent=80),
                FUNDS_95: lambda: sequencer.exchange.count_funds_used(percent=95),
            },
            sequencer.count_limits_used,
        )

    async def start(self, path: Path) -> None:
        """Open the socket, readable by this user alone, and take commands from now on."""
        self.submit(None, ReleaseAllSessions())
        _remove_stale_socket(path)
        mask = os.umask(0o177)
        try:
            self._server = await self._loop.create_unix_server(lambda: _Link(self), str(path))
        finally:
            os.umask(mask)

    def stop(self) -> None:
        """Take no more commands and hang up. All that was answered is durable."""
        self._is_stopped = True
        if self._server is not None:
            self._server.close()
        for timer in (self._timer, self._follower_timer):
            if timer is not None:
                timer.cancel()
        for link in list(self.connections):
            link.abort()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing may leave any more: the state may not be what is durable."""
        return self._is_stopped

    def submit(self, link: "_Link | None", command: Command) -> None:
        """Queue a command for the next batch."""
        self._pending.append((link, command))
        if not self._is_commit_due:
            self._is_commit_due = True
            # Not at once: whatever else this turn of the loop reads shares the batch.
            self._loop.call_soon(self._commit)

    def welcome(self, link: "_Link") -> Welcome:
        """Take the door in, and return what it must know to follow the feed from now on."""
        self._links[link] = None
        self._metrics.links.set(len(self._links))
        exchange = self._sequencer.exchange
        events: list[Event] = [
            *exchange.reference.events(),
            *exchange.session_events(),
            *exchange.rule_events(),
            *exchange.standing_events(),
        ]
        return Welcome(LINK_PROTOCOL, RULES_VERSION, Seq(self._sequencer.last_seq + 1), events)

    def forget(self, link: "_Link") -> None:
        """End the grants of a door that is gone."""
        self._links.pop(link, None)
        self._metrics.links.set(len(self._links))
        if not self._is_stopped:
            for session_id, generation in link.grants.items():
                self.submit(None, ReleaseSession(session_id, generation))

    def status(self, *, with_state_hash: bool) -> Status:
        """Return how the engine is after the last durable record."""
        exchange = self._sequencer.exchange
        return Status(
            last_seq=self._sequencer.last_seq,
            rules_version=RULES_VERSION,
            durability=self._durability,
            links=sorted(link.name for link in self._links),
            open_order_count=exchange.open_order_count(),
            state_hash=hash_state(exchange.state()) if with_state_hash else "",
            is_storage_low=exchange.is_storage_low,
        )

    def what_if(self, order: NewOrder) -> WhatIf:
        """Return what would become of an order. It is not entered, and nothing changes."""
        rejection = self._sequencer.find_refusal(order)
        last_seq = self._sequencer.last_seq
        return WhatIf(last_seq) if rejection is None else WhatIf(last_seq, *rejection)

    def balances(self, account_id: AccountId) -> Balances:
        """Return what an account has after the last durable record."""
        lines = self._sequencer.exchange.balances_of(account_id)
        return Balances(self._sequencer.last_seq, lines)

    def book(self, query: BookQuery) -> Book:
        """Return what the world may see of a book after the last durable record."""
        last_seq = self._sequencer.last_seq
        book = self._sequencer.exchange.find_book(query.instrument_id)
        if book is None:
            return Book(last_seq, None)
        level_count_max = min(query.level_count_max, BOOK_LEVELS_MAX)
        return Book(
            last_seq,
            book.market,
            book.bids.depth(level_count_max),
            book.asks.depth(level_count_max),
        )

    def _commit(self) -> None:
        self._is_commit_due = False
        if self._is_stopped:
            return
        started_s = time.perf_counter()
        pending = self._pending[:BATCH_COMMANDS_MAX]
        self._pending = self._pending[BATCH_COMMANDS_MAX:]
        try:
            batch = self._sequencer.commit([command for _, command in pending])
        except BaseException as fault:
            # Whatever it is: what was applied may not be what was journaled, so nothing leaves.
            self._is_stopped = True
            self._on_fault(fault)
            return
        self._metrics.commit_seconds.observe(time.perf_counter() - started_s)
        self._metrics.append_seconds.observe(self._sequencer.append_s)
        self._metrics.batch_records.observe(batch.record_count)
        self._metrics.last_seq.set(self._sequencer.last_seq)
        self._count_clock_steps_back()
        if batch.records:
            self._release(batch.records)
        self._answer(pending, batch.seqs, batch.events)
        self._pass_on()
        if self._trace.is_on and batch.records:
            self._trace.note(decode_records(batch.records))
        if self._pending:
            self._is_commit_due = True
            self._loop.call_soon(self._commit)
        self._set_timer()

    def _feed_bytes_max(self) -> int:
        return max((link.unread_bytes for link in self._links), default=0)

    def _count_clock_steps_back(self) -> None:
        steps = self._sequencer.clock_steps_back - self._clock_steps_seen
        if steps:
            self._clock_steps_seen += steps
            self._metrics.clock_steps_back.inc(steps)
            log.warning("clock_stepped_back", times=steps)

    def _release(self, records: bytes) -> None:
        frame = encode_records_frame(records)
        for link in list(self._links):
            if link.wants_feed:
                link.hold_feed(frame)

    def _pass_on(self) -> None:
        """Pass the feed on to those who have had no answer with it: now, or a little later."""
        is_held = False
        for link in self._links:
            if link.grants:
                link.flush_feed()
            elif link.holds_feed:
                is_held = True
        if is_held and self._follower_timer is None:
            self._follower_timer = self._loop.call_later(FOLLOWER_WAIT_S, self._tell_followers)

    def _tell_followers(self) -> None:
        self._follower_timer = None
        for link in self._links:
            link.flush_feed()

    def _answer(
        self,
        pending: list[tuple["_Link | None", Command]],
        seqs: list[Seq],
        events: list[list[Event]],
    ) -> None:
        answers: dict[_Link, list[Seq]] = {}
        tally = self._metrics.tally
        for (link, command), seq, happened in zip(pending, seqs, events, strict=True):
            tally.add(command, happened)
            if link is None:
                continue
            answers.setdefault(link, []).append(seq)
            if isinstance(command, OpenSession) and isinstance(happened[0], SessionOpened):
                self._note_grant(link, happened[0])
        for link, answered in answers.items():
            link.send(encode_frame(FrameKind.ACK, answered))

    def _note_grant(self, link: "_Link", opened: SessionOpened) -> None:
        link.grants[opened.session_id] = opened.generation
        if link not in self._links:
            # The door died while its grant was being made durable.
            self.submit(None, ReleaseSession(opened.session_id, opened.generation))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait_ns = self._sequencer.wait_ns()
        if wait_ns is not None:
            wait_s = min(wait_ns / 1e9, TIMER_WAIT_MAX_S)
            self._timer = self._loop.call_later(wait_s, self._commit)


def _remove_stale_socket(path: Path) -> None:
    # The journal's lock says that no other engine lives, so whoever left it there is gone.
    path.unlink(missing_ok=True)


def _user_of(transport: asyncio.Transport) -> str:
    """Return the name of the user whose process is at the other end, or its number as text."""
    connection = transport.get_extra_info("socket")
    credentials = connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size
    )
    _, user_id, _ = PEER_CREDENTIALS.unpack(credentials)
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


class _Link(asyncio.Protocol):
    """One door's connection."""

    def __init__(self, server: LinkServer) -> None:
        self.name = ""
        self.wants_feed = False
        self.grants: dict[SessionId, int] = {}
        self._server = server
        self._reader = FrameReader(COMMAND_FRAME_BYTES_MAX)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._transport: asyncio.Transport
        self._hello_timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport but not its type.
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._hello_timer = loop.call_later(HELLO_WAIT_S, self.abort)
        self._server.connections[self] = None

    def data_received(self, data: bytes) -> None:
        if self._server.is_stopped:
            return
        try:
            for kind, body in self._reader.feed(data):
                self._take(kind, body)
        except (ValueError, msgspec.DecodeError) as error:
            log.warning("link_frame_refused", link=self.name, error=str(error))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hello_timer.cancel()
        self._server.connections.pop(self, None)
        if self.wants_feed:
            log.info("link_closed", link=self.name, cause=str(exc) if exc else "hung up")
        self._server.forget(self)

    @property
    def unread_bytes(self) -> int:
        """What the door has not taken yet."""
        return self._transport.get_write_buffer_size() + self._held_bytes

    @property
    def holds_feed(self) -> bool:
        """Whether there are records that have not been passed on."""
        return bool(self._held)

    def send(self, frame: bytes) -> None:
        """Queue an answer, after the records that are held."""
        self._held.append(frame)
        self.flush_feed()

    def hold_feed(self, frame: bytes) -> None:
        """Keep records until the next `send` or `flush_feed`, or cut off who does not read them."""
        if self.unread_bytes > FEED_BUFFER_BYTES_MAX:
            log.warning("slow_feed_reader_cut_off", link=self.name)
            self.abort()
            return
        self._held.append(frame)
        self._held_bytes += len(frame)

    def flush_feed(self) -> None:
        """Queue the records that are held."""
        if self._held:
            # uvloop raises for a connection that was cut before `connection_lost` is called.
            if not self._transport.is_closing():
                self._transport.write(b"".join(self._held))
            self._held.clear()
            self._held_bytes = 0

    def abort(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    def _take(self, kind: FrameKind, body: bytes) -> None:
        if kind is FrameKind.HELLO:
            self._greet(body)
        elif not self.name:
            raise ValueError("the first frame of a link must be a greeting")
        elif kind is FrameKind.COMMANDS:
            commands = decode_commands(body)
            if any(isinstance(command, SEQUENCER_ONLY) for command in commands):
                raise ValueError("a door sent what only the sequencer may")
            for command in commands:
                self._server.submit(self, self._signed(command))
        elif kind is FrameKind.STATUS_QUERY:
            query = decode_status_query(body)
            status = self._server.status(with_state_hash=query.with_state_hash)
            self.send(encode_frame(FrameKind.STATUS, status))
        elif kind is FrameKind.BALANCES_QUERY:
            asked = decode_balances_query(body)
            balances = self._server.balances(asked.account_id)
            self.send(encode_frame(FrameKind.BALANCES, balances))
        elif kind is FrameKind.WHAT_IF_QUERY:
            what_if = self._server.what_if(decode_what_if_query(body))
            self.send(encode_frame(FrameKind.WHAT_IF, what_if))
        elif kind is FrameKind.BOOK_QUERY:
            self.send(encode_frame(FrameKind.BOOK, self._server.book(decode_book_query(body))))
        else:
            raise ValueError(f"a door may not send a {kind.name} frame")

    def _signed(self, command: Command) -> Command:
        """Return the command with the user who asks, as the system's kernel knows him."""
        if not isinstance(command, KillCommand | SetTradingState):
            return command
        user = f"os:{_user_of(self._transport)}"
        actor = f"{command.actor} {user}" if command.actor else user
        if isinstance(command, SetTradingState):
            log.warning(
                "trading_state",
                instrument_id=command.instrument_id,
                state=command.state.name,
                actor=actor,
            )
        else:
            scope, scope_id = command.scope.name, command.scope_id
            log.warning("kill_switch", scope=scope, scope_id=scope_id, actor=actor)
        signed: Command = msgspec.structs.replace(command, actor=actor)
        return signed

    def _greet(self, body: bytes) -> None:
        hello = decode_hello(body)
        if hello.protocol != LINK_PROTOCOL or not hello.name or self.name:
            raise ValueError(f"greeting refused: {hello}")
        self._hello_timer.cancel()
        self.name = hello.name
        self.wants_feed = hello.wants_feed
        if self.wants_feed:  # Who only asks how the engine is comes and goes: no news.
            log.info("link_opened", link=self.name)
        self.send(encode_frame(FrameKind.WELCOME, self._server.welcome(self)))
