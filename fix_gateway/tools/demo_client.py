"""`wcx demo`: real FIX clients trade with each other, and every message is printed.

They speak every version of FIX that there is: 4.2, 4.4, and 5.0 SP2 over FIXT.1.1.
"""

import itertools
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fix_gateway.fix.dictionary import BEGIN_STRINGS, load_dictionary
from fix_gateway.fix.fields import BusinessRejectReason, Fields, MsgType, Tag, UtcTimestamps
from fix_gateway.tools.initiator import Counterparty, Initiator
from fix_gateway.tools.readable import Reader

FIX_4_2: Final = "FIX.4.2"
TRADERS: Final = {
    "DEMO1": "FIX.4.4",
    "DEMO2": "FIX.4.4",
    "DEMO3": FIX_4_2,
    "DEMO4": "FIXT.1.1",
}
"""The version that each speaks."""

SYMBOL: Final = "BTC-USD"
LOGON_WAIT_S: Final = 10.0
REPORT_WAIT_S: Final = 10.0
OTHER_SIDE_WAIT_S: Final = 1.0
ROUND_S: Final = 0.5
HITS_MAX: Final = 50
GLANCE_S: Final = 0.1
BUY: Final = "1"
SELL: Final = "2"
LIMIT: Final = "2"
AUTOMATED: Final = "1"  # HandlInst(21), which FIX 4.2 asks for.
GOOD_TILL_CANCEL: Final = "1"
IMMEDIATE_OR_CANCEL: Final = "3"
NEW, PARTIALLY_FILLED, FILLED, CANCELED, REJECTED = "0", "1", "2", "4", "8"
TO_BE_SEEN: Final = frozenset({NEW, PARTIALLY_FILLED, FILLED, CANCELED})


class DemoFailedError(Exception):
    """Something that should have happened did not."""


class DemoEndedError(Exception):
    """Whoever watches has seen enough."""


class Curtain:
    """Ends a demo early. For a signal handler: an exception would strike QuickFIX's callbacks."""

    def __init__(self) -> None:
        self.is_falling = False

    def fall(self) -> None:
        """End the demo soon. For any thread, and for a signal handler."""
        self.is_falling = True

    def check(self) -> None:
        """Raise DemoEndedError when the demo is to end."""
        if self.is_falling:
            raise DemoEndedError

    def wait(self, event: threading.Event, wait_s: float) -> bool:
        """Wait for the event; False when it does not come in time. Raises DemoEndedError."""
        deadline_s = time.monotonic() + wait_s
        while not event.wait(GLANCE_S):
            self.check()
            if time.monotonic() > deadline_s:
                return False
        return True


