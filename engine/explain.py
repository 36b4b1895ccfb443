"""Refusals in words: the stable code first, then the numbers that matter, in the trader's units."""

from typing import Final

from engine.instrument import Instrument
from engine.order import Side
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import format_fixed

NS_PER_MS: Final = 1_000_000


def explain(
    reason: RejectReason,
    *,
    limit: int = 0,
    actual: int = 0,
    instrument: Instrument | None = None,
    side: Side | None = None,
    scope: Scope = Scope.ACCOUNT,
) -> str:
    """Return Text(58) for a refusal: `CODE: human words`, in lower case, without a secret.

    Without the instrument, or for a reason that has no numbers, the words are general. `scope` is
    whose limit or kill switch it was.
    """
    words = _in_general(reason, limit, actual, scope)
    if words is None and instrument is not None:
        words = _in_units(reason, limit, actual, instrument, side, scope)
    return f"{reason.name}: {words or WORDS[reason]}"


def format_wait(wait_ns: int) -> str:
    """Return a time to wait in seconds, such as `0.123 s`. Rounded up: it is always enough."""
    wait_ms = -(-wait_ns // NS_PER_MS)
    return f"{wait_ms // 1000}.{wait_ms % 1000:03} s"


def _in_general(reason: RejectReason, limit: int, actual: int, scope: Scope) -> str | None:
    """Return what can be said without the instrument, None for a reason that has no more words."""
    match reason:
        case RejectReason.RATE_LIMIT if actual:
            return f"at most {limit} orders a second, wait {format_wait(actual)}"
        case RejectReason.STALE if actual:
            return "it was first sent before the session's orders were cancelled on disconnect"
        case RejectReason.KILLED if scope is Scope.EVERYTHING:
            return "all trading is stopped, cancels are taken"
        case RejectReason.KILLED:
            return f"trading of the {scope.name.lower()} is stopped, cancels are taken"
        case _:
            return None


def _in_units(
    reason: RejectReason,
    limit: int,
    actual: int,
    instrument: Instrument,
    side: Side | None,
    scope: Scope,
) -> str | None:
    quote = instrument.quote
    match reason:
        case RejectReason.TICK_SIZE:
            return (
                f"price {instrument.format_price(actual)} is not a positive multiple of the tick "
                f"{instrument.format_price(limit)}"
            )
        case RejectReason.LOT_SIZE:
            return (
                f"order qty {instrument.format_qty(actual)} is not a multiple of the lot "
                f"{instrument.format_qty(limit)}"
            )
        case RejectReason.MAX_ORDER_QTY:
            return (
                f"order qty {instrument.format_qty(actual)} above {scope.name.lower()} limit "
                f"{instrument.format_qty(limit)}"
            )
        case RejectReason.MAX_ORDER_NOTIONAL:
            return (
                f"notional {instrument.format_notional(actual)} {quote.symbol} above "
                f"{scope.name.lower()} limit "
                f"{instrument.format_notional(limit)} {quote.symbol}"
            )
        case RejectReason.INSUFFICIENT_BALANCE:
            asset = quote if side is Side.BUY else instrument.base
            return (
                f"needs {format_fixed(actual, asset.decimals)} {asset.symbol}, "
                f"available {format_fixed(limit, asset.decimals)} {asset.symbol}"
            )
        case _:
            return None


WORDS = {
    RejectReason.SESSION_HELD: "the session belongs to another process",
    RejectReason.STALE_GENERATION: "the sender no longer owns the session",
    RejectReason.STALE_EPOCH: "the sequence numbers were reset since",
    RejectReason.SESSION_UNKNOWN: "no such session",
    RejectReason.ACCOUNT_UNKNOWN: "no such account",
    RejectReason.FIRM_UNKNOWN: "no such firm",
    RejectReason.DUPLICATE_CLORDID: "the account has used this ClOrdID in the last 24 hours",
    RejectReason.SYMBOL_UNKNOWN: "no such instrument",
    RejectReason.ASSET_UNKNOWN: "no such asset",
    RejectReason.ALREADY_DEFINED: "it exists already",
    RejectReason.SCALE_UNSUPPORTED: "the decimals do not fit together",
    RejectReason.DUPLICATE_REFERENCE: "a transfer of this reference has been made",
    RejectReason.WITHDRAWAL_UNKNOWN: "no such withdrawal waits to be settled",
    RejectReason.SAME_ACCOUNT: "payer and payee are the same account",
    RejectReason.NOT_KILLED: "its kill switch is not pulled",
    RejectReason.KILLED: "trading of the account is stopped, cancels are taken",
    RejectReason.STORAGE_LOW: (
        "the venue is short of storage: new orders are not taken for now, cancels are"
    ),
    RejectReason.MARKET_HALTED: "trading in the instrument is halted, cancels are taken",
    RejectReason.MARKET_CANCEL_ONLY: "only cancels are taken in the instrument",
    RejectReason.MARKET_CLOSED: "the market of the instrument is closed, cancels are taken",
    RejectReason.MARKET_POST_ONLY: "only post-only orders are taken in the instrument",
    RejectReason.MARKET_OPENING: "the market of the instrument is just opening, cancels are taken",
    RejectReason.NOT_WHILE_COLLECTING: (
        "orders are collected for the opening: market, IOC, FOK and post-only orders are not taken"
    ),
    RejectReason.STATE_NOT_SETTABLE: "the market cannot be put into this state",
    RejectReason.STALE: "the message is older than its order may be",
    RejectReason.CLORDID_INVALID: "ClOrdID must be 1 to 36 of A-Z, a-z, 0-9, - and _",
    RejectReason.ORDER_QTY_INVALID: "order qty must be above 0 and its value representable",
    RejectReason.PRICE_REQUIRED: "a limit order needs a price",
    RejectReason.PRICE_NOT_ALLOWED: "a market order has no price",
    RejectReason.UNSUPPORTED: "this combination is not supported",
    RejectReason.AMOUNT_INVALID: "the amount is not usable here",
    RejectReason.EXPIRE_TIME_INVALID: "a GTD order, and no other, needs an end that is to come",
    RejectReason.MIN_QTY_INVALID: (
        "a minimum quantity needs an IOC order and whole lots, at most the order qty"
    ),
    RejectReason.POST_ONLY_CANNOT_REST: "a post-only order is a limit order that may rest",
    RejectReason.ALL_OR_NONE_UNSUPPORTED: (
        "all-or-none orders do not rest here: use FOK, or IOC with a minimum quantity"
    ),
    RejectReason.POST_ONLY_WOULD_TRADE: "the order would trade at once",
    RejectReason.SELF_TRADE: "the order would meet another of the same owner",
    RejectReason.FEE_RATE_INVALID: "a fee or rebate is at most a tenth of the value",
    RejectReason.FEE_TIER_INVALID: "there is no such tier of fees",
    RejectReason.TICK_SIZE: "the price is not on a tick",
    RejectReason.LOT_SIZE: "the quantity is not a multiple of the lot",
    RejectReason.RATE_LIMIT: "too many messages in too short a time",
    RejectReason.NO_RISK_LIMITS: "no limits are set for the account in this instrument",
    RejectReason.MAX_ORDER_QTY: "order qty above account limit",
    RejectReason.MAX_ORDER_NOTIONAL: "notional above account limit",
    RejectReason.INSUFFICIENT_BALANCE: "not enough available",
    RejectReason.CREDIT_IN_USE: "the account uses more credit than that",
    RejectReason.UNKNOWN_ORDER: "no order of the account fits what the request names",
    RejectReason.TOO_LATE_TO_CANCEL: "the order has ended",
    RejectReason.ORIG_CLORDID_REPLACED: "the order bears another ClOrdID since it was amended",
}
