"""Which orders rest in the books, by whose they are."""

from collections import defaultdict

from engine.live_order import Order
from engine.units import AccountId, OrderId, SessionId


class OpenOrders:
    """Finds the resting orders of a session or an account. Belongs to the applying thread."""

    __slots__ = ("_by_account", "_by_session")

    def __init__(self) -> None:
        self._by_account: defaultdict[AccountId, dict[OrderId, Order]] = defaultdict(dict)
        self._by_session: defaultdict[SessionId, dict[OrderId, Order]] = defaultdict(dict)

    def add(self, order: Order) -> None:
        """The order rests."""
        self._by_account[order.account_id][order.order_id] = order
        self._by_session[order.session_id][order.order_id] = order

    def discard(self, order: Order) -> None:
        """The order rests no more."""
        del self._by_account[order.account_id][order.order_id]
        del self._by_session[order.session_id][order.order_id]

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._by_account.values()))

    def of_account(self, account_id: AccountId) -> list[Order]:
        """Return the account's resting orders, in no particular order."""
        return list(self._by_account.get(account_id, {}).values())

    def of_session(self, session_id: SessionId) -> list[Order]:
        """Return the session's resting orders, in no particular order."""
        return list(self._by_session.get(session_id, {}).values())
