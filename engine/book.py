"""The order book of one instrument: price levels in order, orders of a level first in first out.

The sorted container is touched only when a level is born or dies; the best level is kept at hand
and the orders of a level are a linked list, so entering behind others, filling and cancelling cost
the same however deep the book is.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sortedcontainers import SortedDict

from engine.live_order import Order
from engine.order import Side
from engine.stops import StopBook
from engine.trading_state import MarketState
from engine.units import Money, Price, Qty

BUY = Side.BUY


class PriceLevel:
    """The orders at one price, oldest first.

    `qty` is what is open at the price in all, of which `hidden_qty` is not shown.
    """

    __slots__ = ("first", "hidden_qty", "key", "last", "order_count", "price", "qty")

    def __init__(self, price: Price, key: int) -> None:
        self.price = price
        self.key = key
        self.qty = 0
        self.hidden_qty = 0
        self.order_count = 0
        self.first: Order | None = None
        self.last: Order | None = None

    @property
    def shown_qty(self) -> int:
        """What the world sees of the level."""
        return self.qty - self.hidden_qty

    def orders(self) -> Iterator[Order]:
        """Yield the orders of the level, oldest first."""
        order = self.first
        while order is not None:
            yield order
            order = order.behind


class DepthLevel(NamedTuple):
    """One line of the depth: what the world sees of a price level."""

    price: Price
    qty: Qty
    order_count: int


class BookSide:
    """The bids or the asks. `best` is the level that trades first, None for an empty side."""

    __slots__ = ("_levels", "_sign", "best", "order_count", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        # Keys ascend from the best level to the worst: the price for asks, its negative for bids.
        self._sign = -1 if side is BUY else 1
        self._levels: SortedDict[int, PriceLevel] = SortedDict()
        self.best: PriceLevel | None = None
        self.order_count = 0

    def add(self, order: Order) -> None:
        """Put the order behind all others at its price."""
        assert order.price is not None
        assert order.level is None
        key = self._sign * order.price
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = PriceLevel(order.price, key)
            if self.best is None or key < self.best.key:
                self.best = level
        last = level.last
        if last is None:
            level.first = order
        else:
            last.behind = order
            order.ahead = last
        level.last = order
        level.qty += order.leaves_qty
        level.hidden_qty += order.hidden_qty
        level.order_count += 1
        self.order_count += 1
        order.level = level

    def remove(self, order: Order) -> None:
        """Take the order out, with what is still open of it."""
        level: PriceLevel = order.level
        ahead, behind = order.ahead, order.behind
        if ahead is None:
            level.first = behind
        else:
            ahead.behind = behind
        if behind is None:
            level.last = ahead
        else:
            behind.ahead = ahead
        # Cleared both ways: no cycle is left behind, so nothing waits for the garbage collector.
        order.level = order.ahead = order.behind = None
        level.qty -= order.leaves_qty
        level.hidden_qty -= order.hidden_qty
        level.order_count -= 1
        self.order_count -= 1
        if level.order_count == 0:
            del self._levels[level.key]
            if level is self.best:
                self.best = self._levels.peekitem(0)[1] if self._levels else None

    def fill(self, order: Order, qty: Qty, notional: Money) -> None:
        """Fill some of what a resting order shows, and take it out when nothing of it is left."""
        order.fill(qty, notional)
        order.level.qty -= qty
        if not order.leaves_qty:
            self.remove(order)
        elif order.hidden_qty == order.leaves_qty:
            self._refill(order)

    def reduce(self, order: Order, qty: Qty) -> None:
        """Make a resting order smaller in its place: what is hidden goes first."""
        hidden_qty = min(qty, order.hidden_qty)
        order.level.qty -= qty
        order.level.hidden_qty -= hidden_qty
        order.hidden_qty = Qty(order.hidden_qty - hidden_qty)
        order.reduce(qty)

    def reduce_shown(self, order: Order, qty: Qty) -> None:
        """Make a resting order smaller by some of what it shows, as a fill would."""
        order.level.qty -= qty
        order.reduce(qty)
        if order.hidden_qty == order.leaves_qty:
            self._refill(order)

    def _refill(self, order: Order) -> None:
        """Show more of an order that has nothing left to show, behind the others of its price."""
        self.remove(order)
        order.hide()
        self.add(order)

    def levels(self) -> Iterator[PriceLevel]:
        """Yield the levels from the best to the worst."""
        yield from self._levels.values()

    def depth(self, level_count_max: int) -> list[DepthLevel]:
        """Return the best levels, at most `level_count_max`, the best first."""
        lines = []
        for level, _ in zip(self._levels.values(), range(level_count_max), strict=False):
            lines.append(DepthLevel(level.price, Qty(level.shown_qty), level.order_count))
        return lines


class OrderBook:
    """Both sides of one instrument's book, its stop orders, and the state of its market."""

    __slots__ = ("asks", "bids", "market", "stops")

    def __init__(self, market: MarketState) -> None:
        self.market = market
        self.stops = StopBook()
        self.bids = BookSide(BUY)
        self.asks = BookSide(Side.SELL)

    def orders(self) -> Iterator[Order]:
        """Yield all orders: bids and asks in the order in which they would trade, then stops."""
        for side in (self.bids, self.asks):
            for level in side.levels():
                yield from level.orders()
        yield from self.stops.orders()

    def side(self, side: Side) -> BookSide:
        """Return where orders of that side rest."""
        return self.bids if side is BUY else self.asks

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid and the best ask could trade."""
        bid, ask = self.bids.best, self.asks.best
        return bid is not None and ask is not None and bid.price >= ask.price

    def opposite(self, side: Side) -> BookSide:
        """Return what orders of that side trade against."""
        return self.asks if side is BUY else self.bids
