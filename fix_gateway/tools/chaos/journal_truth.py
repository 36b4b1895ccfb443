"""What the engine's journal says has happened: the engine's side of the reconciliation.

The one module of the tools that reads the engine's files. What it hands on is in FIX's own words,
so that it can be laid beside what clients were told.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.commands import Command, NewOrder
from engine.events import (
    AccountOpened,
    AssetDefined,
    BalanceAdjusted,
    CancelRejected,
    Event,
    InstrumentDefined,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderStatusReported,
    OrderTriggered,
    Trade,
    recipients,
)
from engine.order import OrderView, OrdStatus, Side
from engine.runtime.journal import inspect_tail, read_records
from engine.units import SessionId, format_fixed
from fix_gateway.fix.fields import ExecType, Fields, Tag

ORD_STATUS: Final = {
    OrdStatus.NEW: "0",
    OrdStatus.PARTIALLY_FILLED: "1",
    OrdStatus.FILLED: "2",
    OrdStatus.CANCELED: "4",
    OrdStatus.REJECTED: "8",
    OrdStatus.EXPIRED: "C",
}
EXEC_TYPES: Final = {
    OrderAccepted: ExecType.NEW,
    OrderRejected: ExecType.REJECTED,
    OrderStatusReported: ExecType.ORDER_STATUS,
    Trade: ExecType.TRADE,
    OrderCanceled: ExecType.CANCELED,
    OrderExpired: ExecType.EXPIRED,
    OrderReplaced: ExecType.REPLACED,
    OrderRestated: ExecType.RESTATED,
    OrderTriggered: ExecType.TRIGGERED,
}


@dataclass
class ClientTruth:
    """What the journal says of one client, whose session and account bear its CompID.

    `reports` are the reports that it must have been sent, by ExecID(17) and in order, each with
    the fields that can be known. `cancel_rejects` counts OrderCancelRejects by ClOrdID(11).
    `passed_over` are the orders that the engine ignored as seen before. Balances are in units of
    the asset's last decimal.
    """

    reports: dict[str, Fields] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    cancel_rejects: Counter[str] = field(default_factory=Counter)
    passed_over: set[str] = field(default_factory=set)
    deposits: Counter[str] = field(default_factory=Counter)
    balances: Counter[str] = field(default_factory=Counter)


class JournalTruth:
    """A journal, whole or up to a record, client by client."""

    def __init__(self, journal_dir: Path, until_seq: int | None = None) -> None:
        self.clients: defaultdict[str, ClientTruth] = defaultdict(ClientTruth)
        self.decimals: dict[str, int] = {}
        self.trade_count = 0
        self._names: dict[int, str] = {}
        self._by_session: dict[SessionId, str] = {}
        self._assets: dict[int, str] = {}
        self._instruments: dict[int, InstrumentDefined] = {}
        last_seq = inspect_tail(journal_dir).last_seq if until_seq is None else until_seq
        for record in read_records(journal_dir, until_seq=last_seq):
            events = record.events()
            self._note_command(record.command(), events)
            for index, event in enumerate(events):
                self._note_event(f"{record.seq}.{index}", event)

    @property
    def order_count(self) -> int:
        """How many orders the engine has accepted."""
        return sum(client.accepted.total() for client in self.clients.values())

    def _note_command(self, command: Command, events: list[Event]) -> None:
        if not isinstance(command, NewOrder):
            return
        name = self._names[command.account_id]
        self._by_session[command.session_id] = name
        if not events:
            self.clients[name].passed_over.add(command.cl_ord_id)

    def _note_event(self, exec_id: str, event: Event) -> None:
        match event:
            case AccountOpened():
                self._names[event.account.account_id] = event.account.name
            case AssetDefined():
                self._assets[event.asset.asset_id] = event.asset.symbol
                self.decimals[event.asset.symbol] = event.asset.decimals
            case InstrumentDefined():
                self._instruments[event.instrument.instrument_id] = event
            case BalanceAdjusted():
                client = self.clients[self._names[event.account_id]]
                client.deposits[self._assets[event.asset_id]] += event.amount
                client.balances[self._assets[event.asset_id]] += event.amount
            case CancelRejected():
                self.clients[self._names[event.account_id]].cancel_rejects[event.cl_ord_id] += 1
            case _ if isinstance(event, OrderEvent):
                self._note_order_event(exec_id, event)

    def _note_order_event(self, exec_id: str, event: OrderEvent) -> None:
        assert not isinstance(event, CancelRejected)
        owner = self.clients[self._names[event.order.account_id]]
        if isinstance(event, OrderAccepted):
            owner.accepted[event.order.cl_ord_id] += 1
        elif isinstance(event, OrderRejected):
            owner.rejected[event.order.cl_ord_id] += 1
        elif isinstance(event, Trade):
            self._note_trade(owner, event)
        fields = self._fields(exec_id, event)
        for session_id in recipients(event):
            if session_id in self._by_session:
                self.clients[self._by_session[session_id]].reports[exec_id] = fields

    def _note_trade(self, owner: ClientTruth, trade: Trade) -> None:
        sign = 1 if trade.order.side is Side.BUY else -1
        owner.balances[self._assets[trade.base_asset_id]] += sign * trade.base_amount
        owner.balances[self._assets[trade.quote_asset_id]] -= sign * trade.notional
        self.trade_count += trade.is_resting

    def _fields(self, exec_id: str, event: OrderEvent) -> Fields:
        assert not isinstance(event, CancelRejected)
        order: OrderView = event.order
        definition = self._instruments[order.instrument_id].instrument
        places = definition.qty_decimals
        fields: Fields = {
            Tag.EXEC_ID: exec_id,
            Tag.EXEC_TYPE: EXEC_TYPES[type(event)],
            Tag.ORD_STATUS: ORD_STATUS[order.ord_status],
            Tag.SYMBOL: definition.symbol,
            Tag.SIDE: str(order.side.value),
            Tag.ORDER_QTY: format_fixed(order.order_qty, places),
            Tag.CUM_QTY: format_fixed(order.cum_qty, places),
            Tag.LEAVES_QTY: format_fixed(order.leaves_qty, places),
        }
        own_id = Tag.CL_ORD_ID
        if isinstance(event, OrderCanceled) and event.cl_ord_id:
            fields[Tag.CL_ORD_ID] = event.cl_ord_id
            own_id = Tag.ORIG_CL_ORD_ID
        fields[own_id] = order.cl_ord_id
        if order.order_id:
            fields[Tag.ORDER_ID] = str(order.order_id)
        if isinstance(event, Trade):
            fields[Tag.LAST_QTY] = format_fixed(event.qty, places)
            fields[Tag.LAST_PX] = format_fixed(event.price, definition.price_decimals)
        return fields
