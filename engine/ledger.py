"""The ledger: what every account has of every asset, in double entry.

Nothing appears or vanishes: every event that moves money is a set of postings that sum to zero for
each asset. Money from outside comes from the `EXTERNAL` account; the two sides of a match settle
through `CLEARING`, which is flat again when both are done. Fees go to the venue's own account,
`FEES`, and rebates come from it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from engine.events import BalanceAdjusted, Event, Trade
from engine.kept import FirmCredit, Withdrawal
from engine.ledger_events import (
    CreditLineSet,
    FirmCreditLineSet,
    FundsTransferred,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.limit_usage import CREDIT_LINE, FIRM_CREDIT_LINE, Usage
from engine.order import Side
from engine.request_events import BalanceLine
from engine.trade_events import TradeBusted, TradeCorrected
from engine.units import AccountId, AssetId, FirmId, Money

EXTERNAL: Final = AccountId(0)
CLEARING: Final = AccountId(-1)
FEES: Final = AccountId(-2)
VENUE_ACCOUNTS: Final = (EXTERNAL, FEES)
"""Not anybody's: what they have is what all others together have less, or more."""

BUY = Side.BUY


class Posting(NamedTuple):
    """A change of one balance. Above zero the account has more than before."""

    account_id: AccountId
    asset_id: AssetId
    amount: Money


@dataclass(slots=True, eq=False)
class FirmLine:
    """A firm's line of credit in use: its accounts have `drawn` so much of `limit`."""

    limit: int
    drawn: int = 0


@dataclass(slots=True)
class Balance:
    """What an account has of one asset, below zero what it owes.

    `held` of it is reserved for open orders and for withdrawals under way. It may owe up to
    `credit`. What it is short of beyond that it has `drawn` from the `line` of its firm, None while
    the firm has none.
    """

    balance: int = 0
    held: int = 0
    credit: int = 0
    line: FirmLine | None = None
    drawn: int = 0

    @property
    def available(self) -> Money:
        """What new orders may use."""
        own = self.balance - self.held + self.credit
        if self.line is None:
            return Money(own)
        return Money(max(0, own) + self.line.limit - self.line.drawn)

    def amounts(self) -> tuple[Money, Money, Money]:
        """Return balance, held and credit."""
        return Money(self.balance), Money(self.held), Money(self.credit)

    @property
    def room(self) -> int:
        """What the account may draw from its firm's line in all, as the others use it now."""
        return 0 if self.line is None else self.line.limit - self.line.drawn + self.drawn

    def redraw(self, line: FirmLine) -> None:
        """Draw from the line what the account is short of, after the balance has changed."""
        drawn = max(0, self.held - self.balance - self.credit)
        line.drawn += drawn - self.drawn
        self.drawn = drawn

    def join(self, line: FirmLine | None) -> None:
        """Draw from that line from now on, None: from none, because nothing is drawn."""
        assert line is not None or self.drawn == 0
        if line is not self.line:
            self.drawn = 0
        self.line = line
        if line is not None:
            self.redraw(line)

    @property
    def withdrawable(self) -> Money:
        """What may leave the account: credit is for trading."""
        return Money(max(0, self.balance - self.held))


