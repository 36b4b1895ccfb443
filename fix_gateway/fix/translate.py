"""FIX messages to engine commands: exactly, or refused with the precise reason.

A field that would change what an order means and that the engine does not know yet is refused,
never ignored. Everything else that the standard allows is tolerated.
"""

from collections.abc import Callable
from typing import Final

from engine.commands import (
    CancelOrder,
    NewOrder,
    RefuseRequest,
    ReplaceOrder,
    SessionCommand,
)
from engine.instrument import Instrument
from engine.order import OrdType, TimeInForce
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.units import ClOrdId, InstrumentId, Price, Qty, is_cl_ord_id
from fix_gateway.fix.fields import Fields, MsgType, Tag, parse_utc_timestamp, printable
from fix_gateway.fix.order_terms import parse_terms, parse_time_bounds
from fix_gateway.fix.request_parts import (
    SIDES,
    Refusal,
    SessionContext,
    find_account,
    parse_order_id,
    refuse,
)
from fix_gateway.fix.request_rules import load_request_rules

ORD_TYPES: Final = {
    "1": OrdType.MARKET,
    "2": OrdType.LIMIT,
    "3": OrdType.STOP,
    "4": OrdType.STOP_LIMIT,
}
TIMES_IN_FORCE: Final = {
    "0": TimeInForce.DAY,
    "1": TimeInForce.GTC,
    "3": TimeInForce.IOC,
    "4": TimeInForce.FOK,
    "6": TimeInForce.GTD,
}
# FIX 4.4 vol. 6, TimeInForce(59): "Absence of this field is interpreted as DAY."
DEFAULT_TIME_IN_FORCE: Final = "0"
YES: Final = "Y"
GOOD_TILL_CANCEL: Final = "1"
SHOWN_TAGS: Final = frozenset({Tag.MAX_FLOOR, Tag.DISPLAY_QTY})
ALL_OR_NONE: Final = "G"
NOT_RESENT: Final = 0
REFUSAL_CHARACTERS_MAX: Final = 256


