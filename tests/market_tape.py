"""An exchange whose records are kept in memory, for those who read what the engine says."""

from engine.commands import Command
from engine.exchange import Exchange
from engine.order import OrderTerms, Side, TimeInForce
from engine.runtime.codec import Record, decode_records
from engine.runtime.sequencer import Sequencer
from engine.units import AccountId, Seq
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import (
    ALICE,
    BOB,
    DEFAULT_FUNDS,
    NS_PER_S,
    REFERENCE_COMMANDS,
    START_NS,
    account_commands,
    new_order,
)

SET_UP: list[Command] = [
    *REFERENCE_COMMANDS,
    *account_commands(ALICE, DEFAULT_FUNDS),
    *account_commands(BOB, DEFAULT_FUNDS),
]


class MarketTape:
    """BTC-USD with ALICE and BOB. A second passes before each command. ClOrdIDs: c1, c2, ..."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now_ns = START_NS
        self.order_count = 0
        self.sequencer = Sequencer(
            Exchange(PreTradeGate()), self, last_seq=Seq(0), last_ns=0, clock_ns=lambda: self.now_ns
        )
        self.commit(*SET_UP)

    def append(self, records: bytes, *, next_seq: Seq) -> None:
        """Keep a batch, as a journal would."""
        self.records += decode_records(records)
        assert self.records[-1].seq + 1 == next_seq

    def commit(self, *commands: Command) -> list[Record]:
        """Apply commands and return the records that they made."""
        before = len(self.records)
        for command in commands:
            self.now_ns += NS_PER_S
            self.sequencer.commit([command])
        return self.records[before:]

    def enter(
        self,
        account_id: AccountId,
        side: Side,
        qty: int,
        price: int | None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        terms: OrderTerms | None = None,
    ) -> list[Record]:
        """Enter an order and return its record."""
        self.order_count += 1
        return self.commit(
            new_order(
                account_id,
                side,
                qty,
                price,
                time_in_force,
                cl_ord_id=f"c{self.order_count}",
                terms=terms,
            )
        )

    def levels(self, side: Side) -> list[tuple[int, int, int]]:
        """Return price, quantity and number of orders of each level, from the exchange itself."""
        levels: dict[int, tuple[int, int]] = {}
        for item in self.sequencer.exchange.state().open_orders:
            order = item.order
            if order.side is side and order.price is not None:
                qty, count = levels.get(order.price, (0, 0))
                levels[order.price] = (qty + order.leaves_qty, count + 1)
        best_first = sorted(levels.items(), reverse=side is Side.BUY)
        return [(price, qty, count) for price, (qty, count) in best_first]
