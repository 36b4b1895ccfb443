"""Reports: what is told of an event, as FIX fields by name with their values as FIX writes them.

Each a function of one event, so live, resent, replayed and asked over REST they agree. The FIX door
puts tags to the names, the REST door sends them as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from engine.events import (
    ExecutionEvent,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderStatusReported,
    OrderTriggered,
    Trade,
)
from engine.explain import explain
from engine.instrument import Instrument
from engine.order import (
    OrderTerms,
    OrderView,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
    TriggerDirection,
)
from engine.reasons import CancelReason
from engine.reference import Reference
from engine.reject_codes import ORD_REJ_CODES
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import format_fixed

NO_ORDER_ID: Final = "NONE"
NO_SYMBOL: Final = "[N/A]"
POST_ONLY: Final = "6"  # ExecInst(18), "Participate don't initiate".
ADDED_LIQUIDITY: Final = "1"
REMOVED_LIQUIDITY: Final = "2"
AUCTION: Final = "4"
ORD_STATUS_TEXT: Final = {status: f"{status.value:X}" for status in OrdStatus}
SIDE_TEXT: Final = {side: str(side.value) for side in Side}
ORD_TYPE_TEXT: Final = {ord_type: str(ord_type.value) for ord_type in OrdType}
TIME_IN_FORCE_TEXT: Final = {each: str(each.value) for each in TimeInForce}
EXEC_TYPES: Final[dict[type[ExecutionEvent], str]] = {
    OrderAccepted: "0",
    OrderCanceled: "4",
    OrderRejected: "8",
    OrderExpired: "C",
    OrderReplaced: "5",
    OrderRestated: "D",
    OrderTriggered: "L",
    Trade: "F",
    TradeBusted: "H",
    TradeCorrected: "G",
    OrderStatusReported: "I",
}

OTHER: Final = "99"
# ExecRestatementReason(378) of cancels that nobody asked for. FIX 4.4 has no words of its own for
# a lost connection and a Logout; 5.0 SP2 has 12 and 13.
EXEC_RESTATEMENT_REASONS: Final = {
    CancelReason.DISCONNECTED: OTHER,
    CancelReason.LOGGED_OUT: OTHER,
    CancelReason.KILLED: OTHER,
    CancelReason.DEAD_MAN: OTHER,
    CancelReason.EXECUTION_THROTTLE: OTHER,
    CancelReason.SUSPENDED: OTHER,
    CancelReason.EXECUTION_COLLAR: OTHER,
    CancelReason.CIRCUIT_BREAKER: OTHER,
    CancelReason.SELF_TRADE: OTHER,
    CancelReason.CANCELED_BY_OPERATOR: OTHER,
}
TRIGGER_DIRECTIONS: Final = {TriggerDirection.UP: "U", TriggerDirection.DOWN: "D"}
WAITING: Final = "N"
WORKING: Final = "Y"
PARTIAL_DECLINE: Final = "5"
CANCEL_WORDS: Final = {
    CancelReason.IOC_REMAINDER: "the rest could not trade at once",
    CancelReason.FOK_CANNOT_FILL: "the whole quantity could not trade at once",
    CancelReason.MARKET_REMAINDER: "the book had no more to trade with",
    CancelReason.MIN_QTY_CANNOT_FILL: "the minimum quantity could not trade at once",
    CancelReason.MARKET_PROTECTION: "the next price was too far from the first",
    CancelReason.SELF_TRADE: "it met another order of the same owner",
    CancelReason.DISCONNECTED: "the session was disconnected",
    CancelReason.LOGGED_OUT: "the session has logged out",
    CancelReason.KILLED: "trading was stopped by an operator",
    CancelReason.DEAD_MAN: "the account's dead-man timer has expired",
    CancelReason.EXECUTION_THROTTLE: "too much traded in too short a time",
    CancelReason.SUSPENDED: "trading was suspended",
    CancelReason.EXECUTION_COLLAR: "the next price was too far from the reference price",
    CancelReason.CIRCUIT_BREAKER: "the next price was beyond the circuit breaker's band",
    CancelReason.CANCELED_BY_OPERATOR: "an operator has cancelled it",
}


@dataclass(slots=True)
class Report:
    """An ExecutionReport(8): the order as it stood after the event, and what the event was.

    Numbers are decimal text in the instrument's decimals. None is a field that does not apply.
    `reason` is the code of a refusal or of a cancel, `trade_id` is the same on both sides. `fee` is
    what the fill cost in `fee_asset`, with a minus what it earned. `exec_ref_id` is the report of
    the fill that was undone or corrected. `stop_px`, `trigger_direction` (U or D) and
    `working_indicator` (N while it waits, then Y) are those of a stop order. `display_qty` is what
    an iceberg shows at the moment. `expires_at_ns` is ExpireTime(126), which each door writes in
    its own form.
    """

    exec_id: str
    exec_type: str
    ord_status: str
    order_id: str
    cl_ord_id: str
    account: str | None
    symbol: str
    side: str
    ord_type: str
    time_in_force: str
    order_qty: str
    leaves_qty: str
    cum_qty: str
    avg_px: str
    price: str | None = None
    orig_cl_ord_id: str | None = None
    last_qty: str | None = None
    last_px: str | None = None
    trade_id: str | None = None
    last_liquidity_ind: str | None = None
    exec_ref_id: str | None = None
    fee: str | None = None
    fee_asset: str | None = None
    ord_rej_reason: str | None = None
    exec_restatement_reason: str | None = None
    reason: str | None = None
    text: str | None = None
    exec_inst: str | None = None
    min_qty: str | None = None
    expires_at_ns: int | None = None
    stop_px: str | None = None
    trigger_direction: str | None = None
    working_indicator: str | None = None
    display_qty: str | None = None


def make_report(event: ExecutionEvent, exec_id: str, reference: Reference) -> Report:
    """Return the report of an event. `exec_id` is its place in the journal, as text."""
    order = event.order
    account = reference.accounts.get(order.account_id)
    instrument = reference.instruments.get(order.instrument_id)
    format_qty: Callable[[int], str] = str
    format_price: Callable[[int], str] = str
    if instrument is not None:
        format_qty, format_price = instrument.format_qty, instrument.format_price
    order_qty = format_qty(order.order_qty)
    is_untouched = order.leaves_qty == order.order_qty
    report = Report(
        exec_id=exec_id,
        exec_type=EXEC_TYPES[type(event)],
        ord_status=ORD_STATUS_TEXT[order.ord_status],
        order_id=str(order.order_id) if order.order_id else NO_ORDER_ID,
        cl_ord_id=order.cl_ord_id,
        account=None if account is None else account.name,
        # Without the instrument: an order that was refused because there is none such.
        symbol=NO_SYMBOL if instrument is None else instrument.symbol,
        side=SIDE_TEXT[order.side],
        ord_type=ORD_TYPE_TEXT[order.ord_type],
        time_in_force=TIME_IN_FORCE_TEXT[order.time_in_force],
        order_qty=order_qty,
        leaves_qty=order_qty if is_untouched else format_qty(order.leaves_qty),
        cum_qty=format_qty(order.cum_qty),
        avg_px="0"
        if instrument is None
        else instrument.format_average_price(order.cum_notional, order.cum_qty),
        price=None if order.price is None else format_price(order.price),
    )
    if order.terms is not None:
        _add_terms(report, order, order.terms, format_qty)
        _add_stop(report, order, order.terms, format_price)
    match event:
        case OrderAccepted() | OrderExpired() | OrderStatusReported() | OrderTriggered():
            pass
        case OrderRejected():
            _add_reject(report, event, instrument)
        case OrderCanceled():
            _add_cancel(report, event)
        case Trade() | TradeBusted() | TradeCorrected():
            _add_fill(report, event, instrument, reference)
        case OrderRestated():
            report.exec_restatement_reason = PARTIAL_DECLINE
            report.reason = event.reason.name
            report.text = f"{event.reason.name}: {CANCEL_WORDS[event.reason]}"
        case OrderReplaced():
            report.orig_cl_ord_id = event.orig_cl_ord_id
        case _:
            assert_never(event)
    return report


def _add_terms(
    report: Report, order: OrderView, terms: OrderTerms, format_qty: Callable[[int], str]
) -> None:
    if terms.display_qty:
        report.display_qty = format_qty(order.shown_qty)
    if terms.is_post_only:
        report.exec_inst = POST_ONLY
    if terms.min_qty:
        report.min_qty = format_qty(terms.min_qty)
    if terms.expires_at_ns:
        report.expires_at_ns = terms.expires_at_ns


def _add_stop(
    report: Report, order: OrderView, terms: OrderTerms, format_price: Callable[[int], str]
) -> None:
    if terms.stop_price is not None:
        report.stop_px = format_price(terms.stop_price)
        report.trigger_direction = TRIGGER_DIRECTIONS[terms.trigger_direction(order.side)]
        report.working_indicator = WAITING if order.is_waiting else WORKING


def _add_reject(report: Report, event: OrderRejected, instrument: Instrument | None) -> None:
    report.ord_rej_reason = ORD_REJ_CODES[event.reason].fix44
    report.reason = event.reason.name
    report.text = explain(
        event.reason,
        limit=event.limit,
        actual=event.actual,
        instrument=instrument,
        side=event.order.side,
        scope=event.scope,
        detail=event.detail,
    )


def _add_fill(
    report: Report,
    event: Trade | TradeBusted | TradeCorrected,
    instrument: Instrument | None,
    reference: Reference,
) -> None:
    assert instrument is not None
    report.last_qty = instrument.format_qty(event.qty)
    report.last_px = instrument.format_price(event.price)
    report.trade_id = str(event.trade_id)
    if isinstance(event, Trade):
        report.last_liquidity_ind = _liquidity_of(event)
        fee_asset = reference.assets.get(event.fee_asset_id)
    else:
        report.exec_ref_id = f"{event.trade_seq}.{event.event_index}"
        report.text = event.reason or None
        fee_asset = reference.assets[event.quote_asset_id] if event.fee else None
    if fee_asset is not None:
        report.fee = format_fixed(event.fee, fee_asset.decimals)
        report.fee_asset = fee_asset.symbol


def _liquidity_of(trade: Trade) -> str:
    if trade.is_uncrossing:
        return AUCTION
    return ADDED_LIQUIDITY if trade.is_resting else REMOVED_LIQUIDITY


def _add_cancel(report: Report, event: OrderCanceled) -> None:
    report.reason = event.reason.name
    if event.cl_ord_id:
        report.cl_ord_id, report.orig_cl_ord_id = event.cl_ord_id, event.order.cl_ord_id
    else:
        report.exec_restatement_reason = EXEC_RESTATEMENT_REASONS.get(event.reason)
        report.text = f"{event.reason.name}: {CANCEL_WORDS[event.reason]}"
