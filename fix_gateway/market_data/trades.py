"""Trades as the public is told of them: once each, whoever the two were."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from engine.events import Event, Trade
from engine.reference import Reference
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import InstrumentId, TradeId
from fix_gateway.market_data.messages import (
    BUST,
    CORRECTION,
    SIDES,
    TRADE,
    TradeEntry,
    format_time,
)

NO_AGGRESSOR: Final = "none"
RECENT_TRADES: Final = 200
"""So many of an instrument's last trades are kept, for whoever has missed some."""

TradeEvent = Trade | TradeBusted | TradeCorrected
KINDS: Final[dict[type, str]] = {Trade: TRADE, TradeBusted: BUST, TradeCorrected: CORRECTION}


class PublicTrade(NamedTuple):
    """A trade of a record: `entry` for subscribers, `event` as one of its sides was told."""

    instrument_id: InstrumentId
    entry: TradeEntry
    event: TradeEvent


def read_trades(
    events: Iterable[Event], reference: Reference, *, seq: int, now_ns: int
) -> list[PublicTrade]:
    """Return the trades of a record, also those that it takes back or corrects."""
    sides: dict[TradeId, list[TradeEvent]] = {}
    for event in events:
        if isinstance(event, TradeEvent):
            sides.setdefault(event.trade_id, []).append(event)
    trades = []
    for trade_id, both in sides.items():
        trade = both[0]
        instrument = reference.instruments[trade.order.instrument_id]
        came_in = [SIDES[side.order.side] for side in both if not side.is_resting]
        entry = TradeEntry(
            seq=seq,
            trade_id=trade_id,
            time=format_time(now_ns),
            price=instrument.format_price(trade.price),
            qty=instrument.format_qty(trade.qty),
            aggressor=came_in[0] if len(came_in) == 1 else NO_AGGRESSOR,
            kind=KINDS[type(trade)],
        )
        trades.append(PublicTrade(trade.order.instrument_id, entry, trade))
    return trades
