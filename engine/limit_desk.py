"""Where limits are set: what may be set is checked here, what it means is the gate's."""

from typing import Final, assert_never

from engine.controls import (
    CONTROL_RULES,
    WINDOW_MIN_NS,
    BreakerRules,
    InstrumentRules,
    Level,
    Limit,
    Unit,
)
from engine.events import CommandRefused, Event
from engine.gate import RiskGate
from engine.instrument import BPS
from engine.order_finder import OrderFinder
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.risk_commands import (
    GrantOverride,
    LimitCommand,
    RevokeOverride,
    SetAccountThrottle,
    SetInstrumentRules,
    SetLimit,
    SetReferencePrice,
    SetRiskLimits,
    SetScopeLimits,
)
from engine.risk_events import (
    AccountThrottleSet,
    InstrumentRulesSet,
    LimitSet,
    OverrideGranted,
    OverrideRevoked,
    ReferencePriceSet,
    RiskLimitsSet,
    ScopeLimitsSet,
)
from engine.scope import Scope
from engine.units import INT_MAX

THROTTLE_MAX: Final = 1_000_000
WINDOW_MAX_NS: Final = 24 * 3600 * 1_000_000_000
BPS_MAX: Final = 100 * BPS
OVERRIDABLE: Final = tuple(
    reason
    for reason in RejectReason
    if 611 <= reason.value < 800  # noqa: PLR2004 - The families.
)
"""Refusals of ranges, collars, counts and limits; not those of rights, modes and funds."""


class LimitDesk:
    """Sets limits, or says why not. Belongs to the thread that applies commands."""

    def __init__(self, reference: Reference, finder: OrderFinder, gate: RiskGate) -> None:
        self._reference = reference
        self._finder = finder
        self._gate = gate

    def apply(self, now_ns: int, command: LimitCommand) -> Event:
        """Set what the command says, effective with the next order."""
        match command:
            case SetRiskLimits():
                return self._set_risk_limits(command)
            case SetScopeLimits():
                return self._set_scope_limits(command)
            case SetAccountThrottle():
                return self._set_throttle(now_ns, command)
            case SetLimit():
                return self._set_limit(command)
            case SetInstrumentRules():
                return self._set_rules(command)
            case SetReferencePrice():
                return self._set_reference_price(now_ns, command)
            case GrantOverride():
                return self._grant(now_ns, command)
            case RevokeOverride():
                return self._revoke(command)
            case _:
                assert_never(command)

    def _set_risk_limits(self, command: SetRiskLimits) -> Event:
        limits = command.limits
        if limits.account_id not in self._reference.accounts:
            return CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=limits.account_id)
        if limits.instrument_id not in self._reference.instruments:
            return CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=limits.instrument_id)
        if limits.order_qty_max < 0 or limits.notional_max < 0:
            return CommandRefused(RejectReason.AMOUNT_INVALID)
        self._gate.set_limits(limits)
        return RiskLimitsSet(limits)

    def _set_scope_limits(self, command: SetScopeLimits) -> Event:
        limits = command.limits
        if limits.scope not in (Scope.FIRM, Scope.SESSION):
            return CommandRefused(RejectReason.UNSUPPORTED, actual=limits.scope.value)
        if limits.scope_id <= 0:
            return CommandRefused(RejectReason.AMOUNT_INVALID, actual=limits.scope_id)
        if limits.instrument_id not in self._reference.instruments:
            return CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=limits.instrument_id)
        if (limits.order_qty_max or 0) < 0 or (limits.notional_max or 0) < 0:
            return CommandRefused(RejectReason.AMOUNT_INVALID)
        self._gate.set_scope_limits(limits)
        return ScopeLimitsSet(limits)

    def _set_throttle(self, now_ns: int, command: SetAccountThrottle) -> Event:
        account_id, rate, burst = command.account_id, command.rate, command.burst
        if account_id not in self._reference.accounts:
            return CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=account_id)
        if rate is None and burst is None:
            self._gate.lift_throttle(account_id)
            return AccountThrottleSet(account_id, None)
        for value in (rate, burst):
            if value is None or not 0 < value <= THROTTLE_MAX:
                return CommandRefused(
                    RejectReason.AMOUNT_INVALID, limit=THROTTLE_MAX, actual=value or 0
                )
        assert rate is not None
        assert burst is not None
        return AccountThrottleSet(
            account_id, self._gate.change_throttle(account_id, rate, burst, now_ns)
        )

    def _set_limit(self, command: SetLimit) -> Event:
        limit = command.limit
        unknown = self._unknown_in(limit)
        if unknown is not None:
            return unknown
        reason = _misformed(limit)
        if reason is not None:
            return CommandRefused(reason, actual=limit.value or 0)
        if limit.level is Level.CLIENT and limit.value is not None:
            tightest = self._gate.tightest_above(limit)
            if tightest is not None and limit.value > tightest:
                return CommandRefused(RejectReason.NOT_TIGHTER, limit=tightest, actual=limit.value)
        return LimitSet(limit, self._gate.set_limit(limit), command.actor)

    def _unknown_in(self, limit: Limit) -> CommandRefused | None:
        unknown = self._finder.unknown_scope(limit.scope, limit.scope_id)
        # A session may be given limits before it was ever there.
        if unknown is not None and not (limit.scope is Scope.SESSION and limit.scope_id > 0):
            return CommandRefused(unknown, actual=limit.scope_id)
        if limit.instrument_id and limit.instrument_id not in self._reference.instruments:
            return CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=limit.instrument_id)
        if limit.asset_id and limit.asset_id not in self._reference.assets:
            return CommandRefused(RejectReason.ASSET_UNKNOWN, actual=limit.asset_id)
        return None

    def _set_rules(self, command: SetInstrumentRules) -> Event:
        rules = command.rules
        if rules.instrument_id not in self._reference.instruments:
            return CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=rules.instrument_id)
        if not _are_sound(rules):
            return CommandRefused(RejectReason.AMOUNT_INVALID, actual=rules.instrument_id)
        return InstrumentRulesSet(rules, self._gate.set_rules(rules), command.actor)

    def _set_reference_price(self, now_ns: int, command: SetReferencePrice) -> Event:
        instrument = self._reference.instruments.get(command.instrument_id)
        if instrument is None:
            return CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=command.instrument_id)
        if command.price is not None and not 0 < command.price <= INT_MAX:
            return CommandRefused(RejectReason.AMOUNT_INVALID, actual=command.price)
        self._gate.set_reference_price(command.instrument_id, command.price, now_ns)
        return ReferencePriceSet(command.instrument_id, command.price, command.actor)

    def _grant(self, now_ns: int, command: GrantOverride) -> Event:
        override = command.override
        if override.account_id not in self._reference.accounts:
            return CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=override.account_id)
        if override.instrument_id and override.instrument_id not in self._reference.instruments:
            return CommandRefused(RejectReason.SYMBOL_UNKNOWN, actual=override.instrument_id)
        if override.asset_id and override.asset_id not in self._reference.assets:
            return CommandRefused(RejectReason.ASSET_UNKNOWN, actual=override.asset_id)
        if override.reason not in OVERRIDABLE:
            return CommandRefused(RejectReason.UNSUPPORTED, actual=override.reason.value)
        if not override.actor or not override.approver or override.actor == override.approver:
            return CommandRefused(RejectReason.APPROVER_MISSING)
        if override.expires_at_ns <= now_ns:
            return CommandRefused(
                RejectReason.EXPIRE_TIME_INVALID, limit=now_ns, actual=override.expires_at_ns
            )
        self._gate.grant(override, now_ns)
        return OverrideGranted(override)

    def _revoke(self, command: RevokeOverride) -> Event:
        revoked = self._gate.revoke(
            command.account_id,
            command.reason,
            command.cl_ord_id,
            command.instrument_id,
            command.asset_id,
        )
        if revoked is None:
            return CommandRefused(RejectReason.NOT_GRANTED, actual=command.account_id)
        return OverrideRevoked(revoked, command.actor)


