"""Price-time priority: which resting order an aggressor trades with next, and how much it could."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from engine.book import BookSide, PriceLevel
from engine.commands import NewOrder
from engine.instrument import Instrument
from engine.live_order import Order
from engine.order import OrderView, SelfTradeMode, Side
from engine.self_trade import SelfTradeGuard
from engine.units import Money, Price, Qty

BUY = Side.BUY


def limit_of(order: Order | OrderView | NewOrder, instrument: Instrument) -> Price | None:
    """Return the worst price at which an order may ever trade, None for one without a limit.

    A stop order without a price is protected as a market order would be that finds the stop price:
    so it is known from the beginning what it may cost.
    """
    terms = order.terms
    if order.price is not None or terms is None or terms.stop_price is None:
        return order.price
    return instrument.worst_price(terms.stop_price, is_buy=order.side is BUY)


def counted_price(order: Order | OrderView | NewOrder, instrument: Instrument) -> Price | None:
    """Return the price at which an order counts against limits, None for a market order.

    A stop order to sell at any price counts at its stop price.
    """
    price = limit_of(order, instrument)
    if price is None and order.terms is not None:
        return order.terms.stop_price
    return price


def find_limit(
    opposite: BookSide, instrument: Instrument, side: Side, price: Price | None
) -> Price | None:
    """Return the worst price at which an order of that price may trade, None for any.

    A market order's is as far from the best price that it finds as the instrument allows.
    """
    if price is not None or opposite.best is None:
        return price
    return instrument.worst_price(opposite.best.price, is_buy=side is BUY)


def next_match(opposite: BookSide, side: Side, limit: Price | None) -> Order | None:
    """Return the resting order that has priority, None when nothing left crosses."""
    level = opposite.best
    if level is None:
        return None
    # What `_crosses` says, written out: every order asks at least once.
    if limit is not None and (limit < level.price if side is BUY else limit > level.price):
        return None
    return level.first


class Reach(NamedTuple):
    """What an order would do to the book at once: how much would trade, and for how much.

    `meets_own` when it would come to an order of the same owner before it is filled.
    """

    qty: Qty
    notional: Money
    meets_own: bool = False


def find_reach(
    opposite: BookSide,
    instrument: Instrument,
    *,
    side: Side,
    qty: Qty,
    price: Price | None,
    guard: SelfTradeGuard | None = None,
) -> Reach:
    """Return what `qty` would do at once at `price` or better. The book is only looked at.

    What is hidden counts.

    `price` None takes any price that the instrument allows a market order.
    """
    price = find_limit(opposite, instrument, side, price)
    if guard is not None:
        return _guarded_reach(_crossing_slices(opposite, side, price), instrument, qty, guard)
    open_qty = qty
    notional = 0
    for level in opposite.levels():
        if open_qty == 0 or not _crosses(side, price, level):
            break
        taken = Qty(min(open_qty, level.qty))
        open_qty = Qty(open_qty - taken)
        notional += instrument.notional(level.price, taken)
    return Reach(Qty(qty - open_qty), Money(notional))


def would_trade(opposite: BookSide, side: Side, price: Price) -> bool:
    """Whether an order at `price` would find somebody to trade with, its own owner included."""
    return opposite.best is not None and _crosses(side, price, opposite.best)


def _crossing_slices(
    opposite: BookSide, side: Side, price: Price | None
) -> Iterator[tuple[Order, Qty]]:
    """Yield the orders with what would be met of them, an iceberg as often as it shows more."""
    for level in opposite.levels():
        if not _crosses(side, price, level):
            return
        slices = deque((order, order.shown_qty, order.hidden_qty) for order in level.orders())
        while slices:
            order, shown_qty, hidden_qty = slices.popleft()
            yield order, shown_qty
            if hidden_qty:
                assert order.terms is not None
                shown_qty = min(order.terms.display_qty, hidden_qty)
                slices.append((order, shown_qty, Qty(hidden_qty - shown_qty)))


def _guarded_reach(
    slices: Iterator[tuple[Order, Qty]], instrument: Instrument, qty: Qty, guard: SelfTradeGuard
) -> Reach:
    open_qty = qty
    traded_qty = notional = 0
    meets_own = False
    for order, slice_qty in slices:
        if open_qty == 0:
            break
        taken = Qty(min(open_qty, slice_qty))
        if not guard.is_own(order):
            assert order.price is not None
            traded_qty += taken
            notional += instrument.notional(order.price, taken)
            open_qty = Qty(open_qty - taken)
            continue
        meets_own = True
        if guard.mode is SelfTradeMode.DECREMENT:
            open_qty = Qty(open_qty - taken)
        elif guard.mode is not SelfTradeMode.CANCEL_RESTING:
            break
    return Reach(Qty(traded_qty), Money(notional), meets_own)


def _crosses(side: Side, price: Price | None, level: PriceLevel) -> bool:
    if price is None:
        return True
    return price >= level.price if side is BUY else price <= level.price
