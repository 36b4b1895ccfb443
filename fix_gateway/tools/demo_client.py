"""`wcx demo`: two real FIX clients trade with each other, and every message is printed."""

import itertools
import queue
import time
from collections.abc import Callable
from typing import Final

from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag, UtcTimestamps
from fix_gateway.tools.initiator import Counterparty, Initiator
from fix_gateway.tools.readable import Reader

BUYER: Final = "DEMO1"
SELLER: Final = "DEMO2"
SYMBOL: Final = "BTC-USD"
LOGON_WAIT_S: Final = 10.0
REPORT_WAIT_S: Final = 10.0
ROUND_S: Final = 0.5
BUY: Final = "1"
SELL: Final = "2"
LIMIT: Final = "2"
GOOD_TILL_CANCEL: Final = "1"


class DemoFailedError(Exception):
    """Something that should have happened did not."""


class Trader:
    """One of the two clients: enters and cancels orders, and waits for their reports."""

    def __init__(
        self, comp_id: str, counterparty: Counterparty, say: Callable[[str], None]
    ) -> None:
        reader = Reader()
        self._initiator = Initiator(
            comp_id,
            counterparty,
            on_message=lambda way, text: say(f"{comp_id} {way} {reader.describe(text)}"),
        )
        self._comp_id = comp_id
        self._timestamps = UtcTimestamps()
        # Unique over runs: the account may not use a ClOrdID twice within a day.
        self._ids = (f"{comp_id}-{time.time_ns() // 1000}-{count}" for count in itertools.count(1))

    def log_on(self) -> None:
        """Connect and wait for the Logon. Raises DemoFailedError when it does not come."""
        self._initiator.start()
        if not self._initiator.logged_on.wait(LOGON_WAIT_S):
            raise DemoFailedError(f"{self._comp_id} could not log on: does the venue run?")

    def enter(self, side: str, qty: str, price: str) -> str:
        """Enter a limit order and return its ClOrdID."""
        cl_ord_id = next(self._ids)
        self._initiator.send(
            MsgType.NEW_ORDER_SINGLE,
            [
                (Tag.CL_ORD_ID, cl_ord_id),
                (Tag.SYMBOL, SYMBOL),
                (Tag.SIDE, side),
                (Tag.ORDER_QTY, qty),
                (Tag.ORD_TYPE, LIMIT),
                (Tag.PRICE, price),
                (Tag.TIME_IN_FORCE, GOOD_TILL_CANCEL),
                (Tag.TRANSACT_TIME, self._timestamps.format(time.time_ns())),
            ],
        )
        return cl_ord_id

    def cancel(self, orig_cl_ord_id: str, side: str) -> None:
        """Ask for an order to be cancelled."""
        self._initiator.send(
            MsgType.ORDER_CANCEL_REQUEST,
            [
                (Tag.CL_ORD_ID, next(self._ids)),
                (Tag.ORIG_CL_ORD_ID, orig_cl_ord_id),
                (Tag.SYMBOL, SYMBOL),
                (Tag.SIDE, side),
                (Tag.TRANSACT_TIME, self._timestamps.format(time.time_ns())),
            ],
        )

    def expect(self, exec_type: str) -> Fields:
        """Return the next report, which must be of this kind. Raises DemoFailedError if not."""
        while True:
            try:
                fields = self._initiator.received.get(timeout=REPORT_WAIT_S)
            except queue.Empty:
                raise DemoFailedError(f"{self._comp_id} waited in vain for a report") from None
            if fields[Tag.MSG_TYPE] == MsgType.EXECUTION_REPORT:
                break
        if fields[Tag.EXEC_TYPE] != exec_type:
            raise DemoFailedError(f"{self._comp_id} expected another report than {fields}")
        return fields

    def stop(self) -> None:
        """Log out."""
        self._initiator.stop()


def run_demo(
    counterparty: Counterparty, say: Callable[[str], None], *, is_endless: bool = False
) -> int:
    """Trade once, or on and on, and return the exit code: 0 when all went as it should."""
    buyer = Trader(BUYER, counterparty, say)
    seller = Trader(SELLER, counterparty, say)
    try:
        buyer.log_on()
        seller.log_on()
        trade_once(buyer, seller)
        while is_endless:
            time.sleep(ROUND_S)
            trade_once(buyer, seller)
    except DemoFailedError as error:
        say(f"demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        buyer.stop()
        seller.stop()
    return 0


def trade_once(buyer: Trader, seller: Trader) -> None:
    """Rest, fill in part, fill the rest, and cancel what is left of the other order."""
    resting = buyer.enter(BUY, "0.5", "60000.00")
    buyer.expect(ExecType.NEW)
    seller.enter(SELL, "0.2", "60000.00")
    seller.expect(ExecType.NEW)
    seller.expect(ExecType.TRADE)
    buyer.expect(ExecType.TRADE)
    larger = seller.enter(SELL, "0.4", "60000.00")
    seller.expect(ExecType.NEW)
    seller.expect(ExecType.TRADE)
    filled = buyer.expect(ExecType.TRADE)
    if filled[Tag.CL_ORD_ID] != resting or filled[Tag.LEAVES_QTY] != "0.0000":
        raise DemoFailedError(f"the buy order should be filled: {filled}")
    seller.cancel(larger, SELL)
    seller.expect(ExecType.CANCELED)
