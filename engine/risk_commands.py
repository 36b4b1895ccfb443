"""Commands that set limits, rules and modes. A part of `engine.commands`."""

import msgspec

from engine.controls import InstrumentRules, Level, Limit, Mode, Override
from engine.limits import RiskLimits, ScopeLimits
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import AccountId, AssetId, ClOrdId, InstrumentId, Price


class SetRiskLimits(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """Set the limits of an account in an instrument. Effective at once."""

    limits: RiskLimits


class SetScopeLimits(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """Set the limits of a firm or a FIX session in an instrument, beside those of the account.

    Effective at once. With both values None there are none any more.
    """

    limits: ScopeLimits


class SetAccountThrottle(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """Set how many orders an account may enter per second, and at once. Cancels are not counted.

    Both None: as often as it likes, as when it was never set. What has been used stays used.
    """

    account_id: AccountId
    rate: int | None = None
    burst: int | None = None


class SetLimit(msgspec.Struct, frozen=True, array_like=True, tag=70):
    """Set or take away one limit of a firm, an account, a user or a session. Effective at once.

    Refused for a client's that is wider than what others have set for the same: clients tighten.
    """

    limit: Limit
    actor: str = ""


class SetInstrumentRules(msgspec.Struct, frozen=True, array_like=True, tag=71):
    """Set what every order in an instrument must keep to. Effective at once."""

    rules: InstrumentRules
    actor: str = ""


class SetReferencePrice(msgspec.Struct, frozen=True, array_like=True, tag=72):
    """Say what an instrument is worth while nothing trades, None to say nothing any more."""

    instrument_id: InstrumentId
    price: Price | None
    actor: str = ""


class SetTradingMode(msgspec.Struct, frozen=True, array_like=True, tag=73):
    """Say what a scope may still do, or that it may do everything again (`Mode.NORMAL`).

    BLOCKED cancels all open orders of the scope too. A mode that a limit has led to is one of the
    limit's level, and is lifted there.
    """

    scope: Scope
    scope_id: int
    level: Level
    mode: Mode
    reason: str
    actor: str = ""


class GrantOverride(msgspec.Struct, frozen=True, array_like=True, tag=74):
    """Let one order, or the orders of one account, pass a limit for a while.

    Refused unless two different people want it.
    """

    override: Override


class RevokeOverride(msgspec.Struct, frozen=True, array_like=True, tag=75):
    """Take back what `GrantOverride` has granted for the same. One person may: it tightens."""

    account_id: AccountId
    reason: RejectReason
    cl_ord_id: ClOrdId = ClOrdId("")
    instrument_id: InstrumentId = InstrumentId(0)
    actor: str = ""
    asset_id: AssetId = AssetId(0)


LimitCommand = (
    SetRiskLimits
    | SetScopeLimits
    | SetAccountThrottle
    | SetLimit
    | SetInstrumentRules
    | SetReferencePrice
    | GrantOverride
    | RevokeOverride
)
"""What sets limits, and what they are measured by."""
