"""Temporary overrides of limits."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from admin_api.schemas.changes import Changed
from admin_api.schemas.fields import RequestBody, Timestamp
from admin_api.schemas.limits import DecimalText
from admin_api.schemas.pages import Page
from admin_api.schemas.trades import Reason
from admin_api.schemas.trading import ClOrdIdText

Code = Annotated[str, Field(pattern=r"^[A-Z_]{1,64}$", examples=["MAX_ORDER_QTY"])]


class RevokeBody(RequestBody):
    """Which override is meant: that of the same code, order and instrument."""

    code: Code = Field(description="Of the refusal that is not made for a while")
    symbol: str | None = Field(
        default=None, max_length=64, description="Null: all instruments", examples=["BTC-USD"]
    )
    cl_ord_id: ClOrdIdText | None = Field(default=None, description="Null: all orders")
    asset: str | None = Field(
        default=None, max_length=64, description="With MAX_ASSET alone, of whose amounts it is"
    )


class OverrideBody(RevokeBody):
    """What is to pass: orders that come to at most `value`, until `expires_at`."""

    value: DecimalText = Field(description="In the unit of the code", examples=["25.5"])
    expires_at: Timestamp
    reason: Reason


class OverrideView(BaseModel):
    """An override that holds, and the two who wanted it."""

    code: str
    symbol: str | None
    cl_ord_id: str | None
    asset: str | None
    value: str
    expires_at: datetime
    actor: str
    approver: str


class OverridesPage(Page[OverrideView]):
    """The overrides of an account that have not expired."""


class RevokedView(RevokeBody, Changed):
    """What is taken back, and whether it is."""
