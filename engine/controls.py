"""Controls as data: which limits can be set, for whom, by whom, and what else a gate is told.

What they mean is decided in `risk`; the table of all of them is in docs/risk.md.
"""

from enum import Enum
from typing import Final, NamedTuple

import msgspec

from engine.reasons import RejectReason
from engine.scope import Scope
from engine.units import (
    INT_MAX,
    AccountId,
    AssetId,
    ClOrdId,
    InstrumentId,
    Money,
    Price,
    Qty,
)

NS_PER_S: Final = 1_000_000_000
DAY_NS: Final = 24 * 3600 * NS_PER_S
WINDOW_MIN_NS: Final = NS_PER_S


class Level(Enum):
    """Who has set something. Each level has limits of its own; the tightest of them decides."""

    OPERATOR = 1
    FIRM = 2
    CLIENT = 3


class Mode(Enum):
    """What somebody may still do, from everything to nothing but leaving."""

    NORMAL = 0
    REDUCE_ONLY = 1
    CANCEL_ONLY = 2
    BLOCKED = 3


class ModeCause(Enum):
    """Why somebody's mode is what it is: a person wants it, or a limit was passed."""

    PERSON = 0
    LOSS_LIMIT = 1
    EXECUTION_THROTTLE = 2


class BreakerPhase(Enum):
    """What a circuit breaker does."""

    NORMAL = 0
    LIMIT_STATE = 1
    PAUSE = 2


class Control(Enum):
    """A limit that can be set for a firm, an account, a user or a FIX session."""

    # By identity: the one of Enum is a function in Python, and every check looks its rows up.
    __hash__ = object.__hash__

    RESTRICTED = 1
    ORDER_QTY = 2
    ORDER_VALUE = 3
    ORDER_ASSET = 4
    OPEN_ORDERS = 5
    OPEN_ORDERS_PER_SIDE = 6
    STOP_ORDERS = 7
    ICEBERG_ORDERS = 8
    AMENDMENTS = 9
    UNFILLED_ORDERS = 10
    REPEATED_ORDERS = 11
    POSITION = 12
    GROSS_EXPOSURE = 13
    BUY_EXPOSURE = 14
    SELL_EXPOSURE = 15
    NET_EXPOSURE = 16
    FILLS = 17
    FILLED_QTY = 18
    DAY_LOSS = 19
    MESSAGES = 20
    MESSAGES_PER_FILL = 21


class Restriction(Enum):
    """A bit of `Control.RESTRICTED`: what may not be entered. Several are added up."""

    BUY = 1
    SELL = 2
    MARKET = 4
    LIMIT = 8
    STOP = 16


MESSAGES_PER_FILL_MAX: Final = 1_000_000
"""Each fill takes as many off a sum that must stay far from what can be written down."""
EVERY_RESTRICTION: Final = sum(restriction.value for restriction in Restriction)


class Unit(Enum):
    """What a limit's value counts."""

    RESTRICTIONS = "restrictions"
    COUNT = "count"
    QTY = "quantity of the instrument"
    QUOTE = "amount of the instrument's quote asset"
    ASSET = "amount of the asset"


class ControlRule(NamedTuple):
    """How a control's limits are formed. `per_instrument` None: with an instrument or without.

    `value_max` is the widest that there can be.
    """

    unit: Unit
    scopes: tuple[Scope, ...]
    reason: RejectReason
    per_instrument: bool | None = None
    is_windowed: bool = False
    value_max: int = INT_MAX


FIRM, ACCOUNT, USER, SESSION = Scope.FIRM, Scope.ACCOUNT, Scope.USER, Scope.SESSION
EVERY_TRADER: Final = (FIRM, ACCOUNT, USER, SESSION)
OWNERS: Final = (FIRM, ACCOUNT)

