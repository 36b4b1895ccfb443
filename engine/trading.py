"""Orders: entry, cancelling, expiry. Every command is checked whole before it acts."""

from typing import Final

import msgspec

from engine.book import OrderBook
from engine.cascade import Cascade
from engine.commands import (
    CancelOrder,
    NewOrder,
    RefuseRequest,
    ReplaceOrder,
    SetTradingState,
)
from engine.events import (
    CancelRejected,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    TradingStateChanged,
)
from engine.execution import Execution
from engine.fees import FeeTable
from engine.floor import Floor
from engine.gate import Rejection, RiskGate
from engine.instrument import InstrumentDefinition
from engine.kept import FormerName
from engine.kill_switches import KillSwitches
from engine.ledger import Ledger
from engine.live_order import Order
from engine.open_orders import OpenOrders
from engine.order import OrderView, OrdStatus
from engine.order_checks import STOP_TYPES, OrderChecks, as_entered, is_only_smaller
from engine.order_memory import OrderMemory
from engine.phases import Phases
from engine.presence import Presence
from engine.reasons import CancelReason, RejectReason
from engine.reference import Reference
from engine.self_trade import SelfTradeRules
from engine.trading_state import MarketState, TradingState
from engine.uncrossing import Uncrossing
from engine.units import ClOrdId, InstrumentId, Money, OrderId, Price, Qty, Seq, SessionId, TradeId

EXPIRED_MAX: Final = 1000


