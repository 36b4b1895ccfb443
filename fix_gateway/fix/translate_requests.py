"""Mass cancels and questions to engine commands: exactly, or refused with the precise reason."""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.order import Side
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.request_commands import (
    MassCancel,
    ReportBalances,
    ReportOpenOrders,
    ReportOrder,
    RequestCommand,
)
from engine.scope import Scope
from engine.units import AccountId, ClOrdId, InstrumentId, is_cl_ord_id
from fix_gateway.fix.fields import Fields, MsgType, Tag, printable
from fix_gateway.fix.request_parts import (
    SIDES,
    Refusal,
    SessionContext,
    find_account,
    parse_order_id,
    refuse,
)

# MassCancelRequestType(530) and MassStatusReqType(585).
BY_SYMBOL, BY_SESSION, BY_ALL = "1", "6", "7"
POSITIONS: Final = "0"
SNAPSHOT: Final = "0"
REQUEST_ID_LENGTH_MAX: Final = 64
ANY_INSTRUMENT: Final = InstrumentId(0)
REQUEST_TYPES: Final = frozenset(
    {
        MsgType.ORDER_MASS_CANCEL_REQUEST, MsgType.ORDER_STATUS_REQUEST,
        MsgType.ORDER_MASS_STATUS_REQUEST, MsgType.REQUEST_FOR_POSITIONS,
    }
)  # fmt: skip


class _Asker(NamedTuple):
    """Who asks, for which account, and when the message came."""

    context: SessionContext
    account_id: AccountId
    now_ns: int


class _Meant(NamedTuple):
    """The orders that a request means."""

    scope: Scope
    scope_id: int
    instrument_id: InstrumentId
    side: Side | None


