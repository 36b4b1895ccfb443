"""Events about money. Those that move some say what each account has afterwards."""

import msgspec

from engine.fee_rates import FeeRates
from engine.units import AccountId, AssetId, FirmId, InstrumentId, Money


class FeesSet(msgspec.Struct, frozen=True, array_like=True, tag=64):
    """What orders of the tier that are accepted from now on will be charged, None for nothing."""

    instrument_id: InstrumentId
    tier: int
    rates: FeeRates | None


class FirmFeeTierSet(msgspec.Struct, frozen=True, array_like=True, tag=65):
    """The tier by which the firm's orders are charged that are accepted from now on."""

    firm_id: FirmId
    tier: int


class WithdrawalRequested(msgspec.Struct, frozen=True, array_like=True, tag=66):
    """So much of the account's money is held until the withdrawal is settled."""

    withdrawal_id: int
    account_id: AccountId
    asset_id: AssetId
    amount: Money
    reference: str


class WithdrawalSettled(msgspec.Struct, frozen=True, array_like=True, tag=67):
    """The money was paid out, or is free again when not `is_paid`. `balance` is what is left."""

    withdrawal_id: int
    account_id: AccountId
    asset_id: AssetId
    amount: Money
    balance: Money
    reference: str
    is_paid: bool
    reason: str = ""
    actor: str = ""


class FundsTransferred(msgspec.Struct, frozen=True, array_like=True, tag=68):
    """Money went from one account of a firm to another. The balances are what they have now."""

    account_id: AccountId
    to_account_id: AccountId
    asset_id: AssetId
    amount: Money
    balance: Money
    to_balance: Money
    reference: str


class CreditLineSet(msgspec.Struct, frozen=True, array_like=True, tag=69):
    """How far below zero the account's balance of the asset may go from now on."""

    account_id: AccountId
    asset_id: AssetId
    limit: Money


class FirmCreditLineSet(msgspec.Struct, frozen=True, array_like=True, tag=82):
    """How much of the asset the firm's accounts together may be short of from now on."""

    firm_id: FirmId
    asset_id: AssetId
    limit: Money
