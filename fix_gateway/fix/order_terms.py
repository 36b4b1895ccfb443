"""What few orders ask for: post-only, a minimum quantity, an end, self-trade prevention."""

from typing import Final, NamedTuple

from engine.instrument import Instrument
from engine.order import OrderTerms, SelfTradeMode, TriggerDirection
from engine.units import INT_MAX, Price, Qty, parse_fixed
from fix_gateway.fix.fields import NS_PER_S, Fields, Tag, parse_utc_timestamp, printable

POST_ONLY: Final = "6"
DAY_NS: Final = 24 * 3600 * NS_PER_S
GROUP_DIGITS_MAX: Final = 18
MS_DECIMALS: Final = 6  # RecvWindow(25000) is in milliseconds, down to nanoseconds.
RECV_WINDOW_MAX_NS: Final = 60 * NS_PER_S
# SelfMatchPreventionInstruction(2964), and Coinbase's SelfTradeType(7928).
SELF_TRADE_INSTRUCTIONS: Final = {
    "1": SelfTradeMode.CANCEL_AGGRESSOR,
    "2": SelfTradeMode.CANCEL_RESTING,
    "3": SelfTradeMode.CANCEL_BOTH,
}
SELF_TRADE_TYPES: Final = {
    "N": SelfTradeMode.CANCEL_AGGRESSOR,
    "O": SelfTradeMode.CANCEL_RESTING,
    "B": SelfTradeMode.CANCEL_BOTH,
    "D": SelfTradeMode.DECREMENT,
}
TRIGGER_DIRECTIONS: Final = {"U": TriggerDirection.UP, "D": TriggerDirection.DOWN}
TERM_TAGS: Final = frozenset(
    {
        Tag.STOP_PX, Tag.TRIGGER_PRICE_DIRECTION, Tag.MAX_FLOOR, Tag.DISPLAY_QTY,
        Tag.EXEC_INST, Tag.MIN_QTY, Tag.EXPIRE_TIME, Tag.EXPIRE_DATE,
        Tag.SELF_MATCH_PREVENTION_ID, Tag.SELF_MATCH_PREVENTION_INSTRUCTION, Tag.SELF_TRADE_TYPE,
    }
)  # fmt: skip


def parse_terms(fields: Fields, instrument: Instrument) -> OrderTerms | str | None:
    """Return what the order asks for besides, None when it is nothing, or in words what is wrong.

    Values that the rules of engagement do not have are known to be absent.
    """
    if TERM_TAGS.isdisjoint(fields):
        return None
    min_qty = _parse_min_qty(fields, instrument)
    if isinstance(min_qty, str):
        return min_qty
    expires_at_ns = _parse_expiry(fields)
    if isinstance(expires_at_ns, str):
        return expires_at_ns
    stop_price = parse_stop_price(fields, instrument)
    if isinstance(stop_price, str):
        return stop_price
    display_qty = parse_display_qty(fields, instrument)
    if isinstance(display_qty, str):
        return display_qty
    group = _parse_group(fields)
    if isinstance(group, str):
        return group
    if Tag.SELF_TRADE_TYPE in fields and Tag.SELF_MATCH_PREVENTION_INSTRUCTION in fields:
        return "of SelfTradeType(7928) and SelfMatchPreventionInstruction(2964) there can be one"
    mode = SELF_TRADE_TYPES.get(fields.get(Tag.SELF_TRADE_TYPE, ""))
    instruction = fields.get(Tag.SELF_MATCH_PREVENTION_INSTRUCTION, "")
    return OrderTerms(
        is_post_only=POST_ONLY in fields.get(Tag.EXEC_INST, "").split(),
        min_qty=min_qty,
        expires_at_ns=expires_at_ns,
        self_trade=SELF_TRADE_INSTRUCTIONS.get(instruction, mode),
        self_trade_group=group,
        stop_price=stop_price,
        trigger=TRIGGER_DIRECTIONS.get(fields.get(Tag.TRIGGER_PRICE_DIRECTION, "")),
        display_qty=display_qty or Qty(0),
    )


