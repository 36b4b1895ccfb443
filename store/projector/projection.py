"""From records to rows: what the read model says after each record of the journal. No I/O.

A function of the records alone, so that a read model that is built anew says the same.
"""

from typing import Final, NamedTuple, assert_never

from crc32c import crc32c

from engine.events import (
    AccountOpened,
    AssetDefined,
    BalanceAdjusted,
    CancelRejected,
    ClOrdIdsMaxSet,
    CommandRefused,
    DeadManTimerExpired,
    DeadManTimerSet,
    Event,
    InstrumentDefined,
    KillCompleted,
    KillSwitchLifted,
    KillSwitchPulled,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderStatusReported,
    OrderTriggered,
    ReferenceEvent,
    SelfTradeModeSet,
    StorageLowSet,
    Trade,
    TradingStateChanged,
)
from engine.ledger import postings_of
from engine.ledger_events import (
    CreditLineSet,
    FeesSet,
    FirmCreditLineSet,
    FirmFeeTierSet,
    FundsTransferred,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.order import Side
from engine.reference import Reference
from engine.request_events import (
    BalancesReported,
    MassCancelCompleted,
    MassCancelReported,
    OrderStatusRefused,
)
from engine.risk_events import (
    AccountThrottleSet,
    BreakerChanged,
    CreditUsed,
    InstrumentRulesSet,
    LimitSet,
    OverrideGranted,
    OverrideRevoked,
    ReferencePriceSet,
    RiskLimitsSet,
    ScopeLimitsSet,
    TradingModeSet,
)
from engine.runtime.codec import Record
from engine.session_events import (
    SessionLoggedOff,
    SessionLoggedOn,
    SessionOpened,
    SessionReleased,
    SessionReset,
)
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import AccountId, AssetId, Money, format_fixed
from store.projector.order_rows import (
    Place,
    make_cancel_reject_row,
    make_event_row,
    make_order_row,
)
from store.projector.rows import BEFORE_ALL, Batch, Position, Row, TradeChange
from store.projector.times import format_time

VERSION: Final = 2
"""Of what rows say. A read model of another version is built anew from the journal's beginning."""

Balances = dict[tuple[AccountId, AssetId], Money]
SettledEvent = Trade | TradeBusted | TradeCorrected
MoneyEvent = SettledEvent | BalanceAdjusted | WithdrawalSettled | FundsTransferred

BOOKING_KINDS: Final[dict[type[MoneyEvent], str]] = {
    Trade: "trade",
    TradeBusted: "bust",
    TradeCorrected: "correction",
    BalanceAdjusted: "adjustment",
    WithdrawalSettled: "withdrawal",
    FundsTransferred: "transfer",
}
# Those of the exchange of base for quote; what follows them is the fee.
EXCHANGE_POSTINGS: Final = 4
FEE: Final = "fee"


class Booking(NamedTuple):
    """What a ledger entry is for: of which kind, under which name, and for which order."""

    kind: str
    reference: str
    order_id: int | None = None


class Projection:
    """Turns records into rows, in the journal's order. Rows pile up until `take_batch`."""

    def __init__(self, position: Position, reference: Reference, balances: Balances) -> None:
        self.batch = Batch(position)
        self._reference = reference
        self._balances = balances
        self._first_side: SettledEvent | None = None

    @classmethod
    def from_the_beginning(cls) -> "Projection":
        """Return the projection of a journal of which nothing has been read."""
        return cls(BEFORE_ALL, Reference(), {})

    @property
    def position(self) -> Position:
        """The last record that was added."""
        return self.batch.position

    def add(self, record: Record) -> None:
        """Add the rows of the record that follows the last one."""
        assert record.seq == self.position.seq + 1
        happened_at = format_time(record.now_ns)
        for event_index, event in enumerate(record.events()):
            self._project(Place(record.seq, event_index, happened_at), event)
        assert self._first_side is None
        self.batch.position = Position(record.seq, record.now_ns, checksum_of(record))

    def take_batch(self) -> Batch:
        """Return what has piled up, and begin anew."""
        batch, self.batch = self.batch, Batch(self.position)
        return batch

    def _project(self, place: Place, event: Event) -> None:
        """Every event there can be has its line here: a new one does not pass unseen."""
        match event:
            case Trade() | TradeBusted() | TradeCorrected():
                self._note_trade(place, event)
            case (
                OrderAccepted()
                | OrderRejected()
                | OrderCanceled()
                | OrderExpired()
                | OrderReplaced()
                | OrderRestated()
                | OrderTriggered()
            ):
                self._note_order(place, event)
            case OrderStatusReported():
                # It tells how the order stands, and changes nothing.
                self.batch.order_events.append(make_event_row(place, event, self._reference)[0])
            case CancelRejected():
                row = make_cancel_reject_row(place, event, self._reference)
                self.batch.order_events.append(row)
            case BalanceAdjusted() | WithdrawalSettled() | FundsTransferred():
                # A withdrawal that was not paid out moves nothing.
                self._book(place, event, Booking(BOOKING_KINDS[type(event)], event.reference))
            case AssetDefined() | InstrumentDefined() | AccountOpened():
                self._learn(event)
            case (
                SessionOpened()
                | SessionReleased()
                | SessionReset()
                | SessionLoggedOn()
                | SessionLoggedOff()
                | CommandRefused()
                | RiskLimitsSet()
                | ScopeLimitsSet()
                | AccountThrottleSet()
                | SelfTradeModeSet()
                | StorageLowSet()
                | ClOrdIdsMaxSet()
                | KillSwitchPulled()
                | KillSwitchLifted()
                | KillCompleted()
                | DeadManTimerSet()
                | DeadManTimerExpired()
                | MassCancelReported()
                | MassCancelCompleted()
                | OrderStatusRefused()
                | BalancesReported()
                | FeesSet()
                | FirmFeeTierSet()
                | CreditLineSet()
                | FirmCreditLineSet()
                | WithdrawalRequested()
                | TradingStateChanged()
                | LimitSet()
                | InstrumentRulesSet()
                | ReferencePriceSet()
                | TradingModeSet()
                | OverrideGranted()
                | OverrideRevoked()
                | BreakerChanged()
                | CreditUsed()
            ):
                pass  # Of no order and no money.
            case _:
                assert_never(event)

    def _learn(self, event: ReferenceEvent) -> None:
        self._reference.learn(event)
        match event:
            case AssetDefined(asset):
                self.batch.assets.append(asset)
            case InstrumentDefined(definition):
                self.batch.instruments.append(definition)
            case AccountOpened(account):
                self.batch.accounts.append(account)

    def _note_order(
        self,
        place: Place,
        event: OrderAccepted
        | OrderRejected
        | OrderCanceled
        | OrderExpired
        | OrderReplaced
        | OrderRestated
        | OrderTriggered
        | SettledEvent,
    ) -> None:
        row, report = make_event_row(place, event, self._reference)
        self.batch.order_events.append(row)
        order = make_order_row(place, event, report, self._reference)
        known = self.batch.orders.get(order.order_id)
        if known is not None:
            order = order._replace(entered_at=known.entered_at)
        self.batch.orders[order.order_id] = order

    def _note_trade(self, place: Place, side: SettledEvent) -> None:
        """Note one side; what is said of the trade itself when the other side is there too."""
        self._note_order(place, side)
        kind = BOOKING_KINDS[type(side)]
        self._book(place, side, Booking(kind, str(side.trade_id), side.order.order_id))
        first = self._first_side
        if first is None:
            self._first_side = side
            return
        assert (type(first), first.trade_id) == (type(side), side.trade_id)
        self._first_side = None
        buy, sell = (first, side) if first.order.side is Side.BUY else (side, first)
        if isinstance(buy, Trade) and isinstance(sell, Trade):
            self._match(place, buy, sell)
        else:
            self._change_trade(place, buy, sell)

    def _change_trade(self, place: Place, buy: SettledEvent, sell: SettledEvent) -> None:
        instrument = self._reference.instruments[buy.order.instrument_id]
        self.batch.trade_changes.append(
            TradeChange(
                state="busted" if isinstance(buy, TradeBusted) else "corrected",
                price=instrument.format_price(buy.price),
                qty=instrument.format_qty(buy.qty),
                notional=instrument.format_notional(buy.notional),
                buy_fee=instrument.format_notional(buy.fee),
                sell_fee=instrument.format_notional(sell.fee),
                changed_seq=place.seq,
                trade_id=buy.trade_id,
            )
        )

    def _match(self, place: Place, buy: Trade, sell: Trade) -> None:
        instrument = self._reference.instruments[buy.order.instrument_id]
        coming_in = [side for side in (buy, sell) if not side.is_resting]
        self.batch.trades.append(
            (
                buy.trade_id,
                place.seq,
                place.happened_at,
                instrument.symbol,
                instrument.format_price(buy.price),
                instrument.format_qty(buy.qty),
                instrument.format_notional(buy.notional),
                str(coming_in[0].order.side.value) if coming_in else None,
                *self._party(buy),
                *self._party(sell),
                "done",
                None,
            )
        )

    def _party(self, side: Trade) -> Row:
        """Return whose side of a trade it is, and what it cost him."""
        asset = self._reference.assets.get(side.fee_asset_id)
        fee = format_fixed(side.fee, 0 if asset is None else asset.decimals)
        symbol = None if asset is None else asset.symbol
        return side.order.order_id, side.order.account_id, fee, symbol

    def _book(self, place: Place, event: MoneyEvent, booking: Booking) -> None:
        for posting_index, posting in enumerate(postings_of(event)):
            key = (posting.account_id, posting.asset_id)
            balance = Money(self._balances.get(key, 0) + posting.amount)
            self._balances[key] = balance
            is_fee = isinstance(event, SettledEvent) and posting_index >= EXCHANGE_POSTINGS
            asset = self._reference.assets[posting.asset_id]
            balance_text = format_fixed(balance, asset.decimals)
            self.batch.balances[key] = (*key, asset.symbol, balance_text, place.seq)
            self.batch.ledger_entries.append(
                (
                    place.seq,
                    place.event_index,
                    posting_index,
                    place.happened_at,
                    posting.account_id,
                    asset.symbol,
                    format_fixed(posting.amount, asset.decimals),
                    balance_text,
                    *(booking._replace(kind=FEE) if is_fee else booking),
                )
            )


def checksum_of(record: Record) -> int:
    """Return what tells a record from another one that has its number in another journal."""
    return int(crc32c(record.events_bytes, crc32c(record.command_bytes)))
