"""The limits that hold, as the engine has told them."""

from engine.events import Event, RiskLimitsSet
from engine.limits import RiskLimits
from engine.units import AccountId, InstrumentId


class KnownLimits:
    """What accounts may risk. Belongs to one event loop."""

    def __init__(self) -> None:
        self._of_accounts: dict[tuple[AccountId, InstrumentId], RiskLimits] = {}

    def learn(self, event: Event) -> None:
        """Take in what an event says of limits; others say nothing."""
        if isinstance(event, RiskLimitsSet):
            limits = event.limits
            self._of_accounts[(limits.account_id, limits.instrument_id)] = limits

    def of_account(self, account_id: AccountId) -> list[RiskLimits]:
        """Return the account's limits, in the order of their instruments."""
        rows = sorted(self._of_accounts.items())
        return [limits for (owner, _), limits in rows if owner == account_id]
