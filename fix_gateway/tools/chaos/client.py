"""A client of a chaos run: trades at a steady rate whatever happens, and remembers everything."""

import random
import threading
import time
from pathlib import Path
from typing import Final

from fix_gateway.fix.fields import MsgType, Tag, UtcTimestamps
from fix_gateway.tools.chaos.proxy import CuttingProxy
from fix_gateway.tools.chaos.truth import TruthLog
from fix_gateway.tools.initiator import Counterparty, Initiator

SYMBOL: Final = "BTC-USD"
PRICE: Final = 60_000
PRICE_SPREAD: Final = 4
LOTS_MAX: Final = 9
LIMIT, MARKET = "2", "1"
TIMES_IN_FORCE: Final = {"1": 14, "0": 2, "3": 3, "4": 1}
CANCEL_SHARE: Final = 0.2
MARKET_SHARE: Final = 0.03
NONSENSE_SHARE: Final = 0.03
"""Orders that the gateway refuses at the door."""
OFFLINE_SHARE: Final = 0.1
"""Of the moments without a connection, those in which a client sends all the same."""
RECENT_ORDERS: Final = 20
LOGON_WAIT_S: Final = 60.0
ANSWER_WAIT_S: Final = 30.0
POLL_S: Final = 0.02


class ChaosClient:
    """One FIX session, through a proxy of its own.

    `rate` is how many messages it sends in a second while it trades.
    """

    def __init__(
        self, log: TruthLog, proxy: CuttingProxy, store_dir: Path, rng: random.Random, rate: float
    ) -> None:
        self.log = log
        self.proxy = proxy
        self._store_dir = store_dir
        self._rng = rng
        self._rate = rate
        self._timestamps = UtcTimestamps()
        self._count = 0
        self._orders: list[tuple[str, str]] = []
        self._stopped = threading.Event()
        self._initiator: Initiator | None = None
        self._trader = threading.Thread(target=self._trade, daemon=True)

    @property
    def is_logged_on(self) -> bool:
        """Whether the session is up."""
        return self._initiator is not None and self._initiator.logged_on.is_set()

    def log_on(self, password: str, gateway_comp_id: str) -> None:
        """Connect, and do so again whenever the connection is lost."""
        self._initiator = Initiator(
            self.log.comp_id,
            Counterparty("127.0.0.1", self.proxy.port, gateway_comp_id, password),
            store_dir=self._store_dir,
            reset_on_logon=self.log.is_reset,
            heart_bt_int_s=5,
            on_message=self.log.note,
        )
        self._initiator.start()

    def log_out(self) -> None:
        """Say goodbye and hang up."""
        if self._initiator is not None:
            self._initiator.stop()

    def start_trading(self) -> None:
        """Send orders and cancels from now on."""
        self._trader.start()

    def stop_trading(self) -> None:
        """Send nothing any more."""
        self._stopped.set()
        self._trader.join()

    def ping(self) -> str:
        """Send a TestRequest and return its id, which the answer bears."""
        assert self._initiator is not None
        test_req_id = f"ping-{time.time_ns()}"
        self._initiator.send(MsgType.TEST_REQUEST, [(Tag.TEST_REQ_ID, test_req_id)])
        return test_req_id

    def has_answer(self, test_req_id: str) -> bool:
        """Whether the gateway has answered a TestRequest, in sequence on both sides."""
        answers = self.log.received(MsgType.HEARTBEAT)
        return any(fields.get(Tag.TEST_REQ_ID) == test_req_id for fields in reversed(answers))

    def numbers(self) -> tuple[int, int]:
        """Return the numbers that the client will send, and expects, next."""
        return read_numbers(next(self._store_dir.glob("*.seqnums"), self._store_dir))

    def _trade(self) -> None:
        assert self._initiator is not None
        while not self._stopped.wait(self._rng.expovariate(self._rate)):
            # With resets the numbers begin anew and what is sent now is lost, as any client knows.
            may_send_offline = not self.log.is_reset and self._rng.random() < OFFLINE_SHARE
            if not self._initiator.logged_on.is_set() and not may_send_offline:
                continue
            if self._orders and self._rng.random() < CANCEL_SHARE:
                self._cancel(self._initiator)
            else:
                self._enter(self._initiator)

    def _enter(self, initiator: Initiator) -> None:
        rng = self._rng
        cl_ord_id, side = self._next_id("o"), rng.choice("12")
        is_nonsense = rng.random() < NONSENSE_SHARE
        is_market = rng.random() < MARKET_SHARE
        price = f"{PRICE + rng.randint(-PRICE_SPREAD, PRICE_SPREAD)}.00"
        (time_in_force,) = rng.choices(list(TIMES_IN_FORCE), list(TIMES_IN_FORCE.values()))
        self._orders = [*self._orders[-RECENT_ORDERS:], (cl_ord_id, side)]
        initiator.send(
            MsgType.NEW_ORDER_SINGLE,
            [
                (Tag.CL_ORD_ID, cl_ord_id),
                (Tag.SYMBOL, "NO-SUCH" if is_nonsense else SYMBOL),
                (Tag.SIDE, side),
                (Tag.ORDER_QTY, f"0.00{rng.randint(1, LOTS_MAX)}"),
                (Tag.ORD_TYPE, MARKET if is_market else LIMIT),
                *([] if is_market else [(Tag.PRICE, price)]),
                (Tag.TIME_IN_FORCE, time_in_force),
                (Tag.TRANSACT_TIME, self._now()),
            ],
        )

    def _cancel(self, initiator: Initiator) -> None:
        orig_cl_ord_id, side = self._rng.choice(self._orders)
        initiator.send(
            MsgType.ORDER_CANCEL_REQUEST,
            [
                (Tag.CL_ORD_ID, self._next_id("x")),
                (Tag.ORIG_CL_ORD_ID, orig_cl_ord_id),
                (Tag.SYMBOL, SYMBOL),
                (Tag.SIDE, side),
                (Tag.TRANSACT_TIME, self._now()),
            ],
        )

    def _next_id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self.log.comp_id}-{self._count}"

    def _now(self) -> str:
        return self._timestamps.format(time.time_ns())


def read_numbers(seqnums: Path) -> tuple[int, int]:
    """Return the next numbers, to be sent and expected, of a QuickFIX store's `.seqnums` file.

    (0, 0) while there is none: the store is being reset.
    """
    try:
        sender, _, target = seqnums.read_text().partition(":")
        return int(sender), int(target)
    except (OSError, ValueError):
        return 0, 0
