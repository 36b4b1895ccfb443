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
    engine_seq: int | None = Field(description="The journal's record that tells of it")


class AuditPage(BaseModel):
    """Entries, the newest first."""

    items: list[AuditView]
    next_before_id: int | None = Field(
        description="Send this as `before_id` to read on; null at the end"
    )
