"""Liquibook, the C++ order book by that name, through its Python wheel.

It takes IOC orders itself and reports each fill to a listener. Its own replace is not used: whether
it keeps an order's place in the queue depends on what changes.
"""

from collections.abc import Sequence
from typing import Any

import liquibook

from benchmarks.messages import Fill, Message, order_count


class _Listener(liquibook.OrderListener):  # type: ignore[misc]  # Untyped bindings.
    """Notes fills, and whether the last cancel was refused."""

    def __init__(self) -> None:
        super().__init__()
        self.fills: list[Fill] = []
        self.is_refused = False

    def on_accept(self, order: Any) -> None:
        """Called by Liquibook."""

    def on_reject(self, order: Any, reason: str) -> None:
        """Called by Liquibook."""
        raise RuntimeError(reason)

    def on_fill(self, order: Any, matched_order: Any, fill_qty: int, fill_price: int) -> None:
        """Called by Liquibook."""
        self.fills.append((order.order_id_, matched_order.order_id_, fill_qty, fill_price))

    def on_cancel(self, order: Any) -> None:
        """Called by Liquibook."""

    def on_cancel_reject(self, order: Any, reason: str) -> None:
        """Called by Liquibook."""
        self.is_refused = True

    def on_replace(self, order: Any, size_delta: int, new_price: int) -> None:
        """Called by Liquibook."""

    def on_replace_reject(self, order: Any, reason: str) -> None:
        """Called by Liquibook."""


class LiquibookBook:
    """`liquibook.DepthOrderBook`, the one book of the package that can be used from Python."""

    def __init__(self) -> None:
        self._listener = _Listener()
        self._book = liquibook.DepthOrderBook()
        self._book.set_symbol("COIN-USD")
        self._book.set_order_listener(self._listener)
        self._orders: list[Any] = []
        self._order_ids: list[int] = []  # Liquibook counts orders itself, from 1.

    def prepare(self, messages: Sequence[Message]) -> None:
        """Make room for the orders, by id."""
        self._orders = [None] * (order_count(messages) + 1)

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        """Make the order and add it."""
        conditions = liquibook.oc_immediate_or_cancel if is_ioc else liquibook.oc_no_conditions
        order = liquibook.SimpleOrder(is_buy, price, qty)
        self._orders[order_id] = order
        self._order_ids.append(order_id)
        self._book.add(order, conditions)  # Those of the order itself are not looked at.

    def cancel(self, order_id: int) -> bool:
        """Cancel and look at what the listener was told."""
        order = self._orders[order_id]
        if order is None:
            return False
        self._listener.is_refused = False
        self._book.cancel(order)
        return not self._listener.is_refused

    def fills(self) -> list[Fill]:
        """Return all fills so far under our ids."""
        ids = self._order_ids
        return [
            (ids[taker - 1], ids[maker - 1], qty, price)
            for taker, maker, qty, price in self._listener.fills
        ]

    def resting_count(self) -> int:
        """Return how many orders rest."""
        return len(self._book.bids()) + len(self._book.asks())
