"""FIX fields: tag numbers by name, values by meaning, and a message as a dictionary of texts.

Imports nothing of the exchange, so that clients may use it too.
"""

import calendar
import re
import time
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

from fix_gateway.fix.framing import DATA_TAGS, split_fields

SOH: Final = "\x01"
NS_PER_S: Final = 1_000_000_000
LEAP_SECOND: Final = 60
TAGS_KNOWN_BY_TEXT: Final = 3000  # Higher ones are somebody's own.
TIME_MAX_NS: Final = 2**63 - 1  # What the journal's encoding carries.


# Plain names, not enumerations: a member of one takes three times as long to look up, and an order
# with its report looks up a hundred of them.
class Tag:
    """The tags that our own code reads or writes."""

    ACCOUNT = 1
    AVG_PX = 6
    BEGIN_SEQ_NO = 7
    CL_ORD_ID = 11
    CUM_QTY = 14
    CURRENCY = 15
    END_SEQ_NO = 16
    EXEC_ID = 17
    EXEC_INST = 18
    EXEC_TRANS_TYPE = 20
    HANDL_INST = 21
    LAST_PX = 31
    LAST_QTY = 32
    LINES_OF_TEXT = 33
    MSG_SEQ_NUM = 34
    MSG_TYPE = 35
    ORDER_ID = 37
    ORDER_QTY = 38
    NEW_SEQ_NO = 36
    ORD_STATUS = 39
    ORD_TYPE = 40
    ORIG_CL_ORD_ID = 41
    POSS_DUP_FLAG = 43
    PRICE = 44
    REF_SEQ_NUM = 45
    SENDER_COMP_ID = 49
    SENDING_TIME = 52
    SIDE = 54
    SYMBOL = 55
    TARGET_COMP_ID = 56
    TEXT = 58
    TIME_IN_FORCE = 59
    TRANSACT_TIME = 60
    VALID_UNTIL_TIME = 62
    RAW_DATA_LENGTH = 95
    RAW_DATA = 96
    POSS_RESEND = 97
    ENCRYPT_METHOD = 98
    STOP_PX = 99
    CXL_REJ_REASON = 102
    ORD_REJ_REASON = 103
    HEART_BT_INT = 108
    MIN_QTY = 110
    MAX_FLOOR = 111
    TEST_REQ_ID = 112
    ORIG_SENDING_TIME = 122
    EXPIRE_TIME = 126
    NO_MISC_FEES = 136
    RESET_SEQ_NUM_FLAG = 141
    NO_RELATED_SYM = 146
    HEADLINE = 148
    EXEC_TYPE = 150
    LEAVES_QTY = 151
    CASH_ORDER_QTY = 152
    EFFECTIVE_TIME = 168
    MAX_SHOW = 210
    MD_REQ_ID = 262
    SUBSCRIPTION_REQUEST_TYPE = 263
    MARKET_DEPTH = 264
    MD_UPDATE_TYPE = 265
    AGGREGATED_BOOK = 266
    NO_MD_ENTRIES = 268
    MD_ENTRY_TYPE = 269
    MD_ENTRY_PX = 270
    MD_ENTRY_SIZE = 271
    MD_ENTRY_DATE = 272
    MD_ENTRY_TIME = 273
    MD_ENTRY_ID = 278
    MD_UPDATE_ACTION = 279
    MD_REQ_REJ_REASON = 281
    SECURITY_REQ_ID = 320
    SECURITY_RESPONSE_ID = 322
    UNSOLICITED_INDICATOR = 325
    TRAD_SES_REQ_ID = 335
    TRADING_SESSION_ID = 336
    TRAD_SES_STATUS = 340
    NUMBER_OF_ORDERS = 346
    REF_TAG_ID = 371
    REF_MSG_TYPE = 372
    SESSION_REJECT_REASON = 373
    EXEC_RESTATEMENT_REASON = 378
    BUSINESS_REJECT_REF_ID = 379
    BUSINESS_REJECT_REASON = 380
    TOT_NO_RELATED_SYM = 393
    EXPIRE_DATE = 432
    CXL_REJ_RESPONSE_TO = 434
    ORDER_PERCENT = 516
    SECONDARY_EXEC_ID = 527
    MASS_CANCEL_REQUEST_TYPE = 530
    MASS_CANCEL_RESPONSE = 531
    MASS_CANCEL_REJECT_REASON = 532
    TOTAL_AFFECTED_ORDERS = 533
    NO_AFFECTED_ORDERS = 534
    AFFECTED_ORDER_ID = 535
    MD_IMPLICIT_DELETE = 547
    USERNAME = 553
    PASSWORD = 554
    SECURITY_LIST_REQUEST_TYPE = 559
    SECURITY_REQUEST_RESULT = 560
    ROUND_LOT = 561
    MIN_TRADE_VOL = 562
    TRAD_SES_STATUS_REJ_REASON = 567
    ACCOUNT_TYPE = 581
    MASS_STATUS_REQ_ID = 584
    MASS_STATUS_REQ_TYPE = 585
    WORKING_INDICATOR = 636
    NO_POSITIONS = 702
    POS_TYPE = 703
    LONG_QTY = 704
    SHORT_QTY = 705
    POS_AMT_TYPE = 707
    POS_AMT = 708
    POS_REQ_ID = 710
    CLEARING_BUSINESS_DATE = 715
    POS_MAINT_RPT_ID = 721
    POS_REQ_TYPE = 724
    TOTAL_NUM_POS_REPORTS = 727
    POS_REQ_RESULT = 728
    SETTL_PRICE = 730
    SETTL_PRICE_TYPE = 731
    PRIOR_SETTL_PRICE = 734
    NO_POS_AMT = 753
    LAST_UPDATE_TIME = 779
    ORD_STATUS_REQ_ID = 790
    COPY_MSG_INDICATOR = 797
    LAST_LIQUIDITY_IND = 851
    NO_INSTR_ATTRIB = 870
    INSTR_ATTRIB_TYPE = 871
    INSTR_ATTRIB_VALUE = 872
    LAST_FRAGMENT = 893
    TOT_NUM_REPORTS = 911
    LAST_RPT_REQUESTED = 912
    USER_REQUEST_ID = 923
    USER_REQUEST_TYPE = 924
    NEW_PASSWORD = 925
    USER_STATUS = 926
    USER_STATUS_TEXT = 927
    TRD_MATCH_ID = 880
    MIN_PRICE_INCREMENT = 969
    AGGRESSOR_INDICATOR = 1057
    TRIGGER_PRICE_DIRECTION = 1109
    APPL_VER_ID = 1128
    DEFAULT_APPL_VER_ID = 1137
    DISPLAY_QTY = 1138
    MAX_TRADE_VOL = 1140
    MASS_ACTION_REPORT_ID = 1369
    MASS_ACTION_TYPE = 1373
    MASS_ACTION_SCOPE = 1374
    MASS_ACTION_RESPONSE = 1375
    ENCRYPTED_PASSWORD_LEN = 1401
    ENCRYPTED_PASSWORD = 1402
    ENCRYPTED_NEW_PASSWORD_LEN = 1403
    ENCRYPTED_NEW_PASSWORD = 1404
    SESSION_STATUS = 1409
    NO_THROTTLES = 1610
    THROTTLE_ACTION = 1611
    THROTTLE_TYPE = 1612
    THROTTLE_NO_MSGS = 1613
    THROTTLE_TIME_INTERVAL = 1614
    THROTTLE_TIME_UNIT = 1615
    NO_THROTTLE_MSG_TYPE = 1618
    THROTTLE_MSG_TYPE = 1619
    AFFECTED_ORIG_CL_ORD_ID = 1824
    SELF_MATCH_PREVENTION_ID = 2362
    SELF_MATCH_PREVENTION_INSTRUCTION = 2964
    SELF_TRADE_TYPE = 7928
    RECV_WINDOW = 25000
    ERROR_CODE = 25016
    CANCEL_ORDERS_ON_DISCONNECT = 8013
    CANCEL_ORDERS_ON_INTERNAL_DISCONNECT = 8014
    BEGIN_EXEC_ID = 22003
    END_EXEC_ID = 22004
    RESENT_EVENT_COUNT = 22005
    EVENT_RESEND_REJECT_REASON = 22006
    HAS_MORE_EVENTS = 22007
    RESPONSE_MODE = 25036
    GATEWAY_TIME = 25101
    ENGINE_TIME = 25102


