"""What every order book under measurement can do."""

from collections.abc import Sequence
from typing import Protocol

from benchmarks.messages import Fill, Message


class Book(Protocol):
    """One instrument's order book with price-time priority.

    There is no modify: in the workloads it is a cancel followed by a new order, for every engine
    alike, so that all of them have the same queues.
    """

    def prepare(self, messages: Sequence[Message]) -> None:
        """Make ready what would reach the engine ready made. Not timed.

        An engine that is called with numbers has nothing to do here; what an engine's own interface
        wants to be handed, such as an order object, is made in `enter`, where it is timed.
        """

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        """Match a limit order. What remains of it rests, or is cancelled with `is_ioc`."""

    def cancel(self, order_id: int) -> bool:
        """Take an order out of the book. Returns False when it does not rest there."""

    def fills(self) -> list[Fill]:
        """Return all fills so far, in the order in which they happened. Not timed."""

    def resting_count(self) -> int:
        """Return how many orders rest. Not timed."""
