"""akhil4n-orderbook, pure Python on sortedcontainers. It has no IOC: the rest is cancelled."""

from collections.abc import Sequence

import orderbook

from benchmarks.messages import Fill, Message, order_count

BID = orderbook.OrderSide.BID
ASK = orderbook.OrderSide.ASK


class Akhil4nBook:
    """`orderbook.OrderBook`. Prices may be ints, which is faster than its own Decimals."""

    def __init__(self) -> None:
        self._book = orderbook.OrderBook()
        self._names: list[str] = []

    def prepare(self, messages: Sequence[Message]) -> None:
        """Make room for the names that the package gives to orders, by id."""
        self._names = [""] * (order_count(messages) + 1)

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        """Make the order and add it."""
        order = orderbook.Order(BID if is_buy else ASK, price, qty)
        self._names[order_id] = name = order.order_id
        self._book.add_limit_order(order)
        if is_ioc and order.remaining_quantity:
            self._book.cancel_order(name)

    def cancel(self, order_id: int) -> bool:
        """Cancel by the package's own name."""
        return bool(self._book.cancel_order(self._names[order_id]))

    def fills(self) -> list[Fill]:
        """Return all fills so far under our ids."""
        ids = {name: order_id for order_id, name in enumerate(self._names)}
        return [
            (ids[trade.aggressor_id], ids[trade.filler_id], trade.quantity_filled, trade.price)
            for trade in self._book.trade_log
        ]

    def resting_count(self) -> int:
        """Return how many orders rest."""
        return len(self._book.orders)
