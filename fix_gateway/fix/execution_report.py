"""Events to FIX reports: each a function of one event, so live, resent and replayed agree."""

from operator import attrgetter
from typing import Final

from engine.commands import SessionCommand
from engine.events import CancelRejected, ExecutionEvent, OrderEvent, OrderStatusReported
from engine.explain import explain
from engine.order import OrdStatus
from engine.reasons import CancelReason, RejectReason
from engine.reference import Reference
from engine.report import (
    AUCTION,
    NO_ORDER_ID,
    ORD_STATUS_TEXT,
    REMOVED_LIQUIDITY,
    Report,
    make_report,
)
from engine.runtime.codec import decode_command
from engine.runtime.feed import Position
from engine.units import parse_fixed
from fix_gateway.fix.dialect import NANOSECONDS, Dialect
from fix_gateway.fix.fields import (
    SOH,
    BusinessRejectReason,
    ExecType,
    Fields,
    MsgType,
    SessionRejectReason,
    Tag,
    UtcTimestamps,
    join_fields,
    printable,
)
from fix_gateway.fix.request_parts import Refusal

YES, NO = "Y", "N"
TO_CANCEL_REQUEST: Final = "1"
TO_REPLACE_REQUEST: Final = "2"
NEW_INFORMATION: Final = "0"
# ExecTransType(20) of FIX 4.2, where later versions have an ExecType(150) of its own.
TRANS_TYPES: Final[dict[str, str]] = {
    ExecType.TRADE_CANCEL: "1",
    ExecType.TRADE_CORRECT: "2",
    ExecType.ORDER_STATUS: "3",
}
PARTIAL_FILL_4_2, FILL_4_2 = "1", "2"  # ExecType(150) of FIX 4.2.
EXCHANGE_FEES: Final = "4"  # MiscFeeType(139).
ABSOLUTE: Final = "3"  # CommType(13).
FILLED: Final = ORD_STATUS_TEXT[OrdStatus.FILLED]

# Where each field of a report goes. A version takes the first of the tags that it has, or does not
# tell it.
REPORT_TAGS: Final[dict[str, tuple[int, ...]]] = {
    "exec_id": (Tag.EXEC_ID,),
    "order_id": (Tag.ORDER_ID,),
    "cl_ord_id": (Tag.CL_ORD_ID,),
    "orig_cl_ord_id": (Tag.ORIG_CL_ORD_ID,),
    "exec_type": (Tag.EXEC_TYPE,),
    "ord_status": (Tag.ORD_STATUS,),
    "account": (Tag.ACCOUNT,),
    "symbol": (Tag.SYMBOL,),
    "side": (Tag.SIDE,),
    "ord_type": (Tag.ORD_TYPE,),
    "time_in_force": (Tag.TIME_IN_FORCE,),
    "order_qty": (Tag.ORDER_QTY,),
    "price": (Tag.PRICE,),
    "exec_inst": (Tag.EXEC_INST,),
    "min_qty": (Tag.MIN_QTY,),
    "stop_px": (Tag.STOP_PX,),
    "display_qty": (Tag.DISPLAY_QTY, Tag.MAX_FLOOR),
    "trigger_direction": (Tag.TRIGGER_PRICE_DIRECTION,),
    "working_indicator": (Tag.WORKING_INDICATOR,),
    "last_qty": (Tag.LAST_QTY,),
    "last_px": (Tag.LAST_PX,),
    "leaves_qty": (Tag.LEAVES_QTY,),
    "cum_qty": (Tag.CUM_QTY,),
    "avg_px": (Tag.AVG_PX,),
    "trade_id": (Tag.TRD_MATCH_ID, Tag.SECONDARY_EXEC_ID),
    "last_liquidity_ind": (Tag.LAST_LIQUIDITY_IND,),
    "ord_rej_reason": (Tag.ORD_REJ_REASON,),
    "exec_restatement_reason": (Tag.EXEC_RESTATEMENT_REASON,),
    "text": (Tag.TEXT,),
}

# What an order may say of itself, beyond who sends it and when.
ECHOED_TAGS: Final = (
    Tag.CL_ORD_ID, Tag.ACCOUNT, Tag.SYMBOL, Tag.SIDE, Tag.ORD_TYPE, Tag.TIME_IN_FORCE,
    Tag.ORDER_QTY, Tag.CASH_ORDER_QTY, Tag.PRICE, Tag.EXEC_INST, Tag.MIN_QTY, Tag.STOP_PX,
    Tag.TRIGGER_PRICE_DIRECTION, Tag.MAX_FLOOR, Tag.DISPLAY_QTY, Tag.EXPIRE_TIME, Tag.EXPIRE_DATE,
    Tag.SELF_MATCH_PREVENTION_ID, Tag.SELF_MATCH_PREVENTION_INSTRUCTION,
)  # fmt: skip

