"""EventResendRequest(F3): reports of an account again, by ExecID(17), whatever the numbers say.

Read from the journal files on worker threads, and sent in slices that delay nobody else: all that
a gateway sends again shares a part of its time. Live reports come in between.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple, Protocol

import structlog

from engine.runtime.feed import AccountEvent, Position, parse_exec_id
from engine.runtime.journal import RecordsGoneError
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.fields import Fields, MsgType, Tag, join_fields
from fix_gateway.fix.resend import Resendee, ResendPace

REPORTS_PER_SLICE: Final = 32  # So many fit the socket between QuickFIX and the edge.
REPORTS_MAX: Final = 10_000  # In answer to one request; the client may ask for the rest.
HOLD_GLANCE_S: Final = 0.05
FAR: Final = 1 << 62
ALREADY_RESENDING, NOT_AVAILABLE_NOW, BEGIN_TOO_SMALL, EXEC_ID_INVALID = "1", "2", "3", "4"
WORDS: Final = {
    ALREADY_RESENDING: "another request is being answered",
    NOT_AVAILABLE_NOW: "it cannot be read now, try again in a moment",
    BEGIN_TOO_SMALL: "it is older than what is kept",
    EXEC_ID_INVALID: "a range is two ExecIDs of the exchange, the smaller one first",
}
CODES: Final = {
    ALREADY_RESENDING: "ALREADY_RESENDING",
    NOT_AVAILABLE_NOW: "NOT_AVAILABLE_NOW",
    BEGIN_TOO_SMALL: "BEGIN_TOO_SMALL",
    EXEC_ID_INVALID: "EXEC_ID_INVALID",
}
YES, NO = "Y", "N"

log = structlog.get_logger("fix.event_resend")


class Listener(Protocol):
    """The session that has asked."""

    @property
    def is_logged_on(self) -> bool:
        """Whether the client is still there."""

    @property
    def is_resending(self) -> bool:
        """Whether a ResendRequest(2) is being answered, for which everything else waits."""

    @property
    def client(self) -> Resendee | None:
        """The client's connection."""

    def send(self, body: str) -> None:
        """Send a message, given as fields from 35= on, if the client is logged on."""


class _Range(NamedTuple):
    """What is asked for. `begin_text` as it was said."""

    ref_seq_num: str
    begin_text: str
    begin: Position
    end: Position


class EventResender:
    """Answers the requests of one session, one at a time. Belongs to the gateway's one thread.

    `read` returns what happened to the orders of the session's accounts after a position; its
    iterator, like `builder`, is used on worker threads. `last_seq` is the last durable record.
    """

    def __init__(
        self,
        listener: Listener,
        builder: ReportBuilder,
        pace: ResendPace,
        read: Callable[[Position], Iterator[AccountEvent | None]],
        last_seq: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._builder = builder
        self._pace = pace
        self._read = read
        self._last_seq = last_seq
        self._task: asyncio.Task[None] | None = None
        self._asked_seq_num = ""

    def speak(self, builder: ReportBuilder) -> None:
        """Let the reports that follow be built by another builder, which nobody else uses."""
        self._builder = builder

    def start(self, fields: Fields) -> None:
        """Take a request."""
        asked = self._parse(fields)
        if isinstance(asked, str):
            self._refuse(fields[Tag.MSG_SEQ_NUM], asked)
        elif self._task is not None:
            self._refuse(asked.ref_seq_num, ALREADY_RESENDING)
        else:
            self._asked_seq_num = asked.ref_seq_num
            self._task = asyncio.ensure_future(self._answer(asked))
            self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _parse(self, fields: Fields) -> _Range | str:
        begin_text = fields[Tag.BEGIN_EXEC_ID]
        begin = parse_exec_id(begin_text)
        last = Position(self._last_seq(), FAR)
        end: Position | None = last
        if Tag.END_EXEC_ID in fields:
            end = parse_exec_id(fields[Tag.END_EXEC_ID])
        if begin is None or end is None or end < begin:
            return EXEC_ID_INVALID
        return _Range(fields[Tag.MSG_SEQ_NUM], begin_text, begin, min(end, last))

    async def _answer(self, asked: _Range) -> None:
        listener = self._listener
        # Both ends belong to the range.
        events = self._read(Position(asked.begin.seq, asked.begin.event_index - 1))
        count, reached, has_more = 0, asked.begin, False
        while True:
            part = await self._pace.run(lambda: self._next_slice(events, asked.end))
            await self._wait_for_resend()
            if not listener.is_logged_on:
                return  # It asks again, if it wants.
            for body in part.bodies:
                listener.send(body)
            if listener.client is not None:
                await listener.client.wait_until_writable()
            count += len(part.bodies)
            reached = part.reached or reached
            if part.is_last:
                break
            if count >= REPORTS_MAX:
                has_more = True
                break
        if not has_more:
            reached = asked.end
        self._complete(asked, count, reached, has_more=has_more)

    async def _wait_for_resend(self) -> None:
        """Let a ResendRequest(2) be answered first: all that is sent meanwhile would be held."""
        while self._listener.is_resending and self._listener.is_logged_on:  # noqa: ASYNC110 - Rare.
            await asyncio.sleep(HOLD_GLANCE_S)

    def _next_slice(self, events: "Iterator[AccountEvent | None]", end: Position) -> "_Slice":
        """Build the next reports. On a worker thread."""
        bodies: list[str] = []
        reached = None
        taken = 0
        for event in islice(events, REPORTS_PER_SLICE):
            taken += 1
            if event is None:
                return _Slice(bodies, reached, is_last=False)
            if event.position > end:
                return _Slice(bodies, reached, is_last=True)
            reached = event.position
            bodies.append(
                self._builder.build_report(
                    event.event,
                    event.position,
                    event.happened_at_ns,
                    is_poss_resend=True,
                    command_bytes=event.command_bytes,
                )
            )
        return _Slice(bodies, reached, is_last=taken < REPORTS_PER_SLICE)

    def _complete(self, asked: _Range, count: int, reached: Position, *, has_more: bool) -> None:
        end = Position(reached.seq, 0) if reached.event_index == FAR else reached
        self._listener.send(
            join_fields(
                [
                    (Tag.MSG_TYPE, MsgType.EVENT_RESEND_COMPLETE),
                    (Tag.REF_SEQ_NUM, asked.ref_seq_num),
                    (Tag.BEGIN_EXEC_ID, asked.begin_text),
                    (Tag.END_EXEC_ID, end.exec_id),
                    (Tag.RESENT_EVENT_COUNT, str(count)),
                    (Tag.HAS_MORE_EVENTS, YES if has_more else NO),
                ]
            )
        )

    def _refuse(self, ref_seq_num: str, reason: str) -> None:
        self._listener.send(
            join_fields(
                [
                    (Tag.MSG_TYPE, MsgType.EVENT_RESEND_REJECT),
                    (Tag.REF_SEQ_NUM, ref_seq_num),
                    (Tag.EVENT_RESEND_REJECT_REASON, reason),
                    (Tag.TEXT, f"{CODES[reason]}: {WORDS[reason]}"),
                ]
            )
        )

    def _end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task is not self._task:
            return
        self._task = None
        fault = task.exception()
        if fault is not None:
            log.error("event_resend_failed", error=repr(fault))
            is_gone = isinstance(fault, RecordsGoneError)
            self._refuse(self._asked_seq_num, BEGIN_TOO_SMALL if is_gone else NOT_AVAILABLE_NOW)


class _Slice(NamedTuple):
    """Reports that are built. `reached` is the last of them, None when there is none."""

    bodies: list[str]
    reached: Position | None
    is_last: bool
