"""What few orders ask for: post-only, a minimum quantity, an end, self-trade prevention."""

from typing import Final

from engine.instrument import Instrument
from engine.order import OrderTerms, SelfTradeMode
from engine.units import INT_MAX, Qty
from fix_gateway.fix.fields import NS_PER_S, Fields, Tag, parse_utc_timestamp, printable

POST_ONLY: Final = "6"
DAY_NS: Final = 24 * 3600 * NS_PER_S
GROUP_DIGITS_MAX: Final = 18
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
TERM_TAGS: Final = frozenset(
    {
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
    )


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
