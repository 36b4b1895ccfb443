"""Refusals in words: the stable code first, then the numbers that matter, in the trader's units."""

from collections.abc import Callable
from enum import Enum
from typing import Final

from engine.controls import Level, RefusalDetail
from engine.instrument import Instrument
from engine.order import Side
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import format_fixed

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 24 * 3600 * NS_PER_S
NO_DETAIL: Final = RefusalDetail()


class Measure(Enum):
    """What the numbers of a reason count."""

    PRICE = "price"
    QTY = "quantity"
    QUOTE = "amount of the quote asset"
    PAID = "amount of the asset that pays"
    ASSET = "amount of an asset"
    COUNT = "count"
    SPAN = "nanoseconds"
    TIME = "nanoseconds since 1970"


MEASURES: Final = {
    RejectReason.TICK_SIZE: Measure.PRICE,
    RejectReason.LOT_SIZE: Measure.QTY,
    RejectReason.MAX_ORDER_QTY: Measure.QTY,
    RejectReason.MAX_ORDER_NOTIONAL: Measure.QUOTE,
    RejectReason.INSUFFICIENT_BALANCE: Measure.PAID,
    RejectReason.LOSS_LIMIT: Measure.QUOTE,
    RejectReason.VALID_UNTIL_PASSED: Measure.TIME,
    RejectReason.RECV_WINDOW_PASSED: Measure.SPAN,
    RejectReason.CLOCK_SKEW: Measure.SPAN,
    RejectReason.DUPLICATE_ORDER: Measure.COUNT,
    RejectReason.PRICE_RANGE: Measure.PRICE,
    RejectReason.MIN_ORDER_QTY: Measure.QTY,
    RejectReason.MIN_NOTIONAL: Measure.QUOTE,
    RejectReason.PRICE_COLLAR: Measure.PRICE,
    RejectReason.PRICE_BAND: Measure.PRICE,
    RejectReason.MESSAGE_LIMIT: Measure.COUNT,
    RejectReason.ORDER_TO_TRADE: Measure.COUNT,
    RejectReason.TOO_MANY_UNFILLED: Measure.COUNT,
    RejectReason.MAX_OPEN_ORDERS: Measure.COUNT,
    RejectReason.MAX_STOP_ORDERS: Measure.COUNT,
    RejectReason.MAX_ICEBERG_ORDERS: Measure.COUNT,
    RejectReason.MAX_AMENDS: Measure.COUNT,
    RejectReason.FAT_FINGER_QTY: Measure.QTY,
    RejectReason.FAT_FINGER_VALUE: Measure.QUOTE,
    RejectReason.MAX_ASSET: Measure.ASSET,
    RejectReason.MAX_VOLUME_SHARE: Measure.QTY,
    RejectReason.POSITION_LIMIT: Measure.ASSET,
    RejectReason.EXPOSURE_LIMIT: Measure.QUOTE,
}
PHRASES: Final = {
    RejectReason.TICK_SIZE: "price {actual} is not a positive multiple of the tick {limit}",
    RejectReason.LOT_SIZE: "order qty {actual} is not a multiple of the lot {limit}",
    RejectReason.MAX_ORDER_QTY: "order qty {actual} above {scope} limit {limit}",
    RejectReason.MAX_ORDER_NOTIONAL: "notional {actual} above {scope} limit {limit}",
    RejectReason.INSUFFICIENT_BALANCE: "needs {actual}, available {limit}",
    RejectReason.LOSS_LIMIT: "lost {actual} today, {scope} limit {limit}: reduce only",
    RejectReason.VALID_UNTIL_PASSED: "valid until {limit}, it is {actual}",
    RejectReason.RECV_WINDOW_PASSED: "{actual} old, its sender allows {limit}",
    RejectReason.CLOCK_SKEW: "SendingTime is {actual} ahead, at most {limit}",
    RejectReason.DUPLICATE_ORDER: "{actual} alike in a row, {scope} limit {limit} in {window}",
    RejectReason.PRICE_RANGE: "price {actual} outside {range}",
    RejectReason.MIN_ORDER_QTY: "order qty {actual} outside {range}",
    RejectReason.MIN_NOTIONAL: "notional {actual} outside {range}",
    RejectReason.PRICE_COLLAR: "price {actual} outside {range}, reference {reference} of {at}",
    RejectReason.PRICE_BAND: "price {actual} outside {range}, reference {reference} of {at}",
    RejectReason.MESSAGE_LIMIT: "{actual} messages in {window}, {scope} limit {limit}",
    RejectReason.ORDER_TO_TRADE: "{actual} messages without a fill in {window}, limit {limit}",
    RejectReason.TOO_MANY_UNFILLED: "{actual} orders without a fill in {window}, limit {limit}",
    RejectReason.MAX_OPEN_ORDERS: "{usage} orders are open, {scope} limit {limit}",
    RejectReason.MAX_STOP_ORDERS: "{usage} stop orders are open, {scope} limit {limit}",
    RejectReason.MAX_ICEBERG_ORDERS: "{usage} iceberg orders are open, {scope} limit {limit}",
    RejectReason.MAX_AMENDS: "amended {usage} times, {scope} limit {limit}",
    RejectReason.FAT_FINGER_QTY: "order qty {actual} above {scope} limit {limit} of the {level}",
    RejectReason.FAT_FINGER_VALUE: "notional {actual} above {scope} limit {limit} of the {level}",
    RejectReason.MAX_ASSET: "{actual} in one order above {scope} limit {limit}",
    RejectReason.MAX_VOLUME_SHARE: "order qty {actual} above {limit}, a share of a day's volume",
    RejectReason.POSITION_LIMIT: "could come to {actual} from {usage}, {scope} limit {limit}",
    RejectReason.EXPOSURE_LIMIT: "{actual} in {window} with {usage} before, {scope} limit {limit}",
}


