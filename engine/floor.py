"""The floor: the books and their orders, whose they are, what is held for them, when they end.

Each method does one thing to one order and keeps all indexes of it in step. What is decided about
an order is decided elsewhere.
"""

from typing import Final

from engine.book import OrderBook
from engine.commands import NewOrder
from engine.events import OrderCanceled
from engine.expiry import ExpiryQueue
from engine.fee_rates import FeeRates
from engine.fees import FeeTable
from engine.instrument import Instrument, InstrumentDefinition
from engine.kept import FormerName
from engine.ledger import Ledger
from engine.live_order import Order
from engine.matching import limit_of
from engine.open_orders import OpenOrders
from engine.order import OrdStatus, OrdType, Side, TimeInForce
from engine.order_memory import OrderMemory
from engine.reasons import CancelReason
from engine.reference import Reference
from engine.trading_state import MarketState
from engine.units import (
    AssetId,
    ClOrdId,
    InstrumentId,
    Money,
    OrderId,
    Price,
    Qty,
    SessionId,
    TradeId,
)

NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 24 * 3600 * NS_PER_S

NOTHING: Final = Money(0)
BUY = Side.BUY
DAY = TimeInForce.DAY


class Floor:
    """The orders that the exchange knows. Belongs to the thread that applies commands."""

    def __init__(self, reference: Reference, ledger: Ledger, fees: FeeTable) -> None:
        self.reference = reference
        self.ledger = ledger
        self.fees = fees
        self.memory = OrderMemory()
        self.open_orders = OpenOrders()
        self.expiries = ExpiryQueue()
        self.books: dict[InstrumentId, OrderBook] = {}
        # Those with stop orders that a price has reached and that have not entered yet.
        self.cascading: dict[InstrumentId, OrderBook] = {}
        self.trade_id_last = TradeId(0)

    def open_book(self, definition: InstrumentDefinition) -> None:
        """Give a new instrument its book."""
        instrument_id = definition.instrument_id
        self.books[instrument_id] = OrderBook(MarketState(instrument_id, definition.initial_state))

    def restore(
        self,
        open_orders: list[Order],
        closed_orders: list[tuple[int, Order]],
        former_names: list[FormerName],
        trade_id_last: TradeId,
    ) -> None:
        """Put back the orders as they stood. The books are open and empty.

        Open orders come in the order in which they would trade, ended ones with when they ended.
        """
        self.trade_id_last = trade_id_last
        for order in open_orders:
            self.memory.add(order)
            self.stand(order)
            self.open_orders.add(order)
        # Orders that end together do so in the order in which they came: see `restore_expiries`.
        for order in sorted(open_orders, key=lambda order: order.order_id):
            if order.expires_at_ns:
                self.expiries.add(order)
        self.memory.restore_closed(closed_orders, former_names)

    def admit(self, order: Order, instrument: Instrument) -> None:
        """Remember a new order and reserve what it may cost. It has been checked."""
        self.memory.add(order)
        if not self.fees.is_free:
            order.fees = self.fees.find(order.account_id, order.instrument_id)
        self._hold(order, instrument)

    def rest(self, order: Order, instrument: Instrument, now_ns: int) -> None:
        """Let what is open of a new order stand: in the book, among its owner's, until its end."""
        self.stand(order)
        self.open_orders.add(order)
        # A stop order that was triggered ends when it would have ended before.
        if not order.expires_at_ns:
            if order.time_in_force is DAY:
                order.expires_at_ns = _day_end_ns(instrument, now_ns)
            elif order.terms is not None:
                order.expires_at_ns = order.terms.expires_at_ns
        if order.expires_at_ns:
            self.expiries.add(order)

    def leave(self, order: Order) -> None:
        """Let a resting order stand no more, with what is open of it."""
        self.lift(order)
        self.delist(order)

    def stand(self, order: Order) -> None:
        """Put an order into the book or among the stop orders, behind all others of its price."""
        book = self.books[order.instrument_id]
        if order.is_waiting:
            book.stops.add(order)
        elif order.side is BUY:
            book.bids.add(order)
        else:
            book.asks.add(order)

    def lift(self, order: Order) -> None:
        """Take an order out of where it stands. It will stand again, or be delisted."""
        book = self.books[order.instrument_id]
        if order.is_waiting:
            book.stops.remove(order)
        elif order.side is BUY:
            book.bids.remove(order)
        else:
            book.asks.remove(order)

    def delist(self, order: Order) -> None:
        """Count an order that has left the book no longer among its owner's."""
        self.open_orders.discard(order)
        self.expiries.discard(order)

    def close_filled(self, resting: Order, now_ns: int) -> None:
        """Let go of an order whose last fill has taken it out of the book."""
        self.open_orders.discard(resting)
        self.expiries.discard(resting)
        self.memory.close(resting, now_ns)

    def reach_stops(self, book: OrderBook, price: Price) -> None:
        """Let the stop orders that a price has reached be next to enter the book."""
        if book.stops.reach(price):
            self.cascading[book.market.instrument_id] = book

    def restore_reached(self, reached: list[tuple[OrderId, Price]]) -> None:
        """Let stop orders that were put back have been reached, in that order."""
        for order_id, price in reached:
            order = self.memory.find_by_order_id(order_id)
            assert order is not None
            book = self.books[order.instrument_id]
            book.stops.restore_reached(order, price)
            self.cascading[order.instrument_id] = book

    def restore_expiries(self, order_ids: list[OrderId]) -> None:
        """Let orders that were put back end in that order, where they end together."""
        for order_id in order_ids:
            order = self.memory.find_by_order_id(order_id)
            assert order is not None
            self.expiries.put_last(order)

    def change(self, order: Order, instrument: Instrument, amended: NewOrder) -> None:
        """Make an order that stands nowhere what it is to be, and hold for that.

        It has been checked: the quantity is above what is filled, and the account can pay. The fees
        of this moment hold for it from now on.
        """
        order.order_qty = amended.order_qty
        order.leaves_qty = Qty(amended.order_qty - order.cum_qty)
        order.price = amended.price
        order.terms = amended.terms
        order.hide()
        order.fees = self.fees.find(order.account_id, order.instrument_id)
        self.ledger.release(order.account_id, paid_asset(order.side, instrument), order.held)
        self._hold(order, instrument)

    def reduce(self, order: Order, qty: Qty) -> None:
        """Make an order smaller by `qty`, which leaves some of it. If it rests, in its place."""
        if order.level is not None:
            self.books[order.instrument_id].side(order.side).reduce(order, qty)
        else:
            order.reduce(qty)
            order.hide()
        self.release(order, self.reference.instruments[order.instrument_id])

    def reduce_shown(self, order: Order, qty: Qty) -> None:
        """Take away from a resting order what would have traded of what it shows."""
        self.books[order.instrument_id].side(order.side).reduce_shown(order, qty)
        self.release(order, self.reference.instruments[order.instrument_id])

    def release(self, order: Order, instrument: Instrument) -> None:
        """Give back what is held for the order beyond what is open of it, to the last unit."""
        needed = NOTHING
        if order.leaves_qty:
            needed = hold_amount(order, instrument, order.leaves_qty)
        asset = instrument.quote if order.side is BUY else instrument.base
        self.ledger.release(order.account_id, asset.asset_id, Money(order.held - needed))
        order.held = needed

    def end(self, order: Order, instrument: Instrument, now_ns: int, ord_status: OrdStatus) -> None:
        """End an order that is in no book, and release what is held for it."""
        order.end(ord_status)
        self.release(order, instrument)
        self.memory.close(order, now_ns)

    def cancel(
        self,
        order: Order,
        now_ns: int,
        reason: CancelReason,
        *,
        cl_ord_id: ClOrdId = ClOrdId(""),
        request_session_id: SessionId = SessionId(0),
    ) -> OrderCanceled:
        """Cancel what is open of an order that is in no book."""
        canceled_qty = order.leaves_qty
        instrument = self.reference.instruments[order.instrument_id]
        self.end(order, instrument, now_ns, OrdStatus.CANCELED)
        return OrderCanceled(order.view(), reason, canceled_qty, cl_ord_id, request_session_id)

    def _hold(self, order: Order, instrument: Instrument) -> None:
        order.held = hold_amount(order, instrument, order.leaves_qty)
        asset = instrument.quote if order.side is BUY else instrument.base
        self.ledger.hold(order.account_id, asset.asset_id, order.held)


