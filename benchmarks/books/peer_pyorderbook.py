"""pyorderbook, pure Python: Decimal prices and UUIDs. It has no IOC: the rest is cancelled."""

from collections.abc import Sequence
from typing import Any

import pyorderbook

from benchmarks.messages import Fill, Message, order_count

BID = pyorderbook.Side.BID
ASK = pyorderbook.Side.ASK
SYMBOL = "COIN-USD"


class PyOrderBook:
    """`pyorderbook.Book`."""

    def __init__(self) -> None:
        self._book = pyorderbook.Book()
        self._orders: list[Any] = []
        self._trades: list[list[Any]] = []

    def prepare(self, messages: Sequence[Message]) -> None:
        """Make room for the orders, by id."""
        self._orders = [None] * (order_count(messages) + 1)

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        """Make the order and match it."""
        order = pyorderbook.Order(BID if is_buy else ASK, SYMBOL, price, qty)
        self._orders[order_id] = order
        blotter = self._book.match(order)
        if blotter.trades:
            self._trades.append(blotter.trades)
        if is_ioc and order.quantity:
            self._book.cancel(order)

    def cancel(self, order_id: int) -> bool:
        """Cancel the order. It is looked up first: a refusal would write a line to the log."""
        order = self._orders[order_id]
        if order is None or self._book.get_order(order.id) is None:
            return False
        self._book.cancel(order)
        return True

    def fills(self) -> list[Fill]:
        """Return all fills so far under our ids."""
        ids = {order.id: order_id for order_id, order in enumerate(self._orders) if order}
        return [
            (
                ids[trade.incoming_order_id],
                ids[trade.standing_order_id],
                trade.fill_quantity,
                int(trade.fill_price),
            )
            for trades in self._trades
            for trade in trades
        ]

    def resting_count(self) -> int:
        """Return how many orders rest."""
        return len(self._book.order_map)
