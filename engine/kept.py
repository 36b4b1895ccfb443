"""What a snapshot keeps of the exchange's parts, where it is nothing that an event carries."""

from typing import Final

import msgspec

from engine.controls import Level
from engine.fee_rates import FeeRates
from engine.order import SelfTradeMode, Side
from engine.reasons import CancelReason
from engine.scope import Scope
from engine.units import (
    AccountId,
    AssetId,
    ClOrdId,
    FirmId,
    InstrumentId,
    Money,
    OrderId,
    SessionId,
)

NOT_LOOKED: Final = -1


class FeeSchedule(msgspec.Struct, frozen=True, array_like=True):
    """What firms of a tier are charged in an instrument."""

    instrument_id: InstrumentId
    tier: int
    rates: FeeRates


class FirmTier(msgspec.Struct, frozen=True, array_like=True):
    """A firm that is not in tier 0."""

    firm_id: FirmId
    tier: int


class PulledSwitch(msgspec.Struct, frozen=True, array_like=True):
    """A switch that is pulled: since when, by whom and why."""

    scope: Scope
    scope_id: int
    reason: str
    actor: str
    pulled_at_ns: int
    level: Level = Level.OPERATOR


class FirmCredit(msgspec.Struct, frozen=True, array_like=True):
    """How much of an asset a firm's accounts together may be short of."""

    firm_id: FirmId
    asset_id: AssetId
    limit: Money


class Withdrawal(msgspec.Struct, frozen=True, array_like=True):
    """Money that is held until somebody says whether it has left the venue."""

    withdrawal_id: int
    account_id: AccountId
    asset_id: AssetId
    amount: Money
    reference: str


class FormerName(msgspec.Struct, frozen=True, array_like=True):
    """A ClOrdID that an order bore until it was amended at `replaced_at_ns`.

    `place` is where it stands among all names of the account that have ended, from 0.
    """

    account_id: AccountId
    place: int
    replaced_at_ns: int
    order_id: OrderId
    cl_ord_id: ClOrdId


class SelfTradeDefault(msgspec.Struct, frozen=True, array_like=True):
    """What holds for orders that say nothing of it, of one session or of the whole venue."""

    scope: Scope
    scope_id: int
    mode: SelfTradeMode


class Sweep(msgspec.Struct, array_like=True):
    """Whose orders are being cancelled, and why. Orders after `order_id_max` are not meant.

    A mass cancel may mean those of one instrument, side or firm alone, 0 and None being any.
    `account_id`, `session_id` and `cl_ord_id` say who has asked for it, and how he calls it.
    `found_count` is how many were open when the sweep began.
    """

    scope: Scope
    scope_id: int
    reason: CancelReason
    order_id_max: OrderId
    canceled_count: int = 0
    instrument_id: InstrumentId = InstrumentId(0)
    side: Side | None = None
    firm_id: FirmId = FirmId(0)
    account_id: AccountId = AccountId(0)
    session_id: SessionId = SessionId(0)
    cl_ord_id: ClOrdId = ClOrdId("")
    found_count: int = NOT_LOOKED
