"""Trades that are undone or settled anew."""

from typing import Annotated

from pydantic import Field

from admin_api.schemas.changes import Changed
from admin_api.schemas.fields import Flag, RequestBody
from admin_api.schemas.limits import DecimalText

Reason = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[ -~]*$")]


class BustBody(RequestBody):
    """Why a trade is undone."""

    reason: Reason = Field(examples=["clearly erroneous"])
    is_forced: Flag = Field(
        default=False,
        description="An account that cannot give back what it got is given credit for it",
    )


class CorrectionBody(BustBody):
    """At which numbers a trade is settled anew: another price, or less than it was."""

    qty: DecimalText = Field(description="LastQty(32)", examples=["0.5000"])
    price: DecimalText = Field(description="LastPx(31)", examples=["60000.00"])


class TradeAmended(Changed):
    """A trade is not any more what it was."""

    trade_id: int = Field(description="SecondaryExecID(527) of both reports")
