"""Events: what happened. Past tense; an event carries all that its readers need.

Reports, drop copies, projections and market data are functions of one event each. Journaled like
commands: flat arrays, new fields at the end with a default, tags never used again.
"""

import msgspec

from engine.controls import Level, RefusalDetail
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.ledger_events import (
    CreditLineSet,
    FeesSet,
    FirmCreditLineSet,
    FirmFeeTierSet,
    FundsTransferred,
    WithdrawalRequested,
    WithdrawalSettled,
)
from engine.order import OrderView, SelfTradeMode
from engine.reasons import CancelReason, RejectReason
from engine.request_events import (
    BalancesReported,
    MassCancelCompleted,
    MassCancelReported,
    OrderStatusRefused,
)
from engine.risk_events import (
    AccountThrottleSet,
    BreakerChanged,
    CreditUsed,
    InstrumentRulesSet,
    LimitSet,
    OverrideGranted,
    OverrideRevoked,
    ReferencePriceSet,
    RiskLimitsSet,
    ScopeLimitsSet,
    TradingModeSet,
)
from engine.scope import Scope
from engine.session_events import (
    SessionLoggedOff,
    SessionLoggedOn,
    SessionOpened,
    SessionReleased,
    SessionReset,
)
from engine.trade_events import TradeBusted, TradeCorrected
from engine.trading_state import TradingState
from engine.units import (
    AccountId,
    AssetId,
    ClOrdId,
    InstrumentId,
    Money,
    Price,
    Qty,
    SessionId,
    TradeId,
)


