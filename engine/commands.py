"""Commands: everything that may change the exchange. Imperatives; they never change once made.

Each is journaled as a flat array. A new field goes at the end and has a default, so that journals
written before it stay readable; a tag is never used again for another command.
"""

import msgspec

from engine.controls import Level
from engine.instrument import Account, Asset, InstrumentDefinition
from engine.ledger_commands import (
    RequestWithdrawal,
    SetCreditLine,
    SetFees,
    SetFirmCreditLine,
    SetFirmFeeTier,
    SettleWithdrawal,
    TransferFunds,
)
from engine.order import OrderTerms, OrdType, SelfTradeMode, Side, TimeInForce
from engine.reasons import RejectReason
from engine.request_commands import (
    MassCancel,
    ReportBalances,
    ReportOpenOrders,
    ReportOrder,
    RequestCommand,
)
from engine.risk_commands import (
    GrantOverride,
    RevokeOverride,
    SetAccountThrottle,
    SetInstrumentRules,
    SetLimit,
    SetReferencePrice,
    SetRiskLimits,
    SetScopeLimits,
    SetTradingMode,
)
from engine.scope import Scope
from engine.session_commands import (
    LogOffSession,
    LogOnSession,
    OpenSession,
    ReleaseAllSessions,
    ReleaseSession,
    ResetSession,
)
from engine.trade_commands import BustTrade, CorrectTrade
from engine.trading_state import TradingState
from engine.units import (
    AccountId,
    AssetId,
    ClOrdId,
    InstrumentId,
    Money,
    OrderId,
    Price,
    Qty,
    SessionId,
    UserId,
)


