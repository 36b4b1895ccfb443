"""Lines of credit."""

from pydantic import BaseModel, Field

from admin_api.schemas.changes import Changed
from admin_api.schemas.fields import RequestBody
from admin_api.schemas.limits import DecimalText


class CreditLineBody(RequestBody):
    """How far below zero, in decimal text that the asset can hold exactly. 0: not."""

    limit: DecimalText = Field(examples=["250000"])


class CreditLine(BaseModel):
    """How far balances of an asset may go below zero."""

    asset: str = Field(examples=["USD"])
    limit: str = Field(examples=["250000.00000000"])


class CreditLineView(CreditLine, Changed):
    """A line of credit, and where the change of it stands."""
