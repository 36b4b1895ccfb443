"""The door's end of the link: send commands, follow the feed, ask how the engine is."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec
import structlog

from engine.commands import Command, NewOrder
from engine.events import Event
from engine.runtime.codec import (
    LINK_PROTOCOL,
    Answer,
    Balances,
    BalancesQuery,
    Book,
    BookQuery,
    FrameKind,
    FrameReader,
    Hello,
    Query,
    Record,
    Status,
    StatusQuery,
    Welcome,
    WhatIf,
    decode_ack,
    decode_balances,
    decode_book,
    decode_records,
    decode_status,
    decode_welcome,
    decode_what_if,
    encode_frame,
)
from engine.units import AccountId, InstrumentId, Seq

FEED_FRAME_BYTES_MAX: Final = (1 << 32) - 1
CONNECT_WAIT_S: Final = 5.0
ANSWER_WAIT_S: Final = 30.0
ANSWERS: Final[dict[FrameKind, Callable[[bytes], Answer]]] = {
    FrameKind.STATUS: decode_status,
    FrameKind.BALANCES: decode_balances,
    FrameKind.BOOK: decode_book,
    FrameKind.WHAT_IF: decode_what_if,
}

log = structlog.get_logger("engine.client")


class LinkClosedError(Exception):
    """The link to the engine is down: nothing was answered, the command may or may not count."""


class Outcome(NamedTuple):
    """What became of a command: its place in the journal, the events that followed, and when."""

    seq: Seq
    events: list[Event]
    happened_at_ns: int


# A command, and who waits for what becomes of it.
_Unanswered = tuple[Command, "asyncio.Future[Outcome] | None"]


class EngineLink(asyncio.Protocol):
    """A connection to the engine. Belongs to the event loop's thread.

    `on_records` is called with the records of each durable batch, in order, from
    `welcome.next_seq` on. `on_closed` is called once when the link is down, with the commands whose
    fate is unknown, in the order in which they were sent.
    """

    def __init__(
        self,
        on_records: Callable[[list[Record]], None],
        on_closed: Callable[[list[Command]], None],
    ) -> None:
        self.welcome: Welcome
        self._on_records = on_records
        self._on_closed = on_closed
        self._reader = FrameReader(FEED_FRAME_BYTES_MAX)
        self._unanswered: deque[_Unanswered] = deque()
        self._records: dict[Seq, Record] = {}
        self._waiter_count = 0
        # Questions are answered in their order, whatever they are about.
        self._askers: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        self._welcomed: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport
        self._is_closed = False

    @classmethod
    async def connect(
        cls,
        path: Path,
        name: str,
        *,
        on_records: Callable[[list[Record]], None],
        on_closed: Callable[[list[Command]], None],
        wants_feed: bool = True,
    ) -> "EngineLink":
        """Return a link that has been welcomed. Waits at most 5 seconds.

        Without the feed there are no records, and the link can only be asked for the status.

        Raises OSError when nobody listens, LinkClosedError or TimeoutError when the engine does not
        answer as it should.
        """
        loop = asyncio.get_running_loop()
        _, link = await asyncio.wait_for(
            loop.create_unix_connection(lambda: cls(on_records, on_closed), str(path)),
            CONNECT_WAIT_S,
        )
        await link.greet(name, wants_feed=wants_feed)
        return link

    async def greet(self, name: str, *, wants_feed: bool) -> None:
        """Introduce the door and wait for the welcome. `connect` has done it.

        Raises LinkClosedError or TimeoutError.
        """
        self._write(encode_frame(FrameKind.HELLO, Hello(LINK_PROTOCOL, name, wants_feed)))
        try:
            await asyncio.wait_for(self._welcomed, CONNECT_WAIT_S)
        except TimeoutError:
            self.close()
            raise
        if self._is_closed:  # The engine died right after its welcome.
            raise LinkClosedError("the link to the engine is down")

    @property
    def unanswered_count(self) -> int:
        """How many commands are on their way."""
        return len(self._unanswered)

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands as one frame. Their effects come back over the feed.

        Raises OverflowError, TypeError or ValueError, and sends none, when one of them holds what
        no frame can.
        """
        assert not self._is_closed
        frame = encode_frame(FrameKind.COMMANDS, commands)
        self._unanswered.extend([(command, None) for command in commands])
        self._write(frame)

    async def submit(self, command: Command) -> Outcome:
        """Send one command and return what became of it, once that is durable.

        Raises LinkClosedError when the link goes down first, TimeoutError after 30 seconds: the
        command may then count or not.
        """
        if self._is_closed:
            raise LinkClosedError("the link to the engine is down")
        frame = encode_frame(FrameKind.COMMANDS, [command])
        waiter: asyncio.Future[Outcome] = self._loop.create_future()
        self._unanswered.append((command, waiter))
        self._waiter_count += 1
        self._write(frame)
        return await asyncio.wait_for(waiter, ANSWER_WAIT_S)

    async def status(self, *, with_state_hash: bool = False) -> Status:
        """Return how the engine is. Raises LinkClosedError or TimeoutError."""
        answer: Status = await self._ask(FrameKind.STATUS_QUERY, StatusQuery(with_state_hash))
        return answer

    async def balances(self, account_id: AccountId) -> Balances:
        """Return what an account has. Raises LinkClosedError or TimeoutError."""
        answer: Balances = await self._ask(FrameKind.BALANCES_QUERY, BalancesQuery(account_id))
        return answer

    async def what_if(self, order: NewOrder) -> WhatIf:
        """Return what would become of an order that is not entered.

        Raises LinkClosedError or TimeoutError.
        """
        answer: WhatIf = await self._ask(FrameKind.WHAT_IF_QUERY, order)
        return answer

    async def book(self, instrument_id: InstrumentId, level_count_max: int) -> Book:
        """Return what stands in a book. Raises LinkClosedError or TimeoutError.

        Who follows the feed from the record after its `last_seq` misses nothing.
        """
        query = BookQuery(instrument_id, level_count_max)
        answer: Book = await self._ask(FrameKind.BOOK_QUERY, query)
        return answer

    def close(self) -> None:
        """Hang up. `on_closed` follows."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # uvloop's transports have the methods of asyncio.Transport but not its type.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            for kind, body in self._reader.feed(data):
                self._take(kind, body)
        except (ValueError, msgspec.DecodeError) as error:
            # Not to be trusted any more, whatever it was: start afresh.
            log.warning("engine_frame_refused", error=str(error))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._is_closed = True
        fault = LinkClosedError("the link to the engine is down")
        waiters: list[asyncio.Future[Any]] = [*self._askers, self._welcomed]
        waiters += [waiter for _, waiter in self._unanswered if waiter is not None]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(fault)
        in_doubt = [command for command, waiter in self._unanswered if waiter is None]
        self._on_closed(in_doubt)

    def _take(self, kind: FrameKind, body: bytes) -> None:
        if kind is FrameKind.RECORDS:
            records = decode_records(body)
            if self._waiter_count:
                self._records.update((record.seq, record) for record in records)
            self._on_records(records)
        elif kind is FrameKind.ACK:
            self._settle(decode_ack(body))
        elif kind is FrameKind.WELCOME:
            self.welcome = decode_welcome(body)
            if self.welcome.protocol != LINK_PROTOCOL:
                raise ValueError(f"the engine speaks link protocol {self.welcome.protocol}")
            if not self._welcomed.done():
                self._welcomed.set_result(None)
        elif kind in ANSWERS:
            asker = self._askers.popleft()
            if not asker.done():
                asker.set_result(ANSWERS[kind](body))
        else:
            raise ValueError(f"the engine may not send a {kind.name} frame")

    async def _ask(self, kind: FrameKind, query: Query) -> Any:  # noqa: ANN401 - As the kind says.
        if self._is_closed:
            raise LinkClosedError("the link to the engine is down")
        asker: asyncio.Future[Any] = self._loop.create_future()
        self._askers.append(asker)
        self._write(encode_frame(kind, query))
        return await asyncio.wait_for(asker, ANSWER_WAIT_S)

    def _settle(self, seqs: list[Seq]) -> None:
        for seq in seqs:
            _, waiter = self._unanswered.popleft()
            if waiter is None:
                continue
            self._waiter_count -= 1
            if not waiter.done():
                record = self._records[seq]
                waiter.set_result(Outcome(seq, record.events(), record.now_ns))
        self._records.clear()

    def _write(self, frame: bytes) -> None:
        # uvloop raises for a connection that is lost before `connection_lost` has been called.
        if not self._transport.is_closing():
            self._transport.write(frame)


async def ask_status(path: Path, name: str, *, with_state_hash: bool = False) -> Status | None:
    """Return how the engine behind the socket is, None when none answers."""
    try:
        link = await EngineLink.connect(
            path,
            name,
            on_records=lambda _records: None,
            on_closed=lambda _in_doubt: None,
            wants_feed=False,
        )
        status = await link.status(with_state_hash=with_state_hash)
    except (OSError, LinkClosedError, TimeoutError):
        return None
    link.close()
    return status
