"""A FIX session between the client and the engine: its numbers, its epoch and what it was told."""

import asyncio
import time
from typing import Final

import structlog

from engine.commands import SessionCommand
from engine.events import CommandRefused
from engine.runtime import faults
from engine.runtime.feed import Position, SessionEvent
from engine.session_events import SessionOpened
from fix_gateway.fix.acceptor import SessionAcceptor
from fix_gateway.fix.dialect import dialect_of
from fix_gateway.fix.fields import SOH, MsgType, Tag, parse_message
from fix_gateway.fix.inquiries import Inquiries
from fix_gateway.fix.intake import Intake
from fix_gateway.fix.listening import Listening
from fix_gateway.fix.logon import Admission
from fix_gateway.fix.message_store import SessionIdentity, store_directory
from fix_gateway.fix.presence import Presence
from fix_gateway.fix.resend import Resendee, Resender, build_refusal, parse_resend_request
from fix_gateway.fix.session_files import FAR, SessionFiles
from fix_gateway.fix.session_tools import Outlet, SessionTools
from fix_gateway.fix.throttle import SessionThrottle
from store.sessions import FixSessionRow

BYTES_BEHIND_GAP_MAX: Final = 4 << 20
HEARTBEAT: Final = f"{SOH}35={MsgType.HEARTBEAT}{SOH}"
LOGOUT: Final = f"{SOH}35={MsgType.LOGOUT}{SOH}"

log = structlog.get_logger("fix.session")


