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

    ACCOUNT: Final = 1
    AVG_PX: Final = 6
    BEGIN_SEQ_NO: Final = 7
    CL_ORD_ID: Final = 11
    CUM_QTY: Final = 14
    CURRENCY: Final = 15
    END_SEQ_NO: Final = 16
    EXEC_ID: Final = 17
    EXEC_INST: Final = 18
    EXEC_TRANS_TYPE: Final = 20
    HANDL_INST: Final = 21
    LAST_PX: Final = 31
    LAST_QTY: Final = 32
    LINES_OF_TEXT: Final = 33
    MSG_SEQ_NUM: Final = 34
    MSG_TYPE: Final = 35
    ORDER_ID: Final = 37
    ORDER_QTY: Final = 38
    NEW_SEQ_NO: Final = 36
    ORD_STATUS: Final = 39
    ORD_TYPE: Final = 40
    ORIG_CL_ORD_ID: Final = 41
    POSS_DUP_FLAG: Final = 43
    PRICE: Final = 44
    REF_SEQ_NUM: Final = 45
    SENDER_COMP_ID: Final = 49
    SENDING_TIME: Final = 52
    SIDE: Final = 54
    SYMBOL: Final = 55
    TARGET_COMP_ID: Final = 56
    TEXT: Final = 58
    TIME_IN_FORCE: Final = 59
    TRANSACT_TIME: Final = 60
    VALID_UNTIL_TIME: Final = 62
    RAW_DATA_LENGTH: Final = 95
    RAW_DATA: Final = 96
    POSS_RESEND: Final = 97
    ENCRYPT_METHOD: Final = 98
    STOP_PX: Final = 99
    CXL_REJ_REASON: Final = 102
    ORD_REJ_REASON: Final = 103
    HEART_BT_INT: Final = 108
    MIN_QTY: Final = 110
    MAX_FLOOR: Final = 111
    TEST_REQ_ID: Final = 112
    ORIG_SENDING_TIME: Final = 122
    EXPIRE_TIME: Final = 126
    NO_MISC_FEES: Final = 136
    RESET_SEQ_NUM_FLAG: Final = 141
    NO_RELATED_SYM: Final = 146
    HEADLINE: Final = 148
    EXEC_TYPE: Final = 150
    LEAVES_QTY: Final = 151
    CASH_ORDER_QTY: Final = 152
    EFFECTIVE_TIME: Final = 168
    MAX_SHOW: Final = 210
    MD_REQ_ID: Final = 262
    SUBSCRIPTION_REQUEST_TYPE: Final = 263
    MARKET_DEPTH: Final = 264
    MD_UPDATE_TYPE: Final = 265
    AGGREGATED_BOOK: Final = 266
    NO_MD_ENTRIES: Final = 268
    MD_ENTRY_TYPE: Final = 269
    MD_ENTRY_PX: Final = 270
    MD_ENTRY_SIZE: Final = 271
    MD_ENTRY_DATE: Final = 272
    MD_ENTRY_TIME: Final = 273
    MD_ENTRY_ID: Final = 278
    MD_UPDATE_ACTION: Final = 279
    MD_REQ_REJ_REASON: Final = 281
    SECURITY_REQ_ID: Final = 320
    SECURITY_RESPONSE_ID: Final = 322
    UNSOLICITED_INDICATOR: Final = 325
    TRAD_SES_REQ_ID: Final = 335
    TRADING_SESSION_ID: Final = 336
    TRAD_SES_STATUS: Final = 340
    NUMBER_OF_ORDERS: Final = 346
    REF_TAG_ID: Final = 371
    REF_MSG_TYPE: Final = 372
    SESSION_REJECT_REASON: Final = 373
    EXEC_RESTATEMENT_REASON: Final = 378
    BUSINESS_REJECT_REF_ID: Final = 379
    BUSINESS_REJECT_REASON: Final = 380
    TOT_NO_RELATED_SYM: Final = 393
    EXPIRE_DATE: Final = 432
    CXL_REJ_RESPONSE_TO: Final = 434
    ORDER_PERCENT: Final = 516
    SECONDARY_EXEC_ID: Final = 527
    MASS_CANCEL_REQUEST_TYPE: Final = 530
    MASS_CANCEL_RESPONSE: Final = 531
    MASS_CANCEL_REJECT_REASON: Final = 532
    TOTAL_AFFECTED_ORDERS: Final = 533
    NO_AFFECTED_ORDERS: Final = 534
    AFFECTED_ORDER_ID: Final = 535
    MD_IMPLICIT_DELETE: Final = 547
    USERNAME: Final = 553
    PASSWORD: Final = 554
    SECURITY_LIST_REQUEST_TYPE: Final = 559
    SECURITY_REQUEST_RESULT: Final = 560
    ROUND_LOT: Final = 561
    MIN_TRADE_VOL: Final = 562
    TRAD_SES_STATUS_REJ_REASON: Final = 567
    ACCOUNT_TYPE: Final = 581
    MASS_STATUS_REQ_ID: Final = 584
    MASS_STATUS_REQ_TYPE: Final = 585
    WORKING_INDICATOR: Final = 636
    NO_POSITIONS: Final = 702
    POS_TYPE: Final = 703
    LONG_QTY: Final = 704
    SHORT_QTY: Final = 705
    POS_AMT_TYPE: Final = 707
    POS_AMT: Final = 708
    POS_REQ_ID: Final = 710
    CLEARING_BUSINESS_DATE: Final = 715
    POS_MAINT_RPT_ID: Final = 721
    POS_REQ_TYPE: Final = 724
    TOTAL_NUM_POS_REPORTS: Final = 727
    POS_REQ_RESULT: Final = 728
    SETTL_PRICE: Final = 730
    SETTL_PRICE_TYPE: Final = 731
    PRIOR_SETTL_PRICE: Final = 734
    NO_POS_AMT: Final = 753
    LAST_UPDATE_TIME: Final = 779
    ORD_STATUS_REQ_ID: Final = 790
    COPY_MSG_INDICATOR: Final = 797
    LAST_LIQUIDITY_IND: Final = 851
    NO_INSTR_ATTRIB: Final = 870
    INSTR_ATTRIB_TYPE: Final = 871
    INSTR_ATTRIB_VALUE: Final = 872
    LAST_FRAGMENT: Final = 893
    TOT_NUM_REPORTS: Final = 911
    LAST_RPT_REQUESTED: Final = 912
    USER_REQUEST_ID: Final = 923
    USER_REQUEST_TYPE: Final = 924
    NEW_PASSWORD: Final = 925
    USER_STATUS: Final = 926
    USER_STATUS_TEXT: Final = 927
    TRD_MATCH_ID: Final = 880
    MIN_PRICE_INCREMENT: Final = 969
    AGGRESSOR_INDICATOR: Final = 1057
    TRIGGER_PRICE_DIRECTION: Final = 1109
    APPL_VER_ID: Final = 1128
    DEFAULT_APPL_VER_ID: Final = 1137
    DISPLAY_QTY: Final = 1138
    MAX_TRADE_VOL: Final = 1140
    MASS_ACTION_REPORT_ID: Final = 1369
    MASS_ACTION_TYPE: Final = 1373
    MASS_ACTION_SCOPE: Final = 1374
    MASS_ACTION_RESPONSE: Final = 1375
    ENCRYPTED_PASSWORD_LEN: Final = 1401
    ENCRYPTED_PASSWORD: Final = 1402
    ENCRYPTED_NEW_PASSWORD_LEN: Final = 1403
    ENCRYPTED_NEW_PASSWORD: Final = 1404
    SESSION_STATUS: Final = 1409
    NO_THROTTLES: Final = 1610
    THROTTLE_ACTION: Final = 1611
    THROTTLE_TYPE: Final = 1612
    THROTTLE_NO_MSGS: Final = 1613
    THROTTLE_TIME_INTERVAL: Final = 1614
    THROTTLE_TIME_UNIT: Final = 1615
    NO_THROTTLE_MSG_TYPE: Final = 1618
    THROTTLE_MSG_TYPE: Final = 1619
    AFFECTED_ORIG_CL_ORD_ID: Final = 1824
    SELF_MATCH_PREVENTION_ID: Final = 2362
    SELF_MATCH_PREVENTION_INSTRUCTION: Final = 2964
    SELF_TRADE_TYPE: Final = 7928
    RECV_WINDOW: Final = 25000
    ERROR_CODE: Final = 25016
    CANCEL_ORDERS_ON_DISCONNECT: Final = 8013
    CANCEL_ORDERS_ON_INTERNAL_DISCONNECT: Final = 8014
    BEGIN_EXEC_ID: Final = 22003
    END_EXEC_ID: Final = 22004
    RESENT_EVENT_COUNT: Final = 22005
    EVENT_RESEND_REJECT_REASON: Final = 22006
    HAS_MORE_EVENTS: Final = 22007
    RESPONSE_MODE: Final = 25036
    GATEWAY_TIME: Final = 25101
    ENGINE_TIME: Final = 25102


