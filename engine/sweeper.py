"""Cancels all open orders of somebody, so many at a time that nobody else waits long."""

from collections import deque
from typing import Final, assert_never

import msgspec

from engine.events import Event, KillCompleted
from engine.order import Order
from engine.reasons import CancelReason
from engine.reference import Reference
from engine.scope import Scope
from engine.trading import Trading
from engine.units import AccountId, FirmId, OrderId, SessionId

CANCELED_MAX: Final = 1000


class Sweep(msgspec.Struct, array_like=True):
    """Whose orders are being cancelled, and why. Orders after `order_id_max` are not meant."""

    scope: Scope
    scope_id: int
    reason: CancelReason
    order_id_max: OrderId
    canceled_count: int = 0


class Sweeper:
    """Cancels what it was told to, one sweep after the other. Belongs to the applying thread."""

    def __init__(self, reference: Reference, trading: Trading) -> None:
        self._reference = reference
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
            while self._orders and len(events) < CANCELED_MAX:
                order = self._orders.popleft()
                if order.is_open:
                    sweep.canceled_count += 1
                    events.append(self._trading.cancel_unasked(now_ns, order, sweep.reason))
            if not self._orders:
                self._sweeps.popleft()
                self._orders = None
                if sweep.reason is CancelReason.KILLED:
                    events.append(KillCompleted(sweep.scope, sweep.scope_id, sweep.canceled_count))
        return events

    def sweeps(self) -> list[Sweep]:
        """Return copies of the sweeps under way."""
        return [msgspec.structs.replace(sweep) for sweep in self._sweeps]

    def _find(self, sweep: Sweep) -> list[Order]:
        """Return the orders that are meant, the oldest first."""
        spares_some = sweep.reason is not CancelReason.KILLED
        meant = [
            order
            for order in self._open_orders(sweep.scope, sweep.scope_id)
            if order.order_id <= sweep.order_id_max
            and not (spares_some and order.outlives_connection)
        ]
        return sorted(meant, key=lambda order: order.order_id)

    def _open_orders(self, scope: Scope, scope_id: int) -> list[Order]:
        open_orders = self._trading.open_orders
        match scope:
            case Scope.SESSION:
                return open_orders.of_session(SessionId(scope_id))
            case Scope.ACCOUNT:
                return open_orders.of_account(AccountId(scope_id))
            case Scope.FIRM:
                accounts = self._reference.accounts_of(FirmId(scope_id))
            case Scope.EVERYTHING:
                accounts = list(self._reference.accounts.values())
            case _:
                assert_never(scope)
        return [
            order for account in accounts for order in open_orders.of_account(account.account_id)
        ]
