"""Questions about the venue, which the gateway answers itself: instruments, and who trades now."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from engine.instrument import Instrument
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.trading_state import TradingState
from engine.units import InstrumentId
from fix_gateway.fix.dialect import Dialect
from fix_gateway.fix.fields import Fields, MsgType, Tag, join_fields, printable

YES: Final = "Y"
# What may be asked, and the field with the asker's own name for the question.
REQUEST_IDS: Final[dict[str, int]] = {
    MsgType.SECURITY_LIST_REQUEST: Tag.SECURITY_REQ_ID,
    MsgType.TRADING_SESSION_STATUS_REQUEST: Tag.TRAD_SES_REQ_ID,
}
ONE_SYMBOL, ALL_SECURITIES = "0", "4"  # SecurityListRequestType(559).
VALID, INVALID, NOTHING_FOUND = "0", "1", "2"  # SecurityRequestResult(560).
TEXT_ATTRIBUTE: Final = "99"  # InstrAttribType(871).
CLOSED, REQUEST_REJECTED = "3", "6"  # TradSesStatus(340).
UNKNOWN_SESSION, OTHER = "1", "99"  # TradSesStatusRejReason(567).
HALTED, OPEN, PRE_OPEN = "1", "2", "4"
# No version can tell more; the precise state is in Text(58).
TRAD_SES_STATUSES: Final = {
    TradingState.PRE_OPEN: PRE_OPEN,
    TradingState.OPENING: PRE_OPEN,
    TradingState.CONTINUOUS: OPEN,
    TradingState.POST_ONLY: OPEN,
    TradingState.HALTED: HALTED,
    TradingState.CANCEL_ONLY: HALTED,
    TradingState.CLOSED: CLOSED,
}

Pairs = list[tuple[int, str]]
TradingStates = dict[InstrumentId, TradingState]


class VenueAnswer(NamedTuple):
    """What is said of the venue, as bodies from 35= on. `is_refused`: nothing of what was asked."""

    bodies: list[str]
    is_refused: bool


def symbol_of(fields: Fields) -> str | None:
    """Return the instrument that a question is about, None for all."""
    if fields[Tag.MSG_TYPE] == MsgType.TRADING_SESSION_STATUS_REQUEST:
        return fields.get(Tag.TRADING_SESSION_ID)
    return fields.get(Tag.SYMBOL) if _names_symbol(fields) else None


def _names_symbol(fields: Fields) -> bool:
    return fields[Tag.SECURITY_LIST_REQUEST_TYPE] == ONE_SYMBOL


class VenueAnswers:
    """Answers in a session's dialect. Belongs to the gateway's thread."""

    def __init__(
        self,
        reference: Reference,
        states: Mapping[InstrumentId, TradingState],
        dialect: Dialect,
    ) -> None:
        self._reference = reference
        self._states = states
        self._dialect = dialect

    def answer(self, fields: Fields) -> VenueAnswer:
        """Return what answers a message of `REQUEST_IDS`: how things are now."""
        if fields[Tag.MSG_TYPE] == MsgType.SECURITY_LIST_REQUEST:
            return self._securities(fields)
        return self._trading_sessions(fields)

    def refuse(self, fields: Fields, words: str) -> str:
        """Return what refuses such a message, for a reason that is given in words."""
        request_id = fields[REQUEST_IDS[fields[Tag.MSG_TYPE]]]
        if fields[Tag.MSG_TYPE] == MsgType.SECURITY_LIST_REQUEST:
            return self.security_list(request_id, [], INVALID)
        text = f"{RejectReason.UNSUPPORTED.name}: {words}"
        return self._no_trading_session(fields, OTHER, text)

    def _securities(self, fields: Fields) -> VenueAnswer:
        kind = fields[Tag.SECURITY_LIST_REQUEST_TYPE]
        symbol = symbol_of(fields)
        request_id = fields[Tag.SECURITY_REQ_ID]
        if kind not in (ONE_SYMBOL, ALL_SECURITIES) or (_names_symbol(fields) and symbol is None):
            return VenueAnswer([self.security_list(request_id, [], INVALID)], is_refused=True)
        found = self._find(symbol)
        result = VALID if found else NOTHING_FOUND
        is_refused = symbol is not None and not found
        return VenueAnswer([self.security_list(request_id, found, result)], is_refused)

    def security_list(
        self, request_id: str, instruments: list[Instrument], result: str = VALID
    ) -> str:
        """Return a SecurityList(y) of the instruments."""
        request_id = printable(request_id)
        pairs: Pairs = [
            (Tag.MSG_TYPE, MsgType.SECURITY_LIST),
            (Tag.SECURITY_REQ_ID, request_id),
            (Tag.SECURITY_RESPONSE_ID, request_id),
            (Tag.SECURITY_REQUEST_RESULT, result),
            (Tag.TOT_NO_RELATED_SYM, str(len(instruments))),
            (Tag.LAST_FRAGMENT, YES),
        ]
        if instruments:
            pairs.append((Tag.NO_RELATED_SYM, str(len(instruments))))
        for instrument in instruments:
            pairs += self._rules_of(instrument)
        return join_fields(pairs)

    def _rules_of(self, instrument: Instrument) -> Pairs:
        definition = instrument.definition
        tick = instrument.format_price(definition.tick_size)
        lot = instrument.format_qty(definition.lot_size)
        # FIX 4.4 has no field for the tick.
        told_tick: Pairs = [
            (Tag.NO_INSTR_ATTRIB, "1"),
            (Tag.INSTR_ATTRIB_TYPE, TEXT_ATTRIBUTE),
            (Tag.INSTR_ATTRIB_VALUE, f"TICK_SIZE {tick}"),
        ]
        if self._dialect.is_fixt:
            told_tick = [(Tag.MIN_PRICE_INCREMENT, tick)]
        return [
            (Tag.SYMBOL, instrument.symbol),
            *told_tick,
            (Tag.CURRENCY, instrument.quote.symbol),
            (Tag.ROUND_LOT, lot),
            (Tag.MIN_TRADE_VOL, lot),
        ]

    def _trading_sessions(self, fields: Fields) -> VenueAnswer:
        instruments = self._find(symbol_of(fields))
        if not instruments:
            words = f"{RejectReason.SYMBOL_UNKNOWN.name}: no such instrument"
            refusal = self._no_trading_session(fields, UNKNOWN_SESSION, words)
            return VenueAnswer([refusal], is_refused=True)
        request_id = fields[Tag.TRAD_SES_REQ_ID]
        bodies = [self.trading_session(request_id, instrument) for instrument in instruments]
        return VenueAnswer(bodies, is_refused=False)

    def _find(self, symbol: str | None) -> list[Instrument]:
        if symbol is None:
            return list(self._reference.instruments.values())
        found = self._reference.instruments_by_symbol.get(symbol)
        return [] if found is None else [found]

    def trading_session(self, request_id: str, instrument: Instrument) -> str:
        """Return a TradingSessionStatus(h) of the instrument."""
        state = self._states.get(instrument.instrument_id, instrument.definition.initial_state)
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.TRADING_SESSION_STATUS),
                (Tag.TRAD_SES_REQ_ID, printable(request_id)),
                (Tag.TRADING_SESSION_ID, instrument.symbol),
                (Tag.TRAD_SES_STATUS, TRAD_SES_STATUSES[state]),
                (Tag.TEXT, state.name),
            ]
        )

    def _no_trading_session(self, fields: Fields, reason: str, words: str) -> str:
        refused: Pairs = [
            (Tag.TRAD_SES_STATUS, REQUEST_REJECTED),
            (Tag.TRAD_SES_STATUS_REJ_REASON, reason),
        ]
        if self._dialect.has_exec_trans_type:
            refused = [(Tag.TRAD_SES_STATUS, CLOSED)]  # All that FIX 4.2 can say.
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.TRADING_SESSION_STATUS),
                (Tag.TRAD_SES_REQ_ID, printable(fields[Tag.TRAD_SES_REQ_ID])),
                (Tag.TRADING_SESSION_ID, printable(fields.get(Tag.TRADING_SESSION_ID, "NONE"))),
                *refused,
                (Tag.TEXT, words),
            ]
        )