class NewOrder(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Enter an order (NewOrderSingle).

    `price` is None for a market order. With `is_poss_resend`, PossResend(97)=Y, a ClOrdID that is
    known is answered with the state of its order instead of a refusal. Orders that come over no
    FIX session have `session_id` 0 and zeros for the three numbers that go with it.
    `orig_sent_at_ns` is when an order that is sent again was first sent, 0 for one that is not.
    One that `outlives_connection` is spared when orders are cancelled on disconnect. It must be
    entered by `valid_until_ns`, and `recv_window_ns` after `sent_at_ns`, when the client says that
    it was sent; 0 says nothing. `user_id` is who sent it, 0 when that is not known.
    """

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    instrument_id: InstrumentId
    cl_ord_id: ClOrdId
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Qty
    price: Price | None = None
    is_poss_resend: bool = False
    received_at_ns: int = 0
    orig_sent_at_ns: int = 0
    outlives_connection: bool = False
    terms: OrderTerms | None = None
    sent_at_ns: int = 0
    recv_window_ns: int = 0
    valid_until_ns: int = 0
    user_id: UserId = UserId(0)


class CancelOrder(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Cancel an order of the account (OrderCancelRequest), named by ClOrdID, OrderID or both.

    `orig_cl_ord_id` "" and `order_id` 0 mean "not given". What is given must fit one order:
    `instrument_id` (0: not given) and `side` are compared too.
    """

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    cl_ord_id: ClOrdId
    orig_cl_ord_id: ClOrdId
    order_id: OrderId = OrderId(0)
    instrument_id: InstrumentId = InstrumentId(0)
    side: Side | None = None
    received_at_ns: int = 0


class ReplaceOrder(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Amend an order of the account (OrderCancelReplaceRequest), named as in `CancelOrder`.

    `cl_ord_id` is its name from then on. It says what the order is to be, not what is to change:
    `order_qty` is the total quantity, what is filled included, and `price` is always given.
    `time_in_force` cannot change: it is refused when it is given and is not the order's.
    `stop_price` and `display_qty` None leave those as they are; `display_qty` 0 shows all. What
    else of the order is said again, in `ord_type` and `restated`, must be as it is.
    """

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    cl_ord_id: ClOrdId
    orig_cl_ord_id: ClOrdId
    order_qty: Qty
    price: Price | None = None
    order_id: OrderId = OrderId(0)
    instrument_id: InstrumentId = InstrumentId(0)
    side: Side | None = None
    is_poss_resend: bool = False
    received_at_ns: int = 0
    orig_sent_at_ns: int = 0
    time_in_force: TimeInForce | None = None
    sent_at_ns: int = 0
    recv_window_ns: int = 0
    valid_until_ns: int = 0
    user_id: UserId = UserId(0)
    stop_price: Price | None = None
    display_qty: Qty | None = None
    ord_type: OrdType | None = None
    restated: OrderTerms | None = None


class RefuseRequest(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Refuse to cancel or amend an order, named as in `CancelOrder`, for what the door has found.

    With `is_replace` it was to be amended. `text` is the door's own words for the `reason`. What
    the door cannot know is how the order stands.
    """

    session_id: SessionId
    generation: int
    epoch: int
    msg_seq_num: int
    account_id: AccountId
    cl_ord_id: ClOrdId
    orig_cl_ord_id: ClOrdId
    order_id: OrderId
    instrument_id: InstrumentId
    side: Side | None
    is_replace: bool
    reason: RejectReason
    text: str
    received_at_ns: int = 0


class SetSelfTradeMode(msgspec.Struct, frozen=True, array_like=True, tag=27):
    """Say what happens by default when an order meets another of the same owner.

    `scope` is SESSION or EVERYTHING, the venue, with `scope_id` 0; the session's mode goes first.
    `mode` None takes it back. An order that says itself what is to happen is not concerned.
    """

    scope: Scope
    scope_id: int
    mode: SelfTradeMode | None


class DefineAsset(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """Introduce an asset."""

    asset: Asset


class DefineInstrument(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """Introduce an instrument.

    Refused unless `price_decimals + qty_decimals` fit the quote asset's decimals and
    `qty_decimals` the base asset's: then no product of price and quantity ever needs rounding.
    """

    instrument: InstrumentDefinition


class OpenAccount(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Open an account of a firm."""

    account: Account


class AdjustBalance(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """Move money into the account (`amount` above 0) or out of it.

    `reference` is the client's own name for the transfer: a second one of the same name on the
    same account is refused, so that a repeat does nothing.
    """

    account_id: AccountId
    asset_id: AssetId
    amount: Money
    reference: str


class PullKillSwitch(msgspec.Struct, frozen=True, array_like=True, tag=40):
    """Cancel all open orders of a scope and refuse new ones until `LiftKillSwitch`.

    Cancels stay allowed. `scope_id` says which firm, account, session, user or instrument, 0 for
    everything. To `actor`, who asks, the engine's process adds the operating system's user,
    whatever the door has said. The operator, the firm and the client have a switch each.
    """

    scope: Scope
    scope_id: int
    reason: str
    actor: str = ""
    level: Level = Level.OPERATOR


class LiftKillSwitch(msgspec.Struct, frozen=True, array_like=True, tag=41):
    """Take new orders of the scope again, unless another switch stops them.

    Refused when the level's switch is not pulled, and to the operator who has pulled it: another
    has to look. A client lifts his own.
    """

    scope: Scope
    scope_id: int
    reason: str
    actor: str = ""
    level: Level = Level.OPERATOR


class SetDeadManTimer(msgspec.Struct, frozen=True, array_like=True, tag=43):
    """Cancel all orders of the account in `timeout_ns` from now, unless said again by then.

    Those entered meanwhile too. 0 stops the timer. `actor` is who asks.
    """

    account_id: AccountId
    timeout_ns: int
    actor: str = ""


class AdvanceTime(msgspec.Struct, frozen=True, array_like=True, tag=30):
    """Let what is due by now happen. The sequencer issues it; nothing else makes time pass."""


class SetStorageLow(msgspec.Struct, frozen=True, array_like=True, tag=31):
    """Say whether the disk that holds the journal is nearly full. Only the engine's process does.

    While it is, new orders are refused: they alone come without end and can wait. All that ends or
    limits something goes on (cancels, expiry, sessions, limits), and so does what operators do by
    hand: a deposit is money that has come in already, and definitions are few.
    """

    is_low: bool


class SetTradingState(msgspec.Struct, frozen=True, array_like=True, tag=50):
    """Put the market of an instrument into another state, OPENING excepted.

    Into CONTINUOUS or POST_ONLY it goes through OPENING when orders may cross now. `ends_at_ns` is
    when it goes on by itself, 0 for never, see `MarketState`; `reference_price` decides between
    prices that are equally good for the next opening, None leaves it as it is. To `actor` the
    engine's process adds the operating system's user, as for a kill switch.
    """

    instrument_id: InstrumentId
    state: TradingState
    reason: str
    actor: str = ""
    ends_at_ns: int = 0
    collects_ns: int = 0
    reference_price: Price | None = None


class SetClOrdIdsMax(msgspec.Struct, frozen=True, array_like=True, tag=92):
    """Say how many ClOrdIDs of ended orders are known per account. Only the engine's process does.

    It is a setting of the engine; being a command, it holds in a replay from where it held before.
    """

    count: int


SessionCommand = NewOrder | CancelOrder | ReplaceOrder | RefuseRequest | RequestCommand
"""What a FIX session may send: numbered by MsgSeqNum(34) and fenced by generation and epoch."""


LedgerCommand = (
    AdjustBalance
    | SetFees
    | SetFirmFeeTier
    | RequestWithdrawal
    | SettleWithdrawal
    | TransferFunds
    | SetCreditLine
    | SetFirmCreditLine
)
"""What is said about money."""

KillCommand = PullKillSwitch | LiftKillSwitch
"""What stops trading, and lets it go on."""


Command = (
    OpenSession
    | ReleaseSession
    | ReleaseAllSessions
    | ResetSession
    | LogOnSession
    | LogOffSession
    | NewOrder
    | CancelOrder
    | ReplaceOrder
    | RefuseRequest
    | DefineAsset
    | DefineInstrument
    | OpenAccount
    | SetRiskLimits
    | SetScopeLimits
    | SetSelfTradeMode
    | SetAccountThrottle
    | AdjustBalance
    | AdvanceTime
    | SetStorageLow
    | PullKillSwitch
    | LiftKillSwitch
    | SetDeadManTimer
    | MassCancel
    | ReportOrder
    | ReportOpenOrders
    | ReportBalances
    | SetFees
    | SetFirmFeeTier
    | RequestWithdrawal
    | SettleWithdrawal
    | TransferFunds
    | SetCreditLine
    | SetFirmCreditLine
    | SetTradingState
    | SetLimit
    | SetInstrumentRules
    | SetReferencePrice
    | SetTradingMode
    | GrantOverride
    | RevokeOverride
    | BustTrade
    | CorrectTrade
    | SetClOrdIdsMax
)
