"""Outbound: what a FIX session is told, exactly once by ExecID(17), or again with 43=Y or 97=Y.

Before each send the event and the number it will bear are written down (`position`). Nothing is
sent to a session that is logged off. What a client has proven to have received is forgotten; after
a reset of the numbers the rest goes out again with PossResend(97)=Y.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

import structlog

from engine.runtime import faults
from engine.runtime.feed import Position, SessionEvent
from engine.runtime.record_trace import is_tracing, name_order
from fix_gateway.fix.event_messages import EventMessages
from fix_gateway.fix.fields import MsgType, Tag, join_fields
from fix_gateway.fix.outbox import Outbox
from fix_gateway.fix.position import PositionFile
from fix_gateway.metrics import GatewayMetrics

SENDS_PER_DRAIN: Final = 32  # So many reports fit the socket between QuickFIX and the edge.
EVENTS_PER_SLICE: Final = 500

log = structlog.get_logger("fix.delivery")


class Sender(Protocol):
    """How messages leave."""

    def may_send(self) -> bool:
        """Whether the client is logged on, and so there to be told anything."""

    @property
    def next_sender_msg_seq_num(self) -> int:
        """The MsgSeqNum(34) that the next message will bear."""

    def send(self, body: str) -> None:
        """Send a message, given as fields from 35= on."""

    def drain(self) -> None:
        """Pass on to the client what has been sent."""


class Delivery:
    """The reports of one session. Belongs to the gateway's one thread.

    `read_events` returns what the session was told after a position, from the journal files; its
    iterator is advanced on worker threads. Reports that are unproven for `proof_wait_s` are
    followed by a TestRequest.
    """

    def __init__(
        self,
        position_file: PositionFile,
        messages: EventMessages,
        metrics: GatewayMetrics,
        read_events: Callable[[Position], Iterator[SessionEvent]],
        *,
        proof_wait_s: float,
    ) -> None:
        self._file = position_file
        self._marks = position_file.marks
        self._messages = messages
        self._metrics = metrics
        self._read_events = read_events
        self._proof_wait_s = proof_wait_s
        self._outbox = Outbox(self._marks.proven)
        self._sender: Sender | None = None
        self._catch_up: asyncio.Task[None] | None = None
        self._is_closed = False
        self._probe: Position | None = None
        self._unproven_since_s: float | None = None
        self._is_tracing = is_tracing()

    def speak(self, messages: EventMessages) -> None:
        """Let the events that follow be told in another way."""
        self._messages = messages

    def connect(self, sender: Sender) -> None:
        """Say how messages leave, once there is a way."""
        self._sender = sender
        if sender.next_sender_msg_seq_num <= self._marks.sender_msg_seq_num:
            # The last report was about to be sent and never got into the store.
            sent = self._marks.sent
            self._marks.sent = Position(sent.seq, sent.event_index - 1)
        self.rewind()

    def go_back(self) -> None:
        """Send again, marked as repeats, what the client has not proven to have."""
        self._marks.go_back()
        self._file.save()
        self.rewind()

    def rewind(self) -> None:
        """Go on from where the marks stand now."""
        self._outbox.rewind_to(self._marks.sent)
        self._probe = None

    def push(self, event: SessionEvent) -> None:
        """Take in an event that has happened. `deliver` sends it."""
        self._outbox.push(event)

    def skip_to(self, position: Position) -> None:
        """Leave what happened up to `position` to be read from the journal at the next logon.

        What is being read at the moment is read anew.
        """
        self._outbox.skip_to(max(position, self._marks.proven))
        if self._catch_up is not None:
            self._catch_up.cancel()

    def deliver(self) -> None:
        """Send what has not been sent, if the client is logged on."""
        sender = self._sender
        if sender is None or not sender.may_send() or self._catch_up is not None:
            return
        if self._marks.sent < self._outbox.complete_after:
            self._catch_up = asyncio.ensure_future(self._deliver_from_journal(sender))
            self._catch_up.add_done_callback(self._end_catch_up)
            return
        count = 0
        while sender.may_send() and (event := self._outbox.next_unsent()) is not None:
            self._send(sender, event)
            self._outbox.mark_sent()
            count += 1
            if count % SENDS_PER_DRAIN == 0:
                sender.drain()
        sender.drain()

    def note_answer(self, test_req_id: str) -> None:
        """A Heartbeat answers a TestRequest: if it is ours, all sent before it has arrived."""
        if self._probe is not None and test_req_id == _probe_id(self._probe):
            self._prove(self._probe)
            self._probe = None

    def note_goodbye(self) -> None:
        """The client said Logout: it has read up to here, or reads on until ours."""
        self._prove(self._marks.sent)

    def withdraw_question(self) -> None:
        """An answer to the TestRequest under way proves nothing any more."""
        self._probe = None

    def ask_for_proof(self, now_s: float) -> None:
        """Send a TestRequest when reports have been unproven for a while."""
        sender = self._sender
        if sender is None or self._probe is not None or self._unproven_since_s is None:
            return
        if sender.may_send() and now_s - self._unproven_since_s >= self._proof_wait_s:
            self._probe = self._marks.sent
            sender.send(
                join_fields(
                    [
                        (Tag.MSG_TYPE, MsgType.TEST_REQUEST),
                        (Tag.TEST_REQ_ID, _probe_id(self._probe)),
                    ]
                )
            )

    def close(self) -> None:
        """Stop what is under way."""
        self._is_closed = True
        if self._catch_up is not None:
            self._catch_up.cancel()

    async def _deliver_from_journal(self, sender: Sender) -> None:
        """Send what the outbox does not hold any more, a slice at a time."""
        marks = self._marks
        while sender.may_send() and marks.sent < self._outbox.complete_after:
            before = marks.sent
            events = self._read_events(before)
            while sender.may_send():
                part = await asyncio.to_thread(_next_slice, events)
                if not part:
                    break
                self._send_slice(sender, part)
            if marks.sent == before and sender.may_send():
                # There was nothing to be read, so nothing is missing.
                marks.sent = self._outbox.complete_after

    def _send_slice(self, sender: Sender, part: list[SessionEvent]) -> None:
        for count, event in enumerate(part, start=1):
            if not sender.may_send():
                return
            self._send(sender, event)
            if count % SENDS_PER_DRAIN == 0:
                sender.drain()
        sender.drain()

    def _end_catch_up(self, task: asyncio.Task[None]) -> None:
        self._catch_up = None
        self._outbox.rewind_to(self._marks.sent)
        if self._is_closed:
            return
        fault = None if task.cancelled() else task.exception()
        if fault is None:
            self.deliver()
        else:
            # The client stays logged on and is told of new events only after its next logon.
            log.error("catch_up_failed", error=repr(fault))

    def _send(self, sender: Sender, event: SessionEvent) -> None:
        marks = self._marks
        bodies = self._messages.build(event, is_poss_resend=event.position <= marks.poss_resend)
        if not bodies:
            self._pass_over(event.position)
            return
        marks.sent = event.position
        # Of several messages the last must be stored, or all are sent again.
        marks.sender_msg_seq_num = sender.next_sender_msg_seq_num + len(bodies) - 1
        faults.reach("delivery.before_position")
        self._file.save()
        faults.reach("delivery.before_send")
        for body in bodies:
            sender.send(body)
        faults.reach("delivery.after_send")
        self._metrics.reports_sent.inc(len(bodies))
        if self._is_tracing:
            named = name_order(event.event)
            log.debug(
                "report_sent",
                session_id=event.session_id,
                exec_id=event.position.exec_id,
                msg_seq_num=marks.sender_msg_seq_num,
                **({} if named is None else named._asdict()),
            )
        if self._unproven_since_s is None:
            self._unproven_since_s = time.monotonic()

    def _pass_over(self, position: Position) -> None:
        """Count an event as sent of which nothing is said in the session's version."""
        marks = self._marks
        if marks.proven == marks.sent:
            marks.proven = position
        marks.sent = position
        self._file.save()

    def _prove(self, position: Position) -> None:
        marks = self._marks
        if position <= marks.proven:
            return
        marks.proven = position
        self._file.save()
        self._outbox.forget_through(position)
        self._unproven_since_s = None if position == marks.sent else time.monotonic()


def _next_slice(events: Iterator[SessionEvent]) -> list[SessionEvent]:
    return list(islice(events, EVENTS_PER_SLICE))


def _probe_id(position: Position) -> str:
    """Return the TestReqID(112) whose answer proves that events up to `position` have arrived."""
    return f"P{position.seq}.{position.event_index}"