def explain(  # noqa: PLR0913 - A refusal has as many parts.
    reason: RejectReason,
    *,
    limit: int = 0,
    actual: int = 0,
    instrument: Instrument | None = None,
    side: Side | None = None,
    scope: Scope = Scope.ACCOUNT,
    detail: RefusalDetail | None = None,
) -> str:
    """Return Text(58) for a refusal: `CODE: human words`, in lower case, without a secret.

    Without the instrument, or for a reason that has no numbers, the words are general. `scope` is
    whose limit or kill switch it was.
    """
    words = _in_general(reason, limit, actual, scope, detail or NO_DETAIL)
    phrase = PHRASES.get(reason)
    if words is None and phrase is not None and instrument is not None:
        known = detail or NO_DETAIL
        show = formatter(reason, instrument, side, known)
        words = phrase.format(
            actual=show(actual),
            limit=show(limit),
            usage=show(known.usage or 0),
            range=_range(known, show),
            reference=instrument.format_price(known.reference_price or 0),
            at=format_utc(known.reference_at_ns),
            scope=scope.name.lower(),
            level=known.level.name.lower(),
            window=format_wait(known.window_ns),
        )
    return f"{reason.name}: {words or WORDS[reason]}"


def formatter(
    reason: RejectReason, instrument: Instrument, side: Side | None, detail: RefusalDetail
) -> Callable[[int], str]:
    """Return what writes the reason's numbers in the trader's units, with the asset's symbol."""
    quote, base = instrument.quote, instrument.base
    match MEASURES.get(reason, Measure.COUNT):
        case Measure.PRICE:
            return instrument.format_price
        case Measure.QTY:
            return instrument.format_qty
        case Measure.COUNT:
            return str
        case Measure.SPAN:
            return format_wait
        case Measure.TIME:
            return format_utc
        case Measure.QUOTE:
            asset = quote
        case Measure.ASSET:
            asset = base if detail.asset_id == base.asset_id else quote
        case Measure.PAID:
            asset = quote if side is Side.BUY else base
    return lambda amount: f"{format_fixed(amount, asset.decimals)} {asset.symbol}"


