"""The limits in force, by instrument and by whose they are."""

from collections.abc import Iterable, Iterator
from typing import Final

from engine.controls import Control, Level, Limit
from engine.gate_state import UsageState
from engine.limits import RiskLimits, ScopeLimits
from engine.scope import Scope
from engine.units import AccountId, AssetId, InstrumentId
from risk.windows import Repetition, RollingSum

EXPOSURE_SIGNS: Final = {
    Control.GROSS_EXPOSURE: (1, 1),
    Control.BUY_EXPOSURE: (1, 0),
    Control.SELL_EXPOSURE: (0, 1),
    Control.NET_EXPOSURE: (1, -1),
}
"""What the value of a buy and of a sell counts for in each."""
FED_BY_MESSAGES: Final = (Control.MESSAGES, Control.MESSAGES_PER_FILL)


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

    def of(
        self, scopes: Iterable[tuple[Scope, int]], instrument_id: InstrumentId
    ) -> list[ScopeLimits]:
        """Return the rows of these in the instrument, in this order."""
        if not self._rows:
            return []
        found = (self._rows.get((scope, scope_id, instrument_id)) for scope, scope_id in scopes)
        return [limits for limits in found if limits is not None]

    def rows(self) -> list[ScopeLimits]:
        """Return all rows, in the order in which they were first set."""
        return list(self._rows.values())


class LimitRow:
    """One control for one of its scopes: what each level allows, and what was used of it.

    `value` is the tightest of all levels, and `level` whose that is. `window` and `repetition` are
    there for the controls that count over a time. The signs say what the value of a buy and of a
    sell counts for in an exposure.
    """

    __slots__ = (
        "asset_id",
        "buy_sign",
        "control",
        "instrument_id",
        "level",
        "levels",
        "repetition",
        "scope",
        "scope_id",
        "sell_sign",
        "value",
        "window",
        "window_ns",
    )

    def __init__(self, limit: Limit) -> None:
        self.scope = limit.scope
        self.scope_id = limit.scope_id
        self.control = limit.control
        self.instrument_id = limit.instrument_id
        self.asset_id = limit.asset_id
        self.window_ns = limit.window_ns
        self.levels: dict[Level, int] = {}
        self.value = 0
        self.level = limit.level
        self.window: RollingSum | None = None
        self.repetition: Repetition | None = None
        self.buy_sign, self.sell_sign = EXPOSURE_SIGNS.get(limit.control, (0, 0))
        if self.control is Control.REPEATED_ORDERS:
            self.repetition = Repetition(limit.window_ns)
        elif limit.window_ns:
            self.window = RollingSum(limit.window_ns)

    def set(self, level: Level, value: int | None) -> None:
        """Let another value hold at a level, none when it is None."""
        self.levels.pop(level, None)
        if value is not None:
            self.levels[level] = value
        if not self.levels:
            return
        if self.control is Control.RESTRICTED:
            self.value = 0
            for part in self.levels.values():
                self.value |= part
            self.level = min(self.levels, key=lambda known: known.value)
        else:
            by_value = sorted(self.levels.items(), key=lambda item: (item[1], item[0].value))
            self.level, self.value = by_value[0]
        tally = self.window or self.repetition
        if tally is not None:
            tally.most = self.value

    def usage(self) -> UsageState:
        """Return what was used, for `restore_usage` of a row like this one."""
        if self.window is not None:
            return UsageState(*self.window.state())
        if self.repetition is not None:
            known = self.repetition
            return UsageState(0, [], list(known.signature), known.used, known.since_ns)
        return UsageState()

    def restore_usage(self, usage: UsageState) -> None:
        """Put back what was used."""
        if self.window is not None:
            self.window.restore(usage.newest, usage.parts)
        if self.repetition is not None:
            self.repetition.signature = list(usage.signature)
            self.repetition.used, self.repetition.since_ns = usage.count, usage.since_ns

    def limits(self) -> list[Limit]:
        """Return what each level has set, the widest level first."""
        return [
            Limit(
                level,
                self.scope,
                self.scope_id,
                self.control,
                self.levels[level],
                self.instrument_id,
                self.asset_id,
                self.window_ns,
            )
            for level in Level
            if level in self.levels
        ]


class LimitRows:
    """What `SetLimit` has set. Belongs to the thread that applies commands."""

    __slots__ = ("_message_count", "_rows")

    def __init__(self) -> None:
        # By whose they are, and then in the order in which they were first set.
        self._rows: dict[tuple[Scope, int], dict[RowKey, LimitRow]] = {}
        self._message_count = 0

    def set(self, limit: Limit) -> None:
        """Let a limit hold from now on, or take it away. What was used of it stays used."""
        row = self.find(limit)
        if row is None and limit.value is None:
            return
        key, rows = _key_of(limit), self._rows.setdefault((limit.scope, limit.scope_id), {})
        if row is None:
            row = rows[key] = LimitRow(limit)
            self._message_count += row.control in FED_BY_MESSAGES
        row.set(limit.level, limit.value)
        if not row.levels:
            del rows[key]
            self._message_count -= row.control in FED_BY_MESSAGES
        if not rows:
            del self._rows[(limit.scope, limit.scope_id)]

    def find(self, limit: Limit) -> LimitRow | None:
        """Return the row to which the limit belongs, None when there is none yet."""
        return self._rows.get((limit.scope, limit.scope_id), {}).get(_key_of(limit))

    def of(
        self, scope: Scope, scope_id: int, instrument_id: InstrumentId, assets: tuple[AssetId, ...]
    ) -> list[LimitRow]:
        """Return the rows of somebody that concern an instrument of these assets."""
        rows = self._rows.get((scope, scope_id))
        if rows is None:
            return []
        instruments, assets = (0, instrument_id), (AssetId(0), *assets)
        return [
            row
            for row in rows.values()
            if row.instrument_id in instruments and row.asset_id in assets
        ]

    @property
    def counts_messages(self) -> bool:
        """Whether there is any limit on messages."""
        return self._message_count > 0

    def rows(self) -> Iterator[LimitRow]:
        """Yield all rows, in an order that depends on the commands alone."""
        for rows in self._rows.values():
            yield from rows.values()


RowKey = tuple[Control, InstrumentId, AssetId, int]


def _key_of(limit: Limit) -> RowKey:
    return (limit.control, limit.instrument_id, limit.asset_id, limit.window_ns)
