"""Firms and accounts."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from admin_api.schemas.changes import Changed
from admin_api.schemas.fields import Identity, RequestBody

FirmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9 &._-]{0,63}$")]
AccountName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class NewFirmBody(RequestBody):
    """A firm to be set up."""

    name: FirmName = Field(examples=["ALPHA"])


class FirmView(BaseModel):
    """A legal entity that trades."""

    firm_id: int
    name: str
    created_at: datetime


class NewAccountBody(RequestBody):
    """An account to be opened."""

    firm_id: Identity
    name: AccountName = Field(description="What Account(1) says on the wire", examples=["DEMO1"])


class AccountView(Changed):
    """An account of a firm."""

    account_id: int
    firm_id: int
    name: str
    created_at: datetime
    is_open: bool = Field(
        description="Whether the exchange knows it; if not, it waits for the engine"
    )