class Trader:
    """One of the clients: enters and cancels orders, and knows how they stand."""

    def __init__(
        self,
        comp_id: str,
        counterparty: Counterparty,
        say: Callable[[str], None],
        curtain: Curtain,
    ) -> None:
        reader = Reader(load_dictionary(BEGIN_STRINGS[counterparty.begin_string]))
        self._is_4_2 = counterparty.begin_string == FIX_4_2
        self._initiator = Initiator(
            comp_id,
            counterparty,
            on_message=lambda way, text: say(f"{comp_id} {way} {reader.describe(text)}"),
        )
        self._comp_id = comp_id
        self._curtain = curtain
        self._timestamps = UtcTimestamps()
        # Unique over runs: the account may not use a ClOrdID twice within a day.
        self._ids = (f"{comp_id}-{time.time_ns() // 1000}-{count}" for count in itertools.count(1))
        self._states: dict[str, str] = {}
        self._sides: dict[str, str] = {}
        self._exec_ids: set[str] = set()
        self.seen: set[str] = set()

    def log_on(self) -> None:
        """Connect and wait for the Logon. Raises DemoFailedError when it does not come."""
        self._initiator.start()
        if not self._curtain.wait(self._initiator.logged_on, LOGON_WAIT_S):
            raise DemoFailedError(f"{self._comp_id} could not log on")

    def enter(self, side: str, qty: str, price: str, time_in_force: str) -> str:
        """Enter a limit order and return its ClOrdID once it is known to be entered.

        Raises DemoFailedError when it is refused or not answered.
        """
        cl_ord_id = next(self._ids)
        self._sides[cl_ord_id] = side
        self._send(
            MsgType.NEW_ORDER_SINGLE,
            [
                (Tag.CL_ORD_ID, cl_ord_id),
                *([(Tag.HANDL_INST, AUTOMATED)] if self._is_4_2 else []),
                (Tag.SYMBOL, SYMBOL),
                (Tag.SIDE, side),
                (Tag.ORDER_QTY, qty),
                (Tag.ORD_TYPE, LIMIT),
                (Tag.PRICE, price),
                (Tag.TIME_IN_FORCE, time_in_force),
            ],
        )
        self.wait(cl_ord_id, {NEW, PARTIALLY_FILLED, FILLED, CANCELED})
        return cl_ord_id

    def cancel(self, orig_cl_ord_id: str) -> None:
        """Cancel an order, and wait until it has ended, in whatever way."""
        self._send(
            MsgType.ORDER_CANCEL_REQUEST,
            [
                (Tag.CL_ORD_ID, next(self._ids)),
                (Tag.ORIG_CL_ORD_ID, orig_cl_ord_id),
                (Tag.SYMBOL, SYMBOL),
                (Tag.SIDE, self._sides[orig_cl_ord_id]),
            ],
        )
        self.wait(orig_cl_ord_id, {FILLED, CANCELED, REJECTED})

    def is_open(self, cl_ord_id: str) -> bool:
        """Whether some of the order can still trade."""
        return self._states.get(cl_ord_id) in (NEW, PARTIALLY_FILLED)

    def state(self, cl_ord_id: str) -> str | None:
        """Return OrdStatus(39) as last reported, None before any report."""
        return self._states.get(cl_ord_id)

    def open_orders(self) -> list[str]:
        """Return the ClOrdIDs of all orders that are not known to have ended."""
        return [cl_ord_id for cl_ord_id in self._states if self.is_open(cl_ord_id)]

    def wait(self, cl_ord_id: str, states: set[str]) -> None:
        """Take in reports until the order is in one of the states. Raises DemoFailedError."""
        deadline_s = time.monotonic() + REPORT_WAIT_S
        while self._states.get(cl_ord_id) not in states:
            if not self.take_in(deadline_s - time.monotonic()):
                raise DemoFailedError(f"{self._comp_id} waited in vain for news of {cl_ord_id}")
            if self._states.get(cl_ord_id) == REJECTED and REJECTED not in states:
                raise DemoFailedError(f"{self._comp_id}: {cl_ord_id} was refused")

    def take_in(self, wait_s: float) -> bool:
        """Take in the next message. Returns False when none comes within the time."""
        fields = self._next_message(time.monotonic() + wait_s)
        if fields is None:
            return False
        if fields[Tag.MSG_TYPE] == MsgType.BUSINESS_MESSAGE_REJECT:
            reason = BusinessRejectReason(int(fields[Tag.BUSINESS_REJECT_REASON]))
            raise DemoFailedError(f"{self._comp_id}: {reason.name}: {fields.get(Tag.TEXT)}")
        if fields[Tag.MSG_TYPE] == MsgType.ORDER_CANCEL_REJECT:
            self._states[fields[Tag.ORIG_CL_ORD_ID]] = fields[Tag.ORD_STATUS]
        elif fields[Tag.MSG_TYPE] == MsgType.EXECUTION_REPORT:
            self._note(fields)
        return True

    def stop(self) -> None:
        """Log out."""
        self._initiator.stop()

    def _next_message(self, deadline_s: float) -> Fields | None:
        while True:
            self._curtain.check()
            wait_s = max(0.0, min(GLANCE_S, deadline_s - time.monotonic()))
            try:
                return self._initiator.received.get(timeout=wait_s)
            except queue.Empty:
                if time.monotonic() >= deadline_s:
                    return None

    def _note(self, report: Fields) -> None:
        # After a break reports may come again, marked as repeats; they tell nothing new.
        if report[Tag.EXEC_ID] in self._exec_ids:
            return
        self._exec_ids.add(report[Tag.EXEC_ID])
        cl_ord_id = report.get(Tag.ORIG_CL_ORD_ID, report[Tag.CL_ORD_ID])
        self._states[cl_ord_id] = report[Tag.ORD_STATUS]
        self.seen.add(report[Tag.ORD_STATUS])

    def _send(self, msg_type: str, fields: list[tuple[int, str]]) -> None:
        if not self._curtain.wait(self._initiator.logged_on, LOGON_WAIT_S):
            raise DemoFailedError(f"{self._comp_id} is not logged on any more")
        now = self._timestamps.format(time.time_ns())
        self._initiator.send(msg_type, [*fields, (Tag.TRANSACT_TIME, now)])