class RequestTranslator:
    """Turns the requests of all sessions into commands. Belongs to the gateway's thread."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._translations: dict[str, Callable[[Fields, _Asker], RequestCommand | Refusal]] = {
            MsgType.ORDER_MASS_CANCEL_REQUEST: self._translate_mass_cancel,
            MsgType.ORDER_STATUS_REQUEST: self._translate_status,
            MsgType.ORDER_MASS_STATUS_REQUEST: self._translate_mass_status,
            MsgType.REQUEST_FOR_POSITIONS: self._translate_positions,
        }

    def translate(
        self, fields: Fields, context: SessionContext, now_ns: int
    ) -> RequestCommand | Refusal:
        """Return the command that a message of `REQUEST_TYPES` asks for, or why it is refused."""
        account_id = find_account(fields, context, self._reference)
        if account_id is None:
            return refuse(RejectReason.ACCOUNT_UNKNOWN)
        return self._translations[fields[Tag.MSG_TYPE]](fields, _Asker(context, account_id, now_ns))

    def _translate_mass_cancel(self, fields: Fields, asker: _Asker) -> MassCancel | Refusal:
        cl_ord_id = fields[Tag.CL_ORD_ID]
        if not is_cl_ord_id(cl_ord_id):
            return refuse(RejectReason.CLORDID_INVALID)
        kind = fields[Tag.MASS_CANCEL_REQUEST_TYPE]
        meant = self._find_meant(fields, kind, "MassCancelRequestType(530)", asker)
        if isinstance(meant, Refusal):
            return meant
        return MassCancel(
            *asker.context.envelope(fields, asker.account_id),
            received_at_ns=asker.now_ns,
            cl_ord_id=ClOrdId(cl_ord_id),
            scope=meant.scope,
            scope_id=meant.scope_id,
            instrument_id=meant.instrument_id,
            side=meant.side,
        )

    def _translate_status(self, fields: Fields, asker: _Asker) -> ReportOrder | Refusal:
        request_id = fields.get(Tag.ORD_STATUS_REQ_ID, "")
        if request_id and not is_request_id(request_id):
            return _refuse_id("OrdStatusReqID(790)")
        cl_ord_id, order_id_text = fields.get(Tag.CL_ORD_ID, ""), fields.get(Tag.ORDER_ID, "")
        if not cl_ord_id and not order_id_text:
            return refuse(RejectReason.UNKNOWN_ORDER, "name it by ClOrdID(11) or OrderID(37)")
        order_id = parse_order_id(order_id_text)
        instrument_id = self._find_instrument(fields)
        side = _find_side(fields)
        fits_nothing = order_id is None or instrument_id is None or isinstance(side, Refusal)
        if fits_nothing or (cl_ord_id and not is_cl_ord_id(cl_ord_id)):
            return refuse(RejectReason.UNKNOWN_ORDER)
        assert order_id is not None
        assert instrument_id is not None
        assert not isinstance(side, Refusal)
        return ReportOrder(
            *asker.context.envelope(fields, asker.account_id),
            received_at_ns=asker.now_ns,
            cl_ord_id=ClOrdId(cl_ord_id),
            order_id=order_id,
            instrument_id=instrument_id,
            side=side,
            request_id=request_id,
        )

    def _translate_mass_status(self, fields: Fields, asker: _Asker) -> ReportOpenOrders | Refusal:
        request_id = fields[Tag.MASS_STATUS_REQ_ID]
        if not is_request_id(request_id):
            return _refuse_id("MassStatusReqID(584)")
        kind = fields[Tag.MASS_STATUS_REQ_TYPE]
        meant = self._find_meant(fields, kind, "MassStatusReqType(585)", asker)
        if isinstance(meant, Refusal):
            return meant
        if asker.context.is_drop_copy and kind == BY_ALL and Tag.ACCOUNT not in fields:
            if asker.context.chosen_account_ids:
                return refuse(RejectReason.UNSUPPORTED, "name one of your accounts by Account(1)")
            meant = meant._replace(scope=Scope.FIRM, scope_id=asker.context.firm_id)
        return ReportOpenOrders(
            *asker.context.envelope(fields, asker.account_id),
            received_at_ns=asker.now_ns,
            request_id=request_id,
            scope=meant.scope,
            scope_id=meant.scope_id,
            instrument_id=meant.instrument_id,
            side=meant.side,
        )

    def _translate_positions(self, fields: Fields, asker: _Asker) -> ReportBalances | Refusal:
        request_id = fields[Tag.POS_REQ_ID]
        if not is_request_id(request_id):
            return _refuse_id("PosReqID(710)")
        if fields[Tag.POS_REQ_TYPE] != POSITIONS:
            return refuse(RejectReason.UNSUPPORTED, "PosReqType(724) must be 0")
        if fields.get(Tag.SUBSCRIPTION_REQUEST_TYPE, SNAPSHOT) != SNAPSHOT:
            return refuse(RejectReason.UNSUPPORTED, "SubscriptionRequestType(263) must be 0")
        return ReportBalances(
            *asker.context.envelope(fields, asker.account_id),
            received_at_ns=asker.now_ns,
            request_id=request_id,
        )

    def _find_meant(
        self,
        fields: Fields,
        kind: str,
        kind_name: str,
        asker: _Asker,
    ) -> _Meant | Refusal:
        instrument_id = self._find_instrument(fields)
        if instrument_id is None:
            symbol = printable(fields[Tag.SYMBOL])
            return refuse(RejectReason.SYMBOL_UNKNOWN, f"no instrument {symbol}")
        side = _find_side(fields)
        if isinstance(side, Refusal):
            return side
        if kind == BY_SESSION:
            return _Meant(Scope.SESSION, asker.context.session_id, instrument_id, side)
        if kind not in (BY_SYMBOL, BY_ALL):
            text = f"{kind_name} must be {BY_SYMBOL}, {BY_SESSION} or {BY_ALL}"
            return refuse(RejectReason.UNSUPPORTED, text)
        if (kind == BY_SYMBOL) != (instrument_id != ANY_INSTRUMENT):
            # One who says "all" and names an instrument means one of the two: it is not guessed.
            need = "needs" if kind == BY_SYMBOL else "takes no"
            return refuse(RejectReason.UNSUPPORTED, f"{kind_name}={kind} {need} Symbol(55)")
        return _Meant(Scope.ACCOUNT, asker.account_id, instrument_id, side)

    def _find_instrument(self, fields: Fields) -> InstrumentId | None:
        """Return the instrument that is named, `ANY_INSTRUMENT` when none is, None for no such."""
        symbol = fields.get(Tag.SYMBOL)
        if symbol is None:
            return ANY_INSTRUMENT
        instrument = self._reference.instruments_by_symbol.get(symbol)
        return None if instrument is None else instrument.instrument_id


def is_request_id(text: str) -> bool:
    """Whether a client may call a request so: it comes back in the answers."""
    return 0 < len(text) <= REQUEST_ID_LENGTH_MAX and text.isascii() and text.isprintable()


def _refuse_id(name: str) -> Refusal:
    text = f"{name} must be 1 to {REQUEST_ID_LENGTH_MAX} printable ASCII characters"
    return refuse(RejectReason.UNSUPPORTED, text)


def _find_side(fields: Fields) -> Side | Refusal | None:
    text = fields.get(Tag.SIDE)
    if text is None or text in SIDES:
        return None if text is None else SIDES[text]
    return refuse(RejectReason.UNSUPPORTED, f"Side(54) {printable(text)} is not supported")