class CommandRefused(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A command that is not an order was refused, or one from a process that lost its session.

    `limit` and `actual` say what was allowed and what was asked, where the reason has numbers.
    """

    reason: RejectReason
    session_id: SessionId = SessionId(0)
    limit: int = 0
    actual: int = 0


class OrderAccepted(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """The order was accepted. It rests or trades in the events that follow."""

    order: OrderView


class OrderRejected(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The order was refused and left no trace.

    `limit` and `actual` explain the reason in its own unit: `engine.explain` puts them in words.
    `scope` is whose limit or kill switch it was, `detail` what else there is to say of it.
    """

    order: OrderView
    reason: RejectReason
    limit: int = 0
    actual: int = 0
    scope: Scope = Scope.ACCOUNT
    detail: RefusalDetail | None = None


class OrderStatusReported(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """The present state of an order, because the session `request_session_id` asked.

    `request_id` is its name for the question, "" when the question was an order sent again.
    `mass_total` is how many orders the question is about, each with an answer of its own, 0 for one
    that names its order. `is_last` of them, nothing more belongs to the question.
    """

    order: OrderView
    request_session_id: SessionId
    request_id: str = ""
    mass_total: int = 0
    is_last: bool = False


class Trade(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """One side of a match. The other side is the event beside it, with the same `trade_id`.

    `is_resting` is true for an order that was in the book: in an uncrossing, where nobody comes in,
    for both. `notional` is what `qty` cost, in the quote asset; `base_amount` is `qty` in the base
    asset's own decimals. `fee` is what the account pays for it in `fee_asset_id`, below 0 for what
    it is paid; asset 0 where there are no fees.
    """

    order: OrderView
    trade_id: TradeId
    qty: Qty
    price: Price
    notional: Money
    base_amount: Money
    base_asset_id: AssetId
    quote_asset_id: AssetId
    is_resting: bool
    fee: Money = Money(0)
    fee_asset_id: AssetId = AssetId(0)
    is_uncrossing: bool = False


class OrderCanceled(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """The rest of the order was cancelled.

    `cl_ord_id` and `request_session_id` are those of the cancel request, "" and 0 when nobody
    asked for it.
    """

    order: OrderView
    reason: CancelReason
    canceled_qty: Qty
    cl_ord_id: ClOrdId = ClOrdId("")
    request_session_id: SessionId = SessionId(0)


class OrderExpired(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """The order's time in force has run out."""

    order: OrderView
    expired_qty: Qty


class CancelRejected(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """A cancel request was refused. `order` is the order's true state, None when it is unknown.

    `is_replace` when it was to be amended. `limit`, `actual`, `scope` and `detail` as in
    `OrderRejected`; `text` is in their place when the door has said what is wrong.
    """

    session_id: SessionId
    account_id: AccountId
    cl_ord_id: ClOrdId
    orig_cl_ord_id: ClOrdId
    reason: RejectReason
    order: OrderView | None = None
    is_replace: bool = False
    limit: int = 0
    actual: int = 0
    scope: Scope = Scope.ACCOUNT
    detail: RefusalDetail | None = None
    text: str = ""


class OrderReplaced(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """The order was amended. If it now trades at once, it does so in the events that follow.

    `orig_cl_ord_id` is the name it had before, `orig_order_qty` and `orig_price` what it was. It
    `keeps_priority` among the orders of its price, or stands behind them from now on.
    """

    order: OrderView
    orig_cl_ord_id: ClOrdId
    request_session_id: SessionId
    keeps_priority: bool
    orig_order_qty: Qty = Qty(0)
    orig_price: Price | None = None


class OrderRestated(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """An open order has become smaller by `decreased_qty`, though its owner has not asked."""

    order: OrderView
    reason: CancelReason
    decreased_qty: Qty


class OrderTriggered(msgspec.Struct, frozen=True, array_like=True, tag=51):
    """A stop order was triggered by a trade at `price`, and acts in the events that follow."""

    order: OrderView
    price: Price


class AssetDefined(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """An asset exists."""

    asset: Asset


class InstrumentDefined(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """An instrument can be traded."""

    instrument: InstrumentDefinition


class AccountOpened(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """An account exists, with nothing on it."""

    account: Account


class SelfTradeModeSet(msgspec.Struct, frozen=True, array_like=True, tag=27):
    """What holds from now on when orders of one owner meet, unless they say so themselves."""

    scope: Scope
    scope_id: int
    mode: SelfTradeMode | None


class BalanceAdjusted(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """Money came in from outside or went out. `balance` is what the account has now."""

    account_id: AccountId
    asset_id: AssetId
    amount: Money
    balance: Money
    reference: str


class StorageLowSet(msgspec.Struct, frozen=True, array_like=True, tag=30):
    """From now on new orders are refused, the journal's disk being nearly full, or taken again."""

    is_low: bool


class TradingStateChanged(msgspec.Struct, frozen=True, array_like=True, tag=50):
    """The market of an instrument is in another state from now on, or in the same for longer.

    `actor` is who asked, EXCHANGE when its time had come. `ends_at_ns` is when the state ends by
    itself, 0 for never. When it is OPENING, `volume` is about to trade at `price`, None for none.
    """

    instrument_id: InstrumentId
    old_state: TradingState
    state: TradingState
    reason: str
    actor: str
    ends_at_ns: int = 0
    price: Price | None = None
    volume: Qty = Qty(0)


class ClOrdIdsMaxSet(msgspec.Struct, frozen=True, array_like=True, tag=92):
    """So many ClOrdIDs of ended orders are known per account from now on, the newest."""

    count: int


class KillSwitchPulled(msgspec.Struct, frozen=True, array_like=True, tag=40):
    """New orders of the scope are refused from now on; open ones are being cancelled.

    `actor` ends with the operating system's user whose process asked: `os:NAME`.
    """

    scope: Scope
    scope_id: int
    reason: str
    actor: str
    level: Level = Level.OPERATOR


class KillSwitchLifted(msgspec.Struct, frozen=True, array_like=True, tag=41):
    """New orders of the scope are taken again, as far as this switch goes."""

    scope: Scope
    scope_id: int
    reason: str
    actor: str
    level: Level = Level.OPERATOR


class KillCompleted(msgspec.Struct, frozen=True, array_like=True, tag=42):
    """No order of the scope is open any more: so many were cancelled.

    `ended_count` more were open when the switch was pulled and have ended by themselves before they
    were reached: filled, or cancelled by their owner. `left_count` is how many are open all the
    same, found by looking again; it is 0.
    """

    scope: Scope
    scope_id: int
    canceled_count: int
    ended_count: int = 0
    left_count: int = 0


class DeadManTimerSet(msgspec.Struct, frozen=True, array_like=True, tag=43):
    """When all orders of the account are cancelled unless it asks again by then, 0 for never."""

    account_id: AccountId
    expires_at_ns: int
    actor: str = ""


class DeadManTimerExpired(msgspec.Struct, frozen=True, array_like=True, tag=44):
    """The account has not been heard of in time: all its open orders are being cancelled."""

    account_id: AccountId


ExecutionEvent = (
    OrderAccepted
    | OrderRejected
    | OrderStatusReported
    | Trade
    | OrderCanceled
    | OrderExpired
    | OrderReplaced
    | OrderRestated
    | TradeBusted
    | TradeCorrected
    | OrderTriggered
)
"""Events that are told by ExecutionReport(8)."""

OrderEvent = ExecutionEvent | CancelRejected
"""Events that the owner of an order is told of."""

ReferenceEvent = AssetDefined | InstrumentDefined | AccountOpened
"""Events that say what exists. Whoever joins late is sent them first."""

Event = (
    SessionOpened
    | SessionReleased
    | SessionReset
    | SessionLoggedOn
    | SessionLoggedOff
    | CommandRefused
    | OrderAccepted
    | OrderRejected
    | OrderStatusReported
    | Trade
    | OrderCanceled
    | OrderExpired
    | CancelRejected
    | OrderReplaced
    | OrderRestated
    | OrderTriggered
    | SelfTradeModeSet
    | AssetDefined
    | InstrumentDefined
    | AccountOpened
    | RiskLimitsSet
    | ScopeLimitsSet
    | AccountThrottleSet
    | BalanceAdjusted
    | StorageLowSet
    | TradingStateChanged
    | KillSwitchPulled
    | KillSwitchLifted
    | KillCompleted
    | DeadManTimerSet
    | DeadManTimerExpired
    | MassCancelReported
    | MassCancelCompleted
    | OrderStatusRefused
    | BalancesReported
    | FeesSet
    | FirmFeeTierSet
    | WithdrawalRequested
    | WithdrawalSettled
    | FundsTransferred
    | CreditLineSet
    | FirmCreditLineSet
    | LimitSet
    | InstrumentRulesSet
    | ReferencePriceSet
    | TradingModeSet
    | OverrideGranted
    | OverrideRevoked
    | TradeBusted
    | TradeCorrected
    | ClOrdIdsMaxSet
    | BreakerChanged
    | CreditUsed
)


def recipients(event: Event) -> tuple[SessionId, ...]:
    """Return the FIX sessions that are told of the event: the order's own, then whoever asked.

    () for an event that no session is told of.
    """
    match event:
        case (
            OrderAccepted()
            | Trade()
            | OrderRejected()
            | OrderTriggered()
            | OrderExpired()
            | OrderRestated()
            | TradeBusted()
            | TradeCorrected()
        ):
            # First, for these are most of what happens.
            session_id = event.order.session_id
            return (session_id,) if session_id else ()
        case (
            CancelRejected()
            | MassCancelReported()
            | MassCancelCompleted()
            | OrderStatusRefused()
            | BalancesReported()
        ):
            sessions: tuple[SessionId, ...] = (event.session_id,)
        case OrderCanceled() | OrderReplaced():
            sessions = (event.order.session_id, event.request_session_id)
        case OrderStatusReported():
            sessions = (event.request_session_id,)
        case _:
            sessions = ()
    return tuple(dict.fromkeys(session_id for session_id in sessions if session_id))
