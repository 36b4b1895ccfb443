"""Cancels all open orders of somebody, so many at a time that nobody else waits long."""

from collections import deque
from typing import Final

import msgspec

from engine.events import Event, KillCompleted
from engine.kept import NOT_LOOKED, Sweep
from engine.live_order import Order
from engine.order_finder import OrderFinder, Selection
from engine.reasons import CancelReason
from engine.request_events import MassCancelCompleted
from engine.trading import Trading

CANCELED_MAX: Final = 1000
GONE: Final = (CancelReason.DISCONNECTED, CancelReason.LOGGED_OUT)
MASS_CANCELS: Final = (CancelReason.MASS_CANCELED, CancelReason.CANCELED_BY_OPERATOR)


class Sweeper:
    """Cancels what it was told to, one sweep after the other. Belongs to the applying thread."""

    def __init__(self, finder: OrderFinder, trading: Trading) -> None:
        self._finder = finder
        self._trading = trading
        self._sweeps: deque[Sweep] = deque()
        # The orders of the first sweep, once they have been looked for. Some may have ended since.
        self._orders: deque[Order] | None = None

    def start(self, sweep: Sweep) -> None:
        """Put a sweep behind those that are under way."""
        self._sweeps.append(sweep)

    @property
    def is_busy(self) -> bool:
        """Whether there is something left to be cancelled."""
        return bool(self._sweeps)

    def go_on(self, now_ns: int) -> list[Event]:
        """Cancel up to `CANCELED_MAX` orders and return what happened."""
        events: list[Event] = []
        while self._sweeps and len(events) < CANCELED_MAX:
            sweep = self._sweeps[0]
            if self._orders is None:
                self._orders = deque(self._find(sweep))
                if sweep.found_count == NOT_LOOKED:
                    sweep.found_count = len(self._orders)
            while self._orders and len(events) < CANCELED_MAX:
                order = self._orders.popleft()
                if order.is_open:
                    sweep.canceled_count += 1
                    events.append(self._cancel(now_ns, order, sweep))
            if not self._orders:
                self._sweeps.popleft()
                self._orders = None
                events += self._end(sweep)
        return events

    def sweeps(self) -> list[Sweep]:
        """Return copies of the sweeps under way."""
        return [msgspec.structs.replace(sweep) for sweep in self._sweeps]

    def _cancel(self, now_ns: int, order: Order, sweep: Sweep) -> Event:
        return self._trading.cancel_swept(
            now_ns,
            order,
            sweep.reason,
            cl_ord_id=sweep.cl_ord_id,
            request_session_id=sweep.session_id,
        )

    def _find(self, sweep: Sweep) -> list[Order]:
        """Return the orders that are meant, the oldest first."""
        selection = Selection(
            sweep.scope, sweep.scope_id, sweep.instrument_id, sweep.side, sweep.firm_id
        )
        spares_some = sweep.reason in GONE
        return [
            order
            for order in self._finder.find(selection)
            if order.order_id <= sweep.order_id_max
            and not (spares_some and order.outlives_connection)
        ]

    def _end(self, sweep: Sweep) -> list[Event]:
        """Return how it is told that a sweep is over."""
        if sweep.reason is not CancelReason.KILLED:
            return _end_of(sweep)
        return [
            KillCompleted(
                sweep.scope,
                sweep.scope_id,
                sweep.canceled_count,
                ended_count=sweep.found_count - sweep.canceled_count,
                left_count=len(self._find(sweep)),
            )
        ]


def _end_of(sweep: Sweep) -> list[Event]:
    if sweep.reason not in MASS_CANCELS:
        return []
    return [
        MassCancelCompleted(
            session_id=sweep.session_id,
            account_id=sweep.account_id,
            cl_ord_id=sweep.cl_ord_id,
            scope=sweep.scope,
            scope_id=sweep.scope_id,
            canceled_count=sweep.canceled_count,
        )
    ]
