"""Trades undone or settled anew. The ledger is put right; the market is not played again."""

from collections import Counter
from typing import NamedTuple

import msgspec

from engine.events import CommandRefused, Event
from engine.instrument import Instrument, fits_the_journal
from engine.ledger import CLEARING, VENUE_ACCOUNTS, Ledger, postings_of
from engine.ledger_events import CreditLineSet
from engine.order import OrderView, without_fill
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade, TradeCommand, TradeSide
from engine.trade_events import TradeBusted, TradeCorrected
from engine.trading import Trading
from engine.units import AccountId, AssetId, Money, Price, Qty, TradeId


class Figures(NamedTuple):
    """What a trade has moved. Without a quantity it has been undone."""

    qty: Qty
    price: Price
    aggressor_fee: Money
    resting_fee: Money


class AmendedTrade(msgspec.Struct, frozen=True, array_like=True):
    """A trade that is not any more what the journal tells of it. `qty` 0: it was undone."""

    trade_id: TradeId
    qty: Qty
    price: Price
    aggressor_fee: Money
    resting_fee: Money


UNDONE = Figures(Qty(0), Price(0), Money(0), Money(0))


class TradeAmendments:
    """What has become of trades that did not stay as they were. Belongs to the applying thread."""

    __slots__ = ("_amended", "_ledger", "_reference", "_trading")

    def __init__(self, reference: Reference, ledger: Ledger, trading: Trading) -> None:
        self._reference = reference
        self._ledger = ledger
        self._trading = trading
        self._amended: dict[TradeId, Figures] = {}

    def restore(self, amended: AmendedTrade) -> None:
        """Know again what has become of a trade."""
        self._amended[amended.trade_id] = Figures(*msgspec.structs.astuple(amended)[1:])

    def amended(self) -> list[AmendedTrade]:
        """Return all trades that are not what they were, in the order of their first amendment."""
        return [AmendedTrade(trade_id, *figures) for trade_id, figures in self._amended.items()]

    def apply(self, command: TradeCommand) -> list[Event]:
        """Undo the trade or settle it anew, and say what that has done, or why it is not done."""
        trade = command.trade
        instrument = self._reference.instruments.get(trade.instrument_id)
        if instrument is None:
            return [CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=trade.instrument_id)]
        refused = self._unknown(trade, instrument)
        if refused is not None:
            return [refused]
        former = self._amended.get(trade.trade_id) or Figures(
            trade.qty, trade.price, trade.aggressor.fee, trade.resting.fee
        )
        if isinstance(command, CorrectTrade):
            refused = _unsound(command, instrument, former)
            if refused is not None:
                return [refused]
            figures = _corrected(command, instrument, former)
        else:
            figures = UNDONE
        events = [
            self._make_event(command, side, instrument, former, figures)
            for side in (trade.aggressor, trade.resting)
        ]
        lines = self._shortages(events)
        if lines and not command.is_forced:
            return [self._not_covered(lines[0])]
        for line in lines:
            self._ledger.set_credit(line)
        self._amended[trade.trade_id] = figures
        for event in events:
            self._ledger.post(event)
            self._take_from_order(event)
        return [*lines, *events]

    def _unknown(self, trade: BookedTrade, instrument: Instrument) -> CommandRefused | None:
        """Refuse what cannot have happened, or what has been undone since."""
        orders = (trade.aggressor.order, trade.resting.order)
        is_possible = (
            0 < trade.trade_id <= self._trading.trade_id_last
            and trade.qty > 0
            and trade.price > 0
            and orders[0].side is not orders[1].side
            and all(
                order.account_id in self._reference.accounts
                and order.instrument_id == trade.instrument_id
                for order in orders
            )
        )
        figures = self._amended.get(trade.trade_id)
        if is_possible and figures is None:
            is_possible = all(self._may_have_traded(trade, order, instrument) for order in orders)
        if not is_possible:
            return CommandRefused(RejectReason.TRADE_UNKNOWN, actual=trade.trade_id)
        if figures == UNDONE:
            return CommandRefused(RejectReason.TRADE_BUSTED, actual=trade.trade_id)
        return None

    def _may_have_traded(self, trade: BookedTrade, view: OrderView, instrument: Instrument) -> bool:
        """Whether the order, as far as it is still known, may have had such a fill."""
        order = self._trading.memory.find_by_order_id(view.order_id)
        if order is None:
            return view.cum_qty >= trade.qty
        return (
            order.account_id == view.account_id
            and order.instrument_id == view.instrument_id
            and order.side is view.side
            and order.cum_qty >= trade.qty
            and order.cum_notional >= instrument.notional(trade.price, trade.qty)
        )

    def _make_event(
        self,
        command: TradeCommand,
        side: TradeSide,
        instrument: Instrument,
        former: Figures,
        figures: Figures,
    ) -> TradeBusted | TradeCorrected:
        trade = command.trade
        is_resting = side is trade.resting
        former_notional = instrument.notional(former.price, former.qty)
        notional = instrument.notional(figures.price, figures.qty)
        order = self._trading.memory.find_by_order_id(side.order.order_id)
        view = without_fill(
            side.order if order is None else order.view(),
            Qty(former.qty - figures.qty),
            Money(former_notional - notional),
        )
        if isinstance(command, BustTrade):
            return TradeBusted(
                order=view,
                trade_id=trade.trade_id,
                trade_seq=trade.trade_seq,
                event_index=side.event_index,
                qty=former.qty,
                price=former.price,
                notional=former_notional,
                base_amount=instrument.base_amount(former.qty),
                fee=former.resting_fee if is_resting else former.aggressor_fee,
                base_asset_id=instrument.base.asset_id,
                quote_asset_id=instrument.quote.asset_id,
                is_resting=is_resting,
                reason=command.reason,
                actor=command.actor,
            )
        return TradeCorrected(
            order=view,
            trade_id=trade.trade_id,
            trade_seq=trade.trade_seq,
            event_index=side.event_index,
            qty=figures.qty,
            price=figures.price,
            notional=notional,
            base_amount=instrument.base_amount(figures.qty),
            fee=figures.resting_fee if is_resting else figures.aggressor_fee,
            former_qty=former.qty,
            former_price=former.price,
            former_notional=former_notional,
            former_base_amount=instrument.base_amount(former.qty),
            former_fee=former.resting_fee if is_resting else former.aggressor_fee,
            base_asset_id=instrument.base.asset_id,
            quote_asset_id=instrument.quote.asset_id,
            is_resting=is_resting,
            reason=command.reason,
            actor=command.actor,
        )

    def _shortages(self, events: list[TradeBusted | TradeCorrected]) -> list[CreditLineSet]:
        """Return what lines of credit the accounts would need to bear it, [] when they can."""
        moved: Counter[tuple[AccountId, AssetId]] = Counter()
        for event in events:
            for posting in postings_of(event):
                moved[(posting.account_id, posting.asset_id)] += posting.amount
        lines = []
        for (account_id, asset_id), amount in moved.items():
            if account_id == CLEARING or account_id in VENUE_ACCOUNTS:
                continue
            balance = self._ledger.get_balance(account_id, asset_id)
            # Its firm's line is for trading: of that it may only keep what it has drawn already.
            own = balance.balance - balance.held + balance.credit + balance.drawn
            shortage = -(own + amount)
            if shortage > 0:
                credit = Money(balance.credit + shortage)
                lines.append(CreditLineSet(account_id, asset_id, credit))
        return lines

    def _not_covered(self, line: CreditLineSet) -> CommandRefused:
        credit = self._ledger.get_balance(line.account_id, line.asset_id).credit
        return CommandRefused(
            RejectReason.TRADE_NOT_COVERED, limit=credit, actual=line.limit
        )  # fmt: skip

    def _take_from_order(self, event: TradeBusted | TradeCorrected) -> None:
        """Let the order, if it is still known, be what the event says of it."""
        order = self._trading.memory.find_by_order_id(event.order.order_id)
        if order is not None:
            order.order_qty = event.order.order_qty
            order.cum_qty = event.order.cum_qty
            order.cum_notional = event.order.cum_notional
            order.ord_status = event.order.ord_status


