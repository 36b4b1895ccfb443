"""Stop orders of one instrument: those that wait for a price, and those it has reached.

Stop prices are levels as in the book; a level goes all at once, so waiting, cancelling and being
triggered cost the same however many others wait.
"""

from collections.abc import Iterator

from sortedcontainers import SortedDict

from engine.live_order import Order
from engine.order import TriggerDirection
from engine.units import OrderId, Price

_Levels = SortedDict[int, dict[OrderId, Order]]


class StopBook:
    """The stop orders of an instrument. Belongs to the thread that applies commands.

    `waiting_count` is how many wait for a price. Those that a price has reached have left their
    level and enter one after the other, in the order in which they were reached.
    """

    __slots__ = ("_falling", "_reached", "_rising", "waiting_count")

    def __init__(self) -> None:
        # Keys ascend from what is reached first: the price where it must rise, else its negative.
        self._rising: _Levels = SortedDict()
        self._falling: _Levels = SortedDict()
        self._reached: dict[OrderId, tuple[Order, Price]] = {}
        self.waiting_count = 0

    @property
    def has_reached(self) -> bool:
        """Whether there are orders that are to enter the book."""
        return bool(self._reached)

    def add(self, order: Order) -> None:
        """Let an order wait, behind all others of its stop price."""
        levels, key = self._place_of(order)
        level = levels.get(key)
        if level is None:
            level = levels[key] = {}
        level[order.order_id] = order
        self.waiting_count += 1

    def remove(self, order: Order) -> None:
        """Take out an order, whether it waits or has been reached."""
        if self._reached.pop(order.order_id, None) is not None:
            return
        levels, key = self._place_of(order)
        level = levels[key]
        del level[order.order_id]
        self.waiting_count -= 1
        if not level:
            del levels[key]

    def reach(self, price: Price) -> bool:
        """Let all that this price triggers be next to enter. Returns whether there are any.

        The nearest stop prices go first, then the oldest orders; those that wait for a rise before
        those that wait for a fall.
        """
        reached_count = len(self._reached)
        for levels, bound in ((self._rising, price), (self._falling, -price)):
            while levels and levels.peekitem(0)[0] <= bound:
                _, level = levels.popitem(0)
                self.waiting_count -= len(level)
                self._reached.update((order.order_id, (order, price)) for order in level.values())
        return len(self._reached) > reached_count

    def restore_reached(self, order: Order, price: Price) -> None:
        """Let an order that waits have been reached by that price."""
        self.remove(order)
        self._reached[order.order_id] = (order, price)

    def take_reached(self) -> tuple[Order, Price]:
        """Take out the order that enters next, with the price that has triggered it."""
        order_id = next(iter(self._reached))
        return self._reached.pop(order_id)

    def is_reached(self, order: Order) -> bool:
        """Whether the order is to enter the book."""
        return order.order_id in self._reached

    def orders(self) -> Iterator[Order]:
        """Yield all orders in the order in which they would enter, those that wait first."""
        for levels in (self._rising, self._falling):
            for level in levels.values():
                yield from level.values()
        for order, _ in self._reached.values():
            yield order

    def reached(self) -> list[tuple[OrderId, Price]]:
        """Return the orders that are to enter, with the price that has triggered each."""
        return [(order_id, price) for order_id, (_, price) in self._reached.items()]

    def _place_of(self, order: Order) -> tuple[_Levels, int]:
        assert order.terms is not None
        assert order.terms.stop_price is not None
        if order.terms.trigger_direction(order.side) is TriggerDirection.UP:
            return self._rising, order.terms.stop_price
        return self._falling, -order.terms.stop_price
