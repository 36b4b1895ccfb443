"""ResendRequest(2): what a client has missed is sent again, in slices that delay nobody else.

QuickFIX would load and send the whole range at once and hold up every session of the process for
as long as that takes. So the edge keeps the request to itself, QuickFIX is given a Heartbeat(0) of
the same number in its place, and the messages are read from QuickFIX's store on a worker thread:
again with PossDupFlag(43)=Y and OrigSendingTime(122), session-level messages as gap fills (FIX 4.4
vol. 2, "Message Recovery"). All resends of a gateway share a part of its time. What is newer than
the request is held until it has been answered, so that the client sees everything in order.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeVar

import structlog

from fix_gateway.fix.dialect import MILLISECONDS
from fix_gateway.fix.fields import MsgType, Tag, UtcTimestamps, join_fields
from fix_gateway.fix.framing import build_frame, split_fields
from fix_gateway.fix.message_store import SessionIdentity, SessionStore
from fix_gateway.metrics import GatewayMetrics

MESSAGES_PER_SLICE: Final = 64
REST_FACTOR: Final = 3  # After a slice all resends rest so many times as long as it took.
REST_MAX_S: Final = 0.05
HELD_BYTES_MAX: Final = 1 << 20
WRITABLE_WAIT_S: Final = 30.0
DIGITS_MAX: Final = 9
VALUE_IS_INCORRECT: Final = "5"  # SessionRejectReason(373).
# As QuickFIX writes them: the header's fields first, in the order of their numbers.
STORED: Final = re.compile(
    rb"8=[^\x01]+\x019=\d+\x0135=([^\x01]+)\x0134=\d+\x01(49=[^\x01]*\x01)52=([^\x01]+)\x01(.*)"
    rb"10=\d{3}\x01",
    re.DOTALL,
)
# Not Reject(3): it tells the client that a message of its own does not count.
NEVER_RESENT: Final = frozenset(
    msg_type.encode()
    for msg_type in (
        MsgType.HEARTBEAT, MsgType.TEST_REQUEST, MsgType.RESEND_REQUEST, MsgType.SEQUENCE_RESET,
        MsgType.LOGOUT, MsgType.LOGON,
    )
)  # fmt: skip

log = structlog.get_logger("fix.resend")

Result = TypeVar("Result")


class ResendRequest(NamedTuple):
    """What a client asks for: MsgSeqNums from `begin` to `end`, and on without end where it is 0.

    `heartbeat` is what QuickFIX is given in its place.
    """

    msg_seq_num: int
    begin: int
    end: int
    heartbeat: bytes


class Resendee(Protocol):
    """The client's connection, as a resend sees it."""

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""

    @property
    def is_writable(self) -> bool:
        """Whether the client has taken most of what it was sent."""

    async def wait_until_writable(self) -> None:
        """Return once the client has taken most of what it was sent."""

    def close(self) -> None:
        """Hang up once all has been sent."""


def parse_resend_request(raw: bytes) -> ResendRequest | None:
    """Return what a ResendRequest(2) asks for, None when QuickFIX has to say what is wrong."""
    fields = split_fields(raw)
    if fields is None:
        return None
    values = dict(reversed(fields))
    numbers = []
    for tag in (Tag.MSG_SEQ_NUM, Tag.BEGIN_SEQ_NO, Tag.END_SEQ_NO):
        value = values.get(tag, b"")
        if not value.isdigit() or len(value) > DIGITS_MAX:
            return None
        numbers.append(int(value))
    msg_seq_num, begin, end = numbers
    kept = [
        (tag, MsgType.HEARTBEAT.encode() if tag == Tag.MSG_TYPE else value)
        for tag, value in fields[2:-1]
        if tag not in (Tag.BEGIN_SEQ_NO, Tag.END_SEQ_NO)
    ]
    body = b"".join(b"%d=%b\x01" % field for field in kept)
    heartbeat = build_frame(fields[0][1].decode(), body)
    return ResendRequest(msg_seq_num, max(begin, 1), end, heartbeat)


def build_refusal(request: ResendRequest, last: int) -> str | None:
    """Return the Reject(3) for a range that makes no sense, None for one that does.

    `last` is the last MsgSeqNum that was sent. To ask for the one after it is no mistake: nothing
    is missing.
    """
    if 0 < request.end < request.begin:
        tag = Tag.END_SEQ_NO
        text = f"EndSeqNo(16)={request.end} is below BeginSeqNo(7)"
    elif request.begin > last + 1:
        tag = Tag.BEGIN_SEQ_NO
        text = f"BeginSeqNo(7)={request.begin} is above {last}, the last sent"
    else:
        return None
    return join_fields(
        [
            (Tag.MSG_TYPE, MsgType.REJECT),
            (Tag.REF_SEQ_NUM, str(request.msg_seq_num)),
            (Tag.REF_TAG_ID, str(int(tag))),
            (Tag.REF_MSG_TYPE, MsgType.RESEND_REQUEST),
            (Tag.SESSION_REJECT_REASON, VALUE_IS_INCORRECT),
            (Tag.TEXT, text),
        ]
    )


