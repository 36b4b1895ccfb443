"""Risk limits."""

from typing import Annotated

from pydantic import BaseModel, Field

from admin_api.schemas.fields import RequestBody

DecimalText = Annotated[str, Field(min_length=1, max_length=40)]


class RiskLimitsBody(RequestBody):
    """What one order may not exceed. Decimal text that the instrument can hold exactly."""

    order_qty_max: DecimalText = Field(description="In the base asset", examples=["200"])
    notional_max: DecimalText = Field(description="In the quote asset", examples=["5000000"])


class RiskLimitsView(BaseModel):
    """What one order of the account in the instrument may not exceed."""

    account_id: int
    symbol: str = Field(examples=["BTC-USD"])
    order_qty_max: str = Field(examples=["200.0000"])
    notional_max: str = Field(examples=["5000000.00000000"])


class RiskLimitsPage(BaseModel):
    """The account's limits. In an instrument that is not named here it may not trade."""

    items: list[RiskLimitsView]
