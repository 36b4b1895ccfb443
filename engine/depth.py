"""Depth from events alone: what a reader of the journal or the feed knows of a book.

The engine itself does not need it; whoever publishes market data does, and the tests prove with it
that events leave nothing out.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from engine.book import DepthLevel
from engine.events import (
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderReplaced,
    OrderRestated,
    OrderTriggered,
    Trade,
)
from engine.order import OrderView, Side
from engine.units import InstrumentId, OrderId, Price, Qty

BUY = Side.BUY
BOOK_EVENTS: Final = (
    OrderAccepted,
    Trade,
    OrderCanceled,
    OrderExpired,
    OrderReplaced,
    OrderRestated,
    OrderTriggered,
)


class DepthChange(NamedTuple):
    """A price level as it is now. `qty` 0: nobody stands there any more."""

    instrument_id: InstrumentId
    side: Side
    price: Price
    qty: Qty
    order_count: int


class _Place(NamedTuple):
    """Where an order is counted, and with how much."""

    instrument_id: InstrumentId
    side: Side
    price: Price
    qty: Qty


SavedPlace = tuple[OrderId, InstrumentId, Side, Price, Qty]
"""An order and where it is counted."""


class _Level:
    __slots__ = ("order_count", "qty")

    def __init__(self) -> None:
        self.qty = 0
        self.order_count = 0


_Levels = SortedDict[int, _Level]
"""Ascending from the best level to the worst: by the price for asks, by its negative for bids."""


class DepthReader:
    """Rebuilds the depth of all books from events. Belongs to one thread.

    Begins with the empty venue, or with the views of all open orders in a snapshot. It is right
    after all events of a record: within one, an order that comes in is counted before it trades.
    """

    def __init__(self, open_orders: Iterable[OrderView] = ()) -> None:
        self._levels: dict[tuple[InstrumentId, Side], _Levels] = {}
        self._places: dict[OrderId, _Place] = {}
        for order in open_orders:
            self._put(order)

    def apply(self, events: Iterable[Event]) -> list[DepthChange]:
        """Take in all events of a record, and return the levels that are other than before.

        Each level once, in the order in which they were first touched.
        """
        before: dict[tuple[InstrumentId, Side, Price], tuple[int, int]] = {}
        for event in events:
            if isinstance(event, BOOK_EVENTS):
                for place in (self._places.get(event.order.order_id), _place_of(event.order)):
                    if place is not None:
                        before.setdefault(place[:3], self._line(*place[:3]))
                self._put(event.order)
        changes = []
        for key, line in before.items():
            qty, order_count = self._line(*key)
            if (qty, order_count) != line:
                changes.append(DepthChange(*key, Qty(qty), order_count))
        return changes

    def depth(
        self, instrument_id: InstrumentId, side: Side, level_count_max: int
    ) -> list[DepthLevel]:
        """Return the best levels of a side, at most `level_count_max`, the best first."""
        levels: Mapping[int, _Level] = self._levels.get((instrument_id, side), {})
        sign = -1 if side is BUY else 1
        return [
            DepthLevel(Price(sign * key), Qty(level.qty), level.order_count)
            for (key, level), _ in zip(levels.items(), range(level_count_max), strict=False)
        ]

    def save(self) -> list[SavedPlace]:
        """Return where every order stands, for `restore`."""
        return [(order_id, *place) for order_id, place in self._places.items()]

    @classmethod
    def restore(cls, saved: Iterable[SavedPlace]) -> "DepthReader":
        """Return the reader that was saved."""
        reader = cls()
        for order_id, instrument_id, side, price, qty in saved:
            place = reader._places[order_id] = _Place(instrument_id, side, price, qty)
            reader._count(place, qty, 1)
        return reader

    def _line(self, instrument_id: InstrumentId, side: Side, price: Price) -> tuple[int, int]:
        levels: Mapping[int, _Level] = self._levels.get((instrument_id, side), {})
        level = levels.get(-price if side is BUY else price)
        return (0, 0) if level is None else (level.qty, level.order_count)

    def _put(self, order: OrderView) -> None:
        """Count an order as it is now, and no longer as it was."""
        old = self._places.pop(order.order_id, None)
        if old is not None:
            self._count(old, -old.qty, -1)
        new = _place_of(order)
        if new is not None:
            self._places[order.order_id] = new
            self._count(new, new.qty, 1)

    def _count(self, place: _Place, qty: int, order_count: int) -> None:
        levels = self._levels.setdefault((place.instrument_id, place.side), SortedDict())
        key = -place.price if place.side is BUY else place.price
        level = levels.get(key)
        if level is None:
            level = levels[key] = _Level()
        level.qty += qty
        level.order_count += order_count
        if level.order_count == 0:
            del levels[key]


def _place_of(order: OrderView) -> _Place | None:
    """Return where the order stands when its record is over, None when nowhere."""
    if order.price is None or order.leaves_qty == 0 or order.is_waiting:
        return None
    return _Place(order.instrument_id, order.side, order.price, order.shown_qty)
