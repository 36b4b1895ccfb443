"""Answers of the probes."""

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process runs."""

    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """Whether the venue accepts work, and which part does not."""

    status: str = Field(examples=["ready", "not ready"])
    checks: dict[str, str] = Field(
        examples=[
            {
                "database": "ok",
                "engine": "ok",
                "gateway": "ok",
                "storage": "ok",
                "projector": "ok",
                "redis": "ok",
            }
        ]
    )
