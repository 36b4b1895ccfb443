"""Risk limits as data: what `SetRiskLimits` carries. The checks that read them live in `risk`."""

import msgspec

from engine.units import AccountId, InstrumentId, Money, Qty


class RiskLimits(msgspec.Struct, frozen=True, array_like=True):
    """What one order of the account in the instrument may not exceed.

    `notional_max` is in the instrument's quote asset.
    """

    account_id: AccountId
    instrument_id: InstrumentId
    order_qty_max: Qty
    notional_max: Money
