"""What an order does on the floor once it is let in: it trades, and its rest stands or ends."""

from typing import Final

from engine.events import Event, Trade
from engine.floor import Floor
from engine.instrument import Instrument
from engine.matching import fillable, next_match
from engine.order import Order, OrdType, TimeInForce
from engine.reasons import CancelReason
from engine.units import TradeId

MARKET = OrdType.MARKET
FOK = TimeInForce.FOK
RESTING_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC)


class Execution:
    """Lets orders trade. Belongs to the thread that applies commands."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def execute(
        self, order: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        """Match an order that the floor has admitted, and let the rest of it stand or end."""
        if order.time_in_force is FOK and not self._can_fill_whole(order, instrument):
            events.append(self._floor.cancel(order, now_ns, CancelReason.FOK_CANNOT_FILL))
            return
        self._match(order, instrument, now_ns, events)
        if order.is_open:
            self._rest_or_cancel(order, instrument, now_ns, events)
        else:
            self._floor.memory.close(order, now_ns)

    def execute_again(
        self, order: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        """Match an order that was lifted out of the book to be amended, and put the rest back."""
        self._match(order, instrument, now_ns, events)
        if order.is_open:
            self._floor.stand(order)
        else:
            self._floor.close_filled(order, now_ns)

    def _can_fill_whole(self, order: Order, instrument: Instrument) -> bool:
        filled_qty, _ = fillable(
            self._floor.books[order.instrument_id].opposite(order.side),
            instrument,
            side=order.side,
            qty=order.leaves_qty,
            price=order.price,
        )
        return filled_qty == order.leaves_qty

    def _match(
        self, aggressor: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        floor = self._floor
        opposite = floor.books[instrument.instrument_id].opposite(aggressor.side)
        while aggressor.is_open:
            resting = next_match(opposite, aggressor)
            if resting is None:
                return
            assert resting.price is not None
            price = resting.price
            qty = min(aggressor.leaves_qty, resting.leaves_qty)
            notional = instrument.notional(price, qty)
            floor.trade_id_last = TradeId(floor.trade_id_last + 1)
            aggressor.fill(qty, notional)
            opposite.fill(resting, qty, notional)
            for order in (aggressor, resting):
                floor.release(order, instrument, qty)
                trade = Trade(
                    order=order.view(),
                    trade_id=floor.trade_id_last,
                    qty=qty,
                    price=price,
                    notional=notional,
                    base_amount=instrument.base_amount(qty),
                    base_asset_id=instrument.base.asset_id,
                    quote_asset_id=instrument.quote.asset_id,
                    is_resting=order is resting,
                )
                floor.ledger.settle(trade)
                events.append(trade)
            if not resting.is_open:
                floor.close_filled(resting, now_ns)

    def _rest_or_cancel(
        self, order: Order, instrument: Instrument, now_ns: int, events: list[Event]
    ) -> None:
        if order.ord_type is MARKET:
            events.append(self._floor.cancel(order, now_ns, CancelReason.MARKET_REMAINDER))
        elif order.time_in_force not in RESTING_TIMES:
            events.append(self._floor.cancel(order, now_ns, CancelReason.IOC_REMAINDER))
        else:
            self._floor.rest(order, instrument, now_ns)
