"""The orders of a client, as far as reports have told of them. One report is enough to know one."""

from dataclasses import dataclass
from typing import Final

from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag

NO_ORDER_ID: Final = "NONE"
NEW, PARTIALLY_FILLED, REJECTED, SUSPENDED = "0", "1", "8", "9"
PENDING: Final = "-"  # Sent, and not heard of yet.
OPEN_STATES: Final = frozenset({NEW, PARTIALLY_FILLED, SUSPENDED, PENDING})
STATES: Final = {
    PENDING: "sent", NEW: "new", PARTIALLY_FILLED: "partly filled", "2": "filled",
    "3": "done for day", "4": "cancelled", REJECTED: "rejected", SUSPENDED: "suspended",
    "C": "expired",
}  # fmt: skip
SIDES: Final = {"1": "buy", "2": "sell"}
BUY: Final = "1"
# Reports of requests, not of what an order is.
REQUEST_STATES: Final = frozenset({"6", "A", "E"})


@dataclass
class OwnOrder:
    """An order as last told. `number` is its short name here, `cl_ord_id` its present ClOrdID."""

    number: int
    cl_ord_id: str
    symbol: str
    side: str
    order_qty: str = ""
    price: str = ""
    cum_qty: str = "0"
    leaves_qty: str = ""
    avg_px: str = "0"
    order_id: str = ""
    state: str = PENDING

    @property
    def is_open(self) -> bool:
        """Whether some of it may still trade."""
        return self.state in OPEN_STATES

    def describe(self) -> str:
        """Return the order in one line."""
        words = [
            f"#{self.number}",
            SIDES.get(self.side, self.side),
            self.order_qty,
            self.symbol,
            f"at {self.price}" if self.price else "at market",
            STATES.get(self.state, f"OrdStatus {self.state}"),
        ]
        if self.cum_qty.strip("0."):
            words.append(f"{self.cum_qty} filled at {self.avg_px}")
        words.append(f"ClOrdID {self.cl_ord_id}")
        if self.order_id:
            words.append(f"OrderID {self.order_id}")
        return "  ".join(words)


class OwnOrders:
    """All orders that were sent or told of, by every name that they have had."""

    def __init__(self) -> None:
        self._orders: list[OwnOrder] = []
        self._by_cl_ord_id: dict[str, OwnOrder] = {}
        self._by_order_id: dict[str, OwnOrder] = {}
        self._exec_ids: set[str] = set()

    def note_sent(self, cl_ord_id: str, symbol: str, side: str, qty: str, price: str) -> OwnOrder:
        """Remember an order that has just been sent."""
        order = self._add(cl_ord_id, symbol, side)
        order.order_qty, order.price = qty, price
        return order

    def note(self, fields: Fields) -> None:
        """Take in a message that came. Whatever is no news of an order is passed over."""
        msg_type = fields.get(Tag.MSG_TYPE)
        if msg_type == MsgType.BUSINESS_MESSAGE_REJECT:
            refused = self._by_cl_ord_id.get(fields.get(Tag.BUSINESS_REJECT_REF_ID, ""))
            if refused is not None and refused.state == PENDING:
                refused.state = REJECTED
        if msg_type != MsgType.EXECUTION_REPORT:
            return
        exec_id = fields.get(Tag.EXEC_ID, "")
        if exec_id in self._exec_ids:
            return  # A repeat, which may be older than what is known by now.
        self._exec_ids.add(exec_id)
        order = self._find_reported(fields)
        if order is None or fields.get(Tag.ORD_STATUS) in REQUEST_STATES:
            return
        order.state = fields.get(Tag.ORD_STATUS, order.state)
        order.order_qty = fields.get(Tag.ORDER_QTY, order.order_qty)
        order.price = fields.get(Tag.PRICE, order.price)
        order.cum_qty = fields.get(Tag.CUM_QTY, order.cum_qty)
        order.leaves_qty = fields.get(Tag.LEAVES_QTY, order.leaves_qty)
        order.avg_px = fields.get(Tag.AVG_PX, order.avg_px)
        if fields.get(Tag.EXEC_TYPE) == ExecType.REPLACED:
            order.cl_ord_id = fields.get(Tag.CL_ORD_ID, order.cl_ord_id)
            self._by_cl_ord_id[order.cl_ord_id] = order

    def find(self, name: str) -> OwnOrder | None:
        """Return the order of that number, ClOrdID or OrderID."""
        number = name.removeprefix("#")
        if number.isdigit() and 1 <= int(number) <= len(self._orders):
            return self._orders[int(number) - 1]
        return self._by_cl_ord_id.get(name) or self._by_order_id.get(name)

    def all(self) -> list[OwnOrder]:
        """Return all orders, the oldest first."""
        return list(self._orders)

    def _find_reported(self, fields: Fields) -> OwnOrder | None:
        order_id = fields.get(Tag.ORDER_ID, NO_ORDER_ID)
        # A cancel names the order by OrigClOrdID(41), an order that was amended by its new name.
        own_names = (fields.get(Tag.ORIG_CL_ORD_ID, ""), fields.get(Tag.CL_ORD_ID, ""))
        order = self._by_order_id.get(order_id)
        for name in own_names:
            order = order or self._by_cl_ord_id.get(name)
        if order is None:
            if order_id == NO_ORDER_ID:
                return None
            cl_ord_id = own_names[0] or own_names[1]
            order = self._add(cl_ord_id, fields.get(Tag.SYMBOL, ""), fields.get(Tag.SIDE, ""))
        if order_id != NO_ORDER_ID:
            order.order_id = order_id
            self._by_order_id[order_id] = order
        return order

    def _add(self, cl_ord_id: str, symbol: str, side: str) -> OwnOrder:
        order = OwnOrder(len(self._orders) + 1, cl_ord_id, symbol, side)
        self._orders.append(order)
        self._by_cl_ord_id[cl_ord_id] = order
        return order