def _unsound(
    command: CorrectTrade, instrument: Instrument, former: Figures
) -> CommandRefused | None:
    """Refuse figures that the trade could not have had, or has."""
    tick, lot = instrument.definition.tick_size, instrument.definition.lot_size
    qty, price = command.qty, command.price
    if price <= 0 or price % tick:
        return CommandRefused(RejectReason.TICK_SIZE, limit=tick, actual=price)
    if qty <= 0 or qty % lot:
        return CommandRefused(RejectReason.LOT_SIZE, limit=lot, actual=qty)
    if qty > former.qty or (qty, price) == (former.qty, former.price):
        return CommandRefused(RejectReason.AMOUNT_INVALID, limit=former.qty, actual=qty)
    if not fits_the_journal(instrument.notional(price, qty)):
        return CommandRefused(RejectReason.AMOUNT_INVALID, actual=price)
    return None


def _corrected(command: CorrectTrade, instrument: Instrument, former: Figures) -> Figures:
    value = instrument.notional(command.price, command.qty)
    former_value = instrument.notional(former.price, former.qty)
    return Figures(
        command.qty,
        command.price,
        _in_proportion(former.aggressor_fee, value, former_value),
        _in_proportion(former.resting_fee, value, former_value),
    )


def _in_proportion(fee: Money, value: Money, former_value: Money) -> Money:
    """Return what the fee is for another value, rounded towards zero like every fee."""
    size = abs(fee) * value // former_value
    return Money(size if fee >= 0 else -size)