class Translator:
    """Turns messages of one version of FIX into commands.

    `resend_order_age_max_ns` is how old a resent order may be. Belongs to the gateway's thread.
    """

    def __init__(self, reference: Reference, version: str, *, resend_order_age_max_ns: int) -> None:
        self._reference = reference
        self._resend_order_age_max_ns = resend_order_age_max_ns
        self._translations: dict[
            str, Callable[[Fields, SessionContext, int], SessionCommand | Refusal]
        ] = {
            MsgType.NEW_ORDER_SINGLE: self._translate_new_order,
            MsgType.ORDER_CANCEL_REQUEST: self._translate_cancel,
            MsgType.ORDER_CANCEL_REPLACE_REQUEST: self._translate_replace,
        }
        self._rules = {
            msg_type: load_request_rules(version, msg_type) for msg_type in self._translations
        }

    def translate(
        self, fields: Fields, context: SessionContext, now_ns: int
    ) -> SessionCommand | Refusal | None:
        """Return the command that the message asks for, or why it is refused.

        Returns None for a message type that the gateway does not speak.
        """
        translation = self._translations.get(fields[Tag.MSG_TYPE])
        return None if translation is None else translation(fields, context, now_ns)

    def find_miscounted(self, fields: Fields, text: str) -> int | None:
        """Return the counter of a repeating group that is not as long as it says, or None."""
        rules = self._rules.get(fields[Tag.MSG_TYPE])
        return None if rules is None else rules.find_miscounted(fields, text)

    def _translate_new_order(
        self, fields: Fields, context: SessionContext, now_ns: int
    ) -> NewOrder | Refusal:
        account_id = find_account(fields, context, self._reference)
        if account_id is None:
            return refuse(RejectReason.ACCOUNT_UNKNOWN)
        instrument = self._reference.instruments_by_symbol.get(fields[Tag.SYMBOL])
        if instrument is None:
            return refuse(
                RejectReason.SYMBOL_UNKNOWN, f"no instrument {printable(fields[Tag.SYMBOL])}"
            )
        if not is_cl_ord_id(fields[Tag.CL_ORD_ID]):
            return refuse(RejectReason.CLORDID_INVALID)
        sent_ns = _orig_sending_time_ns(fields, now_ns)
        refusal = (
            self._staleness(sent_ns, now_ns) or self._unsupported(fields) or _outliving(fields)
        )
        if refusal is not None:
            return refusal
        qty = _parse_qty(fields, instrument)
        if isinstance(qty, Refusal):
            return qty
        price = _parse_price(fields, instrument)
        if isinstance(price, Refusal):
            return price
        terms = parse_terms(fields, instrument)
        if isinstance(terms, str):
            return refuse(RejectReason.UNSUPPORTED, terms)
        bounds = parse_time_bounds(fields)
        if isinstance(bounds, str):
            return refuse(RejectReason.UNSUPPORTED, bounds)
        return NewOrder(
            *context.envelope(fields, account_id),
            instrument_id=instrument.instrument_id,
            cl_ord_id=ClOrdId(fields[Tag.CL_ORD_ID]),
            side=SIDES[fields[Tag.SIDE]],
            ord_type=ORD_TYPES[fields[Tag.ORD_TYPE]],
            time_in_force=TIMES_IN_FORCE[fields.get(Tag.TIME_IN_FORCE, DEFAULT_TIME_IN_FORCE)],
            order_qty=qty,
            price=price,
            is_poss_resend=fields.get(Tag.POSS_RESEND) == YES,
            received_at_ns=now_ns,
            orig_sent_at_ns=sent_ns or 0,
            outlives_connection=Tag.CANCEL_ORDERS_ON_DISCONNECT in fields,
            terms=terms,
            sent_at_ns=bounds.sent_at_ns,
            recv_window_ns=bounds.recv_window_ns,
            valid_until_ns=bounds.valid_until_ns,
            user_id=context.user_id,
        )

    def _translate_cancel(
        self, fields: Fields, context: SessionContext, now_ns: int
    ) -> CancelOrder | RefuseRequest | Refusal:
        named = self._name_order(fields, context, now_ns)
        if isinstance(named, Refusal):
            return named
        refusal = self._unsupported(fields)
        return named if refusal is None else _refuse_named(named, refusal, is_replace=False)

    def _name_order(
        self, fields: Fields, context: SessionContext, now_ns: int
    ) -> CancelOrder | Refusal:
        """Return which order a request is about, as the request to cancel it."""
        account_id = find_account(fields, context, self._reference)
        if account_id is None:
            return refuse(RejectReason.ACCOUNT_UNKNOWN)
        if not is_cl_ord_id(fields[Tag.CL_ORD_ID]):
            return refuse(RejectReason.CLORDID_INVALID)
        orig_cl_ord_id = fields.get(Tag.ORIG_CL_ORD_ID, "")
        order_id = parse_order_id(fields.get(Tag.ORDER_ID))
        instrument_id = InstrumentId(0)
        if Tag.SYMBOL in fields:
            instrument = self._reference.instruments_by_symbol.get(fields[Tag.SYMBOL])
            if instrument is None:
                return refuse(RejectReason.UNKNOWN_ORDER)
            instrument_id = instrument.instrument_id
        side = SIDES.get(fields.get(Tag.SIDE, ""))
        names_no_order = (
            (orig_cl_ord_id and not is_cl_ord_id(orig_cl_ord_id))
            or order_id is None
            or (Tag.SIDE in fields and side is None)
        )
        if names_no_order or order_id is None:
            return refuse(RejectReason.UNKNOWN_ORDER)
        return CancelOrder(
            *context.envelope(fields, account_id),
            cl_ord_id=ClOrdId(fields[Tag.CL_ORD_ID]),
            orig_cl_ord_id=ClOrdId(orig_cl_ord_id),
            order_id=order_id,
            instrument_id=instrument_id,
            side=side,
            received_at_ns=now_ns,
        )

    def _translate_replace(
        self, fields: Fields, context: SessionContext, now_ns: int
    ) -> ReplaceOrder | RefuseRequest | Refusal:
        """The order is named as in a cancel; the rest is said as in a new order."""
        named = self._name_order(fields, context, now_ns)
        if isinstance(named, Refusal):
            return named
        amended = self._amend(fields, context, named, now_ns)
        if isinstance(amended, Refusal):
            return _refuse_named(named, amended, is_replace=True)
        return amended

    def _amend(
        self, fields: Fields, context: SessionContext, named: CancelOrder, now_ns: int
    ) -> ReplaceOrder | Refusal:
        instrument = self._reference.instruments_by_symbol.get(fields.get(Tag.SYMBOL, ""))
        if instrument is None:
            return refuse(RejectReason.UNKNOWN_ORDER)
        sent_ns = _orig_sending_time_ns(fields, now_ns)
        refusal = self._staleness(sent_ns, now_ns) or self._unsupported(fields)
        if refusal is not None:
            return refusal
        qty = _parse_qty(fields, instrument)
        if isinstance(qty, Refusal):
            return qty
        price = _parse_price(fields, instrument)
        if isinstance(price, Refusal):
            return price
        terms = parse_terms(fields, instrument)
        if isinstance(terms, str):
            return refuse(RejectReason.UNSUPPORTED, terms)
        bounds = parse_time_bounds(fields)
        if isinstance(bounds, str):
            return refuse(RejectReason.UNSUPPORTED, bounds)
        shows = terms is not None and not SHOWN_TAGS.isdisjoint(fields)
        return ReplaceOrder(
            *context.envelope(fields, named.account_id),
            cl_ord_id=named.cl_ord_id,
            orig_cl_ord_id=named.orig_cl_ord_id,
            order_qty=qty,
            price=price,
            order_id=named.order_id,
            instrument_id=named.instrument_id,
            side=named.side,
            is_poss_resend=fields.get(Tag.POSS_RESEND) == YES,
            received_at_ns=now_ns,
            orig_sent_at_ns=sent_ns or 0,
            time_in_force=TIMES_IN_FORCE.get(fields.get(Tag.TIME_IN_FORCE, "")),
            stop_price=None if terms is None else terms.stop_price,
            display_qty=terms.display_qty if terms is not None and shows else None,
            ord_type=ORD_TYPES[fields[Tag.ORD_TYPE]],
            restated=terms,
            sent_at_ns=bounds.sent_at_ns,
            recv_window_ns=bounds.recv_window_ns,
            valid_until_ns=bounds.valid_until_ns,
            user_id=context.user_id,
        )

    def _unsupported(self, fields: Fields) -> Refusal | None:
        """Refuse what would be lost if the message were taken without it."""
        if ALL_OR_NONE in fields.get(Tag.EXEC_INST, "").split():
            return refuse(RejectReason.ALL_OR_NONE_UNSUPPORTED)
        words = self._rules[fields[Tag.MSG_TYPE]].find_unsupported(fields)
        return None if words is None else refuse(RejectReason.UNSUPPORTED, words)

    def _staleness(self, sent_ns: int | None, now_ns: int) -> Refusal | None:
        """Refuse an order that was resent so late that the market may have moved on."""
        if sent_ns == NOT_RESENT:
            return None
        if sent_ns is None:
            return refuse(RejectReason.STALE, "a resent order needs OrigSendingTime(122)")
        age_ns = now_ns - sent_ns
        if age_ns <= self._resend_order_age_max_ns:
            return None
        return refuse(
            RejectReason.STALE,
            f"resent {age_ns / 1e9:.3f} s after it was first sent, at most "
            f"{self._resend_order_age_max_ns / 1e9:.3f} s are allowed",
        )