def _misformed(limit: Limit) -> RejectReason | None:
    """Return why such a limit makes no sense, None when it does."""
    rule = CONTROL_RULES[limit.control]
    if limit.scope not in rule.scopes:
        return RejectReason.UNSUPPORTED
    if rule.per_instrument is not None and bool(limit.instrument_id) is not rule.per_instrument:
        return RejectReason.UNSUPPORTED
    if bool(limit.asset_id) is not (rule.unit is Unit.ASSET):
        return RejectReason.UNSUPPORTED
    if bool(limit.window_ns) is not rule.is_windowed:
        return RejectReason.UNSUPPORTED
    if rule.is_windowed and not WINDOW_MIN_NS <= limit.window_ns <= WINDOW_MAX_NS:
        return RejectReason.AMOUNT_INVALID
    if limit.value is not None and not 0 <= limit.value <= rule.value_max:
        return RejectReason.AMOUNT_INVALID
    return None


def _are_sound(rules: InstrumentRules) -> bool:
    values = [
        getattr(rules, name)
        for name in InstrumentRules.__struct_fields__
        if name not in ("trades_without_reference", "breaker")
    ]
    bps = (
        rules.buy_up_bps,
        rules.sell_up_bps,
        rules.market_protection_bps,
        rules.execution_collar_bps,
    )
    return (
        all(0 <= value <= INT_MAX for value in values)
        and all(value <= BPS_MAX for value in bps)
        and rules.volume_share_max_bps <= BPS
        and max(rules.buy_down_bps, rules.sell_down_bps) < BPS
        and (not rules.price_max or rules.price_min <= rules.price_max)
        and (not rules.order_qty_max or rules.order_qty_min <= rules.order_qty_max)
        and (not rules.notional_max or rules.notional_min <= rules.notional_max)
        and (rules.breaker is None or _is_sound_breaker(rules.breaker))
    )


def _is_sound_breaker(breaker: BreakerRules) -> bool:
    return (
        0 < breaker.band_bps < BPS
        and breaker.opening_band_bps < BPS
        and WINDOW_MIN_NS <= breaker.window_ns <= WINDOW_MAX_NS
        and 0 < breaker.limit_state_ns <= WINDOW_MAX_NS
        and 0 < breaker.pause_ns <= WINDOW_MAX_NS
        and 0 <= breaker.opening_ns <= WINDOW_MAX_NS
        and breaker.opening_band_bps >= 0
    )
