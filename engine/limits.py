"""Limits as data: what the commands that set them carry. The checks live in `risk`."""

import msgspec

from engine.scope import Scope
from engine.units import AccountId, InstrumentId, Money, Qty


class RiskLimits(msgspec.Struct, frozen=True, array_like=True):
    """What one order of the account in the instrument may not exceed.

    `notional_max` is in the instrument's quote asset.
    """

    account_id: AccountId
    instrument_id: InstrumentId
    order_qty_max: Qty
    notional_max: Money


class ScopeLimits(msgspec.Struct, frozen=True, array_like=True):
    """What one order of a whole firm, or of one FIX session, in the instrument may not exceed.

    They hold beside those of the account. `notional_max` is in the instrument's quote asset; None
    is no limit.
    """

    scope: Scope
    scope_id: int
    instrument_id: InstrumentId
    order_qty_max: Qty | None
    notional_max: Money | None


class AccountThrottle(msgspec.Struct, frozen=True, array_like=True):
    """How often an account may enter orders, over whichever doors: per second, and at once.

    `debt` and `at_ns` are what has been used of it, in the rate limiter's own terms.
    """

    account_id: AccountId
    rate: int
    burst: int
    debt: int = 0
    at_ns: int = 0
