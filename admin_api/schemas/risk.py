"""Limits of every control, rules of instruments, trading modes, orders that are only asked."""

from enum import Enum
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field

from admin_api.schemas.changes import Changed
from admin_api.schemas.fields import INTEGER_MAX, Flag, RequestBody
from admin_api.schemas.limits import DecimalText
from admin_api.schemas.pages import Page
from engine.controls import Control, Level, Mode
from engine.order import OrdType, Side, TimeInForce
from engine.scope import Scope

BPS_MAX: Final = 1_000_000
SECONDS_MAX: Final = 86_400


def _names_of(kind: type[Enum]) -> BeforeValidator:
    """Take the name of a member for the member."""

    def find(value: object) -> object:
        if isinstance(value, str) and value in kind.__members__:
            return value
        raise ValueError(f"is none of {', '.join(kind.__members__)}")

    return BeforeValidator(find)


ControlName = Annotated[str, _names_of(Control), Field(examples=["OPEN_ORDERS"])]
LevelName = Annotated[str, _names_of(Level), Field(examples=["OPERATOR"])]
ModeName = Annotated[str, _names_of(Mode), Field(examples=["REDUCE_ONLY"])]
ScopeName = Annotated[str, _names_of(Scope), Field(examples=["ACCOUNT"])]
SideName = Annotated[str, _names_of(Side), Field(examples=["BUY"])]
OrdTypeName = Annotated[str, _names_of(OrdType), Field(examples=["LIMIT"])]
TimeInForceName = Annotated[str, _names_of(TimeInForce), Field(examples=["GTC"])]

ScopeId = Annotated[int, Field(strict=True, ge=0, le=INTEGER_MAX)]
Seconds = Annotated[int, Field(strict=True, ge=0, le=SECONDS_MAX)]
Bps = Annotated[int, Field(strict=True, ge=0, le=BPS_MAX)]
Words = Annotated[str, Field(min_length=1, max_length=200)]


class ControlBody(RequestBody):
    """One limit of somebody. A value of null takes it away."""

    level: LevelName = Field(description="Whose limit it is: the tightest of all levels decides")
    scope: ScopeName
    scope_id: ScopeId
    control: ControlName
    value: DecimalText | None = Field(description="In the control's own unit", examples=["25.5"])
    symbol: str | None = Field(default=None, max_length=64, examples=["BTC-USD"])
    asset: str | None = Field(default=None, max_length=64, examples=["USD"])
    window_s: Seconds | None = Field(default=None, description="86400 is the day in UTC")


class ControlView(Changed):
    """One limit that holds."""

    level: LevelName
    scope: ScopeName
    scope_id: int
    control: ControlName
    value: str | None
    symbol: str | None
    asset: str | None
    window_s: int | None


class ControlsPage(Page[ControlView]):
    """All limits of somebody."""


class BreakerBody(RequestBody):
    """When the instrument's circuit breaker stops trading."""

    band_bps: Annotated[int, Field(strict=True, ge=1, lt=10_000)]
    window_s: Annotated[int, Field(strict=True, ge=1, le=SECONDS_MAX)] = 300
    limit_state_s: Annotated[int, Field(strict=True, ge=1, le=SECONDS_MAX)] = 15
    pause_s: Annotated[int, Field(strict=True, ge=1, le=SECONDS_MAX)] = 300
    collects_s: Seconds = 60
    opening_band_bps: Annotated[int, Field(strict=True, ge=0, lt=10_000)] = 0
    opening_s: Seconds = 0


class RulesBody(RequestBody):
    """What every order in the instrument must keep to. What is not given demands nothing."""

    price_min: DecimalText | None = None
    price_max: DecimalText | None = None
    order_qty_min: DecimalText | None = None
    order_qty_max: DecimalText | None = None
    market_qty_max: DecimalText | None = None
    volume_share_max_bps: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0
    average_daily_volume: DecimalText | None = Field(
        default=None, description="Needed with volume_share_max_bps: without it orders are refused"
    )
    notional_min: DecimalText | None = None
    notional_max: DecimalText | None = None
    buy_up_bps: Bps = 0
    buy_down_bps: Bps = 0
    sell_up_bps: Bps = 0
    sell_down_bps: Bps = 0
    band_ticks: Annotated[int, Field(strict=True, ge=0, le=INTEGER_MAX)] = 0
    market_protection_bps: Bps = 0
    execution_collar_bps: Bps = 0
    trade_age_max_s: Seconds = 0
    book_age_max_s: Seconds = 0
    operator_age_max_s: Seconds = 0
    trades_without_reference: Flag = False
    clock_skew_max_s: Seconds = 0
    breaker: BreakerBody | None = None


class RulesChange(RulesBody):
    """Rules of the instrument that are to be others. What is left out stays as it is."""


class RulesView(RulesBody):
    """What every order in the instrument must keep to."""

    symbol: str = Field(examples=["BTC-USD"])


class RulesAnswer(RulesView, Changed):
    """The rules, and whether they are in force."""


class ReferencePriceBody(RequestBody):
    """What the instrument is worth while nothing trades. Null: nothing is said any more."""

    price: DecimalText | None = Field(examples=["61000.00"])


class ModeBody(RequestBody):
    """What a scope may still do. NORMAL ends a restriction of the same level."""

    scope: ScopeName
    scope_id: ScopeId
    level: LevelName
    mode: ModeName
    reason: Words


class ModeAnswer(ModeBody, Changed):
    """The mode, and whether it is in force."""


class ModeView(ModeBody):
    """A mode that holds, and whose word or which limit led to it."""

    cause: str = Field(examples=["PERSON"])
    actor: str


class ModesPage(Page[ModeView]):
    """All modes but NORMAL."""


class WhatIfBody(RequestBody):
    """An order that is only asked about."""

    symbol: str = Field(max_length=64, examples=["BTC-USD"])
    side: SideName
    ord_type: OrdTypeName
    order_qty: DecimalText
    price: DecimalText | None = None
    time_in_force: TimeInForceName = "GTC"
    session_id: Annotated[int, Field(strict=True, ge=0, le=INTEGER_MAX)] = 0


class RefusalView(BaseModel):
    """Why an order is refused. Numbers are text in the unit of the reason."""

    code: str = Field(examples=["PRICE_COLLAR"])
    text: str
    limit: str | None
    actual: str | None
    usage: str | None
    low: str | None
    high: str | None
    reference_price: str | None
    reference_at: str | None
    scope: ScopeName
    scope_id: int
    level: LevelName
    window_s: int | None


class WhatIfView(BaseModel):
    """What would have become of the order after the record `as_of_seq`. It was not entered."""

    would_be_accepted: bool
    as_of_seq: int
    refusal: RefusalView | None
