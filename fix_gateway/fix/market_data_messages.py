"""Books and trades as FIX says them: MarketDataSnapshotFullRefresh(W) and IncrementalRefresh(X)."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from engine.book import DepthLevel
from engine.instrument import Instrument
from engine.order import Side
from fix_gateway.fix.dialect import Dialect
from fix_gateway.fix.fields import MsgType, Tag, UtcTimestamps, join_fields
from fix_gateway.fix.market_data_request import BID, OFFER, TRADE
from fix_gateway.market_data.messages import BUST, CORRECTION, TradeEntry

NEW, CHANGE, DELETE = "0", "1", "2"  # MDUpdateAction(279).
BOOK_ENTRY_TYPES: Final = {Side.BUY: BID, Side.SELL: OFFER}
TRADE_ACTIONS: Final = {BUST: DELETE, CORRECTION: CHANGE}
SECONDS_LENGTH: Final = len("09:30:00")

Pairs = list[tuple[int, str]]


class LevelChange(NamedTuple):
    """A level that is other than before: `action` is an MDUpdateAction(279)."""

    action: str
    side: Side
    level: DepthLevel


class MarketDataMessages:
    """Builds them in one session's dialect, from 35= on. Belongs to the gateway's thread."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._timestamps = UtcTimestamps(dialect.timestamp_digits)

    def snapshot(
        self,
        request_id: str,
        instrument: Instrument,
        levels: Iterable[tuple[Side, DepthLevel]],
        trades: Sequence[TradeEntry],
        now_ns: int,
    ) -> str:
        """Return an instrument as it is. Of the trades those that are not taken back again.

        One that was corrected is told once, as it is now.
        """
        entries: Pairs = []
        count = 0
        for side, level in levels:
            count += 1
            entries.append((Tag.MD_ENTRY_TYPE, BOOK_ENTRY_TYPES[side]))
            entries += _level(instrument, level)
        standing: dict[int, TradeEntry] = {}
        for trade in trades:
            if trade.kind == BUST:
                standing.pop(trade.trade_id, None)
            else:
                standing[trade.trade_id] = trade
        for trade in standing.values():
            count += 1
            entries += [(Tag.MD_ENTRY_TYPE, TRADE), *self._trade(trade)]
        head: Pairs = [
            (Tag.MSG_TYPE, MsgType.MARKET_DATA_SNAPSHOT_FULL_REFRESH),
            (Tag.MD_REQ_ID, request_id),
            (Tag.SYMBOL, instrument.symbol),
        ]
        if self._dialect.is_fixt:
            head.append((Tag.LAST_UPDATE_TIME, self._timestamps.format(now_ns)))
        return join_fields([*head, (Tag.NO_MD_ENTRIES, str(count)), *entries])

    def update(
        self,
        request_id: str,
        instrument: Instrument,
        changes: Sequence[LevelChange],
        trades: Sequence[TradeEntry],
    ) -> str:
        """Return what has changed of an instrument."""
        entries: Pairs = []
        for change in changes:
            entries += [
                (Tag.MD_UPDATE_ACTION, change.action),
                (Tag.MD_ENTRY_TYPE, BOOK_ENTRY_TYPES[change.side]),
                (Tag.SYMBOL, instrument.symbol),
            ]
            if change.action == DELETE:
                entries.append((Tag.MD_ENTRY_PX, instrument.format_price(change.level.price)))
            else:
                entries += _level(instrument, change.level)
        for trade in trades:
            entries += [
                (Tag.MD_UPDATE_ACTION, TRADE_ACTIONS.get(trade.kind, NEW)),
                (Tag.MD_ENTRY_TYPE, TRADE),
                (Tag.MD_ENTRY_ID, str(trade.trade_id)),
                (Tag.SYMBOL, instrument.symbol),
                *self._trade(trade),
            ]
        head: Pairs = [
            (Tag.MSG_TYPE, MsgType.MARKET_DATA_INCREMENTAL_REFRESH),
            (Tag.MD_REQ_ID, request_id),
            (Tag.NO_MD_ENTRIES, str(len(changes) + len(trades))),
        ]
        return join_fields(head + entries)

    def _trade(self, trade: TradeEntry) -> Pairs:
        date, _, clock = trade.time.partition("T")
        length = SECONDS_LENGTH + len(".") + self._dialect.timestamp_digits
        return [
            (Tag.MD_ENTRY_PX, trade.price),
            (Tag.MD_ENTRY_SIZE, trade.qty),
            (Tag.MD_ENTRY_DATE, date.replace("-", "")),
            (Tag.MD_ENTRY_TIME, clock[:length]),
        ]


def _level(instrument: Instrument, level: DepthLevel) -> Pairs:
    return [
        (Tag.MD_ENTRY_PX, instrument.format_price(level.price)),
        (Tag.MD_ENTRY_SIZE, instrument.format_qty(level.qty)),
        (Tag.NUMBER_OF_ORDERS, str(level.order_count)),
    ]
