"""MarketDataRequest(V): what a client wants to be told, or why it is not."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from engine.instrument import Instrument
from engine.reasons import RejectReason
from engine.reference import Reference
from fix_gateway.fix.dialect import Dialect
from fix_gateway.fix.fields import SOH, Fields, MsgType, Tag, join_fields, printable
from fix_gateway.fix.translate_requests import REQUEST_ID_LENGTH_MAX, is_request_id

SNAPSHOT, SUBSCRIBE, UNSUBSCRIBE = "0", "1", "2"  # SubscriptionRequestType(263).
FULL_REFRESH, INCREMENTAL_REFRESH = "0", "1"  # MDUpdateType(265).
BID, OFFER, TRADE = "0", "1", "2"  # MDEntryType(269).
ENTRY_TYPES: Final = (BID, OFFER, TRADE)
ALL_LEVELS: Final = 0
DEPTHS: Final = {"0": ALL_LEVELS, "1": 1, "10": 10}
YES, NO = "Y", "N"


class MDReqRejReason(StrEnum):
    """MDReqRejReason(281)."""

    UNKNOWN_SYMBOL = "0"
    DUPLICATE_MD_REQ_ID = "1"
    INSUFFICIENT_BANDWIDTH = "2"
    INSUFFICIENT_PERMISSIONS = "3"
    UNSUPPORTED_SUBSCRIPTION_REQUEST_TYPE = "4"
    UNSUPPORTED_MARKET_DEPTH = "5"
    UNSUPPORTED_MD_UPDATE_TYPE = "6"
    UNSUPPORTED_AGGREGATED_BOOK = "7"
    UNSUPPORTED_MD_ENTRY_TYPE = "8"
    UNSUPPORTED_MD_IMPLICIT_DELETE = "C"


class Rejection(NamedTuple):
    """A request that is not served. `text` is Text(58); a reason of None has no code."""

    reason: MDReqRejReason | None
    text: str


class MarketDataRequest(NamedTuple):
    """What is wanted of each of the instruments. `depth` is `ALL_LEVELS` or so many of a side."""

    request_id: str
    is_subscription: bool
    is_incremental: bool
    depth: int
    entry_types: frozenset[str]
    instruments: list[Instrument]


class Unsubscription(NamedTuple):
    """The subscription of this MDReqID(262) is to end."""

    request_id: str


NOT_PERMITTED: Final = Rejection(
    MDReqRejReason.INSUFFICIENT_PERMISSIONS,
    "NOT_PERMITTED: market data is for market data sessions",
)
DUPLICATE: Final = Rejection(
    MDReqRejReason.DUPLICATE_MD_REQ_ID,
    "DUPLICATE_MD_REQ_ID: a subscription of this session bears that MDReqID(262)",
)
NO_SUCH_SUBSCRIPTION: Final = Rejection(
    None, "UNKNOWN_MD_REQ_ID: no subscription of this session bears that MDReqID(262)"
)


def parse_request(
    fields: Fields, text: str, reference: Reference
) -> MarketDataRequest | Unsubscription | Rejection:
    """Return what a MarketDataRequest(V) asks for. `text` is the whole message."""
    request_id = fields[Tag.MD_REQ_ID]
    if not is_request_id(request_id):
        words = f"MDReqID(262) must be 1 to {REQUEST_ID_LENGTH_MAX} printable ASCII characters"
        return _unsupported(None, words)
    kind = fields[Tag.SUBSCRIPTION_REQUEST_TYPE]
    if kind == UNSUBSCRIBE:
        return Unsubscription(request_id)
    rejection = _find_unsupported(fields, kind)
    if rejection is not None:
        return rejection
    entry_types = frozenset(_values(text, Tag.MD_ENTRY_TYPE))
    if not entry_types or not entry_types.issubset(ENTRY_TYPES):
        reason = MDReqRejReason.UNSUPPORTED_MD_ENTRY_TYPE
        return _unsupported(reason, "MDEntryType(269) must be 0, 1 or 2")
    instruments = _find_instruments(text, reference)
    if isinstance(instruments, Rejection):
        return instruments
    return MarketDataRequest(
        request_id=request_id,
        is_subscription=kind == SUBSCRIBE,
        is_incremental=fields.get(Tag.MD_UPDATE_TYPE) == INCREMENTAL_REFRESH,
        depth=DEPTHS[fields[Tag.MARKET_DEPTH]],
        entry_types=entry_types,
        instruments=instruments,
    )


def build_rejection(fields: Fields, rejection: Rejection, dialect: Dialect) -> str:
    """Return the MarketDataRequestReject(Y), from 35= on."""
    pairs: list[tuple[int, str]] = [
        (Tag.MSG_TYPE, MsgType.MARKET_DATA_REQUEST_REJECT),
        (Tag.MD_REQ_ID, printable(fields[Tag.MD_REQ_ID])),
    ]
    if rejection.reason is not None and rejection.reason in dialect.md_req_rej_reasons:
        pairs.append((Tag.MD_REQ_REJ_REASON, rejection.reason))
    return join_fields([*pairs, (Tag.TEXT, rejection.text)])


def too_many(count_max: int) -> Rejection:
    """Return the rejection of a session that has as many subscriptions as it may have."""
    words = f"TOO_MANY_SUBSCRIPTIONS: a session may have those of {count_max} instruments"
    return Rejection(MDReqRejReason.INSUFFICIENT_BANDWIDTH, words)


def _find_unsupported(fields: Fields, kind: str) -> Rejection | None:
    if kind not in (SNAPSHOT, SUBSCRIBE):
        reason = MDReqRejReason.UNSUPPORTED_SUBSCRIPTION_REQUEST_TYPE
        return _unsupported(reason, "SubscriptionRequestType(263) must be 0, 1 or 2")
    if fields[Tag.MARKET_DEPTH] not in DEPTHS:
        reason = MDReqRejReason.UNSUPPORTED_MARKET_DEPTH
        return _unsupported(reason, "MarketDepth(264) must be 0, 1 or 10")
    update_type = fields.get(Tag.MD_UPDATE_TYPE)
    known = (FULL_REFRESH, INCREMENTAL_REFRESH, *([None] if kind == SNAPSHOT else []))
    if update_type not in known:
        reason = MDReqRejReason.UNSUPPORTED_MD_UPDATE_TYPE
        return _unsupported(reason, "MDUpdateType(265) must be 0 or 1")
    if fields.get(Tag.AGGREGATED_BOOK, YES) != YES:
        reason = MDReqRejReason.UNSUPPORTED_AGGREGATED_BOOK
        return _unsupported(reason, "AggregatedBook(266) must be Y")
    if fields.get(Tag.MD_IMPLICIT_DELETE, NO) != NO:
        reason = MDReqRejReason.UNSUPPORTED_MD_IMPLICIT_DELETE
        return _unsupported(reason, "MDImplicitDelete(547) must be N")
    return None


def _find_instruments(text: str, reference: Reference) -> list[Instrument] | Rejection:
    instruments: dict[str, Instrument] = {}
    for symbol in _values(text, Tag.SYMBOL):
        instrument = reference.instruments_by_symbol.get(symbol)
        if instrument is None:
            words = f"{RejectReason.SYMBOL_UNKNOWN.name}: no instrument {printable(symbol)}"
            return Rejection(MDReqRejReason.UNKNOWN_SYMBOL, words)
        instruments[symbol] = instrument
    if not instruments:
        words = f"{RejectReason.SYMBOL_UNKNOWN.name}: no instrument is named"
        return Rejection(MDReqRejReason.UNKNOWN_SYMBOL, words)
    return list(instruments.values())


def _values(text: str, tag: int) -> Iterable[str]:
    """Yield a tag's values in all entries of its group."""
    name = f"{tag}="
    for part in text.split(SOH):
        if part.startswith(name):
            yield part.removeprefix(name)


def _unsupported(reason: MDReqRejReason | None, words: str) -> Rejection:
    return Rejection(reason, f"{RejectReason.UNSUPPORTED.name}: {words}")