ECHOED_DECIMALS_MAX: Final = 18

# What every report says; the rest is looked at field by field.
ALWAYS_TOLD: Final = (
    "exec_id", "order_id", "cl_ord_id", "exec_type", "ord_status", "symbol", "side", "ord_type",
    "time_in_force", "order_qty", "leaves_qty", "cum_qty", "avg_px",
)  # fmt: skip

Pairs = list[tuple[int, str]]


class ReportBuilder:
    """Builds the bodies of a session's outgoing messages, from 35= on, in its dialect.

    Belongs to the gateway's thread.
    """

    def __init__(self, reference: Reference, dialect: Dialect) -> None:
        self.dialect = dialect
        self._reference = reference
        self._timestamps = UtcTimestamps(dialect.timestamp_digits)
        self._exact_times = UtcTimestamps(NANOSECONDS)
        told = {
            name: tag
            for name, tags in REPORT_TAGS.items()
            if (tag := next((tag for tag in tags if tag in dialect.report_tags), None)) is not None
        }
        # What may stand in either of several fields is said in the one of the version.
        self._echoes = {tag: told[name] for name in told for tag in REPORT_TAGS[name]}
        always = [name for name in told if name in ALWAYS_TOLD]
        sometimes = [name for name in told if name not in ALWAYS_TOLD]
        self._template = "".join([f"{told[name]}=%s{SOH}" for name in always])
        self._always_of = attrgetter(*always)
        self._heads = [f"{told[name]}=" for name in sometimes]
        self._sometimes_of = attrgetter(*sometimes)
        self._has_aggressor = Tag.AGGRESSOR_INDICATOR in dialect.report_tags

    def build_report(
        self,
        event: OrderEvent,
        position: Position,
        happened_at_ns: int,
        *,
        is_poss_resend: bool = False,
        is_copy: bool = False,
        command_bytes: bytes = b"",
    ) -> str:
        """Return the report of an event. With `is_poss_resend` it bears PossResend(97)=Y.

        With `is_copy` it is of an order of another session, and bears CopyMsgIndicator(797)=Y.
        `command_bytes` is what has caused the event: a dialect may tell when that had come.
        """
        if isinstance(event, CancelRejected):
            head: Pairs = [(Tag.POSS_RESEND, YES)] if is_poss_resend else []
            return self._build_cancel_reject(event, head, happened_at_ns)
        report = make_report(event, position.exec_id, self._reference)
        extra = self._in_dialect(report)
        if isinstance(event, OrderStatusReported) and event.request_id:
            extra += self._what_was_asked(event)
        if is_copy and Tag.COPY_MSG_INDICATOR in self.dialect.report_tags:
            extra += f"797=Y{SOH}"
        if self.dialect.tells_timing:
            extra += self._timing(event, command_bytes, happened_at_ns)
        resent = f"97=Y{SOH}" if is_poss_resend else ""
        told = "".join(
            [
                f"{head}{value}{SOH}"
                for head, value in zip(self._heads, self._sometimes_of(report), strict=True)
                if value is not None
            ]
        )
        always = self._template % self._always_of(report)
        time_text = self._timestamps.format(happened_at_ns)
        return f"35=8{SOH}{resent}{always}{told}{extra}60={time_text}{SOH}"

    def _in_dialect(self, report: Report) -> str:
        """Put the report's codes into those of the version, and return what it says besides."""
        dialect = self.dialect
        extra = ""
        if report.ord_rej_reason is not None and report.reason is not None:
            report.ord_rej_reason = dialect.ord_rej_reason(RejectReason[report.reason])
            if dialect.tells_error_codes:
                extra = join_fields(dialect.error_code(report.reason))
        elif report.exec_restatement_reason is not None and report.reason is not None:
            report.exec_restatement_reason = dialect.restatement_reason(
                CancelReason[report.reason], report.exec_restatement_reason
            )
        if report.expires_at_ns is not None:
            extra += f"126={self._timestamps.format(report.expires_at_ns)}{SOH}"
        if report.fee is not None and report.fee_asset is not None:
            extra += self._fee(report.fee, report.fee_asset)
        if report.exec_type == ExecType.TRIGGERED and report.exec_type not in dialect.exec_types:
            # Before FIX 5.0 nothing says so but WorkingIndicator(636) and the text.
            report.exec_type = ExecType.RESTATED
            report.exec_restatement_reason = dialect.restatement_other
        if dialect.has_exec_trans_type:
            extra += self._in_4_2(report)
        if report.last_liquidity_ind is not None:
            extra += self._liquidity(report, report.last_liquidity_ind)
        return extra

    def _what_was_asked(self, event: OrderStatusReported) -> str:
        """Name the question that a report answers, and its place among the answers."""
        if not event.mass_total:
            pairs: Pairs = [(Tag.ORD_STATUS_REQ_ID, event.request_id)]
        else:
            pairs = [
                (Tag.MASS_STATUS_REQ_ID, event.request_id),
                (Tag.TOT_NUM_REPORTS, str(event.mass_total)),
                (Tag.LAST_RPT_REQUESTED, YES if event.is_last else NO),
            ]
        return join_fields([pair for pair in pairs if pair[0] in self.dialect.report_tags])

    def _liquidity(self, report: Report, indicator: str) -> str:
        """In an uncrossing nobody comes in, which FIX 4.4 has no LastLiquidityInd(851) for."""
        if indicator not in self.dialect.liquidity_inds:
            report.last_liquidity_ind = None
        if not self._has_aggressor or indicator == AUCTION:
            return ""
        return f"1057={YES if indicator == REMOVED_LIQUIDITY else NO}{SOH}"

    def _timing(self, event: ExecutionEvent, command_bytes: bytes, happened_at_ns: int) -> str:
        """Say when the gateway got the request, if one of the order's session was it, and ours."""
        command = decode_command(command_bytes) if command_bytes else None
        got = ""
        if isinstance(command, SessionCommand) and command.session_id == event.order.session_id:
            got = self._gateway_time(command.received_at_ns)
        return f"{got}{int(Tag.ENGINE_TIME)}={self._exact_times.format(happened_at_ns)}{SOH}"

    def _gateway_time(self, received_at_ns: int) -> str:
        if not received_at_ns:
            return ""
        return f"{int(Tag.GATEWAY_TIME)}={self._exact_times.format(received_at_ns)}{SOH}"

    def _in_4_2(self, report: Report) -> str:
        """FIX 4.2 says what a report is about in ExecTransType(20)."""
        trans_type = NEW_INFORMATION
        if report.exec_type == ExecType.TRADE:
            report.exec_type = FILL_4_2 if report.ord_status == FILLED else PARTIAL_FILL_4_2
        elif report.exec_type in TRANS_TYPES:
            report.exec_type, trans_type = report.ord_status, TRANS_TYPES[report.exec_type]
        return f"20={trans_type}{SOH}"

    def _fee(self, fee: str, asset: str) -> str:
        """Return the fee of a fill, below 0 for a rebate. FIX 4.2 knows commissions alone."""
        if Tag.NO_MISC_FEES in self.dialect.report_tags:
            return f"136=1{SOH}137={fee}{SOH}138={asset}{SOH}139={EXCHANGE_FEES}{SOH}"
        return f"12={fee}{SOH}13={ABSOLUTE}{SOH}"

    def build_refused_order(
        self, fields: Fields, refusal: Refusal, exec_id: str, now_ns: int
    ) -> str:
        """Return the report of an order refused at the door, with what it said of itself.

        It came at `now_ns`.
        """
        timing: Pairs = []
        if self.dialect.tells_timing:
            timing = [(Tag.GATEWAY_TIME, self._exact_times.format(now_ns))]
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.EXECUTION_REPORT),
                (Tag.ORDER_ID, NO_ORDER_ID),
                (Tag.EXEC_ID, exec_id),
                *self._exec_trans_type(),
                (Tag.EXEC_TYPE, ExecType.REJECTED),
                (Tag.ORD_STATUS, ORD_STATUS_TEXT[OrdStatus.REJECTED]),
                *self._echo(fields),
                (Tag.LEAVES_QTY, "0"),
                (Tag.CUM_QTY, "0"),
                (Tag.AVG_PX, "0"),
                (Tag.ORD_REJ_REASON, self.dialect.ord_rej_reason(refusal.reason)),
                (Tag.TEXT, refusal.text),
                *self.dialect.error_code(refusal.reason.name),
                *timing,
                (Tag.TRANSACT_TIME, self._timestamps.format(now_ns)),
            ]
        )

    def _echo(self, fields: Fields) -> Pairs:
        """Return what an order said of itself, each where a report of it would say it."""
        echoed: dict[int, str] = {}
        for tag in ECHOED_TAGS:
            told = self._echoes.get(tag, tag)
            if tag not in fields or told in echoed or told not in self.dialect.report_tags:
                continue
            # What comes in a field of another version has not been looked at by QuickFIX.
            if told == tag or parse_fixed(fields[tag], ECHOED_DECIMALS_MAX) is not None:
                echoed[told] = printable(fields[tag])
        return list(echoed.items())

    def build_refused_cancel(self, fields: Fields, refusal: Refusal, now_ns: int) -> str:
        """Return the reject of a request to cancel or amend that was refused at the door."""
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.ORDER_CANCEL_REJECT),
                (Tag.ORDER_ID, NO_ORDER_ID),
                (Tag.CL_ORD_ID, printable(fields[Tag.CL_ORD_ID])),
                *([(Tag.ACCOUNT, printable(fields[Tag.ACCOUNT]))] if Tag.ACCOUNT in fields else []),
                (Tag.ORIG_CL_ORD_ID, printable(fields.get(Tag.ORIG_CL_ORD_ID, NO_ORDER_ID))),
                (Tag.ORD_STATUS, ORD_STATUS_TEXT[OrdStatus.REJECTED]),
                (
                    Tag.CXL_REJ_RESPONSE_TO,
                    TO_CANCEL_REQUEST
                    if fields[Tag.MSG_TYPE] == MsgType.ORDER_CANCEL_REQUEST
                    else TO_REPLACE_REQUEST,
                ),
                (Tag.CXL_REJ_REASON, self.dialect.cxl_rej_reason(refusal.reason)),
                (Tag.TEXT, refusal.text),
                *self.dialect.error_code(refusal.reason.name),
                (Tag.TRANSACT_TIME, self._timestamps.format(now_ns)),
            ]
        )

    def build_business_reject(self, fields: Fields, reason: BusinessRejectReason, text: str) -> str:
        """Return the refusal of a message that cannot be served at all."""
        pairs: Pairs = [
            (Tag.MSG_TYPE, MsgType.BUSINESS_MESSAGE_REJECT),
            (Tag.REF_SEQ_NUM, fields[Tag.MSG_SEQ_NUM]),
            (Tag.REF_MSG_TYPE, fields[Tag.MSG_TYPE]),
        ]
        if Tag.CL_ORD_ID in fields:
            pairs.append((Tag.BUSINESS_REJECT_REF_ID, printable(fields[Tag.CL_ORD_ID])))
        code = self.dialect.business_reject_reason(reason)
        pairs += [(Tag.BUSINESS_REJECT_REASON, code), (Tag.TEXT, text)]
        return join_fields(pairs + self.dialect.error_code(text.partition(":")[0]))

    def build_reject(self, fields: Fields, tag: int, reason: SessionRejectReason, text: str) -> str:
        """Return the Reject(3) of a message that breaks the rules of its type in a field."""
        code = str(int(reason))
        is_known = code in self.dialect.session_reject_reasons
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.REJECT),
                (Tag.REF_SEQ_NUM, fields[Tag.MSG_SEQ_NUM]),
                (Tag.REF_TAG_ID, str(int(tag))),
                (Tag.REF_MSG_TYPE, printable(fields[Tag.MSG_TYPE])),
                *([(Tag.SESSION_REJECT_REASON, code)] if is_known else []),
                (Tag.TEXT, text),
            ]
        )

    def _exec_trans_type(self) -> Pairs:
        if not self.dialect.has_exec_trans_type:
            return []
        return [(Tag.EXEC_TRANS_TYPE, NEW_INFORMATION)]

    def _build_cancel_reject(self, event: CancelRejected, head: Pairs, time_ns: int) -> str:
        order = event.order
        account = self._reference.accounts.get(event.account_id)
        pairs: Pairs = [
            (Tag.MSG_TYPE, MsgType.ORDER_CANCEL_REJECT),
            *head,
            (Tag.ORDER_ID, NO_ORDER_ID if order is None else str(order.order_id)),
            (Tag.CL_ORD_ID, event.cl_ord_id),
            (Tag.ORIG_CL_ORD_ID, event.orig_cl_ord_id or NO_ORDER_ID),
            (
                Tag.ORD_STATUS,
                ORD_STATUS_TEXT[OrdStatus.REJECTED if order is None else order.ord_status],
            ),
            (
                Tag.CXL_REJ_RESPONSE_TO,
                TO_REPLACE_REQUEST if event.is_replace else TO_CANCEL_REQUEST,
            ),
            (Tag.CXL_REJ_REASON, self.dialect.cxl_rej_reason(event.reason)),
            (Tag.TEXT, event.text or self._explain_cancel_reject(event)),
            *self.dialect.error_code(event.reason.name),
            (Tag.TRANSACT_TIME, self._timestamps.format(time_ns)),
        ]
        if account is not None:
            pairs.append((Tag.ACCOUNT, account.name))
        return join_fields(pairs)

    def _explain_cancel_reject(self, event: CancelRejected) -> str:
        order = event.order
        instrument = None
        if order is not None:
            instrument = self._reference.instruments.get(order.instrument_id)
        return explain(
            event.reason,
            limit=event.limit,
            actual=event.actual,
            instrument=instrument,
            side=None if order is None else order.side,
            scope=event.scope,
            detail=event.detail,
        )
