"""What is written to the read model: one record's rows, and those of many as one batch."""

from dataclasses import dataclass, field
from typing import NamedTuple

from engine.instrument import Account, Asset, InstrumentDefinition
from engine.units import AccountId, AssetId, Seq

Row = tuple[object, ...]
"""Values in the order of the table's columns."""


class Position(NamedTuple):
    """The last record that the read model knows of: its time and checksum tell which that was."""

    seq: Seq
    happened_at_ns: int
    checksum: int


BEFORE_ALL = Position(Seq(0), 0, 0)


class OrderRow(NamedTuple):
    """An order as it stands. Numbers are decimal text, codes those of FIX."""

    order_id: int
    account_id: int
    session_id: int
    symbol: str
    cl_ord_id: str
    side: str
    ord_type: str
    time_in_force: str
    price: str | None
    order_qty: str
    leaves_qty: str
    cum_qty: str
    avg_px: str
    ord_status: str
    reason: str | None
    text: str | None
    terms: str | None
    entered_at: str
    changed_at: str
    last_seq: int


class TradeChange(NamedTuple):
    """What a trade is since it was undone or settled anew. Numbers are decimal text."""

    state: str
    price: str
    qty: str
    notional: str
    buy_fee: str
    sell_fee: str
    changed_seq: int
    trade_id: int


@dataclass
class Batch:
    """Rows of one or more records. Of an order or a balance only the last state is kept."""

    position: Position
    assets: list[Asset] = field(default_factory=list)
    instruments: list[InstrumentDefinition] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    orders: dict[int, OrderRow] = field(default_factory=dict)
    order_events: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    trade_changes: list[TradeChange] = field(default_factory=list)
    ledger_entries: list[Row] = field(default_factory=list)
    balances: dict[tuple[AccountId, AssetId], Row] = field(default_factory=dict)

    @property
    def row_count(self) -> int:
        """How much there is to write."""
        return (
            len(self.orders) + len(self.order_events) + len(self.trades) + len(self.ledger_entries)
        )
