"""Inbound: a client's application messages become commands, or are refused at the door.

A refusal is written down before it is replied to, so that the message is passed over when it is
ever resent. What the engine may have seen is never refused here. Every message is paid out of the
session's budgets before anything else is done with it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from engine.commands import (
    CancelOrder,
    NewOrder,
    RefuseRequest,
    ReplaceOrder,
    SessionCommand,
)
from engine.order import NO_USER
from engine.reasons import RejectReason
from engine.request_commands import MassCancel, ReportBalances, ReportOpenOrders, ReportOrder
from fix_gateway.fix.dialect import FIX_5_0_SP2, Dialect, dialect_of
from fix_gateway.fix.dictionary import load_version
from fix_gateway.fix.fields import (
    BusinessRejectReason,
    Fields,
    MsgType,
    SessionRejectReason,
    Tag,
    parse_message,
)
from fix_gateway.fix.message_trace import MessageTrace
from fix_gateway.fix.refusals import RefusalLog
from fix_gateway.fix.request_parts import Refusal, SessionContext
from fix_gateway.fix.session_tools import SessionTools
from fix_gateway.fix.throttle import CANCEL_TYPES, SessionThrottle
from fix_gateway.fix.translate_requests import REQUEST_TYPES
from store.sessions import FixSessionRow

ENGINE_UNAVAILABLE: Final = "ENGINE_UNAVAILABLE: try again in a moment"
UNSUPPORTED: Final = "UNSUPPORTED: message type not spoken here"
INTERNAL_ERROR: Final = "INTERNAL_ERROR: not processed"
MARKET_DATA_TYPES: Final = frozenset(
    {
        MsgType.MARKET_DATA_REQUEST, MsgType.SECURITY_LIST_REQUEST,
        MsgType.TRADING_SESSION_STATUS_REQUEST,
    }
)  # fmt: skip
ORDER_TYPES: Final = frozenset(
    {
        MsgType.NEW_ORDER_SINGLE,
        MsgType.ORDER_CANCEL_REQUEST,
        MsgType.ORDER_CANCEL_REPLACE_REQUEST,
    }
)
MSG_TYPES: Final[dict[type, str]] = {
    NewOrder: MsgType.NEW_ORDER_SINGLE,
    CancelOrder: MsgType.ORDER_CANCEL_REQUEST,
    ReplaceOrder: MsgType.ORDER_CANCEL_REPLACE_REQUEST,
    MassCancel: MsgType.ORDER_MASS_CANCEL_REQUEST,
    ReportOrder: MsgType.ORDER_STATUS_REQUEST,
    ReportOpenOrders: MsgType.ORDER_MASS_STATUS_REQUEST,
    ReportBalances: MsgType.REQUEST_FOR_POSITIONS,
}
QUESTION_TYPES: Final = frozenset(
    {
        MsgType.ORDER_STATUS_REQUEST, MsgType.ORDER_MASS_STATUS_REQUEST,
        MsgType.REQUEST_FOR_POSITIONS, MsgType.SECURITY_LIST_REQUEST,
        MsgType.TRADING_SESSION_STATUS_REQUEST, MsgType.EVENT_RESEND_REQUEST,
    }
)  # fmt: skip

log = structlog.get_logger("fix.intake")


def _msg_type_of(command: SessionCommand) -> str:
    if isinstance(command, RefuseRequest):
        return MSG_TYPES[ReplaceOrder if command.is_replace else CancelOrder]
    return MSG_TYPES[type(command)]


def find_forbidden(msg_type: str, row: FixSessionRow) -> str | None:
    """Return in words why the session may not send such a message, None when it may."""
    if msg_type == MsgType.MARKET_DATA_REQUEST:
        return None  # It has a reject of its own.
    if row.is_market_data and msg_type not in MARKET_DATA_TYPES:
        return "NOT_PERMITTED: a market data session asks for market data, no more"
    if row.is_drop_copy and msg_type not in QUESTION_TYPES:
        return "NOT_PERMITTED: a drop copy session listens and asks, no more"
    if msg_type in CANCEL_TYPES:
        return None if row.can_cancel else "NOT_PERMITTED: this session may not cancel orders"
    if msg_type in ORDER_TYPES and not row.can_enter:
        return "NOT_PERMITTED: this session may not enter orders"
    return None


class IntakeReplies(NamedTuple):
    """What an intake does to its client.

    `reply` notes that the message of this number is done with, and then sends what answers it,
    given as fields from 35= on. `resend_events` answers an EventResendRequest(F3), `tell_market` a
    MarketDataRequest(V), of which it is given the whole text too. `ask_venue` returns what answers
    a question about the venue, None for any other message. `log_out` sends a client away that does
    not keep to its rate, and says why.
    """

    reply: Callable[[int, list[str]], None]
    resend_events: Callable[[Fields], None]
    tell_market: Callable[[Fields, str], None]
    ask_venue: Callable[[Fields], list[str] | None]
    log_out: Callable[[str], None]


class Intake:
    """Takes the application messages of one session. Belongs to the gateway's one thread.

    `entered_msg_seq_num` is the last message of the epoch that is known to have gone to the engine.
    """

    def __init__(
        self,
        tools: SessionTools,
        row: FixSessionRow,
        refusals: RefusalLog,
        throttle: SessionThrottle,
        replies: IntakeReplies,
    ) -> None:
        self.entered_msg_seq_num = 0
        self._engine = tools.engine
        dialect = dialect_of(row)
        self._tools = tools
        self._translator = tools.translators[dialect.begin_string]
        self._requests = tools.requests
        self._spoken = load_version(dialect.version).messages.keys()
        self._metrics = tools.metrics
        self._refusals = refusals
        self._throttle = throttle
        self._trace = MessageTrace()
        self._replies = replies
        self.speak(dialect)

    def speak(self, dialect: Dialect) -> None:
        """Let the messages that follow be answered so. The version never changes."""
        self._builder = self._tools.make_builder(dialect)
        self._answers = self._tools.make_answer_builder(dialect)

    def take(self, text: str, row: FixSessionRow, generation: int, epoch: int) -> None:
        """Take a message that came in sequence and well-formed. A generation of 0 is no grant."""
        context = SessionContext(
            row.session_id,
            row.firm_id,
            row.account_id,
            generation,
            epoch,
            row.is_drop_copy,
            user_id=row.user_id or NO_USER,
        )
        if row.copied_account_ids:
            context = context._replace(chosen_account_ids=frozenset(row.copied_account_ids))
        self._throttle.follow(row, time.monotonic_ns())
        fields = parse_message(text)
        self._trace.note_received(fields, context)
        if int(fields[Tag.MSG_SEQ_NUM]) in self._refusals:
            return
        if not self._is_in_time(fields, context):
            return
        if fields[Tag.MSG_TYPE] == MsgType.BUSINESS_MESSAGE_REJECT:
            # Never answered: a reject of a reject has no end.
            comp_id = fields[Tag.SENDER_COMP_ID]
            log.warning("client_rejected_message", session=comp_id, text=fields.get(Tag.TEXT))
            return
        is_new = int(fields[Tag.MSG_SEQ_NUM]) > self.entered_msg_seq_num
        forbidden = find_forbidden(fields[Tag.MSG_TYPE], row) if is_new else None
        if forbidden is not None:
            self._refuse_business(fields, BusinessRejectReason.NOT_AUTHORIZED, forbidden)
            return
        if not context.generation or not self._engine.is_available:
            reason = BusinessRejectReason.APPLICATION_NOT_AVAILABLE
            self._refuse_business(fields, reason, ENGINE_UNAVAILABLE)
            return
        if self._is_rejected(fields, text):
            return
        if fields[Tag.MSG_TYPE] in ORDER_TYPES or not self._is_answered_here(fields, text):
            self._enter(fields, context, time.time_ns())

    def _enter(self, fields: Fields, context: SessionContext, now_ns: int) -> None:
        """Send the engine what the message asks for, or refuse it."""
        outcome = self._translate(fields, context, now_ns)
        if outcome is None:
            reason = BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE
            self._refuse_business(fields, reason, UNSUPPORTED)
        elif isinstance(outcome, Refusal):
            self._refuse(fields, outcome, context, now_ns)
        else:
            self.entered_msg_seq_num = outcome.msg_seq_num
            self._engine.enter(outcome)

    def _translate(
        self, fields: Fields, context: SessionContext, now_ns: int
    ) -> SessionCommand | Refusal | None:
        msg_type = fields[Tag.MSG_TYPE]
        if msg_type in ORDER_TYPES:
            return self._translator.translate(fields, context, now_ns)
        if msg_type in REQUEST_TYPES and msg_type in self._spoken:
            return self._requests.translate(fields, context, now_ns)
        return None

    def _is_answered_here(self, fields: Fields, text: str) -> bool:
        """Answer a question that needs no engine. Returns whether it was one."""
        msg_type = fields[Tag.MSG_TYPE]
        if msg_type not in self._spoken:
            return False
        if msg_type == MsgType.EVENT_RESEND_REQUEST:
            # Not written down: when it comes again, it is answered again.
            self._replies.resend_events(fields)
            return True
        if msg_type == MsgType.MARKET_DATA_REQUEST:
            # Not now: this is the middle of one of QuickFIX's callbacks.
            asyncio.get_running_loop().call_soon(self._replies.tell_market, fields, text)
            return True
        answers = self._replies.ask_venue(fields)
        if answers is None:
            return False
        self._replies.reply(int(fields[Tag.MSG_SEQ_NUM]), answers)
        return True

    def give_up(self, text: str) -> None:
        """Refuse a message on which our own code failed: the client must not wait for ever."""
        self._refuse_business(parse_message(text), BusinessRejectReason.OTHER, INTERNAL_ERROR)

    def refuse_unsendable(self, command: SessionCommand) -> None:
        """Refuse a message that became a command which cannot be sent, likewise."""
        fields: Fields = {
            Tag.MSG_SEQ_NUM: str(command.msg_seq_num),
            Tag.MSG_TYPE: _msg_type_of(command),
        }
        cl_ord_id = getattr(command, "cl_ord_id", "")
        if cl_ord_id:
            fields[Tag.CL_ORD_ID] = cl_ord_id
        self._refuse_business(fields, BusinessRejectReason.OTHER, INTERNAL_ERROR)

    def _is_rejected(self, fields: Fields, text: str) -> bool:
        """Reject what breaks the rules of its type in a way that QuickFIX does not look at."""
        found = self._find_broken_rule(fields, text)
        if found is None:
            return False
        tag, reason, words = found
        reply = self._builder.build_reject(fields, tag, reason, words)
        self._replies.reply(int(fields[Tag.MSG_SEQ_NUM]), [reply])
        return True

    def _find_broken_rule(
        self, fields: Fields, text: str
    ) -> tuple[int, SessionRejectReason, str] | None:
        tag = min(fields)
        if tag < 1:
            return tag, SessionRejectReason.INVALID_TAG_NUMBER, "there is no such tag"
        if (
            self._builder.dialect.is_fixt
            and fields.get(Tag.APPL_VER_ID, FIX_5_0_SP2) != FIX_5_0_SP2
        ):
            words = f"ApplVerID(1128) must be {FIX_5_0_SP2}, FIX 5.0 SP2"
            reason = SessionRejectReason.INVALID_UNSUPPORTED_APPLICATION_VERSION
            return Tag.APPL_VER_ID, reason, words
        counter = self._translator.find_miscounted(fields, text)
        if counter is not None:
            words = f"the group that tag {counter} counts is not as long as it says"
            return counter, SessionRejectReason.INCORRECT_NUM_IN_GROUP_COUNT, words
        return None

    def _is_in_time(self, fields: Fields, context: SessionContext) -> bool:
        """Pay for the message, or refuse it. What has gone to the engine is not paid for again."""
        if int(fields[Tag.MSG_SEQ_NUM]) <= self.entered_msg_seq_num:
            return True
        msg_type = fields[Tag.MSG_TYPE]
        throttled = self._throttle.take(msg_type, time.monotonic_ns())
        if throttled is None:
            return True
        if msg_type in ORDER_TYPES and not self._builder.dialect.has_throttle_reason:
            refusal = Refusal(RejectReason.RATE_LIMIT, throttled.text)
            self._refuse(fields, refusal, context, time.time_ns())
        elif msg_type != MsgType.BUSINESS_MESSAGE_REJECT:
            reason = BusinessRejectReason.THROTTLE_LIMIT_EXCEEDED
            self._refuse_business(fields, reason, throttled.text)
        if throttled.is_last_straw:
            log.warning("client_does_not_keep_its_rate", session=fields[Tag.SENDER_COMP_ID])
            # Not now: this is the middle of one of QuickFIX's callbacks.
            asyncio.get_running_loop().call_soon(self._replies.log_out, throttled.text)
        return False

    def _refuse(
        self, fields: Fields, refusal: Refusal, context: SessionContext, now_ns: int
    ) -> None:
        msg_seq_num = int(fields[Tag.MSG_SEQ_NUM])
        self._metrics.refusals.labels(refusal.reason.name).inc()
        self._trace.note_refused(fields, refusal.text)
        exec_id = f"D{context.session_id}.{context.epoch}.{msg_seq_num}"
        if fields[Tag.MSG_TYPE] in REQUEST_TYPES:
            reply = self._answers.build_refusal(fields, refusal, exec_id, now_ns)
        elif fields[Tag.MSG_TYPE] == MsgType.NEW_ORDER_SINGLE:
            reply = self._builder.build_refused_order(fields, refusal, exec_id, now_ns)
        else:
            reply = self._builder.build_refused_cancel(fields, refusal, now_ns)
        self._replies.reply(msg_seq_num, [reply])

    def _refuse_business(self, fields: Fields, reason: BusinessRejectReason, text: str) -> None:
        self._metrics.refusals.labels(reason.name).inc()
        self._trace.note_refused(fields, text)
        reply = self._builder.build_business_reject(fields, reason, text)
        self._replies.reply(int(fields[Tag.MSG_SEQ_NUM]), [reply])
