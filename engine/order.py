"""An order as it is told of: its fields' values, its terms, and the view that events carry."""

from enum import Enum
from typing import Final

import msgspec

from engine.units import (
    AccountId,
    ClOrdId,
    InstrumentId,
    Money,
    OrderId,
    Price,
    Qty,
    SessionId,
    UserId,
)

NO_USER: Final = UserId(0)


class FieldValue(Enum):
    """Values of a FIX field. Looked up by identity: the hash of the name is a call in Python."""

    __hash__ = object.__hash__


class Side(FieldValue):
    """Side(54)."""

    BUY = 1
    SELL = 2


class OrdType(FieldValue):
    """OrdType(40)."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(FieldValue):
    """TimeInForce(59)."""

    DAY = 0
    GTC = 1
    IOC = 3
    FOK = 4
    GTD = 6


class OrdStatus(FieldValue):
    """OrdStatus(39)."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    REJECTED = 8
    EXPIRED = 12


class SelfTradeMode(Enum):
    """What happens instead of a trade when an order meets another of the same owner.

    The mode of the order that comes in decides. ALLOW lets the two trade.
    """

    ALLOW = 0
    CANCEL_AGGRESSOR = 1
    CANCEL_RESTING = 2
    CANCEL_BOTH = 3
    DECREMENT = 4


class TriggerDirection(Enum):
    """TriggerPriceDirection(1109): where the last price must go to reach a stop price."""

    UP = 1
    DOWN = 2


class OrderTerms(msgspec.Struct, frozen=True, array_like=True):
    """What few orders ask for. An order without any of it has no terms.

    `min_qty` is what must trade at once, 0 for nothing; `expires_at_ns` is the end of a GTD order.
    `self_trade` None leaves it to the session or the venue; orders of a firm that bear the same
    `self_trade_group` above 0 count as one owner's, as those of one account always do.
    An iceberg shows at most `display_qty` of itself at a time, 0 is all.
    `stop_price` is what a stop order waits for; `trigger` None: up for a buy, down for a sell.
    """

    is_post_only: bool = False
    min_qty: Qty = Qty(0)
    expires_at_ns: int = 0
    self_trade: SelfTradeMode | None = None
    self_trade_group: int = 0
    stop_price: Price | None = None
    trigger: TriggerDirection | None = None
    display_qty: Qty = Qty(0)

    def trigger_direction(self, side: Side) -> TriggerDirection:
        """Return where the last price must go to trigger a stop order of that side."""
        if self.trigger is not None:
            return self.trigger
        return TriggerDirection.UP if side is Side.BUY else TriggerDirection.DOWN


class OrderView(msgspec.Struct, frozen=True, array_like=True):
    """An order as it stood after one event. Complete: a reader can rebuild the order from it.

    `price` is None for a market order, also for one that waits for its stop price. One that
    `is_waiting` has not been triggered yet and stands in no book. `order_id` is 0 for an order that
    was refused.
    `hidden_qty` of what is open is not shown.
    `cum_notional` is what the fills so far cost, in the quote asset: AvgPx(6) is made from it.
    """

    order_id: OrderId
    account_id: AccountId
    session_id: SessionId
    instrument_id: InstrumentId
    cl_ord_id: ClOrdId
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    price: Price | None
    order_qty: Qty
    leaves_qty: Qty
    cum_qty: Qty
    cum_notional: Money
    ord_status: OrdStatus
    terms: OrderTerms | None = None
    user_id: UserId = UserId(0)
    is_waiting: bool = False
    hidden_qty: Qty = Qty(0)

    @property
    def shown_qty(self) -> Qty:
        """What others see of the order where it stands in the book."""
        return Qty(self.leaves_qty - self.hidden_qty)


def without_fill(view: OrderView, qty: Qty, notional: Money) -> OrderView:
    """Return the order without `qty` of what was filled. What was open of it stays open, no more.

    One that is open gets smaller. One that had ended filled has ended with something not filled.
    """
    cum_qty = Qty(view.cum_qty - qty)
    status = view.ord_status
    order_qty = view.order_qty
    if view.leaves_qty:
        order_qty = Qty(order_qty - qty)
        status = PARTIALLY_FILLED if cum_qty else OrdStatus.NEW
    elif status is FILLED and qty:
        status = OrdStatus.CANCELED
    return msgspec.structs.replace(
        view,
        order_qty=order_qty,
        cum_qty=cum_qty,
        cum_notional=Money(view.cum_notional - notional),
        ord_status=status,
    )


FILLED = OrdStatus.FILLED
PARTIALLY_FILLED = OrdStatus.PARTIALLY_FILLED