def _refuse_named(named: CancelOrder, refusal: Refusal, *, is_replace: bool) -> RefuseRequest:
    """Let the exchange refuse the request: it alone knows how the order stands."""
    return RefuseRequest(
        session_id=named.session_id,
        generation=named.generation,
        epoch=named.epoch,
        msg_seq_num=named.msg_seq_num,
        account_id=named.account_id,
        cl_ord_id=named.cl_ord_id,
        orig_cl_ord_id=named.orig_cl_ord_id,
        order_id=named.order_id,
        instrument_id=named.instrument_id,
        side=named.side,
        is_replace=is_replace,
        reason=refusal.reason,
        text=refusal.text[:REFUSAL_CHARACTERS_MAX],
        received_at_ns=named.received_at_ns,
    )


def _orig_sending_time_ns(fields: Fields, now_ns: int) -> int | None:
    """Return when a resent order was first sent, by our clock, None when it does not say so.

    `NOT_RESENT` for an order that is not resent. The client's clock may go wrong, in which case the
    earlier of two answers is the careful one: what it says, and so long ago as it says it was.
    """
    if fields.get(Tag.POSS_DUP_FLAG) != YES:
        return NOT_RESENT
    sent_ns = parse_utc_timestamp(fields.get(Tag.ORIG_SENDING_TIME, ""))
    if sent_ns is None:
        return None
    sent_again_ns = parse_utc_timestamp(fields.get(Tag.SENDING_TIME, ""))
    age_ns = 0 if sent_again_ns is None else max(0, sent_again_ns - sent_ns)
    return min(sent_ns, now_ns - age_ns)


def _outliving(fields: Fields) -> Refusal | None:
    """Refuse to spare an order of a disconnect that is not one to stay until it is cancelled."""
    if Tag.CANCEL_ORDERS_ON_DISCONNECT not in fields:
        return None
    if fields.get(Tag.TIME_IN_FORCE) == GOOD_TILL_CANCEL:
        return None
    return refuse(
        RejectReason.UNSUPPORTED,
        "CancelOrdersOnDisconnect(8013) of an order must be N, and the order GTC",
    )


def _parse_qty(fields: Fields, instrument: Instrument) -> Qty | Refusal:
    text = fields.get(Tag.ORDER_QTY)
    if text is None:
        return refuse(RejectReason.ORDER_QTY_INVALID, "OrderQty(38) is missing")
    qty = instrument.parse_qty(text)
    if qty is None:
        return refuse(
            RejectReason.LOT_SIZE,
            f"order qty {printable(text)} is not a multiple of the lot "
            f"{instrument.format_qty(instrument.definition.lot_size)}",
        )
    return qty


def _parse_price(fields: Fields, instrument: Instrument) -> Price | Refusal | None:
    text = fields.get(Tag.PRICE)
    if text is None:
        return None
    price = instrument.parse_price(text)
    if price is None:
        return refuse(
            RejectReason.TICK_SIZE,
            f"price {printable(text)} is not a positive multiple of the tick "
            f"{instrument.format_price(instrument.definition.tick_size)}",
        )
    return price
