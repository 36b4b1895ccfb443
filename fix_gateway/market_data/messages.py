"""The messages as subscribers read them: JSON, numbers as decimal text, and the topics they go to.

`docs/market-data.md` is their specification. Fields are only ever added.
"""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from engine.book import DepthLevel
from engine.depth import DepthChange
from engine.instrument import Instrument
from engine.order import Side
from engine.report import Report
from engine.units import FirmId
from fix_gateway.market_data.statistics import Minute

ROOT: Final = "wcx/v1"
HEARTBEAT_TOPIC: Final = f"{ROOT}/heartbeat"
NS_PER_US: Final = 1000
US_PER_S: Final = 1_000_000
REPORT_FIELDS: Final = tuple(field.name for field in fields(Report))
SIDES: Final = {Side.BUY: "buy", Side.SELL: "sell"}

TRADE, BUST, CORRECTION = "trade", "bust", "correction"

LevelText = tuple[str, str, int]
"""Price, quantity, number of orders. The quantity 0 says that nothing rests there any more."""


class Published(NamedTuple):
    """A message on its way to the broker. A retained one is given to whoever subscribes later."""

    topic: str
    payload: bytes
    is_retained: bool = False


class DepthMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A snapshot, or with `prev_seq` the levels that have changed since that record."""

    stream: str
    symbol: str
    seq: int
    time: str
    bids: list[LevelText]
    asks: list[LevelText]
    prev_seq: int | None = None
    is_cut: bool = False


class TopMessage(msgspec.Struct, frozen=True):
    """The best level of each side, null where nothing rests."""

    stream: str
    symbol: str
    seq: int
    time: str
    bid: LevelText | None
    ask: LevelText | None


class TradeEntry(msgspec.Struct, frozen=True):
    """One match. `aggressor` is the side of the order that came in, "none" when both rested.

    `kind` "bust" takes the trade of that `trade_id` back, "correction" says what it is now.
    """

    seq: int
    trade_id: int
    time: str
    price: str
    qty: str
    aggressor: str
    kind: str = TRADE


class TradesMessage(msgspec.Struct, frozen=True):
    """The trades after the record `prev_seq` up to `seq`, in order."""

    stream: str
    symbol: str
    seq: int
    prev_seq: int
    trades: list[TradeEntry]


class StatusMessage(msgspec.Struct, frozen=True):
    """Whether an instrument is traded, if not why, and when that ends by itself, null for never."""

    stream: str
    symbol: str
    seq: int
    time: str
    status: str
    reason: str
    ends_at: str | None


class MinuteMessage(msgspec.Struct, frozen=True):
    """What was traded in a minute so far, or in all when it `is_final`."""

    stream: str
    symbol: str
    seq: int
    minute: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    notional: str
    trade_count: int
    is_final: bool


class InstrumentMessage(msgspec.Struct, frozen=True):
    """What an instrument is, and in which steps it is traded."""

    stream: str
    symbol: str
    instrument_id: int
    base: str
    quote: str
    price_decimals: int
    qty_decimals: int
    tick_size: str
    lot_size: str


class HeartbeatMessage(msgspec.Struct, frozen=True):
    """The publisher is there and has read the engine's records up to `seq`.

    `state` "offline" is what the broker says in its place once it is gone.
    """

    state: str
    stream: str = ""
    seq: int = 0
    time: str = ""


class ExecutionsMessage(msgspec.Struct, frozen=True):
    """What has happened to the orders of a firm after `prev_seq`, up to `seq`: for it alone."""

    stream: str
    firm_id: int
    seq: int
    prev_seq: int
    executions: list[dict[str, str]]


Message = (
    DepthMessage
    | TopMessage
    | TradesMessage
    | StatusMessage
    | MinuteMessage
    | InstrumentMessage
    | HeartbeatMessage
    | ExecutionsMessage
)
_encoder = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """Return a message's JSON."""
    return _encoder.encode(message)


def topic_of(symbol: str, *parts: str) -> str:
    """Return the topic of an instrument's messages.

    What has a meaning of its own in topics, or cannot stand in every broker's, is escaped.
    """
    return "/".join((ROOT, "md", escape(symbol), *parts))


def private_topic_of(firm_id: FirmId) -> str:
    """Return the topic of a firm's own executions."""
    return f"{ROOT}/private/firm-{firm_id}/executions"


def escape(symbol: str) -> str:
    """Return a symbol as one level of a topic: other than A-Z, a-z, 0-9, `-` and `_` as %XX."""
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in "-_")
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in symbol
    )


def format_time(now_ns: int) -> str:
    """Return a time in UTC, to the microsecond: 2026-11-23T05:06:16.400000Z."""
    seconds, micros = divmod(now_ns // NS_PER_US, US_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{micros:06}Z"


def level_text(instrument: Instrument, level: DepthLevel | DepthChange) -> LevelText:
    """Return a level as it is published."""
    return (
        instrument.format_price(level.price),
        instrument.format_qty(level.qty),
        level.order_count,
    )


def side_text(instrument: Instrument, changes: list[DepthChange], side: Side) -> list[LevelText]:
    """Return the levels of a side that have changed, the best first."""
    own = [change for change in changes if change.side is side]
    own.sort(key=lambda change: change.price, reverse=side is BUY)
    return [level_text(instrument, change) for change in own]


def minute_message(
    instrument: Instrument, minute: Minute, *, stream: str, seq: int, is_final: bool
) -> MinuteMessage:
    """Return a minute's figures as they are published."""
    return MinuteMessage(
        stream=stream,
        symbol=instrument.symbol,
        seq=seq,
        minute=format_time(minute.starts_at_ns),
        open=instrument.format_price(minute.open_price),
        high=instrument.format_price(minute.high_price),
        low=instrument.format_price(minute.low_price),
        close=instrument.format_price(minute.close_price),
        volume=instrument.format_qty(minute.qty),
        notional=instrument.format_notional(minute.notional),
        trade_count=minute.trade_count,
        is_final=is_final,
    )


def instrument_message(instrument: Instrument, stream: str) -> InstrumentMessage:
    """Return what an instrument is."""
    definition = instrument.definition
    return InstrumentMessage(
        stream=stream,
        symbol=instrument.symbol,
        instrument_id=definition.instrument_id,
        base=instrument.base.symbol,
        quote=instrument.quote.symbol,
        price_decimals=definition.price_decimals,
        qty_decimals=definition.qty_decimals,
        tick_size=instrument.format_price(definition.tick_size),
        lot_size=instrument.format_qty(definition.lot_size),
    )


def execution_entry(report: Report) -> dict[str, str]:
    """Return a report's fields that apply."""
    values = ((name, getattr(report, name)) for name in REPORT_FIELDS)
    return {name: value for name, value in values if value is not None}


BUY = Side.BUY
