"""Inbound: a client's application messages become commands, or are refused at the door.

A refusal is written down before it is replied to, so that the message is passed over when it is
ever resent. What the engine may have seen is never refused here.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from engine.commands import SessionCommand
from fix_gateway.fix.execution_report import ReportBuilder
from fix_gateway.fix.fields import (
    BusinessRejectReason,
    Fields,
    MsgType,
    Tag,
    parse_message,
)
from fix_gateway.fix.refusals import RefusalLog
from fix_gateway.fix.translate import Refusal, SessionContext, Translator
from fix_gateway.metrics import GatewayMetrics

ENGINE_UNAVAILABLE: Final = "ENGINE_UNAVAILABLE: try again in a moment"
UNSUPPORTED: Final = "UNSUPPORTED: message type not spoken here"
INTERNAL_ERROR: Final = "INTERNAL_ERROR: not processed"

log = structlog.get_logger("fix.intake")


class TakesCommands(Protocol):
    """The engine, as commands see it."""

    @property
    def is_available(self) -> bool:
        """Whether commands are taken now."""

    def enter(self, command: SessionCommand) -> None:
        """Send a command with the next frame. Its effects come back as events."""


class Intake:
    """Takes the application messages of one session. Belongs to the gateway's one thread.

    `reply` notes that the message of this number is refused, and then sends what answers it, given
    as fields from 35= on. `entered_msg_seq_num` is the last message of the epoch that is known to
    have gone to the engine.
    """

    def __init__(
        self,
        engine: TakesCommands,
        translator: Translator,
        builder: ReportBuilder,
        metrics: GatewayMetrics,
        refusals: RefusalLog,
        *,
        reply: Callable[[int, str], None],
    ) -> None:
        self.entered_msg_seq_num = 0
        self._engine = engine
        self._translator = translator
        self._builder = builder
        self._metrics = metrics
        self._refusals = refusals
        self._reply = reply

    def take(self, text: str, context: SessionContext) -> None:
        """Take a message that came in sequence and well-formed. A generation of 0 is no grant."""
        fields = parse_message(text)
        if int(fields[Tag.MSG_SEQ_NUM]) in self._refusals:
            return
        if fields[Tag.MSG_TYPE] == MsgType.BUSINESS_MESSAGE_REJECT:
            # Never answered: a reject of a reject has no end.
            comp_id = fields[Tag.SENDER_COMP_ID]
            log.warning("client_rejected_message", session=comp_id, text=fields.get(Tag.TEXT))
            return
        if not context.generation or not self._engine.is_available:
            reason = BusinessRejectReason.APPLICATION_NOT_AVAILABLE
            self._refuse_business(fields, reason, ENGINE_UNAVAILABLE)
            return
        now_ns = time.time_ns()
        outcome = self._translator.translate(fields, context, now_ns)
        if outcome is None:
            reason = BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE
            self._refuse_business(fields, reason, UNSUPPORTED)
        elif isinstance(outcome, Refusal):
            self._refuse(fields, outcome, context, now_ns)
        else:
            self.entered_msg_seq_num = outcome.msg_seq_num
            self._engine.enter(outcome)

    def give_up(self, text: str) -> None:
        """Refuse a message on which our own code failed: the client must not wait for ever."""
        self._refuse_business(parse_message(text), BusinessRejectReason.OTHER, INTERNAL_ERROR)

    def _refuse(
        self, fields: Fields, refusal: Refusal, context: SessionContext, now_ns: int
    ) -> None:
        msg_seq_num = int(fields[Tag.MSG_SEQ_NUM])
        self._metrics.refusals.labels(refusal.reason.name).inc()
        if fields[Tag.MSG_TYPE] == MsgType.NEW_ORDER_SINGLE:
            exec_id = f"D{context.session_id}.{context.epoch}.{msg_seq_num}"
            reply = self._builder.build_refused_order(fields, refusal, exec_id, now_ns)
        else:
            reply = self._builder.build_refused_cancel(fields, refusal, now_ns)
        self._reply(msg_seq_num, reply)

    def _refuse_business(self, fields: Fields, reason: BusinessRejectReason, text: str) -> None:
        self._metrics.refusals.labels(reason.name).inc()
        reply = self._builder.build_business_reject(fields, reason, text)
        self._reply(int(fields[Tag.MSG_SEQ_NUM]), reply)
