"""Questions about the venue, which the gateway answers itself: instruments, and who trades now."""

from collections.abc import Mapping
from typing import Final

from engine.instrument import Instrument
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.trading_state import TradingState
from engine.units import InstrumentId
from fix_gateway.fix.dialect import Dialect
from fix_gateway.fix.fields import Fields, MsgType, Tag, join_fields, printable

YES: Final = "Y"
ONE_SYMBOL, ALL_SECURITIES = "0", "4"  # SecurityListRequestType(559).
SNAPSHOT: Final = "0"
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


class VenueAnswers:
    """Answers in a session's dialect, from 35= on. Belongs to the gateway's thread."""

    def __init__(
        self,
        reference: Reference,
        states: Mapping[InstrumentId, TradingState],
        dialect: Dialect,
    ) -> None:
        self._reference = reference
        self._states = states
        self._dialect = dialect

    def answer(self, fields: Fields) -> list[str] | None:
        """Return what answers the message, None when it asks for something else."""
        match fields[Tag.MSG_TYPE]:
            case MsgType.SECURITY_LIST_REQUEST:
                return [self._security_list(fields)]
            case MsgType.TRADING_SESSION_STATUS_REQUEST:
                return self._trading_session_statuses(fields)
            case _:
                return None

    def _security_list(self, fields: Fields) -> str:
        kind = fields[Tag.SECURITY_LIST_REQUEST_TYPE]
        instruments: list[Instrument] = []
        result = VALID
        if kind == ONE_SYMBOL and Tag.SYMBOL in fields:
            found = self._reference.instruments_by_symbol.get(fields[Tag.SYMBOL])
            instruments = [] if found is None else [found]
        elif kind == ALL_SECURITIES:
            instruments = list(self._reference.instruments.values())
        else:
            result = INVALID
        if fields.get(Tag.SUBSCRIPTION_REQUEST_TYPE, SNAPSHOT) != SNAPSHOT:
            instruments, result = [], INVALID
        if result == VALID and not instruments:
            result = NOTHING_FOUND
        request_id = printable(fields[Tag.SECURITY_REQ_ID])
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

    def _trading_session_statuses(self, fields: Fields) -> list[str]:
        request_id = printable(fields[Tag.TRAD_SES_REQ_ID])
        named = fields.get(Tag.TRADING_SESSION_ID)
        if fields[Tag.SUBSCRIPTION_REQUEST_TYPE] != SNAPSHOT:
            words = f"{RejectReason.UNSUPPORTED.name}: SubscriptionRequestType(263) must be 0"
            return [self._no_trading_session(request_id, named, OTHER, words)]
        instruments = list(self._reference.instruments.values())
        if named is not None:
            found = self._reference.instruments_by_symbol.get(named)
            instruments = [] if found is None else [found]
        if not instruments:
            words = f"{RejectReason.SYMBOL_UNKNOWN.name}: no such instrument"
            return [self._no_trading_session(request_id, named, UNKNOWN_SESSION, words)]
        return [self._trading_session(request_id, instrument) for instrument in instruments]

    def _trading_session(self, request_id: str, instrument: Instrument) -> str:
        state = self._states.get(instrument.instrument_id, instrument.definition.initial_state)
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.TRADING_SESSION_STATUS),
                (Tag.TRAD_SES_REQ_ID, request_id),
                (Tag.TRADING_SESSION_ID, instrument.symbol),
                (Tag.TRAD_SES_STATUS, TRAD_SES_STATUSES[state]),
                (Tag.TEXT, state.name),
            ]
        )

    def _no_trading_session(
        self, request_id: str, named: str | None, reason: str, words: str
    ) -> str:
        refused: Pairs = [
            (Tag.TRAD_SES_STATUS, REQUEST_REJECTED),
            (Tag.TRAD_SES_STATUS_REJ_REASON, reason),
        ]
        if self._dialect.has_exec_trans_type:
            refused = [(Tag.TRAD_SES_STATUS, CLOSED)]  # All that FIX 4.2 can say.
        return join_fields(
            [
                (Tag.MSG_TYPE, MsgType.TRADING_SESSION_STATUS),
                (Tag.TRAD_SES_REQ_ID, request_id),
                (Tag.TRADING_SESSION_ID, printable(named or "NONE")),
                *refused,
                (Tag.TEXT, words),
            ]
        )
