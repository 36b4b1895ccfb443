"""Depth from events: what changed, and where a reader begins."""

from engine.depth import DepthChange, DepthReader
from engine.order import Side
from engine.units import Price, Qty
from tests.exchange_desk import ALICE, BOB, BTC_USD, Desk

BUY, SELL = Side.BUY, Side.SELL


def change(side: Side, price: int, qty: int, order_count: int) -> DepthChange:
    """Return a level as it is now."""
    return DepthChange(BTC_USD, side, Price(price), Qty(qty), order_count)


def test_each_level_that_changed_is_told_once() -> None:
    """As it is after the record; one that an order has only passed through is not told."""
    desk = Desk()
    reader = DepthReader()
    assert reader.apply(desk.sell(BOB, 5, 101)) == [change(SELL, 101, 5, 1)]
    assert reader.apply(desk.sell(BOB, 5, 101)) == [change(SELL, 101, 10, 2)]
    assert reader.apply(desk.sell(BOB, 5, 102)) == [change(SELL, 102, 5, 1)]
    assert reader.apply(desk.buy(ALICE, 13, 102)) == [
        change(SELL, 101, 0, 0),
        change(SELL, 102, 2, 1),
    ]
    assert reader.apply(desk.amend(BOB, "c3", "a1", 9, 103)) == [
        change(SELL, 102, 0, 0),
        change(SELL, 103, 6, 1),
    ]
    assert reader.apply(desk.buy(ALICE, 0, 1)) == []
    assert reader.depth(BTC_USD, SELL, 9) == [(103, 6, 1)]
    assert reader.depth(BTC_USD, BUY, 9) == []


def test_reader_begins_with_a_snapshot() -> None:
    """It knows then what one knows that has read everything."""
    desk = Desk()
    for price in (95, 96, 96):
        desk.buy(ALICE, 5, price)
    desk.sell(BOB, 5, 101)
    reader = DepthReader(item.order for item in desk.exchange.state().open_orders)
    assert reader.depth(BTC_USD, BUY, 9) == [(96, 10, 2), (95, 5, 1)]
    assert reader.depth(BTC_USD, BUY, 1) == [(96, 10, 2)]
    assert (
        reader.apply(desk.sell(BOB, 12, 95))
        == [
            change(SELL, 95, 0, 0),
            change(BUY, 96, 0, 0),
            change(BUY, 95, 3, 1),
        ][1:]
    )