class MsgType:
    """MsgType(35)."""

    HEARTBEAT = "0"
    TEST_REQUEST = "1"
    RESEND_REQUEST = "2"
    REJECT = "3"
    SEQUENCE_RESET = "4"
    LOGOUT = "5"
    EXECUTION_REPORT = "8"
    ORDER_CANCEL_REJECT = "9"
    LOGON = "A"
    NEWS = "B"
    NEW_ORDER_SINGLE = "D"
    ORDER_CANCEL_REQUEST = "F"
    ORDER_CANCEL_REPLACE_REQUEST = "G"
    USER_REQUEST = "BE"
    USER_RESPONSE = "BF"
    ORDER_MASS_CANCEL_REQUEST = "q"
    ORDER_MASS_CANCEL_REPORT = "r"
    ORDER_STATUS_REQUEST = "H"
    ORDER_MASS_STATUS_REQUEST = "AF"
    SECURITY_LIST_REQUEST = "x"
    SECURITY_LIST = "y"
    TRADING_SESSION_STATUS_REQUEST = "g"
    TRADING_SESSION_STATUS = "h"
    REQUEST_FOR_POSITIONS = "AN"
    POSITION_REPORT = "AP"
    MARKET_DATA_REQUEST = "V"
    MARKET_DATA_SNAPSHOT_FULL_REFRESH = "W"
    MARKET_DATA_INCREMENTAL_REFRESH = "X"
    MARKET_DATA_REQUEST_REJECT = "Y"
    EVENT_RESEND_REQUEST = "F3"
    EVENT_RESEND_COMPLETE = "F4"
    EVENT_RESEND_REJECT = "F5"
    ORDER_MASS_ACTION_REPORT = "BZ"
    BUSINESS_MESSAGE_REJECT = "j"