class Ledger:
    """Balances and holds of all accounts. Belongs to the thread that applies commands."""

    __slots__ = ("_accounts", "_firm_lines", "_references", "_withdrawals")

    def __init__(self) -> None:
        # An account has a balance of zeros of every asset as soon as it is looked at.
        self._accounts: dict[AccountId, defaultdict[AssetId, Balance]] = {
            account_id: defaultdict(Balance) for account_id in VENUE_ACCOUNTS
        }
        self._firm_lines: dict[tuple[FirmId, AssetId], FirmLine] = {}
        self._withdrawals: dict[int, Withdrawal] = {}
        self._references: dict[tuple[AccountId, str], None] = {}

    def open_account(self, account_id: AccountId, firm_id: FirmId) -> None:
        """Give an account its place. It has nothing yet but its firm's credit."""
        assert account_id not in self._accounts
        assets = self._accounts[account_id] = defaultdict(Balance)
        for (owner_id, asset_id), line in self._firm_lines.items():
            if owner_id == firm_id:
                assets[asset_id].join(line)

    def get_balance(self, account_id: AccountId, asset_id: AssetId) -> Balance:
        """Return the live balance, one of zeros when the account never had any of the asset."""
        return self._accounts[account_id][asset_id]

    def hold(self, account_id: AccountId, asset_id: AssetId, amount: Money) -> None:
        """Reserve `amount` for an order. The caller has checked that it is available."""
        balance = self._accounts[account_id][asset_id]
        assert 0 <= amount <= balance.available
        balance.held += amount
        if balance.line is not None:
            balance.redraw(balance.line)

    def release(self, account_id: AccountId, asset_id: AssetId, amount: Money) -> None:
        """Give back what an order no longer needs."""
        balance = self._accounts[account_id][asset_id]
        assert 0 <= amount <= balance.held
        balance.held -= amount
        if balance.line is not None:
            balance.redraw(balance.line)

    def settle(self, trade: Trade) -> None:
        """Exchange base for quote on one side of a match.

        The other side is settled next, so the clearing account, which stands between, is not
        touched here: `postings_of` shows it.
        """
        account_id = trade.order.account_id
        assets = self._accounts[account_id]
        base, quote = assets[trade.base_asset_id], assets[trade.quote_asset_id]
        if trade.order.side is BUY:
            base.balance += trade.base_amount
            quote.balance -= trade.notional
        else:
            base.balance -= trade.base_amount
            quote.balance += trade.notional
        if trade.fee:
            self._pay(account_id, FEES, trade.fee_asset_id, trade.fee)
        for balance in (base, quote):
            if balance.line is None:
                assert balance.held <= balance.balance + balance.credit
            else:
                balance.redraw(balance.line)
                assert balance.line.drawn <= balance.line.limit

    def has_reference(self, account_id: AccountId, reference: str) -> bool:
        """Whether a transfer of that name has been made on the account."""
        return (account_id, reference) in self._references

    def post(self, event: Event) -> None:
        """Move what the event says. The caller has checked that it is there."""
        for posting in postings_of(event):
            if posting.account_id != CLEARING:  # It is flat again after the other side.
                balance = self.get_balance(posting.account_id, posting.asset_id)
                balance.balance += posting.amount
                if balance.line is not None:
                    balance.redraw(balance.line)

    def book(self, event: BalanceAdjusted | FundsTransferred | WithdrawalSettled) -> None:
        """Let money come, go or change hands, and remember the client's name for that."""
        self.post(event)
        assert self.get_balance(event.account_id, event.asset_id).balance == event.balance
        self._references[(event.account_id, event.reference)] = None

    def set_aside(self, withdrawal: Withdrawal) -> None:
        """Hold what is to be withdrawn. The caller has checked that it is there."""
        self.hold(withdrawal.account_id, withdrawal.asset_id, withdrawal.amount)
        self._withdrawals[withdrawal.withdrawal_id] = withdrawal
        self._references[(withdrawal.account_id, withdrawal.reference)] = None

    def give_back(self, withdrawal: Withdrawal) -> None:
        """Hold no longer what was to be withdrawn."""
        del self._withdrawals[withdrawal.withdrawal_id]
        self.release(withdrawal.account_id, withdrawal.asset_id, withdrawal.amount)

    def find_withdrawal(self, withdrawal_id: int) -> Withdrawal | None:
        """Return a withdrawal that is under way, None when there is none of that number."""
        return self._withdrawals.get(withdrawal_id)

    def withdrawal_events(self) -> list[WithdrawalRequested]:
        """Return the withdrawals under way, as the events that have said so."""
        return [
            WithdrawalRequested(
                one.withdrawal_id, one.account_id, one.asset_id, one.amount, one.reference
            )
            for one in self._withdrawals.values()
        ]

    def withdrawals(self) -> list[Withdrawal]:
        """Return the withdrawals under way, the oldest first."""
        return list(self._withdrawals.values())

    def set_credit(self, line: CreditLineSet) -> None:
        """Let an account owe up to a limit."""
        balance = self.get_balance(line.account_id, line.asset_id)
        balance.credit = line.limit
        if balance.line is not None:
            balance.redraw(balance.line)

    def set_firm_credit(self, credit: FirmCredit, account_ids: Iterable[AccountId]) -> None:
        """Let a firm's accounts together be short of so much beyond what each may owe by itself.

        The caller has checked that no more than that is drawn. 0 is no line.
        """
        key = (credit.firm_id, credit.asset_id)
        line = self._firm_lines.setdefault(key, FirmLine(credit.limit))
        line.limit = credit.limit
        if not credit.limit:
            del self._firm_lines[key]
        for account_id in account_ids:
            self.get_balance(account_id, credit.asset_id).join(line if credit.limit else None)

    def find_firm_line(self, firm_id: FirmId, asset_id: AssetId) -> FirmLine | None:
        """Return the firm's line of credit as it is used now, None when it has none."""
        return self._firm_lines.get((firm_id, asset_id))

    def firm_credits(self) -> list[FirmCredit]:
        """Return the lines of all firms, in the order in which they were first set."""
        return [FirmCredit(*key, Money(line.limit)) for key, line in self._firm_lines.items()]

    def credit_events(self) -> list[CreditLineSet | FirmCreditLineSet]:
        """Return the lines of credit that there are, as the events that say so."""
        own = [
            CreditLineSet(account_id, asset_id, Money(balance.credit))
            for account_id, asset_id, balance in self.balances()
            if balance.credit
        ]
        shared = [
            FirmCreditLineSet(credit.firm_id, credit.asset_id, credit.limit)
            for credit in self.firm_credits()
        ]
        return [*own, *shared]

    def credit_total(self, asset_id: AssetId) -> int:
        """Return how much of an asset all accounts together may owe."""
        of_accounts = (
            assets[asset_id].credit for assets in self._accounts.values() if asset_id in assets
        )
        of_firms = (
            line.limit for (_, lent_id), line in self._firm_lines.items() if lent_id == asset_id
        )
        return sum(of_accounts) + sum(of_firms)

    def restore_withdrawal(self, withdrawal: Withdrawal) -> None:
        """Know again of a withdrawal under way. What it holds is part of the balance."""
        self._withdrawals[withdrawal.withdrawal_id] = withdrawal

    def restore(self, account_id: AccountId, asset_id: AssetId, balance: Balance) -> None:
        """Put back a balance as it stood. The account is open."""
        self._accounts[account_id][asset_id] = balance

    def restore_reference(self, account_id: AccountId, reference: str) -> None:
        """Remember again that a transfer of that name has been made on the account."""
        self._references[(account_id, reference)] = None

    def balances(self) -> Iterator[tuple[AccountId, AssetId, Balance]]:
        """Yield every balance there is, the outside world's included.

        In an order that does not depend on when a balance was first looked at.
        """
        for account_id, assets in self._accounts.items():
            for asset_id in sorted(assets):
                yield account_id, asset_id, assets[asset_id]

    def lines_of(self, account_id: AccountId) -> list[BalanceLine]:
        """Return what an account has of each asset of which it has some, [] for one not there."""
        return [
            BalanceLine(
                asset_id,
                balance=Money(balance.balance),
                held=Money(balance.held),
                available=balance.available,
                credit=Money(balance.credit),
            )
            for asset_id, balance in sorted(self._accounts.get(account_id, {}).items())
            if balance.balance or balance.held or balance.credit
        ]

    def count_used(self, *, percent: int) -> int:
        """Return how many balances there are of which `percent` of what may be reserved is."""
        return sum(
            balance.held > 0 and balance.held * 100 >= (balance.balance + balance.credit) * percent
            for account_id, _, balance in self.balances()
            if account_id not in VENUE_ACCOUNTS
        )

    def usages(self) -> Iterator[Usage]:
        """Yield how much of each line of credit is used."""
        for _, _, balance in self.balances():
            if balance.credit:
                own = balance.held - balance.balance - balance.drawn
                yield Usage(CREDIT_LINE, max(0, own), balance.credit)
        for line in self._firm_lines.values():
            yield Usage(FIRM_CREDIT_LINE, line.drawn, line.limit)

    def references(self) -> list[tuple[AccountId, str]]:
        """Return the names of all transfers so far."""
        return list(self._references)

    def _pay(
        self, payer_id: AccountId, payee_id: AccountId, asset_id: AssetId, amount: Money
    ) -> None:
        payer = self.get_balance(payer_id, asset_id)
        payee = self.get_balance(payee_id, asset_id)
        payer.balance -= amount
        payee.balance += amount


