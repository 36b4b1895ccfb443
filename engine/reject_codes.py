"""What each refusal is called in FIX: the one table, complete by construction.

The precise reason is always the code in front of Text(58); OrdRejReason(103) says as much of it as
the version of FIX has words for. FIX 4.4 ends at 15 and 99; the later values are those of FIX 5.0
SP2 with its extension packs.
"""

from typing import Final, NamedTuple

from engine.reasons import RejectReason


class OrdRejCode(NamedTuple):
    """OrdRejReason(103), in FIX 4.4 and before, and in FIX 5.0 SP2."""

    fix44: str
    fix50: str


BROKER: Final = OrdRejCode("0", "0")
UNKNOWN_SYMBOL: Final = OrdRejCode("1", "1")
NO_SUCH_ORDER: Final = OrdRejCode("5", "5")
CLOSED: Final = OrdRejCode("2", "2")
SIZE: Final = OrdRejCode("3", "26")
VALUE: Final = OrdRejCode("3", "27")
VALUE_TOO_SMALL: Final = OrdRejCode("3", "20")
POSITION: Final = OrdRejCode("3", "21")
DUPLICATE: Final = OrdRejCode("6", "6")
STALE: Final = OrdRejCode("8", "8")
UNSUPPORTED: Final = OrdRejCode("11", "11")
INCORRECT_QTY: Final = OrdRejCode("13", "13")
UNKNOWN_ACCOUNT: Final = OrdRejCode("15", "15")
CREDIT: Final = OrdRejCode("0", "25")
PRICE_BAND: Final = OrdRejCode("99", "16")
TICK: Final = OrdRejCode("99", "18")
NO_REFERENCE: Final = OrdRejCode("99", "19")
OTHER: Final = OrdRejCode("99", "99")