class ResendPace:
    """Lets the resends of all sessions of a gateway take turns, and rest after each.

    Belongs to the gateway's one thread.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` on a worker thread when it is its turn, and return its result."""
        async with self._turn:
            started_s = time.perf_counter()
            result = await asyncio.to_thread(work)
            took_s = time.perf_counter() - started_s
            await asyncio.sleep(min(REST_FACTOR * took_s, REST_MAX_S))
            return result


class Resend:
    """One range on its way to the client. `position` is the next number to look at."""

    def __init__(
        self,
        store: SessionStore,
        identity: SessionIdentity,
        begin: int,
        end: int,
        timestamp_digits: int = MILLISECONDS,
    ) -> None:
        self.position = begin
        self.end = end
        self.message_count = 0
        self._store = store
        self._identity = identity
        self._gap_begin = begin
        self._timestamps = UtcTimestamps(timestamp_digits)

    def next_slice(self) -> bytes:
        """Return the next messages as they go to the client. Blocks on the disk; on any thread."""
        found = self._store.read(self.position, self.end, count_max=MESSAGES_PER_SLICE)
        now = self._timestamps.format(time.time_ns()).encode()
        pieces: list[bytes] = []
        for msg_seq_num, raw in found:
            matched = STORED.fullmatch(raw)
            assert matched is not None, raw
            msg_type, sender, sent, rest = matched.groups()
            if msg_type in NEVER_RESENT:
                continue
            self._fill_gap(msg_seq_num, now, pieces)
            self._gap_begin = msg_seq_num + 1
            body = b"35=%b\x0134=%d\x0143=Y\x01%b52=%b\x01122=%b\x01%b" % (
                msg_type, msg_seq_num, sender, now, sent, rest,
            )  # fmt: skip
            pieces.append(build_frame(self._identity.begin_string, body))
            self.message_count += 1
        if len(found) < MESSAGES_PER_SLICE:
            self.position = self.end + 1
            self._fill_gap(self.position, now, pieces)
        else:
            self.position = found[-1].msg_seq_num + 1
        return b"".join(pieces)

    def _fill_gap(self, new_seq_no: int, now: bytes, pieces: list[bytes]) -> None:
        if self._gap_begin >= new_seq_no:
            return
        body = (
            b"35=4\x0134=%d\x0143=Y\x0149=%b\x0152=%b\x0156=%b\x01122=%b\x0136=%d\x01123=Y\x01"
            % (
                self._gap_begin,
                self._identity.gateway_comp_id.encode(),
                now,
                self._identity.client_comp_id.encode(),
                now,
                new_seq_no,
            )
        )
        pieces.append(build_frame(self._identity.begin_string, body))


class Resender:
    """Answers the ResendRequests of one session. Belongs to the gateway's one thread.

    While it `is_active`, what else is for the client goes through `hold`; `on_done` is called when
    there is no more to resend and all that was held has been sent. SendingTime(52) is told to
    `timestamp_digits`.
    """

    def __init__(
        self,
        store: SessionStore,
        identity: SessionIdentity,
        pace: ResendPace,
        metrics: GatewayMetrics,
        on_done: Callable[[], None],
    ) -> None:
        self._store = store
        self._identity = identity
        self._pace = pace
        self._metrics = metrics
        self._on_done = on_done
        self.timestamp_digits = MILLISECONDS
        self._asked: tuple[int, int] | None = None
        self._running: Resend | None = None
        self._task: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0

    @property
    def is_active(self) -> bool:
        """Whether something is being sent again."""
        return self._task is not None

    def resend(self, begin: int, end: int, client: Resendee) -> None:
        """Send a range again. All that is asked while another one is under way becomes one more."""
        running = self._running
        if running is not None and running.position <= begin and end <= running.end:
            return  # It is coming.
        if self._asked is not None:
            begin, end = min(begin, self._asked[0]), max(end, self._asked[1])
        self._asked = (begin, end)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run(client))
            self._task.add_done_callback(lambda task: self._end(task, client))

    def hold(self, data: bytes, client: Resendee) -> None:
        """Keep what is to follow the resend. A client for whom too much waits is hung up on."""
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MAX:
            log.warning("resend_given_up", session=self._identity.client_comp_id, cause="too slow")
            client.close()

    def cancel(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()
        self._clear()

    async def _run(self, client: Resendee) -> None:
        while self._asked is not None:
            resend = self._running = Resend(
                self._store, self._identity, *self._asked, self.timestamp_digits
            )
            self._asked = None
            self._metrics.resends.inc()
            while resend.position <= resend.end:
                client.write(await self._pace.run(resend.next_slice))
                await asyncio.wait_for(client.wait_until_writable(), WRITABLE_WAIT_S)
            self._metrics.messages_resent.inc(resend.message_count)

    def _end(self, task: asyncio.Task[None], client: Resendee) -> None:
        if task is not self._task:
            return  # Canceled, and perhaps there is a new one.
        fault = task.exception()
        held = b"".join(self._held)
        self._clear()
        if fault is not None:
            # With a gap that nobody fills the session is of no use. The next logon begins anew.
            log.error("resend_failed", session=self._identity.client_comp_id, error=repr(fault))
            client.close()
            return
        client.write(held)
        self._on_done()

    def _clear(self) -> None:
        self._task = self._running = self._asked = None
        self._held = []
        self._held_bytes = 0
