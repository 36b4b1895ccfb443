"""Says when an account has used most of its credit: at 80, 90 and 100 percent of a line."""

from collections.abc import Sequence
from typing import Final

from engine.events import Event, ExecutionEvent
from engine.ledger import Balance, Ledger, postings_of
from engine.ledger_events import CreditLineSet, WithdrawalRequested
from engine.risk_events import CreditUsed
from engine.units import AccountId, AssetId, Money

MARKS: Final = (100, 90, 80)


class CreditWatch:
    """Looks at the lines of whoever an event concerns. Belongs to the applying thread.

    What was told last follows from the balances as they are: nothing of it has to be remembered
    over a restart.
    """

    __slots__ = ("_ledger", "_told")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # By account and asset, how much of the line was used when it was last looked at.
        self._told: dict[AccountId, dict[AssetId, int]] = {}

    def restore(self) -> None:
        """Look at all lines there are, without telling anything."""
        for account_id, asset_id, balance in self._ledger.balances():
            if balance.credit:
                self._told.setdefault(account_id, {})[asset_id] = _mark_of(balance)

    def learn(self, events: Sequence[Event]) -> list[Event]:
        """Return what is to be told of lines that these events have used up further."""
        touched: dict[AccountId, None] = {}
        for event in events:
            if type(event) is CreditLineSet:
                self._told.setdefault(event.account_id, {}).setdefault(event.asset_id, 0)
                touched[event.account_id] = None
            elif self._told:
                touched |= dict.fromkeys(_accounts_of(event))
        told: list[Event] = []
        for account_id in touched:
            for asset_id, before in self._told.get(account_id, {}).items():
                balance = self._ledger.get_balance(account_id, asset_id)
                mark = _mark_of(balance)
                if mark > before:
                    used = Money(balance.held - balance.balance)
                    told.append(CreditUsed(account_id, asset_id, mark, used, Money(balance.credit)))
                self._told[account_id][asset_id] = mark
        return told


def _accounts_of(event: Event) -> list[AccountId]:
    """Return whose balances or holds the event may have changed."""
    if isinstance(event, ExecutionEvent):
        return [event.order.account_id]
    if isinstance(event, WithdrawalRequested):
        return [event.account_id]
    return [posting.account_id for posting in postings_of(event)]


def _mark_of(balance: Balance) -> int:
    """Return the highest mark that what is used of the line has reached, 0 for none."""
    used = balance.held - balance.balance
    if used <= 0 or not balance.credit:
        return 0
    return next((mark for mark in MARKS if used * 100 >= balance.credit * mark), 0)
