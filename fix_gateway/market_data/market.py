"""The market as the records tell it: books, trades, status, and the messages that must all arrive.

Pure: a function of the records. When which message goes out is the publisher's affair.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from engine.depth import DepthChange, DepthReader, SavedPlace
from engine.events import (
    AccountOpened,
    AssetDefined,
    Event,
    ExecutionEvent,
    InstrumentDefined,
    OrderStatusReported,
    ReferenceEvent,
)
from engine.instrument import Instrument
from engine.order import Side
from engine.reference import Reference
from engine.report import make_report
from engine.runtime.codec import Record
from engine.units import FirmId, InstrumentId
from fix_gateway.market_data.messages import (
    TRADE,
    DepthMessage,
    ExecutionsMessage,
    Published,
    StatusMessage,
    TopMessage,
    TradeEntry,
    TradesMessage,
    encode,
    execution_entry,
    format_time,
    instrument_message,
    level_text,
    minute_message,
    private_topic_of,
    side_text,
    topic_of,
)
from fix_gateway.market_data.statistics import Minute, MinuteStatistics
from fix_gateway.market_data.trades import RECENT_TRADES, read_trades
from fix_gateway.market_data.trading_status import SavedStatus, TradingStatus


class SavedMarket(msgspec.Struct, frozen=True):
    """A market after a record, to go on from. `stream` names this line of messages.

    The dictionaries say which record the last message of each chain has told of.
    """

    stream: str
    seq: int
    now_ns: int
    reference: list[ReferenceEvent]
    places: list[SavedPlace]
    minutes: dict[InstrumentId, Minute]
    trade_seqs: dict[InstrumentId, int]
    recent_trades: dict[InstrumentId, list[TradeEntry]]
    execution_seqs: dict[FirmId, int]
    status: SavedStatus


class Changes(NamedTuple):
    """What some records have changed: `messages` must all be published, in order.

    The rest may be told together with what changes later: the levels of books as they are now, and
    the instruments of which something was traded.
    """

    messages: list[Published]
    levels: list[DepthChange]
    traded: dict[InstrumentId, None]


class Market:
    """What the publisher knows after the record `seq`. Belongs to one thread."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.seq = 0
        self.now_ns = 0
        self.reference = Reference()
        self._depth = DepthReader()
        self._minutes = MinuteStatistics({})
        self._status = TradingStatus()
        self._trade_seqs: dict[InstrumentId, int] = {}
        # One more than is told: its record is the one before the others.
        self._recent: dict[InstrumentId, deque[TradeEntry]] = {}
        self._execution_seqs: dict[FirmId, int] = {}

    def apply(self, records: Iterable[Record]) -> Changes:
        """Take in the next records, of which none is missing."""
        changes = Changes([], [], {})
        trades: dict[InstrumentId, list[TradeEntry]] = {}
        executions: dict[FirmId, list[dict[str, str]]] = {}
        for record in records:
            assert record.seq == self.seq + 1
            self.seq, self.now_ns = record.seq, max(self.now_ns, record.now_ns)
            events = record.events()
            changes.messages.extend(self._finish_minutes())
            for event in events:
                if isinstance(event, AssetDefined | InstrumentDefined | AccountOpened):
                    changes.messages.extend(self._learn(event))
                elif self._status.learn(event):
                    changes.messages.extend(self.status_messages())
            changes.levels.extend(self._depth.apply(events))
            self._add_trades(events, trades)
            self._add_executions(events, executions)
        changes.traded.update(dict.fromkeys(trades))
        changes.messages.extend(self._trade_messages(trades))
        changes.messages.extend(self._execution_messages(executions))
        return changes

    def instruments(self) -> Iterable[InstrumentId]:
        """Return all instruments there are."""
        return list(self.reference.instruments)

    def snapshot(self, instrument_id: InstrumentId, levels_max: int) -> Published:
        """Return an instrument's whole book, or the best levels of one that has too many."""
        instrument = self.reference.instruments[instrument_id]
        bids, asks = (
            [
                level_text(instrument, level)
                for level in self._depth.depth(instrument_id, side, levels_max + 1)
            ]
            for side in (Side.BUY, Side.SELL)
        )
        message = DepthMessage(
            self.stream,
            instrument.symbol,
            self.seq,
            format_time(self.now_ns),
            bids[:levels_max],
            asks[:levels_max],
            is_cut=max(len(bids), len(asks)) > levels_max,
        )
        topic = topic_of(instrument.symbol, "depth", "snapshot")
        return Published(topic, encode(message), is_retained=True)

    def update(
        self, instrument_id: InstrumentId, levels: list[DepthChange], *, prev_seq: int, name: str
    ) -> Published:
        """Return some levels of a book as they are now; `prev_seq` was the last to be told of."""
        instrument = self.reference.instruments[instrument_id]
        message = DepthMessage(
            self.stream,
            instrument.symbol,
            self.seq,
            format_time(self.now_ns),
            side_text(instrument, levels, Side.BUY),
            side_text(instrument, levels, Side.SELL),
            prev_seq,
        )
        return Published(topic_of(instrument.symbol, "depth", name), encode(message))

    def top(self, instrument_id: InstrumentId) -> Published:
        """Return the best level of each side."""
        instrument = self.reference.instruments[instrument_id]
        best = [self._depth.depth(instrument_id, side, 1) for side in (Side.BUY, Side.SELL)]
        bid, ask = (level_text(instrument, levels[0]) if levels else None for levels in best)
        message = TopMessage(
            self.stream,
            instrument.symbol,
            self.seq,
            format_time(self.now_ns),
            bid,
            ask,
        )
        return Published(topic_of(instrument.symbol, "top"), encode(message), is_retained=True)

    def recent_trades(self, instrument_id: InstrumentId) -> Published | None:
        """Return the last trades, for whoever has missed some; None when there was none."""
        recent = list(self._recent.get(instrument_id, ()))
        if not recent:
            return None
        symbol = self.reference.instruments[instrument_id].symbol
        prev_seq = recent.pop(0).seq if len(recent) > RECENT_TRADES else 0
        message = TradesMessage(self.stream, symbol, recent[-1].seq, prev_seq, recent)
        topic = topic_of(symbol, "trades", "recent")
        return Published(topic, encode(message), is_retained=True)

    def minute(self, instrument_id: InstrumentId) -> Published | None:
        """Return the figures of the running minute, None when nothing was traded in it."""
        minute = self._minutes.running.get(instrument_id)
        return None if minute is None else self._minute(instrument_id, minute, is_final=False)

    def instrument_messages(self) -> list[Published]:
        """Return what all instruments are."""
        return [self._instrument(known) for known in self.reference.instruments.values()]

    def status_messages(self) -> list[Published]:
        """Return the status of all instruments."""
        return [self._status_of(known) for known in self.reference.instruments.values()]

    def save(self) -> SavedMarket:
        """Return all that is needed to go on from here."""
        return SavedMarket(
            stream=self.stream,
            seq=self.seq,
            now_ns=self.now_ns,
            reference=self.reference.events(),
            places=self._depth.save(),
            minutes=dict(self._minutes.running),
            trade_seqs=dict(self._trade_seqs),
            recent_trades={key: list(recent) for key, recent in self._recent.items()},
            execution_seqs=dict(self._execution_seqs),
            status=self._status.save(),
        )

    @classmethod
    def restore(cls, saved: SavedMarket) -> "Market":
        """Return the market that was saved."""
        market = cls(saved.stream)
        market.seq, market.now_ns = saved.seq, saved.now_ns
        for event in saved.reference:
            market.reference.learn(event)
        market._depth = DepthReader.restore(saved.places)
        market._minutes = MinuteStatistics(dict(saved.minutes))
        market._trade_seqs = dict(saved.trade_seqs)
        for instrument_id, recent in saved.recent_trades.items():
            market._recent[instrument_id] = deque(recent, RECENT_TRADES + 1)
        market._execution_seqs = dict(saved.execution_seqs)
        market._status = TradingStatus.restore(saved.status)
        return market

    def _learn(self, event: ReferenceEvent) -> list[Published]:
        self.reference.learn(event)
        if not isinstance(event, InstrumentDefined):
            return []
        instrument = self.reference.instruments[event.instrument.instrument_id]
        return [self._instrument(instrument), self._status_of(instrument)]

    def _add_trades(
        self, events: list[Event], trades: dict[InstrumentId, list[TradeEntry]]
    ) -> None:
        found = read_trades(events, self.reference, seq=self.seq, now_ns=self.now_ns)
        for instrument_id, entry, trade in found:
            trades.setdefault(instrument_id, []).append(entry)
            if entry.kind == TRADE:
                self._minutes.add(
                    instrument_id, self.now_ns, trade.price, trade.qty, trade.notional
                )

    def _trade_messages(self, trades: dict[InstrumentId, list[TradeEntry]]) -> list[Published]:
        messages = []
        for instrument_id, entries in trades.items():
            symbol = self.reference.instruments[instrument_id].symbol
            seq, prev_seq = entries[-1].seq, self._trade_seqs.get(instrument_id, 0)
            self._trade_seqs[instrument_id] = seq
            self._recent.setdefault(instrument_id, deque(maxlen=RECENT_TRADES + 1)).extend(entries)
            message = TradesMessage(self.stream, symbol, seq, prev_seq, entries)
            messages.append(Published(topic_of(symbol, "trades"), encode(message)))
        return messages

    def _add_executions(
        self, events: list[Event], executions: dict[FirmId, list[dict[str, str]]]
    ) -> None:
        for index, event in enumerate(events):
            if not isinstance(event, ExecutionEvent) or isinstance(event, OrderStatusReported):
                continue
            account = self.reference.accounts.get(event.order.account_id)
            if account is not None:  # Else an order that was refused because there is none such.
                report = make_report(event, f"{self.seq}.{index}", self.reference)
                entry = {"time": format_time(self.now_ns), **execution_entry(report)}
                executions.setdefault(account.firm_id, []).append(entry)

    def _execution_messages(
        self, executions: dict[FirmId, list[dict[str, str]]]
    ) -> list[Published]:
        messages = []
        for firm_id, entries in executions.items():
            seq = int(entries[-1]["exec_id"].partition(".")[0])
            prev_seq = self._execution_seqs.get(firm_id, 0)
            self._execution_seqs[firm_id] = seq
            message = ExecutionsMessage(self.stream, firm_id, seq, prev_seq, entries)
            messages.append(Published(private_topic_of(firm_id), encode(message)))
        return messages

    def _finish_minutes(self) -> list[Published]:
        return [
            self._minute(instrument_id, minute, is_final=True)
            for instrument_id, minute in self._minutes.take_finished(self.now_ns)
        ]

    def _minute(self, instrument_id: InstrumentId, minute: Minute, *, is_final: bool) -> Published:
        instrument = self.reference.instruments[instrument_id]
        message = minute_message(
            instrument, minute, stream=self.stream, seq=self.seq, is_final=is_final
        )
        return Published(topic_of(instrument.symbol, "minute"), encode(message), is_retained=True)

    def _instrument(self, instrument: Instrument) -> Published:
        message = instrument_message(instrument, self.stream)
        topic = topic_of(instrument.symbol, "instrument")
        return Published(topic, encode(message), is_retained=True)

    def _status_of(self, instrument: Instrument) -> Published:
        found = self._status.status(instrument.definition)
        message = StatusMessage(
            stream=self.stream,
            symbol=instrument.symbol,
            seq=self.seq,
            time=format_time(self.now_ns),
            status=found.status,
            reason=found.reason,
            ends_at=format_time(found.ends_at_ns) if found.ends_at_ns else None,
        )
        topic = topic_of(instrument.symbol, "status")
        return Published(topic, encode(message), is_retained=True)
