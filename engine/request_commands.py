"""Commands that ask for many orders at once, or only to be told something.

Numbered by MsgSeqNum(34) like orders, so each is answered in its place and exactly once. An
operator asks over no session and for no account: the zeros say so, and he may name anybody.
"""

import msgspec

from engine.order import Side
from engine.scope import Scope
from engine.units import AccountId, ClOrdId, InstrumentId, OrderId, SessionId


class MassCancel(msgspec.Struct, frozen=True, array_like=True, tag=60):
    """Cancel all open orders of a scope (OrderMassCancelRequest), only of an instrument or a side.

    `instrument_id` 0 is any, `side` None both. The scope is named as in `PullKillSwitch`: a
    session, an account or a firm; whatever it is, only orders of the firm that owns `account_id`
    are meant. Orders entered afterwards are not. Answered by one `MassCancelReported`, then the
    cancels, then `MassCancelCompleted`.
    """

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    cl_ord_id: ClOrdId
    scope: Scope
    scope_id: int
    instrument_id: InstrumentId = InstrumentId(0)
    side: Side | None = None
    received_at_ns: int = 0


class ReportOrder(msgspec.Struct, frozen=True, array_like=True, tag=61):
    """Tell the state of one order of the account (OrderStatusRequest), named as in `CancelOrder`.

    `request_id` is the asker's own name for the question, echoed in the answer.
    """

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    cl_ord_id: ClOrdId
    order_id: OrderId = OrderId(0)
    instrument_id: InstrumentId = InstrumentId(0)
    side: Side | None = None
    request_id: str = ""
    received_at_ns: int = 0


class ReportOpenOrders(msgspec.Struct, frozen=True, array_like=True, tag=62):
    """Tell the state of all open orders of a scope (OrderMassStatusRequest), as in `MassCancel`."""

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    request_id: str
    scope: Scope
    scope_id: int
    instrument_id: InstrumentId = InstrumentId(0)
    side: Side | None = None
    received_at_ns: int = 0


class ReportBalances(msgspec.Struct, frozen=True, array_like=True, tag=63):
    """Tell what the account has of every asset (RequestForPositions)."""

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    request_id: str
    received_at_ns: int = 0


RequestCommand = MassCancel | ReportOrder | ReportOpenOrders | ReportBalances
"""What asks for many orders at once, or only to be told something."""
