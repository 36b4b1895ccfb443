"""An order: what the exchange keeps of it while it lives, and the view of it that events carry."""

from enum import Enum
from typing import Any, Final

import msgspec

from engine.fee_rates import FeeRates
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


class Order(msgspec.Struct, eq=False):
    """A live order, or one that ended a short while ago.

    Belongs to the thread that applies commands. `held` is the money reserved for what is still
    open; `expires_at_ns` is when the order ends by itself, 0 for never. One that
    `outlives_connection` is spared when orders are cancelled on disconnect. A stop order
    `is_waiting` until it is triggered. `fees` is what its trades are charged, None for nothing. It
    was amended `amend_count` times. `level`, `ahead` and `behind` are its place in the book, None
    while it has none.
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
    cum_qty: Qty = Qty(0)
    cum_notional: Money = Money(0)
    ord_status: OrdStatus = OrdStatus.NEW
    held: Money = Money(0)
    expires_at_ns: int = 0
    outlives_connection: bool = False
    terms: OrderTerms | None = None
    fees: FeeRates | None = None
    user_id: UserId = NO_USER
    amend_count: int = 0
    is_waiting: bool = False
    hidden_qty: Qty = Qty(0)
    level: Any = None  # The book's PriceLevel, a layer above.
    ahead: "Order | None" = None
    behind: "Order | None" = None

    def __repr__(self) -> str:
        # Without its neighbours in the book, for they would tell of theirs.
        return repr(self.view())

    def fill(self, qty: Qty, notional: Money) -> None:
        """Count one fill of `qty` that cost `notional`."""
        leaves_qty = self.leaves_qty
        assert 0 < qty <= leaves_qty
        self.ord_status = FILLED if qty == leaves_qty else PARTIALLY_FILLED
        self.leaves_qty = Qty(leaves_qty - qty)
        self.cum_qty = Qty(self.cum_qty + qty)
        self.cum_notional = Money(self.cum_notional + notional)

    def reduce(self, qty: Qty) -> None:
        """Make the order smaller by `qty`, which leaves something open of it."""
        assert 0 < qty < self.leaves_qty
        self.order_qty = Qty(self.order_qty - qty)
        self.leaves_qty = Qty(self.leaves_qty - qty)

    def end(self, ord_status: OrdStatus) -> None:
        """Close the order: nothing of it is open any more."""
        self.ord_status = ord_status
        self.leaves_qty = self.hidden_qty = Qty(0)

    def hide(self) -> None:
        """Show as much as the order may, and hide the rest."""
        display_qty = 0 if self.terms is None else self.terms.display_qty
        self.hidden_qty = Qty(max(0, self.leaves_qty - display_qty) if display_qty else 0)

    @property
    def shown_qty(self) -> Qty:
        """What trades before the order must go behind the others of its price."""
        return Qty(self.leaves_qty - self.hidden_qty)

    @property
    def is_open(self) -> bool:
        """Whether some of the order can still trade."""
        return self.leaves_qty > 0

    def fits(self, instrument_id: InstrumentId, side: Side | None) -> bool:
        """Whether the order is of that instrument and side. 0 and None are any."""
        return instrument_id in (0, self.instrument_id) and side in (None, self.side)

    def view(self) -> OrderView:
        """Return the order as it stands now, for an event to carry."""
        return OrderView(
            self.order_id,
            self.account_id,
            self.session_id,
            self.instrument_id,
            self.cl_ord_id,
            self.side,
            self.ord_type,
            self.time_in_force,
            self.price,
            self.order_qty,
            self.leaves_qty,
            self.cum_qty,
            self.cum_notional,
            self.ord_status,
            self.terms,
            self.user_id,
            self.is_waiting,
            self.hidden_qty,
        )


FILLED = OrdStatus.FILLED
PARTIALLY_FILLED = OrdStatus.PARTIALLY_FILLED