class MsgType:
    """MsgType(35)."""

    HEARTBEAT: Final = "0"
    TEST_REQUEST: Final = "1"
    RESEND_REQUEST: Final = "2"
    REJECT: Final = "3"
    SEQUENCE_RESET: Final = "4"
    LOGOUT: Final = "5"
    EXECUTION_REPORT: Final = "8"
    ORDER_CANCEL_REJECT: Final = "9"
    LOGON: Final = "A"
    NEWS: Final = "B"
    NEW_ORDER_SINGLE: Final = "D"
    ORDER_CANCEL_REQUEST: Final = "F"
    ORDER_CANCEL_REPLACE_REQUEST: Final = "G"
    USER_REQUEST: Final = "BE"
    USER_RESPONSE: Final = "BF"
    ORDER_MASS_CANCEL_REQUEST: Final = "q"
    ORDER_MASS_CANCEL_REPORT: Final = "r"
    ORDER_STATUS_REQUEST: Final = "H"
    ORDER_MASS_STATUS_REQUEST: Final = "AF"
    SECURITY_LIST_REQUEST: Final = "x"
    SECURITY_LIST: Final = "y"
    TRADING_SESSION_STATUS_REQUEST: Final = "g"
    TRADING_SESSION_STATUS: Final = "h"
    REQUEST_FOR_POSITIONS: Final = "AN"
    POSITION_REPORT: Final = "AP"
    MARKET_DATA_REQUEST: Final = "V"
    MARKET_DATA_SNAPSHOT_FULL_REFRESH: Final = "W"
    MARKET_DATA_INCREMENTAL_REFRESH: Final = "X"
    MARKET_DATA_REQUEST_REJECT: Final = "Y"
    EVENT_RESEND_REQUEST: Final = "F3"
    EVENT_RESEND_COMPLETE: Final = "F4"
    EVENT_RESEND_REJECT: Final = "F5"
    ORDER_MASS_ACTION_REPORT: Final = "BZ"
    BUSINESS_MESSAGE_REJECT: Final = "j"


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
