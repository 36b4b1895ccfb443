"""Firms, accounts and what they may risk."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from admin_api.schemas.fields import Identity, RequestBody

FirmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9 &._-]{0,63}$")]
AccountName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
DecimalText = Annotated[str, Field(min_length=1, max_length=40)]


class NewFirmBody(RequestBody):
    """A firm to be set up."""

    name: FirmName = Field(examples=["ALPHA"])


class FirmView(BaseModel):
    """A legal entity that trades."""

    firm_id: int
    name: str
    created_at: datetime


class FirmPage(BaseModel):
    """All firms, by identity."""

    items: list[FirmView]


class NewAccountBody(RequestBody):
    """An account to be opened."""

    firm_id: Identity
    name: AccountName = Field(description="What Account(1) says on the wire", examples=["DEMO1"])


class AccountView(BaseModel):
    """An account of a firm."""

    account_id: int
    firm_id: int
    name: str
    created_at: datetime
    is_open: bool = Field(
        description="Whether the exchange knows it; if not, ask for it once more by POST"
    )


class AccountPage(BaseModel):
    """All accounts, by identity."""

    items: list[AccountView]


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
