"""The bodies of requests and answers."""

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process runs."""

    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """Whether the venue accepts work, and which part does not."""

    status: str = Field(examples=["ready", "not ready"])
    checks: dict[str, str] = Field(examples=[{"database": "ok", "engine": "ok", "gateway": "ok"}])


class FixSessionView(BaseModel):
    """A FIX session: how it is set up and who owns it now."""

    session_id: int
    firm_id: int
    account_id: int
    begin_string: str = Field(examples=["FIX.4.4"])
    client_comp_id: str = Field(examples=["DEMO1"])
    is_enabled: bool
    is_held: bool = Field(description="Whether a gateway owns the session at the moment")
    epoch: int = Field(description="Goes up with every reset of sequence numbers; 0 before any")
    generation: int = Field(description="Goes up with every change of owner")


class FixSessionPage(BaseModel):
    """All FIX sessions, by identity."""

    items: list[FixSessionView]
