"""Tells the state of many orders, so many at a time that nobody else waits long."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from engine.events import Event, OrderStatusReported
from engine.live_order import Order
from engine.order_memory import OrderMemory
from engine.reasons import RejectReason
from engine.request_commands import ReportOpenOrders
from engine.request_events import OrderStatusRefused
from engine.units import AccountId, OrderId, SessionId

REPORTED_MAX: Final = 1000


class StatusRequest(msgspec.Struct, array_like=True):
    """A question that is being answered: of `total` orders these are still to be told of."""

    session_id: SessionId
    account_id: AccountId
    request_id: str
    total: int
    order_ids: list[OrderId]


class StatusReports:
    """Answers one question after the other. Belongs to the thread that applies commands."""

    __slots__ = ("_memory", "_requests")

    def __init__(self, memory: OrderMemory) -> None:
        self._memory = memory
        self._requests: deque[StatusRequest] = deque()

    @property
    def is_busy(self) -> bool:
        """Whether there is something left to be told."""
        return bool(self._requests)

    def start(self, command: ReportOpenOrders, orders: Sequence[Order]) -> None:
        """Put a question that is about at least one order behind those that are under way."""
        assert orders
        request = StatusRequest(
            session_id=command.session_id,
            account_id=command.account_id,
            request_id=command.request_id,
            total=len(orders),
            order_ids=[order.order_id for order in reversed(orders)],
        )
        self._requests.append(request)

    def restore(self, request: StatusRequest) -> None:
        """Go on with a question. It is not shared."""
        self._requests.append(request)

    def requests(self) -> list[StatusRequest]:
        """Return copies of the questions under way."""
        return [
            msgspec.structs.replace(request, order_ids=[*request.order_ids])
            for request in self._requests
        ]

    def go_on(self) -> list[Event]:
        """Tell of up to `REPORTED_MAX` orders, each as it stands now, also one that has ended."""
        events: list[Event] = []
        while self._requests and len(events) < REPORTED_MAX:
            request = self._requests[0]
            # The oldest stands last: lists are quick at their end.
            order_id = request.order_ids.pop()
            events.append(self._answer(request, order_id))
            if not request.order_ids:
                self._requests.popleft()
        return events

    def _answer(self, request: StatusRequest, order_id: OrderId) -> Event:
        order = self._memory.find_by_order_id(order_id)
        is_last = not request.order_ids
        if order is None:
            # It ended since, and so many others did that it is forgotten: it counts all the same.
            return OrderStatusRefused(
                session_id=request.session_id,
                account_id=request.account_id,
                request_id=request.request_id,
                reason=RejectReason.UNKNOWN_ORDER,
                order_id=order_id,
                mass_total=request.total,
                is_last=is_last,
            )
        return OrderStatusReported(
            order.view(),
            request.session_id,
            request_id=request.request_id,
            mass_total=request.total,
            is_last=is_last,
        )
