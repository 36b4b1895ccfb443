"""Answers to mass cancels and questions: each a function of one event, or of a refusal here."""

import time
from typing import Final, assert_never

from engine.explain import explain
from engine.order import OrdStatus, Side
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.report import NO_ORDER_ID, NO_SYMBOL, ORD_STATUS_TEXT
from engine.request_events import (
    BalancesReported,
    MassCancelCompleted,
    MassCancelReported,
    OrderStatusRefused,
    RequestEvent,
)
from engine.runtime.feed import Position
from engine.scope import Scope
from engine.units import AccountId, InstrumentId, format_fixed
from fix_gateway.fix.dialect import Dialect
from fix_gateway.fix.fields import (
    NS_PER_S,
    ExecType,
    Fields,
    MsgType,
    Tag,
    UtcTimestamps,
    join_fields,
    printable,
)
from fix_gateway.fix.request_parts import Refusal
from fix_gateway.fix.translate_requests import BY_ALL, BY_SESSION, BY_SYMBOL

YES, NO = "Y", "N"
STATUS: Final = "3"  # ExecTransType(20).
UNDISCLOSED: Final = "7"  # Side(54), for an order that nobody knows.
REFUSED: Final = "0"  # MassCancelResponse(531).
CANCEL_ORDERS: Final = "3"  # MassActionType(1373).
COMPLETED: Final = "2"  # MassActionResponse(1375).
OTHER: Final = "99"
MASS_CANCEL_REJECT_REASONS: Final = {
    RejectReason.SYMBOL_UNKNOWN: "1",
    RejectReason.SESSION_UNKNOWN: "6",
}
# PosReqResult(728).
VALID, INVALID, NO_POSITIONS_FOUND, NOT_AUTHORIZED = "0", "1", "2", "3"
CUSTOMER_SIDE: Final = "1"  # AccountType(581).
FINAL_PRICE: Final = "1"  # SettlPriceType(731).
TOTAL: Final = "TOT"  # PosType(703).
CASH: Final = "CASH"  # PosAmtType(707).

Pairs = list[tuple[int, str]]


