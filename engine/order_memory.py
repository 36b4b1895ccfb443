"""Which orders the exchange still knows: the open ones, and for a while those that have ended.

FIX wants a ClOrdID(11) to be unique for a trading day; venues that answer repeats with the state of
the order, as PossResend(97) asks, must remember longer than the order lives.
"""

from collections import defaultdict, deque
from typing import Final

from engine.kept import FormerName
from engine.live_order import Order
from engine.units import AccountId, ClOrdId, OrderId

CLOSED_AGE_MAX_NS: Final = 24 * 3600 * 1_000_000_000
CLOSED_MAX: Final = 200_000


class _AccountMemory:
    """`ended`: the names whose time runs, with since when, whose order ended or was renamed."""

    __slots__ = ("ended", "orders")

    def __init__(self) -> None:
        self.orders: dict[ClOrdId, Order] = {}
        self.ended: deque[tuple[int, Order, ClOrdId]] = deque()


class OrderMemory:
    """Finds an order by its ClOrdID or OrderID, open or ended up to 24 hours ago.

    A ClOrdID that an amendment has replaced finds its order for 24 hours, too. At most `closed_max`
    ended names per account are kept; the oldest are forgotten first.
    """

    __slots__ = ("_accounts", "_orders", "closed_max")

    def __init__(self, closed_max: int = CLOSED_MAX) -> None:
        self._accounts: dict[AccountId, _AccountMemory] = {}
        self._orders: dict[OrderId, Order] = {}
        self.closed_max = closed_max

    def find_by_cl_ord_id(self, account_id: AccountId, cl_ord_id: ClOrdId) -> Order | None:
        """Return the account's order of that ClOrdID, None when the ClOrdID is free to use."""
        try:
            return self._accounts[account_id].orders.get(cl_ord_id)
        except KeyError:  # Of an account that has never had an order.
            return None

    def find_by_order_id(self, order_id: OrderId) -> Order | None:
        """Return the order of that OrderID, of whichever account, or None."""
        return self._orders.get(order_id)

    def find_named(
        self, account_id: AccountId, cl_ord_id: ClOrdId, order_id: OrderId
    ) -> Order | None:
        """Return the account's order that has that ClOrdID and that OrderID.

        "" and 0 are not compared; with both no order is named.
        """
        by_order_id = by_cl_ord_id = None
        if order_id:
            by_order_id = self.find_by_order_id(order_id)
            if by_order_id is None or by_order_id.account_id != account_id:
                return None
        if cl_ord_id:
            by_cl_ord_id = self.find_by_cl_ord_id(account_id, cl_ord_id)
            if by_cl_ord_id is None:
                return None
        if by_order_id and by_cl_ord_id and by_order_id is not by_cl_ord_id:
            return None
        return by_order_id or by_cl_ord_id

    def add(self, order: Order) -> None:
        """Remember an order that was accepted."""
        try:
            orders = self._accounts[order.account_id].orders
        except KeyError:
            memory = self._accounts[order.account_id] = _AccountMemory()
            orders = memory.orders
        assert order.cl_ord_id not in orders
        orders[order.cl_ord_id] = order
        self._orders[order.order_id] = order

    def close(self, order: Order, now_ns: int) -> None:
        """Start the 24 hours of an order's name, and forget those whose time is over."""
        memory = self._accounts[order.account_id]
        ended = memory.ended
        ended.append((now_ns, order, order.cl_ord_id))
        oldest_ns = now_ns - CLOSED_AGE_MAX_NS
        while len(ended) > self.closed_max or ended[0][0] <= oldest_ns:
            _, forgotten, cl_ord_id = ended.popleft()
            del memory.orders[cl_ord_id]
            if not forgotten.is_open and cl_ord_id == forgotten.cl_ord_id:
                del self._orders[forgotten.order_id]

    def rename(self, order: Order, cl_ord_id: ClOrdId, now_ns: int) -> None:
        """Give an open order another ClOrdID, and start the 24 hours of the one it had."""
        self.close(order, now_ns)
        order.cl_ord_id = cl_ord_id
        orders = self._accounts[order.account_id].orders
        assert cl_ord_id not in orders
        orders[cl_ord_id] = order

    def restore_closed(
        self, closed_orders: list[tuple[int, Order]], former_names: list[FormerName]
    ) -> None:
        """Remember again what had ended, the oldest of an account first. Open orders are known."""
        closed: defaultdict[AccountId, deque[tuple[int, Order]]] = defaultdict(deque)
        for closed_at_ns, order in closed_orders:
            self.add(order)
            closed[order.account_id].append((closed_at_ns, order))
        for name in former_names:
            ended = self._accounts[name.account_id].ended
            while len(ended) < name.place:
                closed_at_ns, order = closed[name.account_id].popleft()
                ended.append((closed_at_ns, order, order.cl_ord_id))
            order = self._orders[name.order_id]
            self._accounts[name.account_id].orders[name.cl_ord_id] = order
            ended.append((name.replaced_at_ns, order, name.cl_ord_id))
        for account_id, orders in closed.items():
            self._accounts[account_id].ended.extend(
                (closed_at_ns, order, order.cl_ord_id) for closed_at_ns, order in orders
            )

    def closed(self) -> list[tuple[int, Order]]:
        """Return the ended orders still known, each with when it ended, account by account."""
        return [
            (ended_at_ns, order)
            for _, memory in sorted(self._accounts.items())
            for ended_at_ns, order, cl_ord_id in memory.ended
            if cl_ord_id == order.cl_ord_id
        ]

    def former_names(self) -> list[FormerName]:
        """Return the names still known that amendments have replaced, account by account."""
        return [
            FormerName(account_id, place, replaced_at_ns, order.order_id, cl_ord_id)
            for account_id, memory in sorted(self._accounts.items())
            for place, (replaced_at_ns, order, cl_ord_id) in enumerate(memory.ended)
            if cl_ord_id != order.cl_ord_id
        ]

    def reach_ns(self, now_ns: int) -> int:
        """Return how long ended names are known at least: 24 hours, less where there are too many.

        Takes time in proportion to the accounts.
        """
        ages = (
            now_ns - memory.ended[0][0]
            for memory in self._accounts.values()
            if len(memory.ended) >= self.closed_max
        )
        return min([CLOSED_AGE_MAX_NS, *ages])