class Trading:
    """What traders ask of the books. Belongs to the thread that applies commands."""

    def __init__(
        self,
        reference: Reference,
        ledger: Ledger,
        fees: FeeTable,
        gate: RiskGate,
        presence: Presence,
        kill_switches: KillSwitches,
    ) -> None:
        self._reference = reference
        self._floor = Floor(reference, ledger, fees)
        self.self_trade = SelfTradeRules(reference)
        self._execution = Execution(self._floor, self.self_trade, gate)
        self._phases = Phases(self._floor, self._execution)
        self._cascade = Cascade(self._floor, self._execution)
        self._checks = OrderChecks(self._floor, gate, presence, kill_switches, self.self_trade)

    @property
    def books(self) -> dict[InstrumentId, OrderBook]:
        """The books by instrument."""
        return self._floor.books

    @property
    def memory(self) -> OrderMemory:
        """The orders that are still known."""
        return self._floor.memory

    @property
    def open_orders(self) -> OpenOrders:
        """The orders that rest, by whose they are."""
        return self._floor.open_orders

    @property
    def trade_id_last(self) -> TradeId:
        """The last match's, 0 before the first."""
        return self._floor.trade_id_last

    @property
    def is_storage_low(self) -> bool:
        """Whether new orders are refused for want of space on the journal's disk."""
        return self._checks.is_storage_low

    def set_storage_low(self, *, is_low: bool) -> None:
        """Refuse new orders from now on, the journal's disk being nearly full, or take them."""
        self._checks.is_storage_low = is_low

    def open_book(self, definition: InstrumentDefinition) -> None:
        """Give a new instrument its book."""
        self._floor.open_book(definition)

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
        self._floor.restore(open_orders, closed_orders, former_names, trade_id_last)

    def restore_markets(
        self, markets: list[MarketState], reached: list[tuple[OrderId, Price]]
    ) -> None:
        """Put back the states of the markets, and which stop orders a price had reached."""
        for market in markets:
            self._phases.restore(market)
        self._floor.restore_reached(reached)

    def reached_stops(self) -> list[tuple[OrderId, Price]]:
        """Return the stop orders that are to enter, with the price that has triggered each."""
        return [item for book in self.books.values() for item in book.stops.reached()]

    def restore_expiries(self, order_ids: list[OrderId]) -> None:
        """Put back which orders end together in another order than that of their numbers."""
        self._floor.restore_expiries(order_ids)

    def unsorted_expiries(self) -> list[OrderId]:
        """Return the orders that `restore_expiries` wants to know."""
        return self._floor.expiries.unsorted_ids()

    def enter(self, seq: Seq, now_ns: int, command: NewOrder) -> list[Event]:
        """Check an order, match it, and let the rest of it stand or end."""
        rejection = self._checks.entry_refusal(command, now_ns)
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
            terms=command.terms,
            user_id=command.user_id,
            is_waiting=command.ord_type in STOP_TYPES,
        )
        if order.terms is not None:
            order.hide()
        self._floor.admit(order, instrument)
        events: list[Event] = [OrderAccepted(order.view())]
        if order.is_waiting:
            self._floor.rest(order, instrument, now_ns)
            self._watch_stop(order)
        else:
            self._execution.execute(order, instrument, now_ns, events)
        if self._floor.cascading:
            self._cascade.run(now_ns, events)
        return events

    def find_refusal(self, now_ns: int, command: NewOrder) -> Rejection | None:
        """Return why the order would be refused now, None if it would be let in."""
        return self._checks.entry_refusal(command, now_ns)

    def cancel(self, now_ns: int, command: CancelOrder) -> list[Event]:
        """Cancel what is open of an order, or say why not."""
        order = self._checks.find_named(command)
        reason = self._checks.cancel_refusal(command, order)
        if reason is not None:
            return [_cancel_rejected(command, order, Rejection(reason))]
        assert order is not None
        return [self._cancel_asked(now_ns, order, command, CancelReason.REQUESTED)]

    def replace(self, now_ns: int, command: ReplaceOrder) -> list[Event]:
        """Amend an order, or say why not and leave it as it was.

        It keeps its place when its quantity falls and nothing else changes. Amended to what is
        filled already, or less, it ends.
        """
        order = self._checks.find_named(command)
        rejection = self._checks.amend_refusal(command, order, now_ns)
        if rejection is not None:
            return [self._answer_not_amended(command, order, rejection)]
        assert order is not None
        if command.order_qty <= order.cum_qty:
            return [self._cancel_asked(now_ns, order, command, CancelReason.AMENDED_TO_FILLED)]
        instrument = self._reference.instruments[order.instrument_id]
        orig_cl_ord_id, orig_qty, orig_price = order.cl_ord_id, order.order_qty, order.price
        amended = as_entered(command, order)
        keeps_priority = is_only_smaller(order, amended)
        if keeps_priority:
            self._floor.reduce(order, Qty(order.order_qty - command.order_qty))
        else:
            self._floor.lift(order)
            self._floor.change(order, instrument, amended)
        self.memory.rename(order, command.cl_ord_id, now_ns)
        order.amend_count += 1
        events: list[Event] = [
            OrderReplaced(
                order.view(),
                orig_cl_ord_id,
                command.session_id,
                keeps_priority,
                orig_order_qty=orig_qty,
                orig_price=orig_price,
            )
        ]
        if order.is_waiting and not keeps_priority:
            self._floor.stand(order)
            self._watch_stop(order)
        elif not keeps_priority:
            self._execution.execute_again(order, instrument, now_ns, events)
        if self._floor.cascading:
            self._cascade.run(now_ns, events)
        return events

    def refuse(self, command: RefuseRequest) -> Event:
        """Say how the order stands of which the door has refused a cancel or an amendment."""
        order = self._checks.find_named(command)
        rejected = _cancel_rejected(command, order, Rejection(command.reason))
        return msgspec.structs.replace(rejected, is_replace=command.is_replace, text=command.text)

    def set_state(self, now_ns: int, command: SetTradingState) -> list[Event]:
        """Put a market into another state, or say why not."""
        events = self._phases.change(now_ns, command)
        self._cascade.run(now_ns, events)
        return events

    def state_events(self) -> list[TradingStateChanged]:
        """Return in which state each market is now, as the events that say so."""
        return self._phases.events()

    def indicate(self, instrument_id: InstrumentId) -> Uncrossing | None:
        """Return at what price the book would be uncrossed now, None when no orders cross."""
        return self._phases.indicate(instrument_id)

    def let_time_pass(self, now_ns: int) -> list[Event]:
        """Expire orders, let markets go on, and let stop orders enter that wait for their turn."""
        events = [*self._expire(now_ns), *self._phases.advance(now_ns)]
        self._cascade.run(now_ns, events)
        return events

    def cancel_swept(
        self,
        now_ns: int,
        order: Order,
        reason: CancelReason,
        *,
        cl_ord_id: ClOrdId = ClOrdId(""),
        request_session_id: SessionId = SessionId(0),
    ) -> OrderCanceled:
        """Cancel what is open of an order that rests, one of many that somebody wants gone."""
        self._floor.leave(order)
        return self._floor.cancel(
            order, now_ns, reason, cl_ord_id=cl_ord_id, request_session_id=request_session_id
        )

    def _expire(self, now_ns: int) -> list[Event]:
        """End the orders whose time has come, such as DAY orders at the end of the trading day.

        At most `EXPIRED_MAX` at a time: what is left stays due, so the next call goes on with it.
        """
        events: list[Event] = []
        for order in self._floor.expiries.due(now_ns, EXPIRED_MAX):
            expired_qty = order.leaves_qty
            self._floor.leave(order)
            instrument = self._reference.instruments[order.instrument_id]
            self._floor.end(order, instrument, now_ns, OrdStatus.EXPIRED)
            events.append(OrderExpired(order.view(), expired_qty))
        return events

    def next_timer_ns(self) -> int | None:
        """Return when `let_time_pass` has something to do, None when nothing waits."""
        if self._cascade.is_due:
            return 0
        timers = (self._floor.expiries.next_ns(), self._phases.next_ns())
        return min((timer_ns for timer_ns in timers if timer_ns is not None), default=None)

    def _watch_stop(self, order: Order) -> None:
        """Trigger a stop order at once when the last price has reached its stop price already."""
        book = self._floor.books[order.instrument_id]
        last_price = book.market.last_price
        if book.market.state is TradingState.CONTINUOUS and last_price is not None:
            self._floor.reach_stops(book, last_price)

    def _cancel_asked(
        self, now_ns: int, order: Order, command: CancelOrder | ReplaceOrder, reason: CancelReason
    ) -> OrderCanceled:
        self._floor.leave(order)
        return self._floor.cancel(
            order,
            now_ns,
            reason,
            cl_ord_id=command.cl_ord_id,
            request_session_id=command.session_id,
        )

    def _answer_not_amended(
        self, command: ReplaceOrder, order: Order | None, rejection: Rejection
    ) -> Event:
        known = self.memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id)
        is_repeat = rejection.reason is RejectReason.DUPLICATE_CLORDID and command.is_poss_resend
        if is_repeat and known is not None:
            return OrderStatusReported(known.view(), command.session_id)
        return _cancel_rejected(command, order, rejection)

    def _answer_refused(self, command: NewOrder, rejection: Rejection) -> Event:
        if rejection.reason is RejectReason.DUPLICATE_CLORDID and command.is_poss_resend:
            known = self.memory.find_by_cl_ord_id(command.account_id, command.cl_ord_id)
            assert known is not None
            return OrderStatusReported(known.view(), command.session_id)
        return OrderRejected(_refused_view(command), *rejection)


def _cancel_rejected(
    command: CancelOrder | ReplaceOrder | RefuseRequest, order: Order | None, rejection: Rejection
) -> CancelRejected:
    return CancelRejected(
        session_id=command.session_id,
        account_id=command.account_id,
        cl_ord_id=command.cl_ord_id,
        orig_cl_ord_id=command.orig_cl_ord_id,
        reason=rejection.reason,
        order=None if order is None else order.view(),
        is_replace=not isinstance(command, CancelOrder),
        limit=rejection.limit,
        actual=rejection.actual,
        scope=rejection.scope,
        detail=rejection.detail,
    )


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
        terms=command.terms,
        user_id=command.user_id,
    )
