"""Errors (RFC 9457)."""

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Why a request was not served (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no account 99"])


Responses = dict[int | str, dict[str, Any]]
"""Answers of an endpoint other than the good one, for its documentation."""
