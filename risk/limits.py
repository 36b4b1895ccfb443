"""The limits in force, by account and instrument."""

from engine.limits import RiskLimits
from engine.units import AccountId, InstrumentId


class LimitTable:
    """What `SetRiskLimits` has set. A pair without a row may not trade at all."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[tuple[AccountId, InstrumentId], RiskLimits] = {}

    def set(self, limits: RiskLimits) -> None:
        """Replace the row of the account and instrument."""
        self._rows[(limits.account_id, limits.instrument_id)] = limits

    def find(self, account_id: AccountId, instrument_id: InstrumentId) -> RiskLimits | None:
        """Return the row, None when nobody has set one."""
        return self._rows.get((account_id, instrument_id))

    def rows(self) -> list[RiskLimits]:
        """Return all rows, in the order in which they were first set."""
        return list(self._rows.values())
