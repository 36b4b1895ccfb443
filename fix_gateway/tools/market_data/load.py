"""FIX clients that keep the books of a demo venue moving: orders all over, and cancels."""

import random
import threading
import time
from collections import deque
from typing import Final

from fix_gateway.fix.fields import MsgType, Tag, UtcTimestamps
from fix_gateway.tools.initiator import Counterparty, Initiator

MID_TICKS: Final = 10_000
SPREAD_TICKS: Final = 150
LOTS_MAX: Final = 9
ORDERS_OPEN_MAX: Final = 60
UNANSWERED_MAX: Final = 200
LIMIT, GOOD_TILL_CANCEL = "2", "1"
BUY, SELL = "1", "2"
REST_S: Final = 0.005
LOGON_WAIT_S: Final = 60.0


class LoadFailedError(Exception):
    """A client could not log on: does a demo venue run?"""


class _Client:
    """One FIX session and what it has entered."""

    def __init__(self, initiator: Initiator, symbols: list[str], rng: random.Random) -> None:
        self._initiator = initiator
        self._symbols = symbols
        self._rng = rng
        self._timestamps = UtcTimestamps()
        self._prefix = f"{initiator.comp_id}-{time.time_ns() // 1000}"
        self._count = 0
        self._unanswered = 0
        self._entered: deque[tuple[str, str, str]] = deque()

    def take_turn(self) -> bool:
        """Send something, unless too much is unanswered; return whether something was sent."""
        while not self._initiator.received.empty():
            self._initiator.received.get()
            self._unanswered = max(0, self._unanswered - 1)
        if self._unanswered >= UNANSWERED_MAX or not self._initiator.logged_on.is_set():
            return False
        self._unanswered += 1
        self._count += 1
        if len(self._entered) > ORDERS_OPEN_MAX:
            self._cancel()
        else:
            self._enter()
        return True

    def _enter(self) -> None:
        rng = self._rng
        cl_ord_id, symbol = f"{self._prefix}-{self._count}", rng.choice(self._symbols)
        side = rng.choice((BUY, SELL))
        # Mostly on its own side of the middle; what reaches over it trades.
        away = rng.randint(-SPREAD_TICKS // 10, SPREAD_TICKS)
        ticks = MID_TICKS - away if side == BUY else MID_TICKS + away
        self._entered.append((cl_ord_id, symbol, side))
        self._send(
            MsgType.NEW_ORDER_SINGLE,
            (Tag.CL_ORD_ID, cl_ord_id),
            (Tag.SYMBOL, symbol),
            (Tag.SIDE, side),
            (Tag.ORDER_QTY, f"0.000{rng.randint(1, LOTS_MAX)}"),
            (Tag.ORD_TYPE, LIMIT),
            (Tag.PRICE, f"{ticks // 100}.{ticks % 100:02}"),
            (Tag.TIME_IN_FORCE, GOOD_TILL_CANCEL),
        )

    def _cancel(self) -> None:
        orig_cl_ord_id, symbol, side = self._entered.popleft()
        self._send(
            MsgType.ORDER_CANCEL_REQUEST,
            (Tag.CL_ORD_ID, f"{self._prefix}-{self._count}"),
            (Tag.ORIG_CL_ORD_ID, orig_cl_ord_id),
            (Tag.SYMBOL, symbol),
            (Tag.SIDE, side),
        )

    def _send(self, msg_type: str, *fields: tuple[int, str]) -> None:
        transact_time = (Tag.TRANSACT_TIME, self._timestamps.format(time.time_ns()))
        self._initiator.send(msg_type, [*fields, transact_time])


class Load:
    """Trades on a thread of its own from `start` to `stop`. What it sends is drawn from a seed."""

    def __init__(
        self, counterparty: Counterparty, comp_ids: list[str], symbols: list[str], seed: int
    ) -> None:
        rng = random.Random(seed)
        self._initiators = [Initiator(comp_id, counterparty) for comp_id in comp_ids]
        self._clients = [_Client(initiator, symbols, rng) for initiator in self._initiators]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._trade, name="load", daemon=True)

    def start(self) -> None:
        """Log on and trade. Raises LoadFailedError when nobody is let in."""
        for initiator in self._initiators:
            initiator.start()
        for initiator in self._initiators:
            if not initiator.logged_on.wait(LOGON_WAIT_S):
                self.stop()
                raise LoadFailedError(f"{initiator.comp_id} could not log on: does a venue run?")
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and log out. Harmless the second time."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for initiator in self._initiators:
            initiator.stop()

    def _trade(self) -> None:
        while not self._stopped.is_set():
            has_sent = False
            for client in self._clients:
                has_sent |= client.take_turn()
            if not has_sent:
                time.sleep(REST_S)
