"""The order state changes of FIX 4.4, volume 4, appendix D, as a judge over what clients are told.

It knows nothing but reports. It holds, for each order: which ExecType may follow which OrdStatus,
what the quantities must then be, that nothing follows an end, that names form a chain, and that
every request is answered once, by a report or by a reject: an order is never both cancelled and
reported to be too late to cancel.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from fix_gateway.fix.fields import Fields, Tag

NEW, PARTIAL, FILLED, CANCELED, REJECTED, EXPIRED = "0", "1", "2", "4", "8", "C"
REPLACED, RESTATED, TRADE, STATUS = "5", "D", "F", "I"
OPEN: Final = (NEW, PARTIAL)
# ExecType(150) -> OrdStatus(39) before it, OrdStatus after it. "" is an order not heard of yet.
CHANGES: Final = {
    NEW: ({""}, {NEW}),
    REJECTED: ({""}, {REJECTED}),
    TRADE: ({*OPEN}, {PARTIAL, FILLED}),
    CANCELED: ({*OPEN}, {CANCELED}),
    REPLACED: ({*OPEN}, {*OPEN}),
    RESTATED: ({*OPEN}, {*OPEN}),
    EXPIRED: ({*OPEN}, {EXPIRED}),
}
NO_ORDER: Final = "NONE"


@dataclass
class Judged:
    """An order as reports have told of it."""

    cl_ord_id: str
    status: str = ""
    qty: Decimal = Decimal(0)
    cum: Decimal = Decimal(0)
    leaves: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)


@dataclass
class Judge:
    """Holds every message against the matrices."""

    orders: dict[str, Judged] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    exec_ids: set[str] = field(default_factory=set)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def hear(self, fields: Fields) -> None:
        """Take a message that a client is sent."""
        if fields[Tag.MSG_TYPE] == "9":
            self._hear_reject(fields)
        elif fields[Tag.MSG_TYPE] == "8":
            self._hear_report(fields)

    def _hear_reject(self, fields: Fields) -> None:
        self._answer(fields[Tag.CL_ORD_ID])
        order = self.orders.get(fields[Tag.ORDER_ID])
        if order is None:
            assert fields[Tag.ORDER_ID] == NO_ORDER
            assert fields[Tag.ORD_STATUS] == REJECTED
            return
        assert fields[Tag.ORD_STATUS] == order.status, "39 of a reject is the order's true state"
        if order.status not in OPEN:
            assert fields[Tag.CXL_REJ_REASON] == "0", "too late"
        self.seen.add(("9", order.status))

    def _hear_report(self, fields: Fields) -> None:
        kind, status = fields[Tag.EXEC_TYPE], fields[Tag.ORD_STATUS]
        assert fields[Tag.EXEC_ID] not in self.exec_ids
        self.exec_ids.add(fields[Tag.EXEC_ID])
        order_id = fields[Tag.ORDER_ID]
        if kind == STATUS:
            order = self.orders[order_id]
            assert (status, self._quantities(fields)) == (
                order.status, (order.qty, order.cum, order.leaves),
            )  # fmt: skip
            return
        order = self.orders.get(order_id) or Judged(fields[Tag.CL_ORD_ID])
        if order_id != NO_ORDER:
            self.orders[order_id] = order
        before, after = CHANGES[kind]
        assert order.status in before, f"{kind} after {order.status}"
        assert status in after, f"{kind} leads to {status}"
        self.seen.add((kind, order.status))
        self._judge_names(order, kind, fields)
        self._judge_quantities(order, kind, fields)
        order.status = status

    def _judge_names(self, order: Judged, kind: str, fields: Fields) -> None:
        name, former = fields[Tag.CL_ORD_ID], fields.get(Tag.ORIG_CL_ORD_ID)
        if former is None:
            assert name == order.cl_ord_id, "without 41 it is the order's own name"
            if kind in (NEW, REJECTED):
                self._answer(name)
            return
        assert former == order.cl_ord_id, "41 is the name that the order has"
        assert kind in (REPLACED, CANCELED)
        self.unanswered.discard(name)
        if kind == REPLACED:
            order.cl_ord_id = name

    def _judge_quantities(self, order: Judged, kind: str, fields: Fields) -> None:
        qty, cum, leaves = self._quantities(fields)
        status = fields[Tag.ORD_STATUS]
        if kind == TRADE:
            last = Decimal(fields[Tag.LAST_QTY])
            assert cum == order.cum + last > order.cum
            order.paid += last * Decimal(fields[Tag.LAST_PX])
            average = (order.paid / cum).quantize(Decimal("0.0001"))
            assert abs(Decimal(fields[Tag.AVG_PX]) - average) <= Decimal("0.0001")
        else:
            assert cum == order.cum
        if kind not in (NEW, REJECTED, REPLACED, RESTATED):
            assert qty == order.qty
        if kind == RESTATED:
            assert 0 < qty < order.qty
        is_open = status in OPEN
        assert leaves == (qty - cum if is_open else 0), "38 = 14 + 151 while open, 151 = 0 after"
        assert (status == PARTIAL) == (is_open and cum > 0)
        assert (status == FILLED) == (cum == qty and kind == TRADE)
        order.qty, order.cum, order.leaves = qty, cum, leaves

    def _answer(self, name: str) -> None:
        assert name in self.unanswered, f"{name} was answered before, or never asked"
        self.unanswered.remove(name)

    @staticmethod
    def _quantities(fields: Fields) -> tuple[Decimal, Decimal, Decimal]:
        tags = (Tag.ORDER_QTY, Tag.CUM_QTY, Tag.LEAVES_QTY)
        qty, cum, leaves = (Decimal(fields[tag]) for tag in tags)
        return qty, cum, leaves
