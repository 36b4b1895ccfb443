"""Orders: entry, matching, cancelling, expiry. Every command is checked whole before it acts."""

from typing import Final

from engine.book import OrderBook
from engine.commands import CancelOrder, NewOrder
from engine.events import (
    CancelRejected,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderStatusReported,
    Trade,
)
from engine.expiry import ExpiryQueue
from engine.gate import Funding, Rejection, RiskGate
from engine.instrument import Account, Instrument, fits_the_journal
from engine.kill_switches import KillSwitches
from engine.ledger import Ledger
from engine.matching import fillable, next_match
from engine.open_orders import OpenOrders
from engine.order import Order, OrderView, OrdStatus, OrdType, Side, TimeInForce
from engine.order_memory import OrderMemory
from engine.presence import Presence
from engine.reasons import CancelReason, RejectReason
from engine.reference import Reference
from engine.units import (
    INT_MAX,
    AssetId,
    ClOrdId,
    InstrumentId,
    Money,
    OrderId,
    Price,
    Qty,
    Seq,
    SessionId,
    TradeId,
    is_cl_ord_id,
)

NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 24 * 3600 * NS_PER_S
EXPIRED_MAX: Final = 1000

BUY = Side.BUY
SELL = Side.SELL
MARKET = OrdType.MARKET
LIMIT = OrdType.LIMIT
DAY = TimeInForce.DAY
FOK = TimeInForce.FOK
RESTING_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC)


