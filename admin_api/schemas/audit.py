"""The audit log."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class AuditView(BaseModel):
    """Something that was done or refused."""

    audit_id: int
    at: datetime
    actor: str = Field(examples=["operator:admin"])
    action: str = Field(examples=["session_disabled"])
    subject: str = Field(examples=["session:5"])
    detail: dict[str, Any]
    reason: str = Field(description="Why, in the actor's own words", examples=["fat finger"])
    address: str = Field(description="From where, as far as it is known", examples=["192.0.2.7"])
    before: dict[str, Any] | None = Field(description="What was changed, as it stood")
    after: dict[str, Any] | None = Field(description="The same, as it stands")
    engine_seq: int | None = Field(description="The journal's record that tells of it")
    hash: str = Field(description="SHA-256 of this entry and, through the one before it, of all")