class FixSession:
    """One session that this process owns or wants to. Belongs to the gateway's one thread.

    It is told by QuickFIX of what the client sends (`SessionHandler`) and by the gateway of what
    the engine decides.
    """

    def __init__(self, row: FixSessionRow, tools: SessionTools) -> None:
        self.row = row
        self._tools = tools
        self._identity = SessionIdentity(
            row.begin_string, tools.gateway_comp_id, row.client_comp_id
        )
        self._log = log.bind(session=row.client_comp_id)
        directory = store_directory(tools.store_dir, row.begin_string, row.client_comp_id)
        self._files = SessionFiles(directory, row, self._identity, tools.worker)
        self.throttle = SessionThrottle(row, tools.throttle, tools.metrics, time.monotonic_ns())
        self.listening = Listening(row, tools.listeners)
        self._inquiries = Inquiries(row, tools, self, self.listening)
        replies = self._inquiries.make_replies(self._reply, self.log_out)
        self._intake = Intake(tools, row, self._files.refusals, self.throttle, replies)
        self._delivery = tools.make_delivery(row, self._files.position, self.listening)
        self._resender = Resender(
            self._files.store, self._identity, tools.resend_pace, tools.metrics, self._end_resend
        )
        self._presence = Presence(row, tools.engine)
        self._acceptor: SessionAcceptor | None = None
        self._client: Resendee | None = None
        self._admission: Admission | None = None
        self._generation = 0
        self._epoch = 0
        self._granted = asyncio.Event()
        self._is_authenticated = False
        self._is_logged_on = False
        self._is_closed = False
        self._bytes_behind_gap = 0
        self.received_count = 0
        self.logged_on_at_ns: int | None = None
        self.last_received_at_ns: int | None = None

    # The grant.

    @property
    def is_granted(self) -> bool:
        """Whether the engine lets this process speak for the session."""
        return self._generation > 0

    @property
    def generation(self) -> int:
        """The grant in force, 0 for none."""
        return self._generation

    @property
    def epoch(self) -> int:
        """How often the numbers have begun anew, 0 before the first grant."""
        return self._epoch

    @property
    def next_msg_seq_nums(self) -> tuple[int, int]:
        """The next MsgSeqNum(34) of ours and of the client; zeros before the first grant."""
        if self._acceptor is None:
            return 0, 0
        return self._acceptor.next_sender_msg_seq_num, self._acceptor.next_target_msg_seq_num

    @property
    def is_logged_on(self) -> bool:
        """Whether the client is logged on."""
        return self._is_logged_on

    @property
    def is_resending(self) -> bool:
        """Whether the client is just being sent again what it has asked for."""
        return self._resender.is_active

    @property
    def can_take_more(self) -> bool:
        """Whether the client is logged on and has read most of what it was sent."""
        client = self._client
        return (
            client is not None
            and client.is_writable
            and self._is_logged_on
            and not self.is_resending
        )

    @property
    def proven(self) -> Position:
        """The last event that the client has proven to have received."""
        return self._files.marks.proven

    def change(self, row: FixSessionRow) -> None:
        """Let the settings of the row hold from now on, also for a client that is logged on."""
        self.row = row
        self._presence.change(row, self._generation)
        if self.listening.change(row):
            self._delivery.skip_to(Position(self._tools.engine.last_seq, FAR))

    def revoke(self) -> None:
        """The grant is void: the engine or the link to it is gone."""
        self._generation = 0
        self._granted.clear()

    def end_epoch(self) -> None:
        """The numbers have been reset, other than by the client. `adopt` comes next."""
        self._log.warning("session_reset")
        self.log_out("the sequence numbers have been reset by the operator")
        self.revoke()

    async def wait_until_granted(self, timeout_s: float) -> bool:
        """Return True as soon as this process may speak for the session, False after the time."""
        try:
            await asyncio.wait_for(self._granted.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def adopt(self, opened: SessionOpened, last_seq: int) -> None:
        """Take over the session as the engine has granted it. `last_seq` is what is durable.

        The first time this makes QuickFIX's session, which then expects of the client what the
        engine has not seen; later it merely notes the new grant.
        """
        if self._acceptor is not None and opened.epoch == self._epoch:
            # A grant in between may have been our own, from an engine that died before it could
            # answer: only orders that did not come from here prove that somebody else spoke.
            if opened.watermark <= self._intake.entered_msg_seq_num:
                self._generation = opened.generation
                self._granted.set()
                self._presence.tell(self._generation)
                asyncio.get_running_loop().call_soon(self.deliver)
                return
            self._log.warning("session_was_held_elsewhere", watermark=opened.watermark)
            self.evict()
            self._acceptor.refresh()
        self._files.settle(
            opened, last_seq, is_first=self._acceptor is None, wipe=self._forget_numbers
        )
        if self._acceptor is None:
            self._acceptor = self._tools.obtain_acceptor(
                self.row, self._identity, self._files.store, self
            )
            self._delivery.connect(Outlet(self._acceptor, self._may_send, self.drain))
        self._note_grant(opened, self._acceptor)
        if not self.row.is_market_data:  # Of what it asks the engine never hears.
            self._acceptor.expect(opened.watermark + 1)
        faults.reach("adoption.adopted")
        self._delivery.rewind()
        self._files.position.is_new = False
        self._granted.set()
        self._presence.tell(self._generation)

    async def start_epoch(self) -> str | None:
        """Reset the numbers at the engine, before a Logon with ResetSeqNumFlag(141)=Y.

        Returns why it is not possible now, None when it is done. QuickFIX resets its own store
        when it reads that Logon. Raises LinkClosedError or TimeoutError.
        """
        faults.reach("epoch.before_engine")
        assert self._acceptor is not None
        event = await self._tools.engine.open_session(
            self.row.session_id, generation=self._generation, reset=True
        )
        if isinstance(event, CommandRefused):
            return event.reason.name
        if self._is_closed:
            self._tools.engine.release_session(self.row.session_id, event.generation)
            return "the session is not served here any more"
        self._note_grant(event, self._acceptor)
        faults.reach("epoch.before_mark")
        self._files.start_epoch()
        faults.reach("epoch.before_store_reset")
        self._delivery.rewind()
        return None

    def _note_grant(self, opened: SessionOpened, acceptor: SessionAcceptor) -> None:
        self._generation, self._epoch = opened.generation, opened.epoch
        self._intake.entered_msg_seq_num = opened.watermark
        self._files.refusals.load(
            opened.epoch,
            watermark=opened.watermark,
            next_sender_msg_seq_num=acceptor.next_sender_msg_seq_num,
        )

    def _forget_numbers(self) -> None:
        if self._acceptor is None:
            self._files.store.wipe()
        else:
            self.evict()
            self._acceptor.reset()

    # The client's connection.

    @property
    def client(self) -> Resendee | None:
        """The client that is connected, logged on or about to be."""
        return self._client

    @property
    def has_client(self) -> bool:
        """Whether a client is connected, logged on or about to be."""
        return self._client is not None

    def evict(self) -> None:
        """Hang up on the client, if there is one, without a word."""
        if self._client is not None:
            self._client.close()
        self.detach()

    def send(self, body: str) -> None:
        """Send a message that is not a report, given as fields from 35= on, if logged on."""
        if self._acceptor is not None and self._is_logged_on:
            self._acceptor.send(body)
            self.drain()

    def take_number(self, msg_seq_num: int, heartbeat: bytes) -> bool:
        """Let QuickFIX count a message that the edge answers itself, as a Heartbeat.

        Returns False when it is not to be answered: it came before, or a gap is in front of it, and
        it will come again.
        """
        acceptor = self._acceptor
        if acceptor is None or not self._is_logged_on:
            return False
        expected = acceptor.next_target_msg_seq_num
        if msg_seq_num > expected:
            return False
        self.receive(heartbeat)
        return acceptor.next_target_msg_seq_num > expected

    @property
    def admission(self) -> Admission | None:
        """How the present client was let in, None while there is none."""
        return self._admission if self._client is not None else None

    def attach(self, client: Resendee, admission: Admission) -> None:
        """Let an authenticated client log on."""
        assert self._acceptor is not None
        assert self._client is None
        self._client = client
        self._admission = admission
        self._bytes_behind_gap = 0
        self._speak(self._acceptor)
        if self._files.is_being_reset:
            # QuickFIX does so too when it reads 141=Y; but that may have been an earlier Logon,
            # whose connection was given up meanwhile.
            self._acceptor.reset()
        elif admission.refused_before:
            self._acceptor.pass_over(admission.refused_before)
            self._delivery.go_back()
        self._acceptor.connect()
        self._is_authenticated = True
        try:
            written = self._acceptor.feed(admission.logon)
        finally:
            self._is_authenticated = False
        if self._files.is_being_reset:
            # The store has been reset. Only now may the client see the first number of it.
            faults.reach("epoch.after_store_reset")
            self._files.name_epoch(self._epoch)
            faults.reach("epoch.after_mark")
        self._hand_on(written)

    def _speak(self, acceptor: SessionAcceptor) -> None:
        """Let what operators have set of how the session speaks hold for the client that comes."""
        dialect = dialect_of(self.row)
        acceptor.tell_times(dialect.timestamp_digits)
        self._resender.timestamp_digits = dialect.timestamp_digits
        self._intake.speak(dialect)
        self._inquiries.speak(dialect)
        self._delivery.speak(self._tools.make_messages(dialect))

    def receive(self, frames: bytes) -> None:
        """Take whole frames of the client."""
        self.received_count += bool(frames)
        acceptor = self._acceptor
        if acceptor is None or not acceptor.is_connected:
            return
        self.last_received_at_ns = time.time_ns()
        expected = acceptor.next_target_msg_seq_num
        self._hand_on(acceptor.feed(frames))
        if acceptor.next_target_msg_seq_num != expected:
            self._bytes_behind_gap = 0
            return
        self._bytes_behind_gap += len(frames)
        if self._bytes_behind_gap > BYTES_BEHIND_GAP_MAX:
            # QuickFIX keeps every message that comes behind a gap, without a limit of its own.
            self.log_out(f"too much was sent while MsgSeqNum(34)={expected} is missing")

    def answer_resend_request(self, raw: bytes) -> None:
        """Take a ResendRequest(2). QuickFIX is told of its number only."""
        request = parse_resend_request(raw)
        acceptor = self._acceptor
        if request is None or acceptor is None or not self._is_logged_on:
            self.receive(raw)
            return
        # An old number does not make the request void, but would end the session as a Heartbeat's.
        if request.msg_seq_num >= acceptor.next_target_msg_seq_num:
            self.receive(request.heartbeat)
        if self._client is None or not acceptor.is_logged_on:
            return
        last = acceptor.next_sender_msg_seq_num - 1
        refusal = build_refusal(request, last)
        if refusal is not None:
            self.send(refusal)
            return
        end = min(request.end or last, last)
        if request.begin <= end:
            # Whoever asks again has not received what an answer to an earlier question would prove.
            self._delivery.withdraw_question()
            self._inquiries.start_over()
            self._resender.resend(request.begin, end, self._client)

    def detach(self) -> None:
        """The client's connection is gone."""
        self._resender.cancel()
        self._inquiries.end()
        self._client = None
        if self._acceptor is not None:
            self._acceptor.disconnect()

    def log_out(self, reason: str) -> None:
        """Send Logout(5) with the reason, if the client is logged on."""
        if self._acceptor is not None and self._is_logged_on:
            self._presence.note_sent_away()
            self._acceptor.log_out(reason)
            self.drain()

    def end_client(self, reason: str) -> None:
        """Log the client out, or hang up on one that is not logged on yet."""
        if self._is_logged_on:
            self.log_out(reason)
        else:
            self.evict()

    def tick(self, now_s: float) -> None:
        """Once a second: QuickFIX's timers, and the question whether the client has it all."""
        if self._acceptor is not None:
            if self._presence.is_stranded(now_s, self._is_logged_on and not self.is_granted):
                self.log_out("the session is served elsewhere, connect again")
            self._acceptor.poll_timers()
            self._delivery.ask_for_proof(now_s)
            if self.is_granted:
                self._files.note_heard(self.listening.heard(self._tools.reference.accounts))
            self.drain()

    def drain(self) -> None:
        """Pass on to the client what QuickFIX has written."""
        if self._acceptor is not None and self._acceptor.is_connected:
            self._hand_on(self._acceptor.drain())

    def _hand_on(self, written: bytes) -> None:
        assert self._acceptor is not None
        if self._client is None:
            return
        if self._resender.is_active:
            self._resender.hold(written, self._client)
            return
        if written:
            self._client.write(written)
        if not self._acceptor.is_connected:
            self._client.close()

    def _end_resend(self) -> None:
        self._hand_on(b"")
        self.deliver()

    # What QuickFIX tells (SessionHandler).

    def may_log_on(self) -> bool:
        """Whether the edge has just authenticated the client whose Logon QuickFIX now reads."""
        return self._is_authenticated

    def on_logon(self) -> None:
        """The session is logged on: what the client does not have yet follows the Logon."""
        self._is_logged_on = True
        self.logged_on_at_ns = self.last_received_at_ns = time.time_ns()
        self._tools.metrics.sessions_logged_on.inc()
        assert self._admission is not None
        self._presence.log_on(self.row, self._admission, self._generation)
        if self.listening.log_on(self._admission.response_mode):
            self._delivery.skip_to(Position(self._tools.engine.last_seq, FAR))
        self._log.info("session_logged_on", epoch=self._epoch)
        asyncio.get_running_loop().call_soon(self.deliver)

    def on_logout(self) -> None:
        """The session is logged off, or its connection is gone."""
        if self._is_logged_on:
            self._is_logged_on = False
            self.logged_on_at_ns = None
            self._tools.metrics.sessions_logged_on.dec()
            self._presence.log_off(self._generation)
            self._inquiries.end()
            self._log.info("session_logged_off")

    def on_session_message(self, text: str) -> None:
        """A session-level message came that QuickFIX accepts."""
        if text.find(HEARTBEAT) != -1:
            test_req_id = parse_message(text).get(Tag.TEST_REQ_ID)
            if test_req_id is not None:
                self._delivery.note_answer(test_req_id)
        elif text.find(LOGOUT) != -1:
            self._presence.note_goodbye()
            if not self.is_resending:
                self._delivery.note_goodbye()

    def on_application_message(self, text: str) -> None:
        """An application message came, in sequence and well-formed."""
        self._intake.take(text, self.row, self._generation, self._epoch)

    def on_unprocessed_message(self, text: str) -> None:
        """Our own code failed on a message."""
        self._intake.give_up(text)

    def refuse_unsendable(self, command: SessionCommand) -> None:
        """The command that a message became cannot be sent to the engine: say so."""
        if self._is_logged_on and command.epoch == self._epoch:
            self._intake.refuse_unsendable(command)
            self.drain()

    def _reply(self, msg_seq_num: int, replies: list[str]) -> None:
        """Answer or refuse a message here: write down that it is done with, then say so."""
        assert self._acceptor is not None
        last = self._acceptor.next_sender_msg_seq_num + len(replies) - 1
        self._files.refusals.add(msg_seq_num, reply_msg_seq_num=last)
        for reply in replies:
            self._acceptor.send(reply)
        faults.reach("refusal.after_reply")

    # Reports.

    def _may_send(self) -> bool:
        return self._is_logged_on and self.is_granted and not self.is_resending

    def push(self, event: SessionEvent) -> None:
        """Take in an event that has just happened. `deliver` sends it."""
        self._delivery.push(event)

    def skip_to(self, position: Position) -> None:
        """Leave what happened up to `position` to be read from the journal at the next logon."""
        self._delivery.skip_to(position)

    def rewind(self) -> None:
        """Go on sending from where the session stands."""
        self._delivery.rewind()

    def deliver(self) -> None:
        """Send the reports that are due, if the client is logged on."""
        self._delivery.deliver()

    def give_back(self) -> None:
        """Let go of the session: it has been disabled, or is another process's to serve."""
        self._files.note_heard(frozenset())
        self.close()

    def close(self) -> None:
        """Let go of the session's files. It is not used after this, and has no client any more."""
        self._is_closed = True
        self.listening.end()
        self.revoke()
        if self._acceptor is not None:
            self._acceptor.disconnect()
            self._tools.kept_acceptors[self._identity] = self._acceptor
        self._delivery.close()
        self._files.close(is_in_order=self._acceptor is not None)