CONTROL_RULES: Final[dict[Control, ControlRule]] = {
    Control.RESTRICTED: ControlRule(
        Unit.RESTRICTIONS,
        EVERY_TRADER,
        RejectReason.SYMBOL_RESTRICTED,
        value_max=EVERY_RESTRICTION,
    ),
    Control.ORDER_QTY: ControlRule(
        Unit.QTY, EVERY_TRADER, RejectReason.FAT_FINGER_QTY, per_instrument=True
    ),
    Control.ORDER_VALUE: ControlRule(
        Unit.QUOTE, EVERY_TRADER, RejectReason.FAT_FINGER_VALUE, per_instrument=True
    ),
    Control.ORDER_ASSET: ControlRule(
        Unit.ASSET, EVERY_TRADER, RejectReason.MAX_ASSET, per_instrument=False
    ),
    Control.OPEN_ORDERS: ControlRule(Unit.COUNT, OWNERS, RejectReason.MAX_OPEN_ORDERS),
    Control.OPEN_ORDERS_PER_SIDE: ControlRule(Unit.COUNT, OWNERS, RejectReason.MAX_OPEN_ORDERS),
    Control.STOP_ORDERS: ControlRule(Unit.COUNT, OWNERS, RejectReason.MAX_STOP_ORDERS),
    Control.ICEBERG_ORDERS: ControlRule(Unit.COUNT, OWNERS, RejectReason.MAX_ICEBERG_ORDERS),
    Control.AMENDMENTS: ControlRule(Unit.COUNT, OWNERS, RejectReason.MAX_AMENDS),
    Control.UNFILLED_ORDERS: ControlRule(
        Unit.COUNT, OWNERS, RejectReason.TOO_MANY_UNFILLED, is_windowed=True
    ),
    Control.REPEATED_ORDERS: ControlRule(
        Unit.COUNT, (ACCOUNT, SESSION), RejectReason.DUPLICATE_ORDER, is_windowed=True
    ),
    Control.POSITION: ControlRule(
        Unit.ASSET, OWNERS, RejectReason.POSITION_LIMIT, per_instrument=False
    ),
    Control.GROSS_EXPOSURE: ControlRule(
        Unit.ASSET, OWNERS, RejectReason.EXPOSURE_LIMIT, per_instrument=False, is_windowed=True
    ),
    Control.BUY_EXPOSURE: ControlRule(
        Unit.ASSET, OWNERS, RejectReason.EXPOSURE_LIMIT, per_instrument=False, is_windowed=True
    ),
    Control.SELL_EXPOSURE: ControlRule(
        Unit.ASSET, OWNERS, RejectReason.EXPOSURE_LIMIT, per_instrument=False, is_windowed=True
    ),
    Control.NET_EXPOSURE: ControlRule(
        Unit.ASSET, OWNERS, RejectReason.EXPOSURE_LIMIT, per_instrument=False, is_windowed=True
    ),
    Control.FILLS: ControlRule(
        Unit.COUNT, (ACCOUNT, USER, SESSION), RejectReason.CANCEL_ONLY, is_windowed=True
    ),
    Control.FILLED_QTY: ControlRule(
        Unit.QTY,
        (ACCOUNT, USER, SESSION),
        RejectReason.CANCEL_ONLY,
        per_instrument=True,
        is_windowed=True,
    ),
    Control.MESSAGES: ControlRule(
        Unit.COUNT, EVERY_TRADER, RejectReason.MESSAGE_LIMIT, is_windowed=True
    ),
    Control.MESSAGES_PER_FILL: ControlRule(
        Unit.COUNT,
        EVERY_TRADER,
        RejectReason.ORDER_TO_TRADE,
        is_windowed=True,
        value_max=MESSAGES_PER_FILL_MAX,
    ),
    Control.DAY_LOSS: ControlRule(
        Unit.ASSET, (ACCOUNT,), RejectReason.LOSS_LIMIT, per_instrument=False
    ),
}


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """One limit: the most that is allowed. `value` None takes it away again.

    `instrument_id` 0 is all instruments together. `asset_id` and `window_ns` are given for the
    controls that have them: an amount is counted in the asset, over so long a time. A window of a
    day is the calendar day in UTC; others roll.
    """

    level: Level
    scope: Scope
    scope_id: int
    control: Control
    value: int | None
    instrument_id: InstrumentId = InstrumentId(0)
    asset_id: AssetId = AssetId(0)
    window_ns: int = 0


