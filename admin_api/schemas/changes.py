"""Changes that go to the engine, and what waits for a second pair of eyes."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from admin_api.schemas.fields import RequestBody


class ChangeView(BaseModel):
    """What has become of a change."""

    change_id: int
    status: Literal["waiting", "applied", "refused"]
    engine_seq: int | None = Field(
        default=None, description="The journal's record; null while the engine is away"
    )
    refusal: str | None = None


class Changed(BaseModel):
    """Part of an answer: where the change stands that it tells of."""

    change_id: int | None = Field(default=None, description="GET /v1/changes/{change_id}")
    engine_seq: int | None = Field(
        default=None,
        description="The journal's record; null with 202: the engine is away, it comes in order",
    )


class ApprovalView(BaseModel):
    """Something that one has proposed and another must let pass, within a day."""

    approval_id: int
    status: Literal["pending", "approved", "rejected", "expired"]
    action: str = Field(examples=["kill_switch_lift_ordered"])
    subject: str = Field(examples=["firm:3"])
    before: dict[str, Any] | None = Field(
        description="What held when it was proposed; null: nothing. It is not approved once "
        "something else holds"
    )
    after: dict[str, Any] = Field(description="What shall hold")
    reason: str
    proposed_by: int = Field(description="A user")
    proposed_at: datetime
    expires_at: datetime
    decided_by: int | None
    decided_at: datetime | None
    change_id: int | None


class DecisionBody(RequestBody):
    """Why it is decided so."""

    reason: str = Field(default="", max_length=200, pattern=r"^[ -~]*$")
