"""The limits that hold, as the engine has told them."""

from engine.controls import Control, InstrumentRules, Level, Limit, Mode, Override, TradingMode
from engine.events import Event
from engine.limits import AccountThrottle, RiskLimits, ScopeLimits
from engine.reasons import RejectReason
from engine.risk_events import (
    AccountThrottleSet,
    InstrumentRulesSet,
    LimitSet,
    OverrideGranted,
    OverrideRevoked,
    RiskLimitsSet,
    ScopeLimitsSet,
    TradingModeSet,
)
from engine.scope import Scope
from engine.units import AccountId, AssetId, ClOrdId, InstrumentId

OverrideKey = tuple[AccountId, RejectReason, ClOrdId, InstrumentId, AssetId]
LimitKey = tuple[Level, Scope, int, Control, InstrumentId, AssetId, int]


class KnownLimits:
    """What accounts, firms and FIX sessions may risk. Belongs to one event loop."""

    def __init__(self) -> None:
        self._of_accounts: dict[tuple[AccountId, InstrumentId], RiskLimits] = {}
        self._of_scopes: dict[tuple[Scope, int, InstrumentId], ScopeLimits] = {}
        self._throttles: dict[AccountId, AccountThrottle] = {}
        self._limits: dict[LimitKey, Limit] = {}
        self._rules: dict[InstrumentId, InstrumentRules] = {}
        self._modes: dict[tuple[Scope, int, Level], TradingMode] = {}
        self._overrides: dict[OverrideKey, Override] = {}

    def learn(self, event: Event) -> None:
        """Take in what an event says of limits; others say nothing."""
        match event:
            case RiskLimitsSet(limits):
                self._of_accounts[(limits.account_id, limits.instrument_id)] = limits
            case ScopeLimitsSet(scope_limits):
                self._learn_of_scope(scope_limits)
            case AccountThrottleSet(account_id, None):
                self._throttles.pop(account_id, None)
            case AccountThrottleSet(account_id, AccountThrottle() as throttle):
                self._throttles[account_id] = throttle
            case LimitSet(limit):
                self._learn_limit(limit)
            case InstrumentRulesSet(rules):
                self._rules[rules.instrument_id] = rules
            case TradingModeSet(mode):
                self._learn_mode(mode)
            case OverrideGranted(override):
                self._overrides[_grant_of(override)] = override
            case OverrideRevoked(override):
                self._overrides.pop(_grant_of(override), None)
            case _:
                pass

    def of_account(self, account_id: AccountId) -> list[RiskLimits]:
        """Return the account's limits, in the order of their instruments."""
        rows = sorted(self._of_accounts.items())
        return [limits for (owner, _), limits in rows if owner == account_id]

    def of_scope(self, scope: Scope, scope_id: int) -> list[ScopeLimits]:
        """Return the limits of a firm or FIX session, in the order of their instruments."""
        found = [
            limits
            for (kind, owner, _), limits in self._of_scopes.items()
            if (kind, owner) == (scope, scope_id)
        ]
        return sorted(found, key=lambda limits: limits.instrument_id)

    def throttle_of(self, account_id: AccountId) -> AccountThrottle | None:
        """Return how often the account may enter orders, None for as often as it likes."""
        return self._throttles.get(account_id)

    def of_owner(self, scope: Scope, scope_id: int) -> list[Limit]:
        """Return the limits of whatever control of somebody, by control and then by level."""
        found = [
            limit
            for limit in self._limits.values()
            if (limit.scope, limit.scope_id) == (scope, scope_id)
        ]
        return sorted(
            found,
            key=lambda limit: (
                limit.control.value,
                limit.instrument_id,
                limit.asset_id,
                limit.window_ns,
                limit.level.value,
            ),
        )

    def rules_of(self, instrument_id: InstrumentId) -> InstrumentRules | None:
        """Return the rules of an instrument, None when nobody has set any."""
        return self._rules.get(instrument_id)

    def modes(self) -> list[TradingMode]:
        """Return the modes that are not NORMAL."""
        return list(self._modes.values())

    def overrides_of(self, account_id: AccountId) -> list[Override]:
        """Return what was granted to the account and not revoked, also what has expired since."""
        return [known for known in self._overrides.values() if known.account_id == account_id]

    def _learn_limit(self, limit: Limit) -> None:
        key = (
            limit.level,
            limit.scope,
            limit.scope_id,
            limit.control,
            limit.instrument_id,
            limit.asset_id,
            limit.window_ns,
        )
        self._limits.pop(key, None)
        if limit.value is not None:
            self._limits[key] = limit

    def _learn_mode(self, mode: TradingMode) -> None:
        key = (mode.scope, mode.scope_id, mode.level)
        self._modes.pop(key, None)
        if mode.mode is not Mode.NORMAL:
            self._modes[key] = mode

    def _learn_of_scope(self, limits: ScopeLimits) -> None:
        key = (limits.scope, limits.scope_id, limits.instrument_id)
        if limits.order_qty_max is None and limits.notional_max is None:
            self._of_scopes.pop(key, None)
        else:
            self._of_scopes[key] = limits


def _grant_of(override: Override) -> OverrideKey:
    return (
        override.account_id,
        override.reason,
        override.cl_ord_id,
        override.instrument_id,
        override.asset_id,
    )