def paid_asset(side: Side, instrument: Instrument) -> AssetId:
    """Return what orders of that side pay with."""
    return instrument.quote.asset_id if side is BUY else instrument.base.asset_id


def hold_amount(order: Order, instrument: Instrument, qty: Qty) -> Money:
    """Return what must be reserved for `qty` of the order, 0 for one that settles at once."""
    price = order.price
    if not qty or (price is None and order.ord_type is OrdType.MARKET):
        return Money(0)
    if order.side is not BUY:
        return Money(qty * instrument.base_factor)
    if price is None:
        price = limit_of(order, instrument)
        assert price is not None, "a stop order to buy without a limit is refused"
    notional = instrument.notional(price, qty)
    return notional if order.fees is None else with_fee(notional, order.fees)


def with_fee(notional: Money, fees: FeeRates) -> Money:
    """Return what a buyer may have to pay in all. A seller's fee comes out of what he is paid."""
    return Money(notional + fees.worst_fee(notional))


def _day_end_ns(instrument: Instrument, now_ns: int) -> int:
    """Return the first end of the instrument's trading day after `now_ns`."""
    midnight_ns = now_ns - now_ns % NS_PER_DAY
    ends_at_ns = midnight_ns + instrument.definition.session_end_s * NS_PER_S
    return ends_at_ns if ends_at_ns > now_ns else ends_at_ns + NS_PER_DAY
