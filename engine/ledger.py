"""The ledger: what every account has of every asset, in double entry.

Nothing appears or vanishes: every event that moves money is a set of postings that sum to zero for
each asset. Money from outside comes from the `EXTERNAL` account; the two sides of a match settle
through `CLEARING`, which is flat again when both are done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from engine.events import BalanceAdjusted, Event, Trade
from engine.order import Side
from engine.units import AccountId, AssetId, Money

EXTERNAL: Final = AccountId(0)
CLEARING: Final = AccountId(-1)

BUY = Side.BUY


class Posting(NamedTuple):
    """A change of one balance. Above zero the account has more than before."""

    account_id: AccountId
    asset_id: AssetId
    amount: Money


@dataclass(slots=True)
class Balance:
    """What an account has of one asset: `held` of it is reserved for open orders."""

    balance: Money = Money(0)
    held: Money = Money(0)

    @property
    def available(self) -> Money:
        """What new orders and withdrawals may use."""
        return Money(self.balance - self.held)


class Ledger:
    """Balances and holds of all accounts. Belongs to the thread that applies commands."""

    __slots__ = ("_accounts", "_references")

    def __init__(self) -> None:
        self._accounts: dict[AccountId, dict[AssetId, Balance]] = {EXTERNAL: {}}
        self._references: dict[tuple[AccountId, str], None] = {}

    def open_account(self, account_id: AccountId) -> None:
        """Give an account its place. It has nothing yet."""
        assert account_id not in self._accounts
        self._accounts[account_id] = {}

    def get_balance(self, account_id: AccountId, asset_id: AssetId) -> Balance:
        """Return the live balance, one of zeros when the account never had any of the asset."""
        assets = self._accounts[account_id]
        balance = assets.get(asset_id)
        if balance is None:
            balance = assets[asset_id] = Balance()
        return balance

    def hold(self, account_id: AccountId, asset_id: AssetId, amount: Money) -> None:
        """Reserve `amount` for an order. The caller has checked that it is available."""
        balance = self.get_balance(account_id, asset_id)
        assert 0 <= amount <= balance.available
        balance.held = Money(balance.held + amount)

    def release(self, account_id: AccountId, asset_id: AssetId, amount: Money) -> None:
        """Give back what an order no longer needs."""
        balance = self.get_balance(account_id, asset_id)
        assert 0 <= amount <= balance.held
        balance.held = Money(balance.held - amount)

    def settle(self, trade: Trade) -> None:
        """Exchange base for quote on one side of a match.

        The other side is settled next, so the clearing account, which stands between, is not
        touched here: `postings_of` shows it.
        """
        account_id = trade.order.account_id
        base = self.get_balance(account_id, trade.base_asset_id)
        quote = self.get_balance(account_id, trade.quote_asset_id)
        if trade.order.side is BUY:
            base.balance = Money(base.balance + trade.base_amount)
            quote.balance = Money(quote.balance - trade.notional)
        else:
            base.balance = Money(base.balance - trade.base_amount)
            quote.balance = Money(quote.balance + trade.notional)
        assert base.available >= 0
        assert quote.available >= 0

    def has_reference(self, account_id: AccountId, reference: str) -> bool:
        """Whether a transfer of that name has been made on the account."""
        return (account_id, reference) in self._references

    def adjust(self, adjusted: BalanceAdjusted) -> None:
        """Let money in from outside, or out."""
        balance = self.get_balance(adjusted.account_id, adjusted.asset_id)
        external = self.get_balance(EXTERNAL, adjusted.asset_id)
        balance.balance = Money(balance.balance + adjusted.amount)
        external.balance = Money(external.balance - adjusted.amount)
        assert balance.available >= 0
        assert balance.balance == adjusted.balance
        self._references[(adjusted.account_id, adjusted.reference)] = None

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

    def of_account(self, account_id: AccountId) -> list[tuple[AssetId, Balance]]:
        """Return what an account that is open has, by asset."""
        return sorted(self._accounts[account_id].items())

    def references(self) -> list[tuple[AccountId, str]]:
        """Return the names of all transfers so far."""
        return list(self._references)


def postings_of(event: Event) -> tuple[Posting, ...]:
    """Return what the event moved, () for an event that moves no money. Sums to zero per asset."""
    match event:
        case Trade():
            account_id = event.order.account_id
            sign = 1 if event.order.side is BUY else -1
            base = Money(sign * event.base_amount)
            quote = Money(-sign * event.notional)
            return (
                Posting(account_id, event.base_asset_id, base),
                Posting(CLEARING, event.base_asset_id, Money(-base)),
                Posting(account_id, event.quote_asset_id, quote),
                Posting(CLEARING, event.quote_asset_id, Money(-quote)),
            )
        case BalanceAdjusted():
            return (
                Posting(event.account_id, event.asset_id, event.amount),
                Posting(EXTERNAL, event.asset_id, Money(-event.amount)),
            )
        case _:
            return ()