class TimeBounds(NamedTuple):
    """When a request was sent, how long after that it may be entered, and until when; 0: ever."""

    sent_at_ns: int
    recv_window_ns: int
    valid_until_ns: int


def parse_time_bounds(fields: Fields) -> TimeBounds | str:
    """Return within which times the request may be entered, or in words what is wrong."""
    sent_at_ns = parse_utc_timestamp(fields[Tag.SENDING_TIME]) or 0
    if Tag.VALID_UNTIL_TIME not in fields and Tag.RECV_WINDOW not in fields:
        return TimeBounds(sent_at_ns, 0, 0)
    window_ns = valid_until_ns = 0
    window_text, until_text = fields.get(Tag.RECV_WINDOW), fields.get(Tag.VALID_UNTIL_TIME)
    if window_text is not None:
        window_ns = parse_fixed(window_text, MS_DECIMALS) or 0
        if not 0 < window_ns <= RECV_WINDOW_MAX_NS:
            return f"RecvWindow(25000) {printable(window_text)} is not above 0 and up to 60000"
    if until_text is not None:
        valid_until_ns = parse_utc_timestamp(until_text) or 0
        if not valid_until_ns:
            return f"ValidUntilTime(62) {printable(until_text)} is no time"
    return TimeBounds(sent_at_ns, window_ns, valid_until_ns)


def parse_stop_price(fields: Fields, instrument: Instrument) -> Price | str | None:
    """Return StopPx(99), None where there is none, or in words what is wrong with it."""
    text = fields.get(Tag.STOP_PX)
    if text is None:
        return None
    price = instrument.parse_price(text)
    if price is None:
        tick = instrument.format_price(instrument.definition.tick_size)
        return f"StopPx(99) {printable(text)} is not a positive multiple of the tick {tick}"
    return price


def parse_display_qty(fields: Fields, instrument: Instrument) -> Qty | str | None:
    """Return what an iceberg shows, None where nothing is said, or in words what is wrong.

    MaxFloor(111) until FIX 5.0, DisplayQty(1138) since; either is taken in every version.
    """
    text, newer = fields.get(Tag.MAX_FLOOR), fields.get(Tag.DISPLAY_QTY)
    if text is not None and newer is not None:
        return "of MaxFloor(111) and DisplayQty(1138) there can be one"
    text = newer if text is None else text
    if text is None:
        return None
    qty = instrument.parse_qty(text)
    if qty is None:
        lot = instrument.format_qty(instrument.definition.lot_size)
        return f"display qty {printable(text)} is not a multiple of the lot {lot}"
    return qty


def _parse_min_qty(fields: Fields, instrument: Instrument) -> Qty | str:
    text = fields.get(Tag.MIN_QTY)
    if text is None:
        return Qty(0)
    qty = instrument.parse_qty(text)
    if not qty:
        return f"MinQty(110) {printable(text)} is not a quantity of this instrument"
    return qty


def _parse_expiry(fields: Fields) -> int | str:
    """Return when the order ends. A day ends with it, at midnight UTC."""
    time_text, date_text = fields.get(Tag.EXPIRE_TIME), fields.get(Tag.EXPIRE_DATE)
    if time_text is not None and date_text is not None:
        return "of ExpireTime(126) and ExpireDate(432) there can be one"
    if time_text is not None:
        return (
            parse_utc_timestamp(time_text) or f"ExpireTime(126) {printable(time_text)} is no time"
        )
    if date_text is None:
        return 0
    midnight_ns = parse_utc_timestamp(f"{date_text}-00:00:00")
    if midnight_ns is not None:
        return min(midnight_ns + DAY_NS, INT_MAX)
    return f"ExpireDate(432) {printable(date_text)} is no date"


def _parse_group(fields: Fields) -> int | str:
    text = fields.get(Tag.SELF_MATCH_PREVENTION_ID)
    if text is None:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= GROUP_DIGITS_MAX and int(text):
        return int(text)
    return f"SelfMatchPreventionID(2362) {printable(text)} is no number above 0"