class Trading:
    """The books and the orders in them. Belongs to the thread that applies commands."""

    def __init__(
        self,
        reference: Reference,
        ledger: Ledger,
        gate: RiskGate,
        presence: Presence,
        kill_switches: KillSwitches,
    ) -> None:
        self._reference = reference
        self._ledger = ledger
        self._gate = gate
        self._presence = presence
        self._kill_switches = kill_switches
        self.memory = OrderMemory()
        self.open_orders = OpenOrders()
        self.books: dict[InstrumentId, OrderBook] = {}
        self.trade_id_last = TradeId(0)
        self.is_storage_low = False
        self._expiries = ExpiryQueue()

    def open_book(self, instrument_id: InstrumentId) -> None:
        """Give a new instrument its book."""
        self.books[instrument_id] = OrderBook()

    def restore(
        self,
        open_orders: list[Order],
        closed_orders: list[tuple[int, Order]],
        trade_id_last: TradeId,
    ) -> None:
        """Put back the orders as they stood. The books are open and empty.

        Open orders come in the order in which they would trade, ended ones with when they ended.
        """
        self.trade_id_last = trade_id_last
        for order in open_orders:
            self.memory.add(order)
            self.books[order.instrument_id].side(order.side).add(order)
            self.open_orders.add(order)
        # Orders that end together do so in the order in which they came.
        for order in sorted(open_orders, key=lambda order: order.order_id):
            if order.expires_at_ns:
                self._expiries.add(order)
        for closed_at_ns, order in closed_orders:
            self.memory.restore_closed(order, closed_at_ns)

    def enter(self, seq: Seq, now_ns: int, command: NewOrder) -> list[Event]:
        """Check an order, match it, and let the rest of it stand or end."""
        rejection = self._rejection(command, now_ns)
        if rejection is not None:
            return [self._answer_refused(command, rejection)]
        instrument = self._reference.instruments[command.instrument_id]
        order = Order(
            order_id=OrderId(seq),
            account_id=command.account_id,
            session_id=command.session_id,
            instrument_id=command.instrument_id,
            cl_ord_id=command.cl_ord_id,
            side=command.side,
            ord_type=command.ord_type,
            time_in_force=command.time_in_force,
            price=command.price,
            order_qty=command.order_qty,
            leaves_qty=command.order_qty,
            outlives_connection=command.outlives_connection,
        )
        self.memory.add(order)
        self._hold(order, instrument)
        events: list[Event] = [OrderAccepted(order.view())]
        if order.time_in_force is FOK and not self._can_fill_whole(order, instrument):
            events.append(self._cancel(order, instrument, now_ns, CancelReason.FOK_CANNOT_FILL))
            return events
        self._match(order, instrument, now_ns, events)
        if order.is_open:
            self._rest_or_cancel(order, instrument, now_ns, events)
        else:
            self.memory.close(order, now_ns)
        return events

    def cancel(self, now_ns: int, command: CancelOrder) -> list[Event]:
        """Cancel what is open of an order, or say why not."""
        order = self._find_named(command)
        reason = self._cancel_refusal(command, order)
        if reason is not None:
            return [
                CancelRejected(
                    session_id=command.session_id,
                    account_id=command.account_id,
                    cl_ord_id=command.cl_ord_id,
                    orig_cl_ord_id=command.orig_cl_ord_id,
                    reason=reason,
                    order=None if order is None else order.view(),
                )
            ]
        assert order is not None
        instrument = self._reference.instruments[order.instrument_id]
        self._leave_book(order)
        return [
            self._cancel(
                order,
                instrument,
                now_ns,
                CancelReason.REQUESTED,
                cl_ord_id=command.cl_ord_id,
                request_session_id=command.session_id,
            )
        ]

    def cancel_unasked(self, now_ns: int, order: Order, reason: CancelReason) -> OrderCanceled:
        """Cancel what is open of an order that rests, though its owner has not asked for it."""
        instrument = self._reference.instruments[order.instrument_id]
        self._leave_book(order)
        return self._cancel(order, instrument, now_ns, reason)

    def expire(self, now_ns: int) -> list[Event]:
        """End the orders whose time has come, such as DAY orders at the end of the trading day.

        At most `EXPIRED_MAX` at a time: what is left stays due, so the next call goes on with it.
        """
        events: list[Event] = []
        for order in self._expiries.due(now_ns, EXPIRED_MAX):
            expired_qty = order.leaves_qty
            self._leave_book(order)
            instrument = self._reference.instruments[order.instrument_id]
            self._end(order, instrument, now_ns, OrdStatus.EXPIRED)
            events.append(OrderExpired(order.view(), expired_qty))
        return events

    def next_timer_ns(self) -> int | None:
        """Return when `expire` next has something to do, None when no order waits for a time."""
        return self._expiries.next_ns()

    # What is checked, in the order in which reasons take precedence.

    def _rejection(self, command: NewOrder, now_ns: int) -> Rejection | None:
        account = self._reference.accounts.get(command.account_id)
        if account is None:
            return Rejection(RejectReason.ACCOUNT_UNKNOWN, actual=command.account_id)
        if self.memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id) is not None:
            return Rejection(RejectReason.DUPLICATE_CLORDID)
        instrument = self._reference.instruments.get(command.instrument_id)
        if instrument is None:
            return Rejection(RejectReason.SYMBOL_UNKNOWN, actual=command.instrument_id)
        if self.is_storage_low:
            return Rejection(RejectReason.STORAGE_LOW)
        rejection = self._untimely(command, account) or _content_rejection(command, instrument)
        if rejection is not None:
            return rejection
        funding = self._funding(command, instrument)
        return self._gate.check_new_order(command, account.firm_id, instrument, funding, now_ns)

    def _untimely(self, command: NewOrder, account: Account) -> Rejection | None:
        """Refuse what must not be entered now, or not any more."""
        scope = self._kill_switches.find(command.session_id, account)
        if scope is not None:
            return Rejection(RejectReason.KILLED, scope=scope)
        stale_before_ns = self._presence.stale_before_ns(command.session_id)
        if 0 < command.orig_sent_at_ns <= stale_before_ns:
            return Rejection(RejectReason.STALE, stale_before_ns, command.orig_sent_at_ns)
        return None

    def _funding(self, command: NewOrder, instrument: Instrument) -> Funding:
        if command.price is not None:
            notional = instrument.notional(command.price, command.order_qty)
        else:
            # A market order costs what the book asks at this moment: nothing comes in between.
            _, notional = self._fillable(command, instrument)
        if command.side is BUY:
            asset_id, needed = instrument.quote.asset_id, notional
        else:
            asset_id, needed = instrument.base.asset_id, instrument.base_amount(command.order_qty)
        available = self._ledger.get_balance(command.account_id, asset_id).available
        # A sum over a deep book may pass what the journal can write; no account has that much.
        return Funding(Money(min(notional, INT_MAX)), Money(min(needed, INT_MAX)), available)

    def _find_named(self, command: CancelOrder) -> Order | None:
        by_order_id = by_cl_ord_id = None
        if command.order_id:
            by_order_id = self.memory.find_by_order_id(command.order_id)
            if by_order_id is None or by_order_id.account_id != command.account_id:
                return None
        if command.orig_cl_ord_id:
            by_cl_ord_id = self.memory.find_by_cl_ord_id(command.account_id, command.orig_cl_ord_id)
            if by_cl_ord_id is None:
                return None
        if by_order_id and by_cl_ord_id and by_order_id is not by_cl_ord_id:
            return None
        order = by_order_id or by_cl_ord_id
        if order is None:
            return None
        if command.instrument_id and command.instrument_id != order.instrument_id:
            return None
        if command.side is not None and command.side is not order.side:
            return None
        return order

    def _cancel_refusal(self, command: CancelOrder, order: Order | None) -> RejectReason | None:
        if command.account_id not in self._reference.accounts:
            return RejectReason.ACCOUNT_UNKNOWN
        if self.memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id) is not None:
            return RejectReason.DUPLICATE_CLORDID
        if not is_cl_ord_id(command.cl_ord_id):
            return RejectReason.CLORDID_INVALID
        if order is None:
            return RejectReason.UNKNOWN_ORDER
        if not order.is_open:
            return RejectReason.TOO_LATE_TO_CANCEL
        return None

    def _answer_refused(self, command: NewOrder, rejection: Rejection) -> Event:
        if rejection.reason is RejectReason.DUPLICATE_CLORDID and command.is_poss_resend:
            known = self.memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id)
            assert known is not None
            return OrderStatusReported(known.view(), command.session_id)
        return OrderRejected(_refused_view(command), *rejection)

    # What changes, once everything has been checked.

    def _match(
        self, aggressor: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        opposite = self.books[instrument.instrument_id].opposite(aggressor.side)
        while aggressor.is_open:
            resting = next_match(opposite, aggressor)
            if resting is None:
                return
            assert resting.price is not None
            price = resting.price
            qty = min(aggressor.leaves_qty, resting.leaves_qty)
            notional = instrument.notional(price, qty)
            self.trade_id_last = TradeId(self.trade_id_last + 1)
            aggressor.fill(qty, notional)
            opposite.fill(resting, qty, notional)
            for order in (aggressor, resting):
                self._release(order, instrument, qty)
                trade = Trade(
                    order=order.view(),
                    trade_id=self.trade_id_last,
                    qty=qty,
                    price=price,
                    notional=notional,
                    base_amount=instrument.base_amount(qty),
                    base_asset_id=instrument.base.asset_id,
                    quote_asset_id=instrument.quote.asset_id,
                    is_resting=order is resting,
                )
                self._ledger.settle(trade)
                events.append(trade)
            if not resting.is_open:
                self.open_orders.discard(resting)
                self._expiries.discard(resting)
                self.memory.close(resting, now_ns)

    def _rest_or_cancel(
        self, order: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        if order.ord_type is MARKET:
            events.append(self._cancel(order, instrument, now_ns, CancelReason.MARKET_REMAINDER))
        elif order.time_in_force not in RESTING_TIMES:
            events.append(self._cancel(order, instrument, now_ns, CancelReason.IOC_REMAINDER))
        else:
            self.books[order.instrument_id].side(order.side).add(order)
            self.open_orders.add(order)
            if order.time_in_force is DAY:
                order.expires_at_ns = _day_end_ns(instrument, now_ns)
                self._expiries.add(order)

    def _cancel(
        self,
        order: Order,
        instrument: Instrument,
        now_ns: int,
        reason: CancelReason,
        *,
        cl_ord_id: ClOrdId = ClOrdId(""),
        request_session_id: SessionId = SessionId(0),
    ) -> OrderCanceled:
        canceled_qty = order.leaves_qty
        self._end(order, instrument, now_ns, OrdStatus.CANCELED)
        return OrderCanceled(order.view(), reason, canceled_qty, cl_ord_id, request_session_id)

    def _end(
        self, order: Order, instrument: Instrument, now_ns: int, ord_status: OrdStatus
    ) -> None:
        self._release(order, instrument, order.leaves_qty)
        order.end(ord_status)
        self.memory.close(order, now_ns)

    def _leave_book(self, order: Order) -> None:
        self.books[order.instrument_id].side(order.side).remove(order)
        self.open_orders.discard(order)
        self._expiries.discard(order)

    def _hold(self, order: Order, instrument: Instrument) -> None:
        order.held = _hold_amount(order, instrument, order.order_qty)
        self._ledger.hold(order.account_id, _paid_asset(order, instrument), order.held)

    def _release(self, order: Order, instrument: Instrument, qty: Qty) -> None:
        amount = _hold_amount(order, instrument, qty)
        order.held = Money(order.held - amount)
        assert order.held >= 0
        self._ledger.release(order.account_id, _paid_asset(order, instrument), amount)

    def _can_fill_whole(self, order: Order, instrument: Instrument) -> bool:
        filled_qty, _ = self._fillable(order, instrument)
        return filled_qty == order.order_qty

    def _fillable(self, order: NewOrder | Order, instrument: Instrument) -> tuple[Qty, Money]:
        return fillable(
            self.books[order.instrument_id].opposite(order.side),
            instrument,
            side=order.side,
            qty=order.order_qty,
            price=order.price,
        )


def _content_rejection(command: NewOrder, instrument: Instrument) -> Rejection | None:
    definition = instrument.definition
    price = command.price
    if not is_cl_ord_id(command.cl_ord_id):
        return Rejection(RejectReason.CLORDID_INVALID)
    if not 0 < command.order_qty <= INT_MAX:
        return Rejection(RejectReason.ORDER_QTY_INVALID, actual=command.order_qty)
    if command.ord_type is LIMIT and price is None:
        return Rejection(RejectReason.PRICE_REQUIRED)
    if command.ord_type is MARKET and price is not None:
        return Rejection(RejectReason.PRICE_NOT_ALLOWED)
    if price is not None and (price <= 0 or price % definition.tick_size):
        return Rejection(RejectReason.TICK_SIZE, definition.tick_size, price)
    if command.order_qty % definition.lot_size:
        return Rejection(RejectReason.LOT_SIZE, definition.lot_size, command.order_qty)
    largest = instrument.notional(price or Price(1), command.order_qty)
    if not fits_the_journal(largest) or not fits_the_journal(
        instrument.base_amount(command.order_qty)
    ):
        return Rejection(RejectReason.ORDER_QTY_INVALID, actual=command.order_qty)
    return None


def _refused_view(command: NewOrder) -> OrderView:
    return OrderView(
        order_id=OrderId(0),
        account_id=command.account_id,
        session_id=command.session_id,
        instrument_id=command.instrument_id,
        cl_ord_id=command.cl_ord_id,
        side=command.side,
        ord_type=command.ord_type,
        time_in_force=command.time_in_force,
        price=command.price,
        order_qty=command.order_qty,
        leaves_qty=Qty(0),
        cum_qty=Qty(0),
        cum_notional=Money(0),
        ord_status=OrdStatus.REJECTED,
    )


def _paid_asset(order: Order, instrument: Instrument) -> AssetId:
    return instrument.quote.asset_id if order.side is BUY else instrument.base.asset_id


def _hold_amount(order: Order, instrument: Instrument, qty: Qty) -> Money:
    """Return what must be reserved for `qty` of the order, 0 for one that settles at once."""
    if order.price is None:
        return Money(0)
    if order.side is BUY:
        return instrument.notional(order.price, qty)
    return instrument.base_amount(qty)


def _day_end_ns(instrument: Instrument, now_ns: int) -> int:
    """Return the first end of the instrument's trading day after `now_ns`."""
    midnight_ns = now_ns - now_ns % NS_PER_DAY
    ends_at_ns = midnight_ns + instrument.definition.session_end_s * NS_PER_S
    return ends_at_ns if ends_at_ns > now_ns else ends_at_ns + NS_PER_DAY