def format_wait(wait_ns: int) -> str:
    """Return a time to wait in seconds, such as `0.123 s`. Rounded up: it is always enough."""
    wait_ms = -(-wait_ns // NS_PER_MS)
    return f"{wait_ms // 1000}.{wait_ms % 1000:03} s"


def format_utc(at_ns: int) -> str:
    """Return a time such as `2026-11-23T09:31:02.117Z`, rounded down to milliseconds."""
    days, rest_ns = divmod(at_ns, NS_PER_DAY)
    # The civil calendar of 400 years, which begin on the 1st of March of the year 0.
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9  # noqa: PLR2004 - January and February.
    year += era * 400 + (1 if month <= 2 else 0)  # noqa: PLR2004
    rest_ms = rest_ns // NS_PER_MS
    hours, minutes = rest_ms // 3_600_000, rest_ms // 60_000 % 60
    seconds, millis = rest_ms // 1000 % 60, rest_ms % 1000
    return (
        f"{year:04}-{month:02}-{day_of_month:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z"
    )


def _range(detail: RefusalDetail, show: Callable[[int], str]) -> str:
    low, high = detail.low, detail.high
    if low is None:
        return f"up to {show(high or 0)}"
    return f"{show(low)} and more" if high is None else f"{show(low)} to {show(high)}"


def _in_general(
    reason: RejectReason, limit: int, actual: int, scope: Scope, detail: RefusalDetail
) -> str | None:
    """Return what can be said without the instrument, None for a reason that has no more words."""
    match reason:
        case RejectReason.RATE_LIMIT if actual:
            return f"at most {limit} orders a second, wait {format_wait(actual)}"
        case RejectReason.STALE if actual:
            return "it was first sent before the session's orders were cancelled on disconnect"
        case RejectReason.KILLED if scope is Scope.EVERYTHING:
            return "all trading is stopped, cancels are taken"
        case RejectReason.KILLED:
            by = "" if detail.level is Level.OPERATOR else f" by the {detail.level.name.lower()}"
            return f"trading of the {scope.name.lower()} is stopped{by}, cancels are taken"
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
    RejectReason.NOT_GRANTED: "nothing was granted for that",
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
    RejectReason.STOP_PRICE_REQUIRED: "a stop order needs a stop price",
    RejectReason.STOP_PRICE_NOT_ALLOWED: "an order that is no stop order has no stop price",
    RejectReason.STOP_CANNOT_WAIT: "a stop order waits: its time in force is DAY, GTC or GTD",
    RejectReason.STOP_NEEDS_PROTECTION: (
        "the instrument protects no market orders, so a stop order to buy needs a limit price"
    ),
    RejectReason.DISPLAY_QTY_INVALID: (
        "an iceberg is a limit order that may rest, and shows whole lots, a hundredth or more"
    ),
    RejectReason.STOP_TRIGGERED: "the stop price has been reached already",
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
    RejectReason.TRADE_NOT_COVERED: "an account has spent what it would have to give back",
    RejectReason.UNKNOWN_ORDER: "no order of the account fits what the request names",
    RejectReason.TOO_LATE_TO_CANCEL: "the order has ended",
    RejectReason.TRADE_UNKNOWN: "no trade can have been like that",
    RejectReason.TRADE_BUSTED: "the trade has been undone already",
    RejectReason.ORIG_CLORDID_REPLACED: "the order bears another ClOrdID since it was amended",
    RejectReason.NOT_AUTHORISED: "orders of this side or type are not allowed to the sender",
    RejectReason.SYMBOL_RESTRICTED: "such orders are not allowed to the sender in this instrument",
    RejectReason.SAME_OPERATOR: "it takes another operator to lift what this one has stopped",
    RejectReason.APPROVER_MISSING: "it takes two different operators",
    RejectReason.SUSPENDED: "trading is suspended, cancels are taken",
    RejectReason.CANCEL_ONLY: "nothing but cancels is taken",
    RejectReason.REDUCE_ONLY: "only what reduces the position is taken",
    RejectReason.LOSS_LIMIT: "lost too much today: only what reduces the position is taken",
    RejectReason.VALID_UNTIL_PASSED: "the order came too late to be entered",
    RejectReason.RECV_WINDOW_PASSED: "the message took longer than its sender allows",
    RejectReason.CLOCK_SKEW: "the sender's clock is too far ahead",
    RejectReason.DUPLICATE_ORDER: "too many orders in a row are alike",
    RejectReason.PRICE_RANGE: "the price is out of the instrument's range",
    RejectReason.MIN_ORDER_QTY: "the quantity is below the instrument's least",
    RejectReason.MIN_NOTIONAL: "the value is below the instrument's least",
    RejectReason.NO_REFERENCE_PRICE: "there is no fresh price to measure the order by",
    RejectReason.PRICE_COLLAR: "the price is too far from the reference price",
    RejectReason.PRICE_BAND: "the price is too many ticks from the reference price",
    RejectReason.MESSAGE_LIMIT: "too many orders, amendments and cancels in too short a time",
    RejectReason.ORDER_TO_TRADE: "too many messages for what was traded",
    RejectReason.TOO_MANY_UNFILLED: "too many orders that did not trade",
    RejectReason.MAX_OPEN_ORDERS: "too many open orders",
    RejectReason.MAX_STOP_ORDERS: "too many open stop orders",
    RejectReason.MAX_ICEBERG_ORDERS: "too many open iceberg orders",
    RejectReason.MAX_AMENDS: "the order was amended too often",
    RejectReason.FAT_FINGER_QTY: "order qty above the limit that its owner has set",
    RejectReason.FAT_FINGER_VALUE: "value above the limit that the order's owner has set",
    RejectReason.MAX_ASSET: "too much of an asset in one order",
    RejectReason.MAX_VOLUME_SHARE: "order qty above its share of a day's volume",
    RejectReason.NO_DAILY_VOLUME: "there is no daily volume to measure the order by",
    RejectReason.POSITION_LIMIT: "the position could become too large",
    RejectReason.EXPOSURE_LIMIT: "too much was entered in too short a time",
    RejectReason.NOT_TIGHTER: "a client's limit can only be tighter than what holds",
}
