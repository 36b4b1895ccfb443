"""What an order does on the floor once it is let in: it trades, and its rest stands or ends."""

from typing import Final

from engine.events import Event, OrderRestated, Trade
from engine.floor import Floor
from engine.gate import Bound, RiskGate
from engine.instrument import Instrument
from engine.live_order import Order
from engine.matching import find_limit, find_reach, limit_of, next_match
from engine.order import SelfTradeMode, Side, TimeInForce
from engine.reasons import CancelReason
from engine.self_trade import SelfTradeGuard, SelfTradeRules
from engine.trading_state import TradingState
from engine.units import AssetId, Money, Price, Qty, TradeId

BUY = Side.BUY
FOK = TimeInForce.FOK
CONTINUOUS = TradingState.CONTINUOUS
NO_FEE: Final = (Money(0), AssetId(0))
RESTING_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)


class Execution:
    """Lets orders trade. Belongs to the thread that applies commands."""

    def __init__(self, floor: Floor, self_trade: SelfTradeRules, gate: RiskGate) -> None:
        self._floor = floor
        self._self_trade = self_trade
        self._gate = gate

    def execute(
        self, order: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        """Match an order that the floor has admitted, and let the rest of it stand or end.

        Where nothing is matched at the moment it is one that may rest, and does.
        """
        if self._floor.books[order.instrument_id].market.state is not CONTINUOUS:
            self._floor.rest(order, instrument, now_ns)
            return
        guard = self._self_trade.find_guard(order.account_id, order.session_id, order.terms)
        reason = None
        if order.time_in_force is FOK or order.terms is not None:
            reason = self._refuses_to_start(order, instrument, guard, now_ns)
        if reason is None:
            reason = self._match(order, instrument, guard, now_ns, events)
        if reason is not None:
            events.append(self._floor.cancel(order, now_ns, reason))
        elif order.leaves_qty:
            self._rest_or_cancel(order, instrument, now_ns, events)
        else:
            self._floor.memory.close(order, now_ns)

    def execute_again(
        self, order: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        """Match an order that was lifted out of the book to be amended, and put the rest back."""
        if self._floor.books[order.instrument_id].market.state is not CONTINUOUS:
            self._floor.stand(order)
            return
        guard = self._self_trade.find_guard(order.account_id, order.session_id, order.terms)
        reason = self._match(order, instrument, guard, now_ns, events)
        # One that its owner's other orders would end is refused.
        assert reason is not CancelReason.SELF_TRADE
        if reason is not None:
            self._floor.delist(order)
            events.append(self._floor.cancel(order, now_ns, reason))
        elif order.is_open:
            self._floor.stand(order)
        else:
            self._floor.close_filled(order, now_ns)

    def cross(self, bid: Order, ask: Order, now_ns: int, events: list[Event]) -> None:
        """Trade two orders that stand in a book that is being uncrossed."""
        self._trade(bid, ask, self._floor.reference.instruments[bid.instrument_id], now_ns, events)

    def _refuses_to_start(
        self, order: Order, instrument: Instrument, guard: SelfTradeGuard | None, now_ns: int
    ) -> CancelReason | None:
        """Return why the order ends before it touches anything, None when it does not."""
        is_fok = order.time_in_force is FOK
        min_qty = 0 if order.terms is None else order.terms.min_qty
        if not is_fok and not min_qty:
            return None
        opposite = self._floor.books[order.instrument_id].opposite(order.side)
        limit = find_limit(opposite, instrument, order.side, order.price)
        bound = self._find_bound(order, instrument, now_ns)
        reach = find_reach(
            opposite,
            instrument,
            side=order.side,
            qty=order.leaves_qty,
            price=_tighter(order.side, limit, bound),
            guard=guard,
        )
        if is_fok and reach.qty < order.leaves_qty:
            return CancelReason.FOK_CANNOT_FILL
        return CancelReason.MIN_QTY_CANNOT_FILL if reach.qty < min_qty else None

    def _match(
        self,
        aggressor: Order,
        instrument: Instrument,
        guard: SelfTradeGuard | None,
        now_ns: int,
        events: list[Event],
    ) -> CancelReason | None:
        """Trade what crosses. Returns why the rest is to end, None when it is not."""
        side = aggressor.side
        book = self._floor.books[aggressor.instrument_id]
        opposite = book.asks if side is BUY else book.bids
        limit = aggressor.price
        if limit is None:
            limit = find_limit(opposite, instrument, side, limit_of(aggressor, instrument))
        first = next_match(opposite, side, limit)
        if first is None:
            return None
        # As it is when the order begins: its own trades do not move it.
        bound = self._find_bound(aggressor, instrument, now_ns)
        if bound is not None and _is_nearer(side, first, bound):
            return CancelReason.CIRCUIT_BREAKER
        reach = _tighter(side, limit, bound)
        while aggressor.leaves_qty:
            resting = next_match(opposite, side, reach)
            if resting is None:
                is_bound = bound is not None and next_match(opposite, side, limit) is not None
                return bound.reason if bound is not None and is_bound else None
            if guard is None or not guard.is_own(resting):
                self._trade(aggressor, resting, instrument, now_ns, events)
            elif self._prevent(guard.mode, aggressor, resting, now_ns, events):
                return CancelReason.SELF_TRADE
        return None

    def _find_bound(self, order: Order, instrument: Instrument, now_ns: int) -> Bound | None:
        book = self._floor.books[instrument.instrument_id]
        is_market = order.price is None
        return self._gate.find_bound(instrument, order.side, book, now_ns, is_market=is_market)

    def _trade(
        self,
        aggressor: Order,
        resting: Order,
        instrument: Instrument,
        now_ns: int,
        events: list[Event],
    ) -> None:
        floor = self._floor
        book = floor.books[resting.instrument_id]
        market = book.market
        # While a market opens both orders are in the book, and trade at the price of the opening.
        is_uncrossing = market.opening_price is not None
        price = market.opening_price or resting.price
        assert price is not None
        market.last_price = price
        if book.stops.waiting_count:
            floor.reach_stops(book, price)
        # What a resting order shows is written out: a call would cost as much as the comparison.
        qty = Qty(min(aggressor.leaves_qty, resting.leaves_qty - resting.hidden_qty))
        if is_uncrossing:
            qty = min(aggressor.shown_qty, qty)
        notional = instrument.notional(price, qty)
        base_amount = instrument.base_amount(qty)
        floor.trade_id_last = TradeId(floor.trade_id_last + 1)
        if is_uncrossing:
            book.side(aggressor.side).fill(aggressor, qty, notional)
        else:
            aggressor.fill(qty, notional)
            if aggressor.hidden_qty:
                aggressor.hide()
        standing = book.bids if resting.side is BUY else book.asks
        standing.fill(resting, qty, notional)
        for order in (aggressor, resting):
            floor.release(order, instrument)
            fee, fee_asset_id = NO_FEE
            if order.fees is not None:
                is_maker = order is resting and not is_uncrossing
                fee = order.fees.fee(notional, is_resting=is_maker)
                fee_asset_id = instrument.quote.asset_id
            trade = Trade(
                order=order.view(),
                trade_id=floor.trade_id_last,
                qty=qty,
                price=price,
                notional=notional,
                base_amount=base_amount,
                base_asset_id=instrument.base.asset_id,
                quote_asset_id=instrument.quote.asset_id,
                is_resting=is_uncrossing or order is resting,
                fee=fee,
                fee_asset_id=fee_asset_id,
                is_uncrossing=is_uncrossing,
            )
            floor.ledger.settle(trade)
            events.append(trade)
        if not resting.leaves_qty:
            floor.close_filled(resting, now_ns)
        if is_uncrossing and not aggressor.is_open:
            floor.close_filled(aggressor, now_ns)

    def _prevent(
        self,
        mode: SelfTradeMode,
        aggressor: Order,
        resting: Order,
        now_ns: int,
        events: list[Event],
    ) -> bool:
        """Do what is done instead of a trade. Returns whether the aggressor is to end."""
        floor = self._floor
        if mode is SelfTradeMode.CANCEL_AGGRESSOR:
            return True
        qty = min(aggressor.leaves_qty, resting.shown_qty)
        if mode is SelfTradeMode.DECREMENT and qty < resting.leaves_qty:
            floor.reduce_shown(resting, qty)
            events.append(OrderRestated(resting.view(), CancelReason.SELF_TRADE, qty))
        else:
            floor.leave(resting)
            events.append(floor.cancel(resting, now_ns, CancelReason.SELF_TRADE))
        if mode is not SelfTradeMode.DECREMENT:
            return mode is SelfTradeMode.CANCEL_BOTH
        if qty == aggressor.leaves_qty:
            return True
        floor.reduce(aggressor, qty)
        events.append(OrderRestated(aggressor.view(), CancelReason.SELF_TRADE, qty))
        return False

    def _rest_or_cancel(
        self, order: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        if order.price is None:
            book = self._floor.books[order.instrument_id]
            is_protected = book.opposite(order.side).best is not None
            reason = (
                CancelReason.MARKET_PROTECTION if is_protected else CancelReason.MARKET_REMAINDER
            )
            events.append(self._floor.cancel(order, now_ns, reason))
        elif order.time_in_force not in RESTING_TIMES:
            events.append(self._floor.cancel(order, now_ns, CancelReason.IOC_REMAINDER))
        else:
            self._floor.rest(order, instrument, now_ns)


def _is_nearer(side: Side, first: Order, bound: Bound) -> bool:
    """Whether the best order of the book is outside the band on the side that favours the taker."""
    if bound.nearest is None or first.price is None:
        return False
    return first.price < bound.nearest if side is BUY else first.price > bound.nearest


def _tighter(side: Side, limit: Price | None, bound: Bound | None) -> Price | None:
    """Return the worst price that both allow, None for any."""
    if bound is None:
        return limit
    if limit is None:
        return bound.price
    return min(limit, bound.price) if side is BUY else max(limit, bound.price)
