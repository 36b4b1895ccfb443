"""Events to FIX reports: each a function of one event, so live, resent and replayed agree."""

from typing import Final, assert_never

from engine.events import (
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderStatusReported,
    Trade,
)
from engine.explain import explain
from engine.order import OrderView, OrdStatus
from engine.reasons import CancelReason, RejectReason
from engine.reference import Reference
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

NO_ORDER_ID: Final = "NONE"
YES: Final = "Y"
ADDED_LIQUIDITY: Final = "1"
REMOVED_LIQUIDITY: Final = "2"
TO_CANCEL_REQUEST: Final = "1"
ORD_STATUS_TEXT: Final = {status: f"{status.value:X}" for status in OrdStatus}

# OrdRejReason(103) as FIX 4.4 knows it. The precise reason is the code in front of Text(58).
OTHER: Final = "99"
ORD_REJ_REASONS: Final = {
    RejectReason.SYMBOL_UNKNOWN: "1",
    RejectReason.MAX_ORDER_QTY: "3",
    RejectReason.MAX_ORDER_NOTIONAL: "3",
    RejectReason.DUPLICATE_CLORDID: "6",
    RejectReason.STALE: "8",
    RejectReason.UNSUPPORTED: "11",
    RejectReason.LOT_SIZE: "13",
    RejectReason.ORDER_QTY_INVALID: "13",
    RejectReason.ACCOUNT_UNKNOWN: "15",
    RejectReason.INSUFFICIENT_BALANCE: "0",
}
CXL_REJ_REASONS: Final = {
    RejectReason.TOO_LATE_TO_CANCEL: "0",
    RejectReason.UNKNOWN_ORDER: "1",
    RejectReason.DUPLICATE_CLORDID: "6",
}
CANCEL_WORDS: Final = {
    CancelReason.IOC_REMAINDER: "the rest could not trade at once",
    CancelReason.FOK_CANNOT_FILL: "the whole quantity could not trade at once",
    CancelReason.MARKET_REMAINDER: "the book had no more to trade with",
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
        exec_id = f"{position.seq}.{position.event_index}"
        if isinstance(event, CancelRejected):
            return self._build_cancel_reject(event, head, happened_at_ns)
        pairs = [
            (Tag.MSG_TYPE, MsgType.EXECUTION_REPORT),
            *head,
            (Tag.EXEC_ID, exec_id),
            *self._order_fields(event.order),
            *self._event_fields(event),
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
        """Return the reject of a cancel request that was refused at the door."""
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.ORDER_CANCEL_REJECT),
                (Tag.ORDER_ID, NO_ORDER_ID),
                (Tag.CL_ORD_ID, printable(fields[Tag.CL_ORD_ID])),
                (Tag.ORIG_CL_ORD_ID, printable(fields.get(Tag.ORIG_CL_ORD_ID, NO_ORDER_ID))),
                (Tag.ORD_STATUS, ORD_STATUS_TEXT[OrdStatus.REJECTED]),
                (Tag.CXL_REJ_RESPONSE_TO, TO_CANCEL_REQUEST),
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
            (Tag.CXL_REJ_RESPONSE_TO, TO_CANCEL_REQUEST),
            (Tag.CXL_REJ_REASON, CXL_REJ_REASONS.get(event.reason, OTHER)),
            (Tag.TEXT, explain(event.reason)),
            (Tag.TRANSACT_TIME, self._timestamps.format(time_ns)),
        ]
        if account is not None:
            pairs.append((Tag.ACCOUNT, account.name))
        return join_fields(pairs)

    def _order_fields(self, order: OrderView) -> Pairs:
        """Return the order as it stood after the event: enough to rebuild it from one report."""
        instrument = self._reference.instruments[order.instrument_id]
        pairs: Pairs = [
            (Tag.ORDER_ID, str(order.order_id) if order.order_id else NO_ORDER_ID),
            (Tag.ORD_STATUS, ORD_STATUS_TEXT[order.ord_status]),
            (Tag.SYMBOL, instrument.symbol),
            (Tag.SIDE, str(order.side.value)),
            (Tag.ORD_TYPE, str(order.ord_type.value)),
            (Tag.TIME_IN_FORCE, str(order.time_in_force.value)),
            (Tag.ORDER_QTY, instrument.format_qty(order.order_qty)),
            (Tag.LEAVES_QTY, instrument.format_qty(order.leaves_qty)),
            (Tag.CUM_QTY, instrument.format_qty(order.cum_qty)),
            (Tag.AVG_PX, instrument.format_average_price(order.cum_notional, order.cum_qty)),
        ]
        if order.price is not None:
            pairs.append((Tag.PRICE, instrument.format_price(order.price)))
        account = self._reference.accounts.get(order.account_id)
        if account is not None:
            pairs.append((Tag.ACCOUNT, account.name))
        return pairs

    def _event_fields(
        self,
        event: OrderAccepted
        | OrderRejected
        | OrderStatusReported
        | Trade
        | OrderCanceled
        | OrderExpired,
    ) -> Pairs:
        order = event.order
        own_id: tuple[int, str] = (Tag.CL_ORD_ID, order.cl_ord_id)
        match event:
            case OrderAccepted():
                return [(Tag.EXEC_TYPE, ExecType.NEW), own_id]
            case OrderStatusReported():
                return [(Tag.EXEC_TYPE, ExecType.ORDER_STATUS), own_id]
            case OrderExpired():
                return [(Tag.EXEC_TYPE, ExecType.EXPIRED), own_id]
            case OrderRejected():
                return [(Tag.EXEC_TYPE, ExecType.REJECTED), own_id, *self._reject_fields(event)]
            case Trade():
                return [(Tag.EXEC_TYPE, ExecType.TRADE), own_id, *self._trade_fields(event)]
            case OrderCanceled():
                return [(Tag.EXEC_TYPE, ExecType.CANCELED), *_cancel_fields(event)]
            case _:
                assert_never(event)

    def _reject_fields(self, event: OrderRejected) -> Pairs:
        text = explain(
            event.reason,
            limit=event.limit,
            actual=event.actual,
            instrument=self._reference.instruments.get(event.order.instrument_id),
            side=event.order.side,
        )
        return [
            (Tag.ORD_REJ_REASON, ORD_REJ_REASONS.get(event.reason, OTHER)),
            (Tag.TEXT, text),
        ]

    def _trade_fields(self, event: Trade) -> Pairs:
        instrument = self._reference.instruments[event.order.instrument_id]
        return [
            (Tag.LAST_QTY, instrument.format_qty(event.qty)),
            (Tag.LAST_PX, instrument.format_price(event.price)),
            # FIX 4.4 has no TrdMatchID(880) in this report.
            (Tag.SECONDARY_EXEC_ID, str(event.trade_id)),
            (
                Tag.LAST_LIQUIDITY_IND,
                ADDED_LIQUIDITY if event.is_resting else REMOVED_LIQUIDITY,
            ),
        ]


def _cancel_fields(event: OrderCanceled) -> Pairs:
    if event.cl_ord_id:
        return [
            (Tag.CL_ORD_ID, event.cl_ord_id),
            (Tag.ORIG_CL_ORD_ID, event.order.cl_ord_id),
        ]
    return [
        (Tag.CL_ORD_ID, event.order.cl_ord_id),
        (Tag.TEXT, f"{event.reason.name}: {CANCEL_WORDS[event.reason]}"),
    ]
