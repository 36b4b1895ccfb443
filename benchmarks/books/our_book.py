"""Our book and matching alone: no ledger, no events, no checks. What the peers do, and no more."""

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.messages import Fill, Message
from engine.book import OrderBook
from engine.live_order import Order
from engine.matching import next_match
from engine.order import OrdType, Side, TimeInForce
from engine.trading_state import MarketState, TradingState
from engine.units import (
    AccountId,
    ClOrdId,
    InstrumentId,
    Money,
    SessionId,
)

BUY = Side.BUY
SELL = Side.SELL
LIMIT = OrdType.LIMIT
GTC = TimeInForce.GTC
ACCOUNT = AccountId(1)
SESSION = SessionId(0)
INSTRUMENT = InstrumentId(1)
CL_ORD_ID = ClOrdId("")
# The peers take plain numbers too: no time is spent on turning them into typed ones.
make_order: Final[Callable[..., Order]] = Order


class OurBook:
    """`engine.book` and `engine.matching` with a loop round them."""

    def __init__(self) -> None:
        self._book = OrderBook(MarketState(INSTRUMENT, TradingState.CONTINUOUS))
        self._orders: dict[int, Order] = {}
        self._fills: list[Fill] = []

    def prepare(self, messages: Sequence[Message]) -> None:
        """Nothing: it is called with numbers."""

    def enter(self, order_id: int, is_buy: bool, qty: int, price: int, is_ioc: bool) -> None:
        """Match an order, let the rest of it rest."""
        side = BUY if is_buy else SELL
        order = make_order(
            order_id, ACCOUNT, SESSION, INSTRUMENT, CL_ORD_ID, side, LIMIT, GTC, price, qty, qty
        )
        opposite = self._book.opposite(side)
        while order.leaves_qty:
            resting = next_match(opposite, order.side, order.price)
            if resting is None:
                break
            assert resting.price is not None
            filled = min(order.leaves_qty, resting.leaves_qty)
            notional = Money(resting.price * filled)
            order.fill(filled, notional)
            opposite.fill(resting, filled, notional)
            self._fills.append((order_id, resting.order_id, filled, resting.price))
            if not resting.leaves_qty:
                del self._orders[resting.order_id]
        if order.leaves_qty and not is_ioc:
            self._book.side(side).add(order)
            self._orders[order_id] = order

    def cancel(self, order_id: int) -> bool:
        """Take an order out."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return False
        self._book.side(order.side).remove(order)
        return True

    def fills(self) -> list[Fill]:
        """Return all fills so far."""
        return self._fills

    def resting_count(self) -> int:
        """Return how many orders rest."""
        return len(self._orders)

    def level_count(self) -> int:
        """Return how many price levels both sides have."""
        return sum(1 for side in (self._book.bids, self._book.asks) for _ in side.levels())

    def find(self, order_id: int) -> Order | None:
        """Return an order that rests, or None."""
        return self._orders.get(order_id)
