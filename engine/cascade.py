"""Stop orders that a price has reached enter the book, one after the other."""

from typing import Final

from engine.events import Event, OrderTriggered
from engine.execution import Execution
from engine.floor import Floor
from engine.trading_state import TradingState

TRIGGERED_MAX: Final = 100


class Cascade:
    """Lets triggered stop orders act. Belongs to the thread that applies commands."""

    def __init__(self, floor: Floor, execution: Execution) -> None:
        self._floor = floor
        self._execution = execution
        self.triggered_max = TRIGGERED_MAX

    def run(self, now_ns: int, events: list[Event]) -> None:
        """Let those enter that are due, and those that they trigger in turn.

        At most `triggered_max` at a time: what is left stays due. Where nothing is matched at the
        moment they wait until it is.
        """
        left = self.triggered_max
        for instrument_id, book in sorted(self._floor.cascading.items()):
            instrument = self._floor.reference.instruments[instrument_id]
            while left and book.stops.has_reached and book.market.state is TradingState.CONTINUOUS:
                left -= 1
                order, price = book.stops.take_reached()
                order.is_waiting = False
                self._floor.delist(order)
                events.append(OrderTriggered(order.view(), price))
                self._execution.execute(order, instrument, now_ns, events)
            if not book.stops.has_reached:
                del self._floor.cascading[instrument_id]

    @property
    def is_due(self) -> bool:
        """Whether there is an order that could enter now."""
        return any(
            book.stops.has_reached and book.market.state is TradingState.CONTINUOUS
            for book in self._floor.cascading.values()
        )
