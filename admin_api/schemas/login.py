"""Logging in."""

from typing import Literal

from pydantic import BaseModel, Field

from admin_api.schemas.fields import RequestBody


class LoginBody(RequestBody):
    """An operator's name and password."""

    name: str = Field(min_length=1, max_length=64, examples=["admin"])
    password: str = Field(min_length=1, max_length=1024, repr=False)


class LoginView(BaseModel):
    """An access token, for the header `Authorization: Bearer ...`."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - The kind of a token is none.
    expires_in: int = Field(description="Seconds; then log in again", examples=[900])