class ExecType(StrEnum):
    """ExecType(150)."""

    NEW = "0"
    CANCELED = "4"
    REPLACED = "5"
    REJECTED = "8"
    EXPIRED = "C"
    RESTATED = "D"
    TRADE = "F"
    TRADE_CORRECT = "G"
    TRADE_CANCEL = "H"
    ORDER_STATUS = "I"
    TRIGGERED = "L"


class SessionRejectReason(IntEnum):
    """SessionRejectReason(373)."""

    INVALID_TAG_NUMBER = 0
    INCORRECT_NUM_IN_GROUP_COUNT = 16
    INVALID_UNSUPPORTED_APPLICATION_VERSION = 18


class BusinessRejectReason(IntEnum):
    """BusinessRejectReason(380)."""

    OTHER = 0
    UNSUPPORTED_MESSAGE_TYPE = 3
    APPLICATION_NOT_AVAILABLE = 4
    NOT_AUTHORIZED = 6
    THROTTLE_LIMIT_EXCEEDED = 8


Fields = dict[int, str]
"""A message's fields by tag. Of a tag that stands more than once, in groups, the first."""

_DATA_LENGTHS: Final = frozenset(DATA_TAGS)


class _TagNumbers(dict[str, int]):
    """Tags by their text: half the price of converting each."""

    def __missing__(self, text: str) -> int:
        return int(text)


_TAG_NUMBERS: Final = _TagNumbers({str(tag): tag for tag in range(1, TAGS_KNOWN_BY_TEXT)})


def parse_message(text: str) -> Fields:
    """Return the fields of a message that QuickFIX has accepted."""
    parts = [field.partition("=") for field in text.split(SOH)[:-1]]
    try:
        fields = {_TAG_NUMBERS[tag]: value for tag, _, value in parts}
    except ValueError:
        fields = {}
    if len(fields) == len(parts) and _DATA_LENGTHS.isdisjoint(fields):
        return fields
    # A tag stands more than once, or a data field may hold SOH and what looks like other fields.
    found = split_fields(text.encode("utf-8", "surrogateescape"))
    if found is None:
        pairs = [(int(tag), value) for tag, _, value in parts]
    else:
        pairs = [(tag, value.decode("utf-8", "surrogateescape")) for tag, value in found]
    first: Fields = {}
    for tag, value in pairs:
        first.setdefault(tag, value)
    return first


def join_fields(pairs: list[tuple[int, str]]) -> str:
    """Return fields as text, each with its SOH."""
    return "".join([f"{tag}={value}{SOH}" for tag, value in pairs])


def printable(text: str) -> str:
    """Return text that may stand in any FIX field: what is not printable ASCII becomes `?`."""
    return "".join([character if " " <= character <= "~" else "?" for character in text])


class UtcTimestamps:
    """Formats UTCTimestamp fields to so many digits of a second; the seconds are formatted once.

    What is finer is cut off: a time is never after what it names.
    """

    __slots__ = ("_digits", "_divisor", "_second", "_text")

    def __init__(self, digits: int = 6) -> None:
        self._digits = digits
        self._divisor = 10 ** (9 - digits)
        self._second = -1
        self._text = ""

    def format(self, time_ns: int) -> str:
        """Return `YYYYMMDD-HH:MM:SS.ffffff` for nanoseconds since 1970."""
        second, rest_ns = divmod(time_ns, NS_PER_S)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest_ns // self._divisor:0{self._digits}}"


_SECOND: Final = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)", re.ASCII)
_FRACTIONS: Final = (3, 6, 9)


def parse_utc_timestamp(text: str) -> int | None:
    """Return nanoseconds since 1970 for a UTCTimestamp in s, ms, us or ns, None for anything else.

    A leap second, which FIX allows as second 60, counts as the second that follows it. Times before
    1970, and after 2262 where nanoseconds end, are nobody's.
    """
    second_text, point, fraction = text.partition(".")
    second = _parse_second(second_text)
    if second is None:
        return None
    time_ns = second * NS_PER_S
    if point:
        if len(fraction) not in _FRACTIONS or not (fraction.isascii() and fraction.isdigit()):
            return None
        time_ns += int(fraction.ljust(9, "0"))
    return time_ns if 0 <= time_ns <= TIME_MAX_NS else None


@lru_cache(maxsize=64)
def _parse_second(text: str) -> int | None:
    """Return seconds since 1970. Cached: of many messages in a second one is looked at."""
    matched = _SECOND.fullmatch(text)
    if matched is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in matched.groups())
    is_leap_second = second == LEAP_SECOND
    try:
        moment = datetime(year, month, day, hour, minute, second - is_leap_second, tzinfo=UTC)
    except ValueError:
        return None
    return calendar.timegm(moment.timetuple()) + is_leap_second
