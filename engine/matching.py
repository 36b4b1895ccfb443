"""Price-time priority: which resting order an aggressor trades with next, and how much it could."""

from engine.book import BookSide, PriceLevel
from engine.instrument import Instrument
from engine.order import Order, Side
from engine.units import Money, Price, Qty

BUY = Side.BUY


def next_match(opposite: BookSide, aggressor: Order) -> Order | None:
    """Return the resting order that has priority, None when nothing left crosses."""
    level = opposite.best
    if level is None or not _crosses(aggressor.side, aggressor.price, level):
        return None
    return level.first


def fillable(
    opposite: BookSide,
    instrument: Instrument,
    *,
    side: Side,
    qty: Qty,
    price: Price | None,
) -> tuple[Qty, Money]:
    """Return how much of `qty` the book would fill at once at `price` or better, and its cost.

    `price` None takes any price. The book is only looked at.
    """
    open_qty = qty
    cost = 0
    for level in opposite.levels():
        if open_qty == 0 or not _crosses(side, price, level):
            break
        taken = Qty(min(open_qty, level.qty))
        open_qty = Qty(open_qty - taken)
        cost += instrument.notional(level.price, taken)
    return Qty(qty - open_qty), Money(cost)


def _crosses(side: Side, price: Price | None, level: PriceLevel) -> bool:
    if price is None:
        return True
    return price >= level.price if side is BUY else price <= level.price
