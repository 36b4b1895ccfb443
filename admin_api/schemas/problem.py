"""Errors (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Why a request was not served (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no account 99"])
    code: str = Field(description="Never changes its meaning", examples=["not_found"])


Responses = dict[int | str, dict[str, Any]]
"""Answers of an endpoint other than the good one, for its documentation."""


def says(status: HTTPStatus, description: str) -> Responses:
    """Return one answer of an endpoint that is a problem, for its documentation."""
    return {status: {"model": Problem, "description": description}}
