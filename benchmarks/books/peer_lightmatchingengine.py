"""lightmatchingengine, pure Python: a list per price level, so that a cancel scans its level.

It has no IOC: the rest is cancelled. It never forgets an order that was filled: asked to cancel
one, it fails by an assertion when the order's level is gone.
"""

from collections.abc import Sequence
from typing import Any

from lightmatchingengine.lightmatchingengine import LightMatchingEngine, Side

from benchmarks.messages import Fill, Message, order_count

SYMBOL = "COIN-USD"


class LightBook:
    """`LightMatchingEngine`."""

    def __init__(self) -> None:
        self._engine = LightMatchingEngine()
        self._names: list[int] = []  # It counts orders itself, from 1.
        self._order_ids: list[int] = []
        self._trades: list[tuple[int, list[Any]]] = []

    def prepare(self, messages: Sequence[Message]) -> None:
        """Make room for the numbers that the engine gives to orders, by id."""
        self._names = [0] * (order_count(messages) + 1)

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        """Add the order."""
        side = Side.BUY if is_buy else Side.SELL
        order, trades = self._engine.add_order(SYMBOL, price, qty, side)
        self._names[order_id] = order.order_id
        self._order_ids.append(order_id)
        if trades:
            self._trades.append((order_id, trades))
        if is_ioc and order.leaves_qty:
            self._engine.cancel_order(order.order_id, SYMBOL)

    def cancel(self, order_id: int) -> bool:
        """Cancel by the engine's own number."""
        try:
            return self._engine.cancel_order(self._names[order_id], SYMBOL) is not None
        except AssertionError:
            return False

    def fills(self) -> list[Fill]:
        """Return all fills so far under our ids, without the aggressor's own lines."""
        ids = self._order_ids
        return [
            (order_id, ids[trade.order_id - 1], trade.trade_qty, trade.trade_price)
            for order_id, trades in self._trades
            for trade in trades
            if ids[trade.order_id - 1] != order_id
        ]

    def resting_count(self) -> int:
        """Return how many orders rest."""
        book = self._engine.order_books[SYMBOL]
        return sum(len(level) for side in (book.bids, book.asks) for level in side.values())
