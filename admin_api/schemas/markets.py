"""Assets, instruments, states of markets, fees and kill switches."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from admin_api.schemas.changes import Changed
from admin_api.schemas.fields import INTEGER_MAX, RequestBody, Timestamp
from admin_api.schemas.pages import Page

DecimalText = Annotated[str, Field(min_length=1, max_length=40, examples=["0.01"])]
SymbolText = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,16}$", examples=["BTC"])]
PairText = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,16}-[A-Z0-9]{1,16}$", examples=["BTC-USD"])]
Reason = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[ -~]+$")]
StateName = Literal[
    "pre_open", "opening", "continuous", "halted", "cancel_only", "post_only", "closed"
]
SettableState = Literal["pre_open", "continuous", "halted", "cancel_only", "post_only", "closed"]
ScopeName = Literal["everything", "firm", "account", "session", "user", "instrument"]
Ppm = Annotated[int, Field(strict=True, ge=-100_000, le=100_000)]
Tier = Annotated[int, Field(strict=True, ge=0, le=99)]


class AssetBody(RequestBody):
    """Something that can be owned."""

    symbol: SymbolText
    decimals: Annotated[int, Field(strict=True, ge=0, le=18)]


class AssetView(Changed):
    """Something that can be owned."""

    asset_id: int
    symbol: str
    decimals: int


class InstrumentBody(RequestBody):
    """An instrument: what is traded against what, and in which steps."""

    symbol: PairText
    base: SymbolText
    quote: SymbolText
    price_decimals: Annotated[int, Field(strict=True, ge=0, le=18)]
    qty_decimals: Annotated[int, Field(strict=True, ge=0, le=18)]
    tick_size: DecimalText
    lot_size: DecimalText
    session_end_s: Annotated[int, Field(strict=True, ge=0, lt=86400)] = Field(
        default=0, description="When the trading day ends: seconds after 00:00 UTC"
    )
    market_protection_bps: Annotated[int, Field(strict=True, ge=0, le=10_000)] = Field(
        default=0, description="How far from the best price a market order trades; 0: anywhere"
    )
    initial_state: SettableState = "continuous"


class InstrumentView(Changed):
    """An instrument, and the state of its market."""

    instrument_id: int
    symbol: str
    base: str
    quote: str
    price_decimals: int
    qty_decimals: int
    tick_size: str
    lot_size: str
    session_end_s: int
    market_protection_bps: int
    state: StateName | None = Field(description="Null for one that is not in the exchange yet")


class StateBody(RequestBody):
    """In which state a market is to be."""

    state: SettableState
    reason: Reason
    until: Timestamp | None = Field(
        default=None, description="When it goes on by itself; null: when it is told to"
    )
    collects_s: Annotated[int, Field(strict=True, ge=0, le=86400)] = Field(
        default=0, description="For how long orders are collected then, before it opens"
    )


class StateDone(BaseModel):
    """The state that a market is in."""

    engine_seq: int
    symbol: str
    state: StateName


class FeesBody(RequestBody):
    """What trades cost, in millionths of their value; below 0 it is paid out."""

    tier: Tier = Field(default=0, description="Which firms: tiers of which nothing is said pay 0's")
    maker_ppm: Ppm
    taker_ppm: Ppm


class FeesView(Changed):
    """What firms of a tier are charged in an instrument."""

    symbol: str
    tier: int
    maker_ppm: int
    taker_ppm: int


class FeesPage(Page[FeesView]):
    """All fees in force. Tiers that are not named are charged as tier 0, without that nothing."""


class FeeTierBody(RequestBody):
    """The tier of a firm."""

    tier: Tier


class FeeTierView(Changed):
    """The tier of a firm."""

    firm_id: int
    tier: int


class KillBody(RequestBody):
    """Whose trading is to stop, or to go on."""

    scope: ScopeName
    scope_id: Annotated[int, Field(strict=True, ge=0, le=INTEGER_MAX)] = Field(
        default=0, description="The identity; 0 for everything"
    )
    reason: Reason


class KillView(BaseModel):
    """A kill switch that is pulled: new orders of the scope are refused, cancels are taken."""

    scope: ScopeName
    scope_id: int
    reason: str
    actor: str
    level: Literal["operator", "firm", "client"] = Field(description="Whose switch it is")


class KillSwitchesView(Page[KillView]):
    """The kill switches that are pulled."""


class KillDone(KillView):
    """A kill switch that has just been pulled, or lifted."""

    engine_seq: int
