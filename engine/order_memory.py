"""Which orders the exchange still knows: the open ones, and for a while those that have ended.

FIX wants a ClOrdID(11) to be unique for a trading day; venues that answer repeats with the state of
the order, as PossResend(97) asks, must remember longer than the order lives.
"""

from collections import deque
from typing import Final

from engine.order import Order
from engine.units import AccountId, ClOrdId, OrderId

CLOSED_AGE_MAX_NS: Final = 24 * 3600 * 1_000_000_000
CLOSED_MAX: Final = 200_000


class _AccountMemory:
    __slots__ = ("closed", "orders")

    def __init__(self) -> None:
        self.orders: dict[ClOrdId, Order] = {}
        self.closed: deque[tuple[int, Order]] = deque()


class OrderMemory:
    """Finds an order by its ClOrdID or OrderID, open or ended up to 24 hours ago.

    At most `closed_max` ended orders per account are kept; the oldest are forgotten first.
    """

    __slots__ = ("_accounts", "_closed_max", "_orders")

    def __init__(self, closed_max: int = CLOSED_MAX) -> None:
        self._accounts: dict[AccountId, _AccountMemory] = {}
        self._orders: dict[OrderId, Order] = {}
        self._closed_max = closed_max

    def find_by_cl_ord_id(self, account_id: AccountId, cl_ord_id: ClOrdId) -> Order | None:
        """Return the account's order of that ClOrdID, None when the ClOrdID is free to use."""
        memory = self._accounts.get(account_id)
        return None if memory is None else memory.orders.get(cl_ord_id)

    def find_by_order_id(self, order_id: OrderId) -> Order | None:
        """Return the order of that OrderID, of whichever account, or None."""
        return self._orders.get(order_id)

    def add(self, order: Order) -> None:
        """Remember an order that was accepted."""
        memory = self._accounts.get(order.account_id)
        if memory is None:
            memory = self._accounts[order.account_id] = _AccountMemory()
        assert order.cl_ord_id not in memory.orders
        memory.orders[order.cl_ord_id] = order
        self._orders[order.order_id] = order

    def close(self, order: Order, now_ns: int) -> None:
        """Start the 24 hours of an order that has ended, and forget those whose time is over."""
        memory = self._accounts[order.account_id]
        memory.closed.append((now_ns, order))
        oldest_ns = now_ns - CLOSED_AGE_MAX_NS
        while len(memory.closed) > self._closed_max or memory.closed[0][0] <= oldest_ns:
            _, forgotten = memory.closed.popleft()
            del memory.orders[forgotten.cl_ord_id]
            del self._orders[forgotten.order_id]

    def restore_closed(self, order: Order, closed_at_ns: int) -> None:
        """Remember again an order that ended at that time. The oldest of an account come first."""
        self.add(order)
        self._accounts[order.account_id].closed.append((closed_at_ns, order))

    def closed(self) -> list[tuple[int, Order]]:
        """Return the ended orders still known, each with when it ended, account by account."""
        accounts = sorted(self._accounts.items())
        return [known for _, memory in accounts for known in memory.closed]
