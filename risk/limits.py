"""The limits in force, by instrument and by whose they are."""

from engine.limits import RiskLimits, ScopeLimits
from engine.scope import Scope
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


class ScopeLimitTable:
    """What `SetScopeLimits` has set, beside the limits of accounts. Without a row there is none."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[tuple[Scope, int, InstrumentId], ScopeLimits] = {}

    def set(self, limits: ScopeLimits) -> None:
        """Replace the row of the firm or session in the instrument, or remove it."""
        key = (limits.scope, limits.scope_id, limits.instrument_id)
        if limits.order_qty_max is None and limits.notional_max is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = limits

    def find(self, scope: Scope, scope_id: int, instrument_id: InstrumentId) -> ScopeLimits | None:
        """Return the row, None when there is none."""
        return self._rows.get((scope, scope_id, instrument_id))

    def rows(self) -> list[ScopeLimits]:
        """Return all rows, in the order in which they were first set."""
        return list(self._rows.values())
