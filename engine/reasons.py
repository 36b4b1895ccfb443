"""Why the exchange says no, and why an order ends without a fill.

The names are the stable codes that clients see in front of Text(58); the numbers are what the
journal holds. Neither ever changes its meaning. A hundred per family, in the order of precedence:
from "who are you" to "the book says no".
"""

from enum import Enum


class RejectReason(Enum):
    """A refusal: the first reason that applies is the one reported."""

    # The session: only its owner may speak for it.
    SESSION_HELD = 101
    STALE_GENERATION = 102
    STALE_EPOCH = 103
    SESSION_UNKNOWN = 104
    # Entitlement.
    ACCOUNT_UNKNOWN = 151
    FIRM_UNKNOWN = 152
    NOT_AUTHORISED = 161
    SYMBOL_RESTRICTED = 162
    SAME_OPERATOR = 163
    APPROVER_MISSING = 164
    # Identity of the order.
    DUPLICATE_CLORDID = 201
    # Reference data.
    SYMBOL_UNKNOWN = 301
    ASSET_UNKNOWN = 302
    ALREADY_DEFINED = 303
    SCALE_UNSUPPORTED = 304
    DUPLICATE_REFERENCE = 305
    NOT_KILLED = 306
    NOT_GRANTED = 307
    WITHDRAWAL_UNKNOWN = 311
    SAME_ACCOUNT = 312
    # The state of the venue.
    STORAGE_LOW = 351
    KILLED = 352
    # The trading state of the instrument.
    MARKET_HALTED = 361
    MARKET_CANCEL_ONLY = 362
    MARKET_CLOSED = 363
    MARKET_POST_ONLY = 364
    MARKET_OPENING = 365
    NOT_WHILE_COLLECTING = 366
    STATE_NOT_SETTABLE = 367
    SUSPENDED = 371
    CANCEL_ONLY = 372
    REDUCE_ONLY = 373
    LOSS_LIMIT = 374
    # Time.
    STALE = 401
    VALID_UNTIL_PASSED = 411
    RECV_WINDOW_PASSED = 412
    CLOCK_SKEW = 413
    # Content of the message.
    CLORDID_INVALID = 501
    ORDER_QTY_INVALID = 502
    PRICE_REQUIRED = 503
    PRICE_NOT_ALLOWED = 504
    UNSUPPORTED = 505
    AMOUNT_INVALID = 506
    EXPIRE_TIME_INVALID = 521
    MIN_QTY_INVALID = 522
    POST_ONLY_CANNOT_REST = 523
    ALL_OR_NONE_UNSUPPORTED = 524
    STOP_PRICE_REQUIRED = 531
    STOP_PRICE_NOT_ALLOWED = 532
    STOP_CANNOT_WAIT = 533
    STOP_NEEDS_PROTECTION = 534
    DISPLAY_QTY_INVALID = 535
    FEE_RATE_INVALID = 551
    FEE_TIER_INVALID = 552
    DUPLICATE_ORDER = 561
    # Price and size rules of the instrument.
    TICK_SIZE = 601
    LOT_SIZE = 602
    PRICE_RANGE = 611
    MIN_ORDER_QTY = 612
    MIN_NOTIONAL = 613
    NO_REFERENCE_PRICE = 621
    PRICE_COLLAR = 622
    PRICE_BAND = 623
    # How often.
    RATE_LIMIT = 651
    MESSAGE_LIMIT = 652
    ORDER_TO_TRADE = 653
    TOO_MANY_UNFILLED = 661
    MAX_OPEN_ORDERS = 671
    MAX_STOP_ORDERS = 672
    MAX_ICEBERG_ORDERS = 673
    MAX_AMENDS = 674
    # Risk limits.
    NO_RISK_LIMITS = 701
    MAX_ORDER_QTY = 702
    MAX_ORDER_NOTIONAL = 703
    FAT_FINGER_QTY = 711
    FAT_FINGER_VALUE = 712
    MAX_ASSET = 713
    MAX_VOLUME_SHARE = 714
    NO_DAILY_VOLUME = 715
    POSITION_LIMIT = 721
    EXPOSURE_LIMIT = 722
    NOT_TIGHTER = 731
    # Funds.
    INSUFFICIENT_BALANCE = 801
    CREDIT_IN_USE = 821
    TRADE_NOT_COVERED = 822
    # The book.
    POST_ONLY_WOULD_TRADE = 901
    SELF_TRADE = 902
    STOP_TRIGGERED = 911
    # Cancels and amendments.
    UNKNOWN_ORDER = 1001
    TOO_LATE_TO_CANCEL = 1002
    ORIG_CLORDID_REPLACED = 1003
    # Trades that have happened.
    TRADE_UNKNOWN = 1011
    TRADE_BUSTED = 1012


class CancelReason(Enum):
    """Why an order was taken out of the book, or never got into it."""

    REQUESTED = 1
    IOC_REMAINDER = 2
    FOK_CANNOT_FILL = 3
    MARKET_REMAINDER = 4
    DISCONNECTED = 5
    LOGGED_OUT = 6
    KILLED = 7
    DEAD_MAN = 8
    AMENDED_TO_FILLED = 20
    MIN_QTY_CANNOT_FILL = 21
    SELF_TRADE = 22
    MARKET_PROTECTION = 23
    MASS_CANCELED = 40
    CANCELED_BY_OPERATOR = 41
    EXECUTION_THROTTLE = 50
    SUSPENDED = 51
    EXECUTION_COLLAR = 52
    CIRCUIT_BREAKER = 53
