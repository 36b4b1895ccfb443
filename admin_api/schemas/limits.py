"""Risk limits."""

from typing import Annotated, Final

from pydantic import Field

from admin_api.schemas.changes import Changed
from admin_api.schemas.fields import RequestBody
from admin_api.schemas.pages import Page

THROTTLE_MAX: Final = 1_000_000

ThrottleCount = Annotated[int, Field(strict=True, ge=1, le=THROTTLE_MAX)]
DecimalText = Annotated[str, Field(min_length=1, max_length=40)]


class RiskLimitsBody(RequestBody):
    """What one order may not exceed. Decimal text that the instrument can hold exactly."""

    order_qty_max: DecimalText = Field(description="In the base asset", examples=["200"])
    notional_max: DecimalText = Field(description="In the quote asset", examples=["5000000"])


class RiskLimitsView(Changed):
    """What one order of the account in the instrument may not exceed."""

    account_id: int
    symbol: str = Field(examples=["BTC-USD"])
    order_qty_max: str = Field(examples=["200.0000"])
    notional_max: str = Field(examples=["5000000.00000000"])


class ScopeLimitsBody(RequestBody):
    """What one order may not exceed, beside the account's own limits. Null is no limit."""

    order_qty_max: DecimalText | None = Field(description="In the base asset", examples=["200"])
    notional_max: DecimalText | None = Field(description="In the quote asset", examples=["5000000"])


class ScopeLimitsView(Changed):
    """What one order of the firm or FIX session in the instrument may not exceed."""

    symbol: str = Field(examples=["BTC-USD"])
    order_qty_max: str | None = Field(examples=["200.0000"])
    notional_max: str | None = Field(examples=["5000000.00000000"])


class ScopeLimitsPage(Page[ScopeLimitsView]):
    """The limits of a firm or FIX session: none in an instrument that is not named here."""


class AccountThrottleBody(RequestBody):
    """How often the account may enter orders. Both null: as often as it likes."""

    order_rate: ThrottleCount | None = Field(description="Orders per second")
    order_burst: ThrottleCount | None = Field(description="Orders at once")


class AccountThrottleView(Changed):
    """How often the account may enter orders, over whichever doors. Cancels are not counted."""

    account_id: int
    order_rate: int | None
    order_burst: int | None


class RiskLimitsPage(Page[RiskLimitsView]):
    """The account's limits. In an instrument that is not named here it may not trade."""
