"""Commands about money: what is charged, what comes and goes, and who may owe."""

import msgspec

from engine.fee_rates import FeeRates
from engine.units import AccountId, AssetId, FirmId, InstrumentId, Money


class SetFees(msgspec.Struct, frozen=True, array_like=True, tag=64):
    """Say what trades in an instrument cost firms of a tier. `rates` None takes it back.

    Firms of a tier for which nothing was said are charged as tier 0. Orders that were accepted
    before keep the rates of that moment.
    """

    instrument_id: InstrumentId
    tier: int
    rates: FeeRates | None


class SetFirmFeeTier(msgspec.Struct, frozen=True, array_like=True, tag=65):
    """Put a firm into a tier of fees. All are in tier 0 until something else is said."""

    firm_id: FirmId
    tier: int


class RequestWithdrawal(msgspec.Struct, frozen=True, array_like=True, tag=66):
    """Set money aside that is to leave the venue, until `SettleWithdrawal` says that it has.

    `reference` is the client's own name for it, one of those that `AdjustBalance` knows.
    """

    account_id: AccountId
    asset_id: AssetId
    amount: Money
    reference: str


class SettleWithdrawal(msgspec.Struct, frozen=True, array_like=True, tag=67):
    """Say how a withdrawal ended: the money `is_paid` out, or it stays on the account.

    `withdrawal_id` is the seq of its request.
    """

    withdrawal_id: int
    is_paid: bool
    reason: str = ""
    actor: str = ""


class TransferFunds(msgspec.Struct, frozen=True, array_like=True, tag=68):
    """Move money between two accounts of one firm. `reference` as in `AdjustBalance`, the payer's.

    The amount is above 0.
    """

    account_id: AccountId
    to_account_id: AccountId
    asset_id: AssetId
    amount: Money
    reference: str


class SetCreditLine(msgspec.Struct, frozen=True, array_like=True, tag=69):
    """Let an account's balance of an asset go down to so much below zero. 0: not below."""

    account_id: AccountId
    asset_id: AssetId
    limit: Money


class SetFirmCreditLine(msgspec.Struct, frozen=True, array_like=True, tag=82):
    """Let a firm's accounts together be short of so much of an asset, beyond their own lines.

    0: of nothing.
    """

    firm_id: FirmId
    asset_id: AssetId
    limit: Money
