"""What accounts and firms have and what their open orders may make of it, learnt from the events.

Everything here could be computed anew from the balances and the open orders, and is after a
restart: a model test compares the two.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from engine.events import (
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderReplaced,
    OrderRestated,
    Trade,
)
from engine.instrument import Account, Instrument
from engine.ledger import EXTERNAL, Posting
from engine.order import OrderView, OrdType, Side
from engine.scope import Scope
from engine.units import AccountId, AssetId, FirmId, InstrumentId, Money, OrderId

BUY = Side.BUY
PLAIN_TYPES: Final = (OrdType.MARKET, OrdType.LIMIT)
ALL_INSTRUMENTS: Final = InstrumentId(0)


class Holding:
    """An account's or a firm's balance of an asset, and what open orders may add or take."""

    __slots__ = ("balance", "open_buy", "open_sell")

    def __init__(self) -> None:
        self.balance = 0
        self.open_buy = 0
        self.open_sell = 0

    @property
    def worst_case(self) -> int:
        """How far from nothing it ends if all open orders of the worse side trade."""
        return max(self.balance + self.open_buy, self.open_sell - self.balance)

    def reducible(self, side: Side, own: int) -> int:
        """Return how much an order of that side may trade and only bring the balance nearer to 0.

        Other open orders that reduce it already are counted, but not the order's `own` open amount.
        """
        if side is BUY:
            return max(0, -self.balance - self.open_buy + own)
        return max(0, self.balance - self.open_sell + own)


class OpenCounts:
    """How many orders are open, how many were entered as stops, how many show but a part."""

    __slots__ = ("buys", "icebergs", "sells", "stops")

    def __init__(self) -> None:
        self.buys = 0
        self.sells = 0
        self.stops = 0
        self.icebergs = 0


class Desk:
    """One account in one instrument: all that an event of it changes.

    `counts` are those of the account in the instrument, of the account, of the firm in the
    instrument and of the firm; `base` and `quote` the holdings of the account and of the firm.
    """

    __slots__ = ("account_id", "base", "counts", "firm_id", "instrument", "quote")

    def __init__(
        self,
        account: Account,
        instrument: Instrument,
        counts: tuple[OpenCounts, ...],
        base: tuple[Holding, Holding],
        quote: tuple[Holding, Holding],
    ) -> None:
        self.account_id = account.account_id
        self.firm_id = account.firm_id
        self.instrument = instrument
        self.counts = counts
        self.base = base
        self.quote = quote

    def change(self, order: OrderView, qty: int, step: int = 0) -> None:
        """`qty` more of an order is open, or less. It has opened (`step` 1), ended (-1) or neither.

        All in one place: a call for each count would cost more than the counting.
        """
        amount = qty * self.instrument.base_factor
        account, firm = self.base
        if order.side is BUY:
            account.open_buy += amount
            firm.open_buy += amount
            for counts in self.counts:
                counts.buys += step
        else:
            account.open_sell += amount
            firm.open_sell += amount
            for counts in self.counts:
                counts.sells += step
        if order.ord_type not in PLAIN_TYPES:
            for counts in self.counts:
                counts.stops += step

    def settle(self, trade: Trade) -> None:
        """One side of a match has been settled."""
        sign = 1 if trade.order.side is BUY else -1
        base, quote = sign * trade.base_amount, -sign * trade.notional
        for holding in self.base:
            holding.balance += base
        for holding in self.quote:
            holding.balance += quote
        if trade.fee:
            is_quote = trade.fee_asset_id == self.instrument.quote.asset_id
            for holding in self.quote if is_quote else self.base:
                holding.balance -= trade.fee


class Holdings:
    """The holdings of all accounts and firms. Belongs to the thread that applies commands."""

    def __init__(self) -> None:
        self.accounts: dict[AccountId, Account] = {}
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._desks: dict[tuple[AccountId, InstrumentId], Desk] = {}
        self._of_accounts: dict[tuple[AccountId, AssetId], Holding] = {}
        self._of_firms: dict[tuple[FirmId, AssetId], Holding] = {}
        self._account_counts: dict[tuple[AccountId, InstrumentId], OpenCounts] = {}
        self._firm_counts: dict[tuple[FirmId, InstrumentId], OpenCounts] = {}
        # The open orders that show a part of themselves: an amendment may change that.
        self._icebergs: dict[OrderId, None] = {}

    def add_account(self, account: Account) -> None:
        """An account exists."""
        self.accounts[account.account_id] = account

    def add_instrument(self, instrument: Instrument) -> None:
        """An instrument exists."""
        self._instruments[instrument.instrument_id] = instrument

    def desk(self, account_id: AccountId, instrument_id: InstrumentId) -> Desk:
        """Return the account's place in the instrument. Both exist."""
        desk = self._desks.get((account_id, instrument_id))
        if desk is None:
            desk = self._desks[(account_id, instrument_id)] = self._make_desk(
                self.accounts[account_id], self._instruments[instrument_id]
            )
        return desk

    def of_account(self, account_id: AccountId, asset_id: AssetId) -> Holding:
        """Return what the account holds of the asset."""
        return self._of_accounts.setdefault((account_id, asset_id), Holding())

    def of_firm(self, firm_id: FirmId, asset_id: AssetId) -> Holding:
        """Return what the firm's accounts hold of the asset together."""
        return self._of_firms.setdefault((firm_id, asset_id), Holding())

    def find(self, scope: Scope, scope_id: int, asset_id: AssetId) -> Holding:
        """Return what an account or a firm holds of the asset, to be looked at."""
        if scope is Scope.ACCOUNT:
            return self._of_accounts.get((AccountId(scope_id), asset_id), Holding())
        return self._of_firms.get((FirmId(scope_id), asset_id), Holding())

    def find_counts(self, scope: Scope, scope_id: int, instrument_id: InstrumentId) -> OpenCounts:
        """Return the open orders of an account or a firm in the instrument, to be looked at."""
        if scope is Scope.ACCOUNT:
            return self._account_counts.get((AccountId(scope_id), instrument_id), OpenCounts())
        return self._firm_counts.get((FirmId(scope_id), instrument_id), OpenCounts())

    def desks(self) -> Iterator[Desk]:
        """Yield all places that were ever asked for."""
        yield from self._desks.values()

    def post(self, postings: Iterable[Posting]) -> None:
        """Money was moved otherwise than by a trade."""
        for posting in postings:
            if posting.account_id > EXTERNAL:
                self.add_balance(posting.account_id, posting.asset_id, posting.amount)

    def add_balance(self, account_id: AccountId, asset_id: AssetId, amount: Money) -> None:
        """The account has so much more, or less."""
        self.of_account(account_id, asset_id).balance += amount
        self.of_firm(self.accounts[account_id].firm_id, asset_id).balance += amount

    def learn_order(
        self,
        event: OrderAccepted | Trade | OrderCanceled | OrderExpired | OrderReplaced | OrderRestated,
        desk: Desk,
    ) -> None:
        """Take in what has become of an order of the desk."""
        order = event.order
        match event:
            case OrderAccepted():
                desk.change(order, order.order_qty, 1)
            case OrderCanceled():
                desk.change(order, -event.canceled_qty, -1)
            case Trade():
                desk.change(order, -event.qty, 0 if order.leaves_qty else -1)
                desk.settle(event)
            case OrderExpired():
                desk.change(order, -event.expired_qty, -1)
            case OrderReplaced():
                desk.change(order, order.order_qty - event.orig_order_qty)
            case OrderRestated():
                desk.change(order, -event.decreased_qty)
        if order.terms is not None:
            self.note_display(order, desk)

    def note_display(self, order: OrderView, desk: Desk) -> None:
        """Count an order of the desk among those that show a part of themselves, or no longer."""
        terms = order.terms
        is_iceberg = terms is not None and terms.display_qty > 0 and order.leaves_qty > 0
        if is_iceberg is (order.order_id in self._icebergs):
            return
        step = 1 if is_iceberg else -1
        for counts in desk.counts:
            counts.icebergs += step
        if is_iceberg:
            self._icebergs[order.order_id] = None
        else:
            del self._icebergs[order.order_id]

    def _make_desk(self, account: Account, instrument: Instrument) -> Desk:
        instrument_id, base, quote = instrument.instrument_id, instrument.base, instrument.quote
        account_id, firm_id = account.account_id, account.firm_id
        return Desk(
            account,
            instrument,
            (
                self._account_counts.setdefault((account_id, instrument_id), OpenCounts()),
                self._account_counts.setdefault((account_id, ALL_INSTRUMENTS), OpenCounts()),
                self._firm_counts.setdefault((firm_id, instrument_id), OpenCounts()),
                self._firm_counts.setdefault((firm_id, ALL_INSTRUMENTS), OpenCounts()),
            ),
            (self.of_account(account_id, base.asset_id), self.of_firm(firm_id, base.asset_id)),
            (self.of_account(account_id, quote.asset_id), self.of_firm(firm_id, quote.asset_id)),
        )
