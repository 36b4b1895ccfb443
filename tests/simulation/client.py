"""A FIX client as the engine's doors see it: numbered messages, and what it was told.

It lives outside the machine and forgets nothing.
"""

from collections.abc import Callable
from random import Random

import msgspec

from engine.commands import CancelOrder, NewOrder, SessionCommand
from engine.events import Event
from engine.order import OrdType, Side, TimeInForce
from engine.runtime.feed import Position
from engine.units import AccountId, ClOrdId, InstrumentId, Price, Qty, SessionId
from tests.session_row import make_row

INSTRUMENT = InstrumentId(1)
TIMES = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)

Take = Callable[[int, SessionCommand], None]


class Client:
    """One session's client."""

    def __init__(self, session_id: SessionId, account_id: AccountId, random: Random) -> None:
        self.session_id = session_id
        self.account_id = account_id
        self.epoch = 0  # 0: it has never been logged on.
        self.messages: dict[int, list[SessionCommand]] = {}  # By epoch; MsgSeqNum - 1 is the index.
        self.refused: set[tuple[int, int]] = set()
        self.must_run: set[tuple[int, int]] = set()
        self.received: list[tuple[Position, Event]] = []
        self.take: Take | None = None  # The door, while logged on.
        self.row = make_row(
            session_id=session_id,
            account_id=account_id,
            cancel_on_disconnect=random.choice(("off", "off", "session", "account")),
            cancel_grace_ms=random.choice((0, 200, 3000)),
            cancel_on_logout=random.random() < 0.5,
            cancel_on_internal_loss=random.random() < 0.5,
        )
        self._random = random
        self._count = 0

    def start_epoch(self, epoch: int) -> None:
        """A Logon with ResetSeqNumFlag(141)=Y has been answered."""
        self.epoch = epoch
        self.messages[epoch] = []

    def send(self, *, is_lost: bool) -> None:
        """Make the next message. One that is lost never gets to the door over this connection."""
        sent = self.messages[self.epoch]
        sent.append(self._next_command(len(sent) + 1))
        if is_lost:
            self.take = None
        elif self.take is not None:
            self.take(len(sent), sent[-1])

    def resend(self, from_number: int) -> None:
        """Answer a ResendRequest: all messages from a number on."""
        for number, command in enumerate(list(self.messages[self.epoch]), start=1):
            if number >= from_number and self.take is not None:
                self.take(number, command)

    def _next_command(self, number: int) -> SessionCommand:
        random = self._random
        self._count += 1
        name = ClOrdId(f"s{self.session_id}-{self._count}")
        if self._count > 1 and random.random() < 0.25:
            # Now and then of the other session of the account, or of a stranger.
            owner = self.session_id if random.random() < 0.7 else random.randint(1, 4)
            target = ClOrdId(f"s{owner}-{random.randint(max(1, self._count - 12), self._count)}")
            return CancelOrder(
                self.session_id, 0, self.epoch, number, self.account_id, name, target
            )
        is_market = random.random() < 0.1
        time_in_force = random.choice(TIMES)
        is_gtc = time_in_force is TimeInForce.GTC
        return NewOrder(
            session_id=self.session_id,
            generation=0,
            epoch=self.epoch,
            msg_seq_num=number,
            account_id=self.account_id,
            instrument_id=INSTRUMENT,
            cl_ord_id=name,
            side=random.choice((Side.BUY, Side.SELL)),
            ord_type=OrdType.MARKET if is_market else OrdType.LIMIT,
            time_in_force=time_in_force,
            order_qty=Qty(random.randint(1, 22)),
            price=None if is_market else Price(random.randint(95, 105)),
            outlives_connection=is_gtc and random.random() < 0.3,
        )


def with_grant(command: SessionCommand, generation: int, received_at_ns: int) -> SessionCommand:
    """Return the command as a door sends it that holds the grant."""
    return msgspec.structs.replace(command, generation=generation, received_at_ns=received_at_ns)
