"""Short words for what a trader does over FIX, and for what should come back."""

import itertools
import queue
import time
from typing import Final

from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag, UtcTimestamps
from fix_gateway.tools.initiator import Initiator

REPORT_WAIT_S: Final = 20.0
BUY, SELL = "1", "2"
HEADER: Final = frozenset({8, 9, 10, 34, 35, 49, 52, 56})
_ids = itertools.count(1)
_timestamps = UtcTimestamps()


def transact_time() -> str:
    return _timestamps.format(time.time_ns())


def enter(client: Initiator, side: str, qty: str, price: str, **extra: str) -> str:
    """Enter a GTC limit order in BTC-USD and return its ClOrdID."""
    cl_ord_id = extra.pop("cl_ord_id", f"o{next(_ids)}-{time.time_ns()}")
    client.send(
        MsgType.NEW_ORDER_SINGLE,
        [
            (Tag.CL_ORD_ID, cl_ord_id),
            (Tag.SYMBOL, extra.pop("symbol", "BTC-USD")),
            (Tag.SIDE, side),
            (Tag.ORDER_QTY, qty),
            (Tag.ORD_TYPE, extra.pop("ord_type", "2")),
            *([(Tag.PRICE, price)] if price else []),
            (Tag.TIME_IN_FORCE, extra.pop("time_in_force", "1")),
            (Tag.TRANSACT_TIME, transact_time()),
            *((int(tag), value) for tag, value in extra.items()),
        ],
    )
    return cl_ord_id


def cancel(client: Initiator, orig_cl_ord_id: str, side: str, *, symbol: str = "BTC-USD") -> str:
    """Ask to cancel an order and return the request's ClOrdID."""
    cl_ord_id = f"x{next(_ids)}-{time.time_ns()}"
    client.send(
        MsgType.ORDER_CANCEL_REQUEST,
        [
            (Tag.CL_ORD_ID, cl_ord_id),
            (Tag.ORIG_CL_ORD_ID, orig_cl_ord_id),
            (Tag.SYMBOL, symbol),
            (Tag.SIDE, side),
            (Tag.TRANSACT_TIME, transact_time()),
        ],
    )
    return cl_ord_id


def next_message(client: Initiator, *msg_types: str, wait_s: float = REPORT_WAIT_S) -> Fields:
    """Return the next message of these types, by default any application message."""
    wanted = msg_types or ("8", "9", "j", "3")
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fields = client.received.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"{client.comp_id} received no {wanted}") from None
        if fields[Tag.MSG_TYPE] in wanted:
            return fields


def next_report(client: Initiator, exec_type: ExecType) -> Fields:
    """Return the next application message, which must be a report of this kind."""
    fields = next_message(client)
    assert fields[Tag.MSG_TYPE] == MsgType.EXECUTION_REPORT, fields
    assert fields[Tag.EXEC_TYPE] == exec_type, fields
    return fields


def assert_silent(client: Initiator, wait_s: float = 0.3) -> None:
    """Fail when an application message comes within the time."""
    try:
        fields = next_message(client, wait_s=wait_s)
    except AssertionError:
        return
    raise AssertionError(f"{client.comp_id} received {fields}")


def body(fields: Fields) -> Fields:
    """Return a message without header, trailer and time: what can be known beforehand."""
    left_out = HEADER | {Tag.TRANSACT_TIME}
    return {int(tag): value for tag, value in fields.items() if tag not in left_out}


def amend(client: Initiator, orig_cl_ord_id: str, side: str, qty: str, price: str) -> str:
    """Ask to amend an order to a total quantity and a price; return the request's ClOrdID."""
    cl_ord_id = f"a{next(_ids)}-{time.time_ns()}"
    client.send(
        MsgType.ORDER_CANCEL_REPLACE_REQUEST,
        [
            (Tag.CL_ORD_ID, cl_ord_id),
            (Tag.ORIG_CL_ORD_ID, orig_cl_ord_id),
            (Tag.SYMBOL, "BTC-USD"),
            (Tag.SIDE, side),
            (Tag.ORDER_QTY, qty),
            (Tag.ORD_TYPE, "2"),
            (Tag.PRICE, price),
            (Tag.TRANSACT_TIME, transact_time()),
        ],
    )
    return cl_ord_id