def postings_of(event: Event) -> tuple[Posting, ...]:
    """Return what the event moved, () for an event that moves no money. Sums to zero per asset."""
    match event:
        case Trade():
            after = _settlement(event.order.side, event.base_amount, event.notional, event.fee)
            return _settlement_postings(event, after, _Settlement())
        case TradeBusted():
            before = _settlement(event.order.side, event.base_amount, event.notional, event.fee)
            return _settlement_postings(event, _Settlement(), before)
        case TradeCorrected():
            side = event.order.side
            return _settlement_postings(
                event,
                _settlement(side, event.base_amount, event.notional, event.fee),
                _settlement(
                    side, event.former_base_amount, event.former_notional, event.former_fee
                ),
            )
        case BalanceAdjusted():
            return (
                Posting(event.account_id, event.asset_id, event.amount),
                Posting(EXTERNAL, event.asset_id, Money(-event.amount)),
            )
        case WithdrawalSettled() if event.is_paid:
            return (
                Posting(event.account_id, event.asset_id, Money(-event.amount)),
                Posting(EXTERNAL, event.asset_id, event.amount),
            )
        case FundsTransferred():
            return (
                Posting(event.account_id, event.asset_id, Money(-event.amount)),
                Posting(event.to_account_id, event.asset_id, event.amount),
            )
        case _:
            return ()


class _Settlement(NamedTuple):
    """What one side of a match gets of the base asset and of the quote asset, and what it pays."""

    base: int = 0
    quote: int = 0
    fee: int = 0


def _settlement(side: Side, base_amount: int, notional: int, fee: int) -> _Settlement:
    sign = 1 if side is BUY else -1
    return _Settlement(sign * base_amount, -sign * notional, fee)


def _settlement_postings(
    event: Trade | TradeBusted | TradeCorrected, after: _Settlement, before: _Settlement
) -> tuple[Posting, ...]:
    account_id = event.order.account_id
    base, quote = Money(after.base - before.base), Money(after.quote - before.quote)
    fee = Money(after.fee - before.fee)
    postings = (
        Posting(account_id, event.base_asset_id, base),
        Posting(CLEARING, event.base_asset_id, Money(-base)),
        Posting(account_id, event.quote_asset_id, quote),
        Posting(CLEARING, event.quote_asset_id, Money(-quote)),
    )
    if not fee:
        return postings
    # Fees are charged in the quote asset.
    return (
        *postings,
        Posting(account_id, event.quote_asset_id, Money(-fee)),
        Posting(FEES, event.quote_asset_id, fee),
    )
