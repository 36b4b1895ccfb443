"""What accounts and firms have and what their open orders may make of it, learnt from the events.

Everything here could be computed anew from the balances and the open orders, and is after a
restart: a model test compares the two.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from engine.events import Trade
from engine.instrument import Account, Instrument
from engine.ledger import EXTERNAL, Posting
from engine.order import OrderView, OrdType, Side
from engine.scope import Scope
from engine.units import AccountId, AssetId, FirmId, InstrumentId, Money, OrderId
from risk.reference_price import Source

BUY = Side.BUY
PLAIN_TYPES: Final = (OrdType.LIMIT, OrdType.MARKET)
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


class Traded:
    """What an account has traded in an instrument on a day, as it goes on.

    `day` counts from 1970; `cash` is the money that the trades brought, `qty` what was bought, both
    below zero for what was paid and what was sold. `source` is what a position is valued by.
    """

    __slots__ = ("cash", "day", "notional_factor", "qty", "source")

    def __init__(self, day: int, notional_factor: int, source: Source) -> None:
        self.day = day
        self.notional_factor = notional_factor
        self.source = source
        self.cash = 0
        self.qty = 0


NOTHING_TRADED: Final = Traded(0, 0, Source.unknown(ALL_INSTRUMENTS))


class Desk:
    """One account in one instrument: all that an event of it changes.

    `counts` are those of the account in the instrument, of the account, of the firm in the
    instrument and of the firm; `base` and `quote` the holdings of the account and of the firm.
    """

    __slots__ = (
        "account_id",
        "base",
        "base_factor",
        "counts",
        "day_ends_ns",
        "firm_id",
        "instrument",
        "quote",
        "today",
    )

    def __init__(
        self,
        account: Account,
        instrument: Instrument,
        counts: tuple[OpenCounts, OpenCounts, OpenCounts, OpenCounts],
        base: tuple[Holding, Holding],
        quote: tuple[Holding, Holding],
    ) -> None:
        self.account_id = account.account_id
        self.firm_id = account.firm_id
        self.instrument = instrument
        self.base_factor = instrument.base_factor
        self.counts = counts
        self.base = base
        self.quote = quote
        # What was traded today, once something was.
        self.today = NOTHING_TRADED
        self.day_ends_ns = 0

    def change(self, order: OrderView, qty: int, step: int = 0) -> None:
        """`qty` more of an order is open, or less. It has opened (`step` 1), ended (-1) or neither.

        All in one place, here and in `settle`: calls, or a loop over the counts, would cost more
        than the counting.
        """
        amount = qty * self.base_factor
        account, firm = self.base
        own, own_all, firms, firms_all = self.counts
        if order.side is BUY:
            account.open_buy += amount
            firm.open_buy += amount
            own.buys += step
            own_all.buys += step
            firms.buys += step
            firms_all.buys += step
        else:
            account.open_sell += amount
            firm.open_sell += amount
            own.sells += step
            own_all.sells += step
            firms.sells += step
            firms_all.sells += step
        if order.ord_type not in PLAIN_TYPES:
            self._count_stop(step)

    def settle(self, trade: Trade) -> None:
        """One side of a match has been settled: it is open no more, and the account has it.

        The day is not over: `today` is what has been traded in it.
        """
        order, amount, notional = trade.order, trade.base_amount, trade.notional
        account, firm = self.base
        account_quote, firm_quote = self.quote
        own, own_all, firms, firms_all = self.counts
        ended = 0 if order.leaves_qty else 1
        today = self.today
        if order.side is BUY:
            account.open_buy -= amount
            firm.open_buy -= amount
            account.balance += amount
            firm.balance += amount
            account_quote.balance -= notional
            firm_quote.balance -= notional
            today.cash -= notional
            today.qty += trade.qty
            own.buys -= ended
            own_all.buys -= ended
            firms.buys -= ended
            firms_all.buys -= ended
        else:
            account.open_sell -= amount
            firm.open_sell -= amount
            account.balance -= amount
            firm.balance -= amount
            account_quote.balance += notional
            firm_quote.balance += notional
            today.cash += notional
            today.qty -= trade.qty
            own.sells -= ended
            own_all.sells -= ended
            firms.sells -= ended
            firms_all.sells -= ended
        if order.ord_type not in PLAIN_TYPES:
            self._count_stop(-ended)
        if trade.fee:
            self._charge(trade)

    def _count_stop(self, step: int) -> None:
        for counts in self.counts:
            counts.stops += step

    def _charge(self, trade: Trade) -> None:
        is_quote = trade.fee_asset_id == self.instrument.quote.asset_id
        for holding in self.quote if is_quote else self.base:
            holding.balance -= trade.fee
        if is_quote:
            self.today.cash -= trade.fee


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
