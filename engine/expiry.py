"""Which orders end at which time. Orders that end together share an entry."""

from itertools import islice, pairwise

from sortedcontainers import SortedDict

from engine.live_order import Order
from engine.units import OrderId


class ExpiryQueue:
    """The open orders whose time in force runs out, by when. Belongs to the applying thread."""

    __slots__ = ("_orders",)

    def __init__(self) -> None:
        self._orders: SortedDict[int, dict[OrderId, Order]] = SortedDict()

    def add(self, order: Order) -> None:
        """Let the order end at its `expires_at_ns`."""
        assert order.expires_at_ns > 0
        orders = self._orders.get(order.expires_at_ns)
        if orders is None:
            orders = self._orders[order.expires_at_ns] = {}
        orders[order.order_id] = order

    def discard(self, order: Order) -> None:
        """Forget an order that has ended, or that never had an end."""
        if not order.expires_at_ns:
            return
        orders = self._orders.get(order.expires_at_ns)
        if orders is None:
            return
        orders.pop(order.order_id, None)
        if not orders:
            del self._orders[order.expires_at_ns]

    def unsorted_ids(self) -> list[OrderId]:
        """Return the orders of those that end together in another order than they came in.

        A stop order that was triggered ends behind what has come to rest before it.
        """
        found: list[OrderId] = []
        for orders in self._orders.values():
            if any(first > second for first, second in pairwise(orders)):
                found += orders
        return found

    def put_last(self, order: Order) -> None:
        """Let the order end behind all others that end with it."""
        self.discard(order)
        self.add(order)

    def next_ns(self) -> int | None:
        """Return when the next order ends, None when none does."""
        return self._orders.peekitem(0)[0] if self._orders else None

    def due(self, now_ns: int, count_max: int) -> list[Order]:
        """Return orders whose time has come, the longest due first, at most `count_max`."""
        due: list[Order] = []
        for expires_at_ns, orders in self._orders.items():
            if expires_at_ns > now_ns or len(due) == count_max:
                break
            due.extend(islice(orders.values(), count_max - len(due)))
        return due
