"""Events of limits, rules and modes: what holds from now on. A part of `engine.events`."""

import msgspec

from engine.controls import BreakerPhase, InstrumentRules, Limit, Override, TradingMode
from engine.limits import AccountThrottle, RiskLimits, ScopeLimits
from engine.units import AccountId, AssetId, InstrumentId, Money, Price


class LimitSet(msgspec.Struct, frozen=True, array_like=True, tag=70):
    """The limit that holds from now on, a value of None: none. `version` is that of all limits."""

    limit: Limit
    version: int
    actor: str = ""


class InstrumentRulesSet(msgspec.Struct, frozen=True, array_like=True, tag=71):
    """What every order in the instrument must keep to from now on."""

    rules: InstrumentRules
    version: int
    actor: str = ""


class ReferencePriceSet(msgspec.Struct, frozen=True, array_like=True, tag=72):
    """An operator's word for what an instrument is worth, None: not any more."""

    instrument_id: InstrumentId
    price: Price | None
    actor: str = ""


class TradingModeSet(msgspec.Struct, frozen=True, array_like=True, tag=73):
    """What a scope may do from now on, and why: somebody wants it or a limit was passed."""

    mode: TradingMode


class OverrideGranted(msgspec.Struct, frozen=True, array_like=True, tag=74):
    """One order, or the orders of one account, may pass a limit for a while."""

    override: Override


class OverrideRevoked(msgspec.Struct, frozen=True, array_like=True, tag=77):
    """What was granted before its time was up holds no longer."""

    override: Override
    actor: str


class BreakerChanged(msgspec.Struct, frozen=True, array_like=True, tag=75):
    """The circuit breaker of an instrument goes into another phase, until `until_ns` at most.

    Orders trade between `low` and `high` as the event happens, both 0 while there is no price to
    measure from. After a pause orders are collected for `collects_ns` and uncrossed.
    """

    instrument_id: InstrumentId
    phase: BreakerPhase
    low: Price
    high: Price
    until_ns: int = 0
    collects_ns: int = 0


class CreditUsed(msgspec.Struct, frozen=True, array_like=True, tag=76):
    """An account has used `percent` of a credit line or more: 80, 90 or 100.

    `used` of `credit` is what it owes, with what its open orders would make it owe.
    """

    account_id: AccountId
    asset_id: AssetId
    percent: int
    used: Money
    credit: Money


class RiskLimitsSet(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The limits that hold from now on."""

    limits: RiskLimits


class ScopeLimitsSet(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """The limits of the firm or session that hold from now on."""

    limits: ScopeLimits


class AccountThrottleSet(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """How often the account may enter orders from now on, None for as often as it likes."""

    account_id: AccountId
    throttle: AccountThrottle | None
