"""All books and the last trades, as the records tell them, for whoever shows them to others.

Pure: a function of the records. It keeps what is needed to say how things are, and nothing of what
was told to whom.
"""

from collections.abc import Sequence
from typing import NamedTuple

from engine.book import DepthLevel
from engine.depth import DepthReader
from engine.events import Event
from engine.order import Side
from engine.reference import Reference
from engine.units import InstrumentId
from fix_gateway.market_data.market import SavedMarket
from fix_gateway.market_data.messages import TradeEntry
from fix_gateway.market_data.trades import RECENT_TRADES, read_trades


class _Tape(NamedTuple):
    """An instrument's last trades; `total` is how many there were in all."""

    total: int
    last: tuple[TradeEntry, ...]


NO_TRADES = _Tape(0, ())


class Books:
    """The market after the record `seq`. Belongs to one thread.

    `reference` knows the instruments of the records; others keep it up to date.
    """

    def __init__(self, reference: Reference) -> None:
        self.seq = 0
        self.now_ns = 0
        self._reference = reference
        self._depth = DepthReader()
        self._tapes: dict[InstrumentId, _Tape] = {}
        self._changed: dict[InstrumentId, None] = {}

    def go_on_from(self, saved: SavedMarket) -> None:
        """Be as the publisher has written the market down."""
        self.seq, self.now_ns = saved.seq, saved.now_ns
        self._depth = DepthReader.restore(saved.places)
        for instrument_id, recent in saved.recent_trades.items():
            self._tapes[instrument_id] = _Tape(len(recent), tuple(recent[-RECENT_TRADES:]))

    def apply(self, seq: int, now_ns: int, events: Sequence[Event]) -> None:
        """Take in the next record."""
        assert seq == self.seq + 1
        self.seq, self.now_ns = seq, max(self.now_ns, now_ns)
        for level in self._depth.apply(events):
            self._changed[level.instrument_id] = None
        for trade in read_trades(events, self._reference, seq=seq, now_ns=self.now_ns):
            tape = self._tapes.get(trade.instrument_id, NO_TRADES)
            last = (*tape.last, trade.entry)[-RECENT_TRADES:]
            self._tapes[trade.instrument_id] = _Tape(tape.total + 1, last)
            self._changed[trade.instrument_id] = None

    def take_changed(self) -> list[InstrumentId]:
        """Return the instruments that have changed since this was asked last."""
        changed, self._changed = self._changed, {}
        return list(changed)

    def levels(
        self, instrument_id: InstrumentId, side: Side, level_count_max: int
    ) -> list[DepthLevel]:
        """Return the best levels of a side, the best first."""
        return self._depth.depth(instrument_id, side, level_count_max)

    def trade_count(self, instrument_id: InstrumentId) -> int:
        """Return how many trades, busts and corrections there were: the place to go on from."""
        return self._tapes.get(instrument_id, NO_TRADES).total

    def trades_after(self, instrument_id: InstrumentId, count: int) -> tuple[TradeEntry, ...]:
        """Return the trades since there were `count` of them, as far as they are kept."""
        tape = self._tapes.get(instrument_id, NO_TRADES)
        wanted = min(tape.total - count, len(tape.last))
        return tape.last[len(tape.last) - wanted :]