class AnswerBuilder:
    """Builds answers in a session's dialect, from 35= on. Belongs to the gateway's thread."""

    def __init__(self, reference: Reference, dialect: Dialect) -> None:
        self._dialect = dialect
        self._reference = reference
        self._timestamps = UtcTimestamps(dialect.timestamp_digits)

    def build(
        self, event: RequestEvent, position: Position, happened_at_ns: int, *, is_poss_resend: bool
    ) -> list[str]:
        """Return what is said of an event: several messages, or none in some versions."""
        match event:
            case MassCancelReported():
                answers = [self._mass_cancel_report(event, position)]
            case MassCancelCompleted():
                answers = self._mass_cancel_completed(event, position)
            case OrderStatusRefused():
                answers = [self._no_status(event, position)]
            case BalancesReported():
                return self._balances(event, position, happened_at_ns, is_poss_resend)
            case _:
                assert_never(event)
        return [self._finish(answer, happened_at_ns, is_poss_resend) for answer in answers]

    def build_refusal(self, fields: Fields, refusal: Refusal, exec_id: str, now_ns: int) -> str:
        """Return the answer to a request that was refused here, of the kind that it waits for."""
        match fields[Tag.MSG_TYPE]:
            case MsgType.ORDER_MASS_CANCEL_REQUEST:
                answer = self._refused_mass_cancel(fields, refusal, exec_id)
            case MsgType.REQUEST_FOR_POSITIONS:
                return join_fields(self._refused_positions(fields, refusal, exec_id, now_ns))
            case _:
                answer = self._refused_status(fields, refusal, exec_id)
        return self._finish(answer, now_ns, is_poss_resend=False)

    def _finish(self, answer: Pairs, time_ns: int, is_poss_resend: bool) -> str:  # noqa: FBT001
        if is_poss_resend:
            answer.insert(1, (Tag.POSS_RESEND, YES))
        answer.append((Tag.TRANSACT_TIME, self._timestamps.format(time_ns)))
        return join_fields(answer)

    # Mass cancels.

    def _mass_cancel_report(self, event: MassCancelReported, position: Position) -> Pairs:
        kind = _kind(event.scope, event.instrument_id)
        pairs = self._mass_cancel_head(event.cl_ord_id, str(position.seq), kind)
        if event.reason is None:
            own_name = Tag.ORIG_CL_ORD_ID
            if self._dialect.is_fixt:
                own_name = Tag.AFFECTED_ORIG_CL_ORD_ID
            pairs += [
                (Tag.MASS_CANCEL_RESPONSE, kind),
                (Tag.TOTAL_AFFECTED_ORDERS, str(event.total)),
            ]
            if event.affected:
                pairs.append((Tag.NO_AFFECTED_ORDERS, str(len(event.affected))))
            for order in event.affected:
                pairs += [
                    (own_name, order.cl_ord_id),
                    (Tag.AFFECTED_ORDER_ID, str(order.order_id)),
                ]
        else:
            text = explain(event.reason, limit=event.limit, actual=event.actual)
            pairs += _mass_cancel_refusal(event.reason, text)
        return pairs + self._instrument(event.instrument_id) + _side(event.side)

    def _mass_cancel_completed(self, event: MassCancelCompleted, position: Position) -> list[Pairs]:
        if not self._dialect.is_fixt:
            return []  # No older version has a message for it.
        return [
            [
                (Tag.MSG_TYPE, MsgType.ORDER_MASS_ACTION_REPORT),
                (Tag.CL_ORD_ID, event.cl_ord_id),
                (Tag.MASS_ACTION_REPORT_ID, str(position.seq)),
                (Tag.MASS_ACTION_TYPE, CANCEL_ORDERS),
                # It is not told any more whether only one instrument was meant.
                (Tag.MASS_ACTION_SCOPE, _kind(event.scope, InstrumentId(0))),
                (Tag.MASS_ACTION_RESPONSE, COMPLETED),
                (Tag.TOTAL_AFFECTED_ORDERS, str(event.canceled_count)),
            ]
        ]

    def _refused_mass_cancel(self, fields: Fields, refusal: Refusal, exec_id: str) -> Pairs:
        kind = fields[Tag.MASS_CANCEL_REQUEST_TYPE]
        pairs = self._mass_cancel_head(printable(fields[Tag.CL_ORD_ID]), exec_id, printable(kind))
        pairs += _mass_cancel_refusal(refusal.reason, refusal.text)
        echoed = (Tag.SYMBOL, Tag.SIDE)
        return pairs + [(tag, printable(fields[tag])) for tag in echoed if tag in fields]

    def _mass_cancel_head(self, cl_ord_id: str, report_id: str, kind: str) -> Pairs:
        also: Pairs = [(Tag.MASS_ACTION_REPORT_ID, report_id)] if self._dialect.is_fixt else []
        return [
            (Tag.MSG_TYPE, MsgType.ORDER_MASS_CANCEL_REPORT),
            (Tag.CL_ORD_ID, cl_ord_id),
            (Tag.ORDER_ID, report_id),
            *also,
            (Tag.MASS_CANCEL_REQUEST_TYPE, kind),
        ]

    # Questions for orders.

    def _no_status(self, event: OrderStatusRefused, position: Position) -> Pairs:
        is_mass = event.mass_total > 0 or not (event.cl_ord_id or event.order_id)
        order_id = str(event.order_id) if event.order_id else NO_ORDER_ID
        pairs = self._status_head(order_id, position.exec_id, event.cl_ord_id)
        pairs += self._instrument(event.instrument_id) or [(Tag.SYMBOL, NO_SYMBOL)]
        pairs += _side(event.side) or [(Tag.SIDE, UNDISCLOSED)]
        text = explain(event.reason, limit=event.limit, actual=event.actual)
        pairs += self._status_tail(event.reason, text)
        if is_mass:
            last = YES if event.is_last else NO
            pairs += self._known(
                [
                    (Tag.MASS_STATUS_REQ_ID, event.request_id),
                    (Tag.TOT_NUM_REPORTS, str(event.mass_total)),
                    (Tag.LAST_RPT_REQUESTED, last),
                ]
            )
        elif event.request_id:
            pairs += self._known([(Tag.ORD_STATUS_REQ_ID, event.request_id)])
        return pairs + self._account(event.account_id)

    def _refused_status(self, fields: Fields, refusal: Refusal, exec_id: str) -> Pairs:
        order_id = printable(fields.get(Tag.ORDER_ID, NO_ORDER_ID))
        cl_ord_id = printable(fields.get(Tag.CL_ORD_ID, ""))
        pairs = self._status_head(order_id, exec_id, cl_ord_id)
        pairs += [
            (Tag.SYMBOL, printable(fields.get(Tag.SYMBOL, NO_SYMBOL))),
            (Tag.SIDE, printable(fields.get(Tag.SIDE, UNDISCLOSED))),
        ]
        pairs += self._status_tail(refusal.reason, refusal.text)
        if Tag.MASS_STATUS_REQ_ID in fields:
            pairs += [
                (Tag.MASS_STATUS_REQ_ID, printable(fields[Tag.MASS_STATUS_REQ_ID])),
                (Tag.TOT_NUM_REPORTS, "0"),
                (Tag.LAST_RPT_REQUESTED, YES),
            ]
        elif Tag.ORD_STATUS_REQ_ID in fields:
            named = (Tag.ORD_STATUS_REQ_ID, printable(fields[Tag.ORD_STATUS_REQ_ID]))
            pairs += self._known([named])
        return pairs

    def _status_head(self, order_id: str, exec_id: str, cl_ord_id: str) -> Pairs:
        rejected = ORD_STATUS_TEXT[OrdStatus.REJECTED]
        kind: Pairs = [(Tag.EXEC_TYPE, ExecType.ORDER_STATUS)]
        if self._dialect.has_exec_trans_type:
            kind = [(Tag.EXEC_TRANS_TYPE, STATUS), (Tag.EXEC_TYPE, rejected)]
        return [
            (Tag.MSG_TYPE, MsgType.EXECUTION_REPORT),
            (Tag.ORDER_ID, order_id),
            (Tag.EXEC_ID, exec_id),
            *([(Tag.CL_ORD_ID, cl_ord_id)] if cl_ord_id else []),
            *kind,
            (Tag.ORD_STATUS, rejected),
        ]

    def _status_tail(self, reason: RejectReason, text: str) -> Pairs:
        return [
            (Tag.LEAVES_QTY, "0"),
            (Tag.CUM_QTY, "0"),
            (Tag.AVG_PX, "0"),
            (Tag.ORD_REJ_REASON, self._dialect.ord_rej_reason(reason)),
            (Tag.TEXT, text),
            *self._dialect.error_code(reason.name),
        ]

    # Balances.

    def _balances(
        self,
        event: BalancesReported,
        position: Position,
        time_ns: int,
        is_poss_resend: bool,  # noqa: FBT001 - One of the package's own.
    ) -> list[str]:
        account = self._account(event.account_id) or [(Tag.ACCOUNT, str(event.account_id))]
        result = VALID if event.lines else NO_POSITIONS_FOUND
        if event.reason is not None:
            result = NOT_AUTHORIZED
        count = len(event.lines)
        reports = []
        for number, line in enumerate(event.lines, start=1):
            asset = self._reference.assets[line.asset_id]
            amounts = [line.balance, line.held, line.available]
            balance, held, available = (format_fixed(each, asset.decimals) for each in amounts)
            pairs = _position_head(f"{position.exec_id}-{number}", event.request_id, count, result)
            pairs += [*_position_place(account, time_ns), (Tag.CURRENCY, asset.symbol)]
            reports.append(pairs + _position_tail(balance, held, available))
        if not reports:
            pairs = _position_head(f"{position.exec_id}-1", event.request_id, 1, result)
            pairs += [*_position_place(account, time_ns), *_position_tail("0", "0", "0")]
            if event.reason is not None:
                pairs.append((Tag.TEXT, explain(event.reason, actual=event.actual)))
            reports.append(pairs)
        if is_poss_resend:
            for pairs in reports:
                pairs.insert(1, (Tag.POSS_RESEND, YES))
        return [join_fields(pairs) for pairs in reports]

    def _refused_positions(
        self, fields: Fields, refusal: Refusal, exec_id: str, now_ns: int
    ) -> Pairs:
        is_stranger = refusal.reason is RejectReason.ACCOUNT_UNKNOWN
        result = NOT_AUTHORIZED if is_stranger else INVALID
        account: Pairs = [(Tag.ACCOUNT, printable(fields.get(Tag.ACCOUNT, NO_ORDER_ID)))]
        return [
            *_position_head(exec_id, printable(fields[Tag.POS_REQ_ID]), 1, result),
            *_position_place(account, now_ns),
            *_position_tail("0", "0", "0"),
            (Tag.TEXT, refusal.text),
        ]

    # What answers have in common.

    def _instrument(self, instrument_id: InstrumentId) -> Pairs:
        instrument = self._reference.instruments.get(instrument_id)
        return [] if instrument is None else [(Tag.SYMBOL, instrument.symbol)]

    def _account(self, account_id: AccountId) -> Pairs:
        account = self._reference.accounts.get(account_id)
        return [] if account is None else [(Tag.ACCOUNT, account.name)]

    def _known(self, pairs: Pairs) -> Pairs:
        return [pair for pair in pairs if pair[0] in self._dialect.report_tags]


