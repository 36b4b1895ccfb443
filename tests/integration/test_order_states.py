"""Random trading over real sockets, judged by the matrices of the standard: see `order_judge`."""

import random
import secrets
from typing import Final

from fix_gateway.fix.fields import MsgType, Tag
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess
from tests.order_judge import REPLACED, TRADE, Judge

NAMES: Final = ("T09", "T10")
STEPS: Final = 150
GTC, IOC = "1", "3"


class Trader:
    """One client that does things at random and hands what it is told to the judge."""

    def __init__(self, port: int, name: str, judge: Judge, rng: random.Random) -> None:
        self._port = port
        self._name = name
        self._judge = judge
        self._rng = rng
        self._run = secrets.token_hex(4)
        self._count = 0
        self._orders: list[str] = []
        self._client = self._log_on()

    def act(self) -> None:
        """Enter, cancel or amend an order, or log out and on again."""
        roll = self._rng.random()
        price = f"{self._rng.randint(40, 44)}.00"
        qty = str(self._rng.randint(1, 9))
        if roll < 0.5 or not self._orders:
            self._send(
                MsgType.NEW_ORDER_SINGLE,
                (Tag.SIDE, self._rng.choice("12")),
                (Tag.ORDER_QTY, qty),
                (Tag.ORD_TYPE, "2"),
                (Tag.PRICE, price),
                (Tag.TIME_IN_FORCE, self._rng.choice((GTC, GTC, IOC))),
            )
        elif roll < 0.7:
            self._send(MsgType.ORDER_CANCEL_REQUEST, (Tag.ORIG_CL_ORD_ID, self._some_order()))
        elif roll < 0.95:
            self._send(
                MsgType.ORDER_CANCEL_REPLACE_REQUEST,
                (Tag.ORIG_CL_ORD_ID, self._some_order()),
                (Tag.ORDER_QTY, qty),
                (Tag.ORD_TYPE, "2"),
                (Tag.PRICE, price),
            )
        else:
            self.leave()
            self._client = self._log_on()

    def settle(self) -> None:
        """Take in all that is on its way."""
        self._count += 1
        question = f"{self._run}-{self._count}"
        # The engine answers it after all that was sent before.
        self._client.send(
            MsgType.ORDER_STATUS_REQUEST,
            (Tag.CL_ORD_ID, "nobody"),
            (Tag.ORD_STATUS_REQ_ID, question),
        )
        while True:
            fields = self._client.receive()
            if fields[Tag.MSG_TYPE] == MsgType.TEST_REQUEST:
                self._client.send(MsgType.HEARTBEAT, (Tag.TEST_REQ_ID, fields[Tag.TEST_REQ_ID]))
            elif fields.get(Tag.ORD_STATUS_REQ_ID) == question:
                return
            self._judge.hear(fields)

    def cancel_all(self) -> None:
        """Leave nothing in the book."""
        name = f"{self._run}-all"
        self._client.send(
            MsgType.ORDER_MASS_CANCEL_REQUEST,
            (Tag.CL_ORD_ID, name),
            (Tag.MASS_CANCEL_REQUEST_TYPE, "6"),
        )

    def leave(self) -> None:
        """Log out, with all that came before taken in."""
        self.settle()
        self._client.__exit__(None, None, None)

    def _log_on(self) -> RawClient:
        client = RawClient(self._port, self._name)
        client.log_on()
        return client

    def _send(self, msg_type: str, *fields: tuple[int, str]) -> None:
        self._count += 1
        name = f"{self._run}-{self._count}"
        if msg_type != MsgType.ORDER_CANCEL_REQUEST:
            self._orders.append(name)
        self._judge.unanswered.add(name)
        self._client.send(msg_type, (Tag.CL_ORD_ID, name), (Tag.SYMBOL, "BTC-USD"), *fields)

    def _some_order(self) -> str:
        return self._rng.choice(self._orders[-8:])


def test_orders_change_as_the_matrices_say(shared_venue: VenueProcess) -> None:
    """Two clients, requests of both on their way at once, and breaks."""
    rng = random.Random(1)  # What is sent is the same every time; how it meets is not.
    judge = Judge()
    traders = [Trader(shared_venue.fix_port, name, judge, rng) for name in NAMES]
    for step in range(STEPS):
        rng.choice(traders).act()
        if step % 5 == 0:
            for trader in traders:
                trader.settle()
    for trader in traders:
        trader.cancel_all()
    for trader in [*traders, *traders]:
        trader.settle()
    for trader in traders:
        trader.leave()
    assert judge.unanswered == set()
    assert {REPLACED, TRADE} <= {kind for kind, _ in judge.seen}
