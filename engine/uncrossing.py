"""Uncrossing: the one price at which a crossed book trades most."""

from collections.abc import Iterator
from itertools import pairwise, takewhile
from typing import NamedTuple

from engine.book import BookSide, OrderBook, PriceLevel
from engine.live_order import Order
from engine.units import Price, Qty


class Uncrossing(NamedTuple):
    """What an opening would do: trade `volume` at `price`.

    `imbalance` is what would be left over at the price, above zero of bids, below zero of asks.
    """

    price: Price
    volume: Qty
    imbalance: int


def find_uncrossing(book: OrderBook, tick_size: Price) -> Uncrossing | None:
    """Return how the book would be uncrossed, None when no orders cross. It is only looked at.

    The greatest volume decides, then the smallest imbalance, then the least distance from the
    reference price: what an operator has named, else the last price that traded, else the middle
    between the best bid and the best ask.
    """
    if not book.is_crossed:
        return None
    assert book.bids.best is not None
    assert book.asks.best is not None
    high, low = book.bids.best.price, book.asks.best.price
    reference = book.market.reference_price or book.market.last_price
    if reference is None:
        reference = Price((high + low) // 2 // tick_size * tick_size)

    def rank(found: Uncrossing) -> tuple[int, int, int]:
        # No two are equal in all three: the reference, between two that were, would be as good.
        return (-found.volume, abs(found.imbalance), abs(found.price - reference))

    return min(_candidates(book, low, high, reference, tick_size), key=rank)


def next_pair(book: OrderBook, price: Price) -> tuple[Order, Order] | None:
    """Return the bid and the ask that trade next at the price, None when one side has no more."""
    bid, ask = book.bids.best, book.asks.best
    if bid is None or ask is None or bid.price < price or ask.price > price:
        return None
    assert bid.first is not None
    assert ask.first is not None
    return bid.first, ask.first


def _candidates(
    book: OrderBook, low: Price, high: Price, reference: Price, tick_size: Price
) -> Iterator[Uncrossing]:
    """Yield the outcome at each price that has orders, and at the best one in each gap between."""
    asks = {level.price: level.qty for level in _levels(book.asks, low, high)}
    bids = {level.price: level.qty for level in _levels(book.bids, low, high)}
    prices = sorted(asks.keys() | bids.keys())
    demand = sum(bids.values())  # Of bids at the price or above it.
    supply = 0  # Of asks at the price or below it.
    for price, above in pairwise([*prices, None]):
        assert price is not None
        supply += asks.get(price, 0)
        yield _outcome(price, demand, supply)
        demand -= bids.get(price, 0)
        if above is not None and above - price > tick_size:
            nearest = max(price + tick_size, min(reference, above - tick_size))
            yield _outcome(Price(nearest), demand, supply)


def _levels(side: BookSide, low: Price, high: Price) -> Iterator[PriceLevel]:
    return takewhile(lambda level: low <= level.price <= high, side.levels())


def _outcome(price: Price, demand: int, supply: int) -> Uncrossing:
    return Uncrossing(price, Qty(min(demand, supply)), demand - supply)