ORD_REJ_CODES: Final[dict[RejectReason, OrdRejCode]] = {
    RejectReason.SESSION_HELD: OTHER,
    RejectReason.STALE_GENERATION: OTHER,
    RejectReason.STALE_EPOCH: OTHER,
    RejectReason.SESSION_UNKNOWN: OTHER,
    RejectReason.ACCOUNT_UNKNOWN: UNKNOWN_ACCOUNT,
    RejectReason.FIRM_UNKNOWN: OTHER,
    RejectReason.NOT_AUTHORISED: BROKER,
    RejectReason.SYMBOL_RESTRICTED: BROKER,
    RejectReason.SAME_OPERATOR: OTHER,
    RejectReason.APPROVER_MISSING: OTHER,
    RejectReason.DUPLICATE_CLORDID: DUPLICATE,
    RejectReason.SYMBOL_UNKNOWN: UNKNOWN_SYMBOL,
    RejectReason.ASSET_UNKNOWN: OTHER,
    RejectReason.ALREADY_DEFINED: OTHER,
    RejectReason.SCALE_UNSUPPORTED: OTHER,
    RejectReason.DUPLICATE_REFERENCE: OTHER,
    RejectReason.NOT_KILLED: OTHER,
    RejectReason.NOT_GRANTED: OTHER,
    RejectReason.WITHDRAWAL_UNKNOWN: OTHER,
    RejectReason.SAME_ACCOUNT: OTHER,
    RejectReason.STORAGE_LOW: CLOSED,  # As far as new orders go.
    RejectReason.KILLED: OTHER,
    RejectReason.MARKET_HALTED: CLOSED,
    RejectReason.MARKET_CANCEL_ONLY: CLOSED,
    RejectReason.MARKET_CLOSED: CLOSED,
    RejectReason.MARKET_POST_ONLY: CLOSED,
    RejectReason.MARKET_OPENING: CLOSED,
    RejectReason.NOT_WHILE_COLLECTING: CLOSED,
    RejectReason.STATE_NOT_SETTABLE: OTHER,
    RejectReason.SUSPENDED: OTHER,
    RejectReason.CANCEL_ONLY: CLOSED,
    RejectReason.REDUCE_ONLY: OTHER,
    RejectReason.LOSS_LIMIT: OTHER,
    RejectReason.STALE: STALE,
    RejectReason.VALID_UNTIL_PASSED: STALE,
    RejectReason.RECV_WINDOW_PASSED: STALE,
    RejectReason.CLOCK_SKEW: STALE,
    RejectReason.CLORDID_INVALID: OTHER,
    RejectReason.ORDER_QTY_INVALID: INCORRECT_QTY,
    RejectReason.PRICE_REQUIRED: OTHER,
    RejectReason.PRICE_NOT_ALLOWED: OTHER,
    RejectReason.UNSUPPORTED: UNSUPPORTED,
    RejectReason.AMOUNT_INVALID: OTHER,
    RejectReason.EXPIRE_TIME_INVALID: OTHER,
    RejectReason.MIN_QTY_INVALID: OTHER,
    RejectReason.POST_ONLY_CANNOT_REST: OTHER,
    RejectReason.ALL_OR_NONE_UNSUPPORTED: UNSUPPORTED,
    RejectReason.STOP_PRICE_REQUIRED: OTHER,
    RejectReason.STOP_PRICE_NOT_ALLOWED: OTHER,
    RejectReason.STOP_CANNOT_WAIT: UNSUPPORTED,
    RejectReason.STOP_NEEDS_PROTECTION: UNSUPPORTED,
    RejectReason.DISPLAY_QTY_INVALID: INCORRECT_QTY,
    RejectReason.FEE_RATE_INVALID: OTHER,
    RejectReason.FEE_TIER_INVALID: OTHER,
    RejectReason.DUPLICATE_ORDER: DUPLICATE,
    RejectReason.TICK_SIZE: TICK,
    RejectReason.LOT_SIZE: INCORRECT_QTY,
    RejectReason.PRICE_RANGE: PRICE_BAND,
    RejectReason.MIN_ORDER_QTY: INCORRECT_QTY,
    RejectReason.MIN_NOTIONAL: VALUE_TOO_SMALL,
    RejectReason.NO_REFERENCE_PRICE: NO_REFERENCE,
    RejectReason.PRICE_COLLAR: PRICE_BAND,
    RejectReason.PRICE_BAND: PRICE_BAND,
    RejectReason.RATE_LIMIT: OTHER,
    RejectReason.MESSAGE_LIMIT: OTHER,
    RejectReason.ORDER_TO_TRADE: OTHER,
    RejectReason.TOO_MANY_UNFILLED: OTHER,
    RejectReason.MAX_OPEN_ORDERS: OTHER,
    RejectReason.MAX_STOP_ORDERS: OTHER,
    RejectReason.MAX_ICEBERG_ORDERS: OTHER,
    RejectReason.MAX_AMENDS: OTHER,
    RejectReason.NO_RISK_LIMITS: OTHER,
    RejectReason.MAX_ORDER_QTY: SIZE,
    RejectReason.MAX_ORDER_NOTIONAL: VALUE,
    RejectReason.FAT_FINGER_QTY: SIZE,
    RejectReason.FAT_FINGER_VALUE: VALUE,
    RejectReason.MAX_ASSET: VALUE,
    RejectReason.MAX_VOLUME_SHARE: SIZE,
    RejectReason.NO_DAILY_VOLUME: OTHER,
    RejectReason.POSITION_LIMIT: POSITION,
    RejectReason.EXPOSURE_LIMIT: POSITION,
    RejectReason.NOT_TIGHTER: OTHER,
    RejectReason.INSUFFICIENT_BALANCE: CREDIT,
    RejectReason.CREDIT_IN_USE: OTHER,
    RejectReason.TRADE_NOT_COVERED: OTHER,
    RejectReason.POST_ONLY_WOULD_TRADE: OTHER,
    RejectReason.SELF_TRADE: OTHER,
    RejectReason.STOP_TRIGGERED: OTHER,
    RejectReason.UNKNOWN_ORDER: NO_SUCH_ORDER,
    RejectReason.TOO_LATE_TO_CANCEL: OTHER,
    RejectReason.ORIG_CLORDID_REPLACED: OTHER,
    RejectReason.TRADE_UNKNOWN: OTHER,
    RejectReason.TRADE_BUSTED: OTHER,
}
