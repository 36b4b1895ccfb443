"""Events that answer a request: the session that asked is told of them, nobody else."""

import msgspec

from engine.order import Side
from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import AccountId, AssetId, ClOrdId, InstrumentId, Money, OrderId, SessionId


class AffectedOrder(msgspec.Struct, frozen=True, array_like=True):
    """An order that a mass cancel is about to cancel."""

    order_id: OrderId
    account_id: AccountId
    cl_ord_id: ClOrdId


class MassCancelReported(msgspec.Struct, frozen=True, array_like=True, tag=60):
    """A mass cancel was taken, or refused when there is a `reason`: OrderMassCancelReport(r).

    `total` is how many orders it has found: a cancel follows for each that does not end first.
    `affected` names them, oldest first, when they are few.
    """

    session_id: SessionId
    account_id: AccountId
    cl_ord_id: ClOrdId
    scope: Scope
    scope_id: int
    instrument_id: InstrumentId
    side: Side | None
    total: int = 0
    affected: list[AffectedOrder] = []
    reason: RejectReason | None = None
    limit: int = 0
    actual: int = 0


class MassCancelCompleted(msgspec.Struct, frozen=True, array_like=True, tag=61):
    """None of the orders that a mass cancel has found is open any more: it cancelled so many."""

    session_id: SessionId
    account_id: AccountId
    cl_ord_id: ClOrdId
    scope: Scope
    scope_id: int
    canceled_count: int


class OrderStatusRefused(msgspec.Struct, frozen=True, array_like=True, tag=62):
    """There is nothing to be told of an order, or of all that were asked for, and why.

    It bears what the request has named, 0, "" or None for what it has not. `mass_total` and
    `is_last` as in `OrderStatusReported`; a mass request that finds nothing has `is_last` alone.
    """

    session_id: SessionId
    account_id: AccountId
    request_id: str
    reason: RejectReason
    cl_ord_id: ClOrdId = ClOrdId("")
    order_id: OrderId = OrderId(0)
    instrument_id: InstrumentId = InstrumentId(0)
    side: Side | None = None
    mass_total: int = 0
    is_last: bool = False
    limit: int = 0
    actual: int = 0


class BalanceLine(msgspec.Struct, frozen=True, array_like=True):
    """What an account has of one asset, below zero what it owes, `credit` being the most.

    `held` is for open orders and withdrawals under way, `available` for new orders.
    """

    asset_id: AssetId
    balance: Money
    held: Money
    available: Money
    credit: Money = Money(0)


class BalancesReported(msgspec.Struct, frozen=True, array_like=True, tag=63):
    """What the account has of each asset of which it has some, or why that is not told."""

    session_id: SessionId
    account_id: AccountId
    request_id: str
    lines: list[BalanceLine]
    reason: RejectReason | None = None
    actual: int = 0


RequestEvent = MassCancelReported | MassCancelCompleted | OrderStatusRefused | BalancesReported
"""Answers that are no report of an order."""
