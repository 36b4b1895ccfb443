"""What the read model must say, counted off the journal in the simplest way there is."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.events import (
    AccountOpened,
    AssetDefined,
    CancelRejected,
    ExecutionEvent,
    InstrumentDefined,
    OrderStatusReported,
    Trade,
)
from engine.instrument import Asset, InstrumentDefinition
from engine.ledger import postings_of
from engine.report import ORD_STATUS_TEXT
from engine.runtime.journal import read_records
from store.postgres import Connection

Tables = dict[str, list[tuple[Any, ...]]]

QUERIES = {
    "orders": "SELECT order_id, account_id, cl_ord_id, symbol, price, order_qty, leaves_qty,"
    " cum_qty, ord_status, last_seq FROM read_model.orders ORDER BY order_id",
    "order_events": "SELECT seq, event_index, order_id, account_id, exec_type"
    " FROM read_model.order_events ORDER BY seq, event_index",
    "trades": "SELECT trade_id, seq, symbol, price, qty, buy_account_id, sell_account_id"
    " FROM read_model.trades ORDER BY trade_id",
    "ledger_entries": "SELECT seq, event_index, posting_index, account_id, asset, amount, balance"
    " FROM read_model.ledger_entries ORDER BY seq, event_index, posting_index",
    "balances": "SELECT account_id, asset, balance FROM read_model.balances"
    " ORDER BY account_id, asset",
    "accounts": "SELECT account_id, firm_id, name FROM read_model.accounts ORDER BY account_id",
    "position": "SELECT seq FROM read_model.position",
}


class JournalCount:
    """Goes through a journal once and counts."""

    def __init__(self, journal_dir: Path, until_seq: int) -> None:
        self._assets: dict[int, Asset] = {}
        self._instruments: dict[int, InstrumentDefinition] = {}
        self._orders: dict[int, tuple[Any, ...]] = {}
        self._trades: dict[int, tuple[Any, ...]] = {}
        self._balances: Counter[tuple[int, str]] = Counter()
        self._until_seq = until_seq
        self.tables: Tables = {name: [] for name in QUERIES}
        for record in read_records(journal_dir, until_seq=until_seq):
            for index, event in enumerate(record.events()):
                self._count(record.seq, index, event)
        self._finish()

    def _count(self, seq: int, index: int, event: Any) -> None:
        match event:
            case AssetDefined():
                self._assets[event.asset.asset_id] = event.asset
            case InstrumentDefined():
                self._instruments[event.instrument.instrument_id] = event.instrument
            case AccountOpened():
                account = event.account
                self.tables["accounts"].append((account.account_id, account.firm_id, account.name))
            case CancelRejected():
                order_id = None if event.order is None else event.order.order_id
                row = (seq, index, order_id, event.account_id, None)
                self.tables["order_events"].append(row)
            case _ if isinstance(event, ExecutionEvent):
                self._count_execution(seq, index, event)
        for place, posting in enumerate(postings_of(event)):
            symbol = self._assets[posting.asset_id].symbol
            self._balances[posting.account_id, symbol] += posting.amount
            decimals = self._assets[posting.asset_id].decimals
            amount, balance = (
                Decimal(value).scaleb(-decimals)
                for value in (posting.amount, self._balances[posting.account_id, symbol])
            )
            entry = (seq, index, place, posting.account_id, symbol, amount, balance)
            self.tables["ledger_entries"].append(entry)

    def _count_execution(self, seq: int, index: int, event: Any) -> None:
        order = event.order
        order_id = order.order_id or seq
        exec_type = {
            "OrderAccepted": "0",
            "OrderRejected": "8",
            "OrderStatusReported": "I",
            "Trade": "F",
            "OrderCanceled": "4",
            "OrderExpired": "C",
            "OrderReplaced": "5",
            "OrderRestated": "D",
        }[type(event).__name__]
        row = (seq, index, order_id, order.account_id, exec_type)
        self.tables["order_events"].append(row)
        definition = self._instruments.get(order.instrument_id)
        symbol = "[N/A]" if definition is None else definition.symbol
        price_places = 0 if definition is None else definition.price_decimals
        qty_places = 0 if definition is None else definition.qty_decimals
        if not isinstance(event, OrderStatusReported):
            self._orders[order_id] = (
                order_id,
                order.account_id,
                order.cl_ord_id,
                symbol,
                None if order.price is None else Decimal(order.price).scaleb(-price_places),
                *(
                    Decimal(qty).scaleb(-qty_places)
                    for qty in (order.order_qty, order.leaves_qty, order.cum_qty)
                ),
                ORD_STATUS_TEXT[order.ord_status],
                seq,
            )
        if isinstance(event, Trade):
            known = self._trades.get(event.trade_id, (None,) * 7)
            is_buy = order.side.name == "BUY"
            self._trades[event.trade_id] = (
                event.trade_id,
                seq,
                symbol,
                Decimal(event.price).scaleb(-price_places),
                Decimal(event.qty).scaleb(-qty_places),
                order.account_id if is_buy else known[5],
                known[6] if is_buy else order.account_id,
            )

    def _finish(self) -> None:
        decimals = {asset.symbol: asset.decimals for asset in self._assets.values()}
        self.tables["orders"] = [self._orders[order_id] for order_id in sorted(self._orders)]
        self.tables["trades"] = [self._trades[trade_id] for trade_id in sorted(self._trades)]
        self.tables["balances"] = [
            (*key, Decimal(self._balances[key]).scaleb(-decimals[key[1]]))
            for key in sorted(self._balances)
        ]
        self.tables["position"] = [(self._until_seq,)]


async def read_tables(connection: Connection) -> Tables:
    """Return what the read model says."""
    return {
        name: await (await connection.execute(query)).fetchall() for name, query in QUERIES.items()
    }
