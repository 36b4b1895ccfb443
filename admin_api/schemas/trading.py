"""Orders over REST: what is asked, and what came of it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from admin_api.schemas.fields import RequestBody, Timestamp
from admin_api.schemas.reports import ExecutionReportView
from engine.controls import DAY_NS, NS_PER_S

DecimalText = Annotated[str, Field(min_length=1, max_length=40, examples=["0.5"])]
ClOrdIdText = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,36}$", examples=["mine-1"])]
SideName = Literal["buy", "sell"]


class NewOrderBody(RequestBody):
    """An order. Numbers are decimal text that the instrument can hold exactly."""

    symbol: str = Field(max_length=64, examples=["BTC-USD"])
    side: SideName
    ord_type: Literal["limit", "market"] = "limit"
    time_in_force: Literal["day", "gtc", "ioc", "fok", "gtd"] = "day"
    order_qty: DecimalText
    price: DecimalText | None = Field(default=None, description="Of a limit order")
    cl_ord_id: ClOrdIdText | None = Field(
        default=None, description="Your name for it; else the Idempotency-Key, else one is made"
    )
    is_post_only: bool = False
    min_qty: DecimalText | None = Field(default=None, description="With ioc: trade so much or none")
    expires_at: Timestamp | None = Field(default=None, description="With gtd")


class AmendBody(RequestBody):
    """What an order is to be: the total quantity, what is filled included, and the price."""

    order_qty: DecimalText
    price: DecimalText
    cl_ord_id: ClOrdIdText | None = Field(
        default=None, description="Its name from now on; else the Idempotency-Key, else one is made"
    )


class OrderDone(BaseModel):
    """An order after what was asked, and the reports of what happened: fills come at once."""

    engine_seq: int = Field(description="The journal's record")
    order_id: int
    cl_ord_id: str
    reports: list[ExecutionReportView]


class MassCancelBody(RequestBody):
    """Which orders; without either, all."""

    symbol: str | None = Field(default=None, max_length=64)
    side: SideName | None = None


class DeadManBody(RequestBody):
    """In how long all orders of the account are cancelled, unless it is said again by then."""

    timeout_s: int = Field(ge=0, le=DAY_NS // NS_PER_S, description="0: never")


class DeadManView(BaseModel):
    """When all orders of the account are cancelled, null for never."""

    account_id: int
    expires_at: datetime | None


class DeadManDone(DeadManView):
    """The timer as it is now set."""

    engine_seq: int


class MassCancelDone(BaseModel):
    """How many orders a mass cancel has found. Those that follow are cancelled at once."""

    engine_seq: int
    total: int
    order_ids: list[int] = Field(description="When they are few")