class BreakerRules(msgspec.Struct, frozen=True, array_like=True):
    """When an instrument's circuit breaker stops its trading.

    Trades happen within `band_bps` (hundredths of a percent) of the mean of the last `window_ns`,
    `opening_band_bps` for `opening_ns` after trading has begun. An order that would trade beyond
    starts a limit state; unless something trades within the band for `limit_state_ns`, trading
    stops for `pause_ns`, then orders are collected for `collects_ns` and uncrossed.
    """

    band_bps: int
    window_ns: int = 300 * NS_PER_S
    limit_state_ns: int = 15 * NS_PER_S
    pause_ns: int = 300 * NS_PER_S
    collects_ns: int = 60 * NS_PER_S
    opening_band_bps: int = 0
    opening_ns: int = 0


class InstrumentRules(msgspec.Struct, frozen=True, array_like=True):
    """What the operator demands of every order in an instrument. 0 demands nothing.

    Prices, quantities and `notional_*` (quote asset) are in the instrument's own scales. The static
    collar is side-aware: a buy may be `buy_up_bps` above the reference price and `buy_down_bps`
    below, in hundredths of a percent. The dynamic band is `band_ticks` either way. A market order
    trades no further than `market_protection_bps` from the reference price, no order further than
    `execution_collar_bps`. No order is for more than `volume_share_max_bps` of the
    `average_daily_volume`, and none is let in while that is not known.

    The reference is the last trade if it is no older than `trade_age_max_ns`, else the mid of a
    book that has changed within `book_age_max_ns`, else the operator's price if it is no older than
    `operator_age_max_ns`. Without any of them an order that needs one is refused, unless the
    instrument `trades_without_reference`.
    """

    instrument_id: InstrumentId
    price_min: Price = Price(0)
    price_max: Price = Price(0)
    order_qty_min: Qty = Qty(0)
    order_qty_max: Qty = Qty(0)
    market_qty_max: Qty = Qty(0)
    notional_min: Money = Money(0)
    notional_max: Money = Money(0)
    buy_up_bps: int = 0
    buy_down_bps: int = 0
    sell_up_bps: int = 0
    sell_down_bps: int = 0
    band_ticks: int = 0
    market_protection_bps: int = 0
    execution_collar_bps: int = 0
    trade_age_max_ns: int = 0
    book_age_max_ns: int = 0
    operator_age_max_ns: int = 0
    trades_without_reference: bool = False
    clock_skew_max_ns: int = 0
    breaker: BreakerRules | None = None
    volume_share_max_bps: int = 0
    average_daily_volume: Qty = Qty(0)


class TradingMode(msgspec.Struct, frozen=True, array_like=True):
    """A mode that somebody, or a limit that was passed, has put a scope into."""

    scope: Scope
    scope_id: int
    level: Level
    mode: Mode
    cause: ModeCause
    reason: str
    actor: str
    set_at_ns: int = 0


class Override(msgspec.Struct, frozen=True, array_like=True):
    """A refusal that is not made for a while: for one order, or all orders of an account.

    An order that is refused for `reason` passes all the same if what it comes to is at most
    `value`, in the reason's own unit. `cl_ord_id` "" is every order, `instrument_id` 0 every
    instrument, `asset_id` 0 every asset, where the limit is one of an asset.
    """

    account_id: AccountId
    reason: RejectReason
    value: int
    expires_at_ns: int
    actor: str
    approver: str
    cl_ord_id: ClOrdId = ClOrdId("")
    instrument_id: InstrumentId = InstrumentId(0)
    asset_id: AssetId = AssetId(0)


class RefusalDetail(msgspec.Struct, frozen=True, array_like=True):
    """What else there is to say of a refusal, in the unit of its reason.

    `usage` is what was used of the limit before, `low` and `high` are what would have passed, None
    for no bound. `reference_price` is what they were measured from, of `reference_at_ns`. `level`
    and `scope_id` say whose limit it was, `asset_id` in what it counts (0: in the instrument's
    terms), `window_ns` over which time.
    """

    usage: int | None = None
    low: int | None = None
    high: int | None = None
    reference_price: Price | None = None
    reference_at_ns: int = 0
    level: Level = Level.OPERATOR
    scope_id: int = 0
    asset_id: AssetId = AssetId(0)
    window_ns: int = 0
