"""Rows of orders and of what happens to them, in the words that FIX clients are told."""

import dataclasses
from enum import Enum
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from engine.controls import RefusalDetail
from engine.events import (
    CancelRejected,
    ExecutionEvent,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderStatusReported,
    OrderTriggered,
    Trade,
)
from engine.explain import MEASURES, NO_DETAIL, explain, format_wait, formatter
from engine.instrument import Instrument
from engine.order import OrderTerms, OrderView
from engine.reference import Reference
from engine.report import ORD_STATUS_TEXT, Report, make_report
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import Seq
from store.projector.rows import OrderRow, Row
from store.projector.times import format_time

REPORT_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Report))
_report_values: Final = attrgetter(*REPORT_FIELDS)

KINDS: Final[dict[type[OrderEvent], str]] = {
    OrderAccepted: "accepted",
    OrderRejected: "rejected",
    OrderStatusReported: "status_reported",
    Trade: "traded",
    OrderCanceled: "canceled",
    OrderExpired: "expired",
    OrderReplaced: "replaced",
    OrderRestated: "restated",
    OrderTriggered: "triggered",
    CancelRejected: "cancel_rejected",
    TradeBusted: "trade_busted",
    TradeCorrected: "trade_corrected",
}


class Place(NamedTuple):
    """Where an event stands in the journal, and when it happened, as text."""

    seq: Seq
    event_index: int
    happened_at: str

    @property
    def exec_id(self) -> str:
        """ExecID(17)."""
        return f"{self.seq}.{self.event_index}"


def order_id_of(event: ExecutionEvent, seq: int) -> int:
    """Return the order's number; a refused order has none but the record's."""
    return event.order.order_id or seq


def make_event_row(place: Place, event: ExecutionEvent, reference: Reference) -> tuple[Row, Report]:
    """Return the row of an event, and the report that it holds."""
    report = make_report(event, place.exec_id, reference)
    row = (
        place.seq,
        place.event_index,
        place.happened_at,
        KINDS[type(event)],
        order_id_of(event, place.seq),
        event.order.account_id,
        report.symbol,
        event.order.cl_ord_id,
        report.exec_type,
        encode(_without_nones(describe_report(report))),
        None
        if not isinstance(event, OrderRejected)
        else encode(_refusal(event, event.order, reference)),
    )
    return row, report


def make_cancel_reject_row(place: Place, event: CancelRejected, reference: Reference) -> Row:
    """Return the row of a cancel or an amendment that was refused."""
    order = event.order
    instrument = None if order is None else reference.instruments.get(order.instrument_id)
    refusal = _refusal(event, order, reference)
    refusal["text"] = event.text or refusal["text"]
    told = {
        "cl_ord_id": event.cl_ord_id,
        "orig_cl_ord_id": event.orig_cl_ord_id,
        "ord_status": None if order is None else ORD_STATUS_TEXT[order.ord_status],
        "reason": event.reason.name,
        "text": refusal["text"],
    }
    return (
        place.seq,
        place.event_index,
        place.happened_at,
        "replace_rejected" if event.is_replace else KINDS[CancelRejected],
        None if order is None else order.order_id,
        event.account_id,
        None if instrument is None else instrument.symbol,
        event.cl_ord_id if order is None else order.cl_ord_id,
        None,
        encode(_without_nones(told)),
        encode(refusal),
    )


def make_order_row(
    place: Place, event: ExecutionEvent, report: Report, reference: Reference
) -> OrderRow:
    """Return the order as it stands after the event, as if that had been its first."""
    order = event.order
    instrument = reference.instruments.get(order.instrument_id)
    return OrderRow(
        order_id=order_id_of(event, place.seq),
        account_id=order.account_id,
        session_id=order.session_id,
        symbol=report.symbol,
        cl_ord_id=order.cl_ord_id,
        side=report.side,
        ord_type=report.ord_type,
        time_in_force=report.time_in_force,
        price=report.price,
        order_qty=report.order_qty,
        leaves_qty=report.leaves_qty,
        cum_qty=report.cum_qty,
        avg_px=report.avg_px,
        ord_status=report.ord_status,
        reason=report.reason,
        text=report.text,
        terms=None if order.terms is None else encode(_describe_terms(order.terms, instrument)),
        entered_at=place.happened_at,
        changed_at=place.happened_at,
        last_seq=place.seq,
    )


def describe_report(report: Report) -> dict[str, Any]:
    """Return the fields of a report as they are told to people and programs, times as text."""
    # Not `asdict`, which copies deeply: half of the projector's time.
    fields: dict[str, Any] = dict(zip(REPORT_FIELDS, _report_values(report), strict=True))
    expires_at_ns = fields.pop("expires_at_ns")
    fields["expires_at"] = None if expires_at_ns is None else format_time(expires_at_ns)
    return fields


def encode(value: dict[str, Any]) -> str:
    """Return JSON."""
    return msgspec.json.encode(value).decode()


def _refusal(
    event: OrderRejected | CancelRejected, order: OrderView | None, reference: Reference
) -> dict[str, Any]:
    """Return all that the engine knows of why it said no, in the units of the reason.

    What a reason does not have is left out.
    """
    instrument = None if order is None else reference.instruments.get(order.instrument_id)
    side = None if order is None else order.side
    told: dict[str, Any] = {
        "reason": event.reason.name,
        "text": explain(
            event.reason,
            limit=event.limit,
            actual=event.actual,
            instrument=instrument,
            side=side,
            scope=event.scope,
            detail=event.detail,
        ),
        "scope": event.scope.name.lower(),
    }
    detail = event.detail or NO_DETAIL
    if instrument is None or event.reason not in MEASURES:
        return told
    show = formatter(event.reason, instrument, side, detail)
    numbers = {
        "actual": event.actual,
        "limit": event.limit,
        "usage": detail.usage,
        "low": detail.low,
        "high": detail.high,
    }
    told["measure"] = MEASURES[event.reason].value
    told |= {name: show(value) for name, value in numbers.items() if value is not None}
    if event.detail is not None:
        told |= _describe_detail(detail, instrument)
    return told


def _describe_detail(detail: RefusalDetail, instrument: Instrument) -> dict[str, Any]:
    """Return whose limit it was and what it was measured from."""
    told: dict[str, Any] = {"level": detail.level.name.lower(), "scope_id": detail.scope_id}
    if detail.reference_price is not None:
        told["reference_price"] = instrument.format_price(detail.reference_price)
        told["reference_at"] = format_time(detail.reference_at_ns)
    if detail.window_ns:
        told["window"] = format_wait(detail.window_ns)
    return told


def _describe_terms(terms: OrderTerms, instrument: Instrument | None) -> dict[str, Any]:
    """Return what the order asks for besides, by name; what it does not ask for is left out."""
    described: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(terms).items():
        if value is None or value is False or value == 0:
            continue
        if isinstance(value, Enum):
            described[name] = value.name.lower()
        elif name.endswith("_ns"):
            described[name.removesuffix("_ns")] = format_time(value)
        elif name.endswith("_qty") and instrument is not None:
            described[name] = instrument.format_qty(value)
        elif name.endswith("_px") and instrument is not None:
            described[name] = instrument.format_price(value)
        else:
            described[name] = value
    return described


def _without_nones(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
