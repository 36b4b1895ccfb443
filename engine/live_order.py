"""What the exchange keeps of an order while it lives."""

from dataclasses import dataclass
from typing import Any

from engine.fee_rates import FeeRates
from engine.order import (
    FILLED,
    NO_USER,
    PARTIALLY_FILLED,
    OrderTerms,
    OrderView,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
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


@dataclass(slots=True, eq=False)
class Order:
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
