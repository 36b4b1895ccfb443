"""What every process says of a record at the level debug, in the same words.

So one `grep` for a ClOrdID(11), an OrderID(37) or a request finds an order's way through them all.

At any other level nothing is decoded for it.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from engine.commands import SessionCommand
from engine.events import CancelRejected, Event, ExecutionEvent
from engine.runtime.codec import Record
from engine.units import ClOrdId, OrderId

log = structlog.get_logger("record")


def name_request(session_id: int, epoch: int, msg_seq_num: int) -> str:
    """Return the name of a message that came over FIX: session, epoch and MsgSeqNum(34)."""
    return f"{session_id}.{epoch}.{msg_seq_num}"


def is_tracing() -> bool:
    """Whether this process logs what happens to single orders. Ask after logs are set up."""
    return structlog.is_configured() and bool(log.is_enabled_for(logging.DEBUG))


class OrderName(NamedTuple):
    """An order as it is called: 0 is one that was never taken, or is not known."""

    order_id: OrderId
    cl_ord_id: ClOrdId


def name_order(event: Event) -> OrderName | None:
    """Return which order an event is about, None for none."""
    if isinstance(event, CancelRejected):
        order_id = OrderId(0) if event.order is None else event.order.order_id
        return OrderName(order_id, event.cl_ord_id)
    if isinstance(event, ExecutionEvent):
        return OrderName(event.order.order_id, event.order.cl_ord_id)
    return None


class RecordTrace:
    """Logs records under the name of what the process has done with them, if it `is_on` at all."""

    def __init__(self, done: str) -> None:
        self._done = done
        self.is_on = is_tracing()

    def note(self, records: Iterable[Record]) -> None:
        """Log a line for each order of each record, and one for all that is about no order."""
        if self.is_on:
            for record in records:
                self._note(record)

    def _note(self, record: Record) -> None:
        command = record.command()
        fields = {"seq": record.seq, "command": type(command).__name__}
        if isinstance(command, SessionCommand) and command.session_id:
            fields["request"] = name_request(command.session_id, command.epoch, command.msg_seq_num)
        by_order: dict[OrderName | None, list[str]] = {}
        for event in record.events():
            by_order.setdefault(name_order(event), []).append(type(event).__name__)
        for name, happened in by_order.items():
            named = {} if name is None else name._asdict()
            log.debug(self._done, **fields, **named, events=",".join(happened))
