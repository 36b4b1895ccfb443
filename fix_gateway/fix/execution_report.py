"""Events to FIX reports: each a function of one event, so live, resent and replayed agree."""

from typing import Final

from engine.events import CancelRejected, OrderEvent
from engine.explain import explain
from engine.order import OrdStatus
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.report import (
    NO_ORDER_ID,
    ORD_REJ_REASONS,
    ORD_STATUS_TEXT,
    OTHER,
    Report,
    make_report,
)
from engine.runtime.feed import Position
from fix_gateway.fix.fields import (
    BusinessRejectReason,
    ExecType,
    Fields,
    MsgType,
    Tag,
    UtcTimestamps,
    join_fields,
    printable,
)
from fix_gateway.fix.translate import Refusal

YES: Final = "Y"
TO_CANCEL_REQUEST: Final = "1"
TO_REPLACE_REQUEST: Final = "2"
CXL_REJ_REASONS: Final = {
    RejectReason.TOO_LATE_TO_CANCEL: "0",
    RejectReason.UNKNOWN_ORDER: "1",
    RejectReason.DUPLICATE_CLORDID: "6",
}
REPORT_TAGS: Final = {
    "exec_id": Tag.EXEC_ID,
    "order_id": Tag.ORDER_ID,
    "cl_ord_id": Tag.CL_ORD_ID,
    "orig_cl_ord_id": Tag.ORIG_CL_ORD_ID,
    "exec_type": Tag.EXEC_TYPE,
    "ord_status": Tag.ORD_STATUS,
    "account": Tag.ACCOUNT,
    "symbol": Tag.SYMBOL,
    "side": Tag.SIDE,
    "ord_type": Tag.ORD_TYPE,
    "time_in_force": Tag.TIME_IN_FORCE,
    "order_qty": Tag.ORDER_QTY,
    "price": Tag.PRICE,
    "last_qty": Tag.LAST_QTY,
    "last_px": Tag.LAST_PX,
    "leaves_qty": Tag.LEAVES_QTY,
    "cum_qty": Tag.CUM_QTY,
    "avg_px": Tag.AVG_PX,
    # FIX 4.4 has no TrdMatchID(880) in this report.
    "trade_id": Tag.SECONDARY_EXEC_ID,
    "last_liquidity_ind": Tag.LAST_LIQUIDITY_IND,
    "ord_rej_reason": Tag.ORD_REJ_REASON,
    "exec_restatement_reason": Tag.EXEC_RESTATEMENT_REASON,
    "text": Tag.TEXT,
}

Pairs = list[tuple[int, str]]


class ReportBuilder:
    """Builds the bodies of outgoing messages, from 35= on. Belongs to the gateway's thread."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._timestamps = UtcTimestamps()

    def build_report(
        self,
        event: OrderEvent,
        position: Position,
        happened_at_ns: int,
        *,
        is_poss_resend: bool = False,
    ) -> str:
        """Return the report of an event. With `is_poss_resend` it bears PossResend(97)=Y."""
        head: Pairs = [(Tag.POSS_RESEND, YES)] if is_poss_resend else []
        if isinstance(event, CancelRejected):
            return self._build_cancel_reject(event, head, happened_at_ns)
        pairs = [
            (Tag.MSG_TYPE, MsgType.EXECUTION_REPORT),
            *head,
            *_fields_of(make_report(event, position.exec_id, self._reference)),
            (Tag.TRANSACT_TIME, self._timestamps.format(happened_at_ns)),
        ]
        return join_fields(pairs)

    def build_refused_order(
        self, fields: Fields, refusal: Refusal, exec_id: str, now_ns: int
    ) -> str:
        """Return the report of an order refused at the door, with what it said of itself."""
        echoed = (
            Tag.ACCOUNT,
            Tag.CL_ORD_ID,
            Tag.SYMBOL,
            Tag.SIDE,
            Tag.ORDER_QTY,
            Tag.ORD_TYPE,
            Tag.PRICE,
            Tag.TIME_IN_FORCE,
        )
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.EXECUTION_REPORT),
                (Tag.ORDER_ID, NO_ORDER_ID),
                (Tag.EXEC_ID, exec_id),
                (Tag.EXEC_TYPE, ExecType.REJECTED),
                (Tag.ORD_STATUS, ORD_STATUS_TEXT[OrdStatus.REJECTED]),
                *((tag, printable(fields[tag])) for tag in echoed if tag in fields),
                (Tag.LEAVES_QTY, "0"),
                (Tag.CUM_QTY, "0"),
                (Tag.AVG_PX, "0"),
                (Tag.ORD_REJ_REASON, ORD_REJ_REASONS.get(refusal.reason, OTHER)),
                (Tag.TEXT, refusal.text),
                (Tag.TRANSACT_TIME, self._timestamps.format(now_ns)),
            ]
        )

    def build_refused_cancel(self, fields: Fields, refusal: Refusal, now_ns: int) -> str:
        """Return the reject of a request to cancel or amend that was refused at the door."""
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.ORDER_CANCEL_REJECT),
                (Tag.ORDER_ID, NO_ORDER_ID),
                (Tag.CL_ORD_ID, printable(fields[Tag.CL_ORD_ID])),
                (Tag.ORIG_CL_ORD_ID, printable(fields.get(Tag.ORIG_CL_ORD_ID, NO_ORDER_ID))),
                (Tag.ORD_STATUS, ORD_STATUS_TEXT[OrdStatus.REJECTED]),
                (
                    Tag.CXL_REJ_RESPONSE_TO,
                    TO_CANCEL_REQUEST
                    if fields[Tag.MSG_TYPE] == MsgType.ORDER_CANCEL_REQUEST
                    else TO_REPLACE_REQUEST,
                ),
                (Tag.CXL_REJ_REASON, CXL_REJ_REASONS.get(refusal.reason, OTHER)),
                (Tag.TEXT, refusal.text),
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
        pairs += [(Tag.BUSINESS_REJECT_REASON, str(int(reason))), (Tag.TEXT, text)]
        return join_fields(pairs)

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
            (Tag.CXL_REJ_REASON, CXL_REJ_REASONS.get(event.reason, OTHER)),
            (Tag.TEXT, self._explain_cancel_reject(event)),
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
        )


def _fields_of(report: Report) -> Pairs:
    return [
        (tag, value)
        for name, tag in REPORT_TAGS.items()
        if (value := getattr(report, name)) is not None
    ]