def run_demo(
    counterparty: Counterparty,
    say: Callable[[str], None],
    curtain: Curtain,
    *,
    is_endless: bool = False,
) -> int:
    """Trade once, or on and on, and return the exit code: 0 when all went as it should.

    An endless demo outlives breaks: it says what went wrong, clears up and goes on. `say` is called
    on several threads, one at a time.
    """
    if not counterparty.is_there():
        say(f"demo failed: nobody listens at {counterparty.address}: does the venue run?")
        return 1
    lock = threading.Lock()

    # Python 3.11 prints rubbish when threads print at once into a full pipe (gh-119506).
    def say_alone(line: str) -> None:
        with lock:
            say(line)

    traders = [
        Trader(comp_id, replace(counterparty, begin_string=version), say_alone, curtain)
        for comp_id, version in TRADERS.items()
    ]
    # Everybody buys of the next: nobody runs out of money, and every version meets another one.
    pairs = list(zip(traders, [*traders[1:], traders[0]], strict=True))
    try:
        for trader in traders:
            trader.log_on()
        if is_endless:
            trade_until(curtain, pairs, say_alone)
        else:
            for buyer, seller in pairs:
                trade_once(buyer, seller)
    except DemoFailedError as error:
        say(f"demo failed: {error}")
        return 1
    except DemoEndedError:
        return 0
    finally:
        for trader in traders:
            trader.stop()
    return 0


def trade_until(
    curtain: Curtain, pairs: list[tuple[Trader, Trader]], say: Callable[[str], None]
) -> None:
    """Let the pairs trade in turn until the demo is ended; after a break clear up and go on."""
    for buyer, seller in itertools.cycle(pairs):
        if curtain.is_falling:
            return
        try:
            trade_once(buyer, seller)
        except DemoFailedError as error:
            say(f"round broken off: {error}")
            clear_up(buyer, say)
            clear_up(seller, say)
        time.sleep(ROUND_S)


def trade_once(buyer: Trader, seller: Trader) -> None:
    """Rest, fill in part, fill the rest, and cancel another order.

    Orders of others may be in the way: the seller sells until the buyer's order has its share.
    Raises DemoFailedError when the book does not behave.
    """
    price = random.randint(50_000, 70_000)  # noqa: S311 - Any price does.
    bid = buyer.enter(BUY, "0.5", f"{price}.00", GOOD_TILL_CANCEL)
    hit(buyer, seller, bid, qty="0.2", price=price, until={PARTIALLY_FILLED, FILLED})
    hit(buyer, seller, bid, qty="0.4", price=price, until={FILLED})
    ask = seller.enter(SELL, "0.1", f"{10 * price}.00", GOOD_TILL_CANCEL)
    seller.cancel(ask)
    missing = TO_BE_SEEN - buyer.seen - seller.seen
    if missing:
        raise DemoFailedError(f"no report showed OrdStatus {sorted(missing)}")


def hit(buyer: Trader, seller: Trader, bid: str, *, qty: str, price: int, until: set[str]) -> None:
    """Sell into the book until the buyer's order has reached one of the states."""
    for _ in range(HITS_MAX):
        if buyer.state(bid) in until:
            return
        seller.enter(SELL, qty, f"{price}.00", IMMEDIATE_OR_CANCEL)
        deadline_s = time.monotonic() + OTHER_SIDE_WAIT_S
        while buyer.state(bid) not in until:
            if not buyer.take_in(deadline_s - time.monotonic()):
                break
    raise DemoFailedError("the book is too full of other orders for a demonstration")


def clear_up(trader: Trader, say: Callable[[str], None]) -> None:
    """Cancel what a broken round has left, as far as possible now."""
    time.sleep(ROUND_S)
    for cl_ord_id in trader.open_orders():
        try:
            trader.cancel(cl_ord_id)
        except DemoFailedError as error:
            say(f"not cleared up yet: {error}")
            return