def _kind(scope: Scope, instrument_id: InstrumentId) -> str:
    if scope is Scope.SESSION:
        return BY_SESSION
    return BY_SYMBOL if instrument_id else BY_ALL


def _side(side: Side | None) -> Pairs:
    return [] if side is None else [(Tag.SIDE, str(side.value))]


def _mass_cancel_refusal(reason: RejectReason, text: str) -> Pairs:
    return [
        (Tag.MASS_CANCEL_RESPONSE, REFUSED),
        (Tag.MASS_CANCEL_REJECT_REASON, MASS_CANCEL_REJECT_REASONS.get(reason, OTHER)),
        (Tag.TEXT, text),
    ]


def _position_head(report_id: str, request_id: str, count: int, result: str) -> Pairs:
    return [
        (Tag.MSG_TYPE, MsgType.POSITION_REPORT),
        (Tag.POS_MAINT_RPT_ID, report_id),
        (Tag.POS_REQ_ID, request_id),
        (Tag.TOTAL_NUM_POS_REPORTS, str(count)),
        (Tag.POS_REQ_RESULT, result),
    ]


def _position_place(account: Pairs, time_ns: int) -> Pairs:
    day = time.strftime("%Y%m%d", time.gmtime(time_ns // NS_PER_S))
    return [
        (Tag.CLEARING_BUSINESS_DATE, day),
        *account,
        (Tag.ACCOUNT_TYPE, CUSTOMER_SIDE),
        # The standard asks for prices; what is reported here are amounts, which have none.
        (Tag.SETTL_PRICE, "0"),
        (Tag.SETTL_PRICE_TYPE, FINAL_PRICE),
        (Tag.PRIOR_SETTL_PRICE, "0"),
    ]


def _position_tail(balance: str, held: str, available: str) -> Pairs:
    return [
        (Tag.NO_POSITIONS, "1"),
        (Tag.POS_TYPE, TOTAL),
        (Tag.LONG_QTY, balance),
        (Tag.SHORT_QTY, held),
        (Tag.NO_POS_AMT, "1"),
        (Tag.POS_AMT_TYPE, CASH),
        (Tag.POS_AMT, available),
    ]
