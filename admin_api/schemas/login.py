"""Logging in, and going on."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from admin_api.schemas.fields import Code, RequestBody
from admin_api.schemas.pages import Page


class LoginBody(RequestBody):
    """A user's name and password, and a code of the second factor where there is one."""

    name: str = Field(min_length=1, max_length=64, examples=["admin"])
    password: str = Field(min_length=1, max_length=1024, repr=False)
    code: Code | None = Field(default=None, description="Of the authenticator, or a recovery code")


class RefreshBody(RequestBody):
    """A refresh token. It serves once: the answer has the next one."""

    refresh_token: str = Field(min_length=1, max_length=128, repr=False)


class AccessView(BaseModel):
    """An access token, for the header `Authorization: Bearer ...`."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - The kind of a token is none.
    expires_in: int = Field(description="Seconds", examples=[900])


class LoginView(AccessView):
    """An access token, and a refresh token for when it has run out."""

    refresh_token: str
    refresh_expires_in: int = Field(description="Seconds until a new login", examples=[43200])
    must_enrol_mfa: bool = Field(
        description="Whether nothing is allowed but to set up a second factor: POST /v1/me/mfa"
    )


class OpenLoginView(BaseModel):
    """A login that goes on."""

    login_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    mfa_at: datetime | None
    is_this: bool = Field(description="Whether it is the one that asks")


class OpenLoginsView(Page[OpenLoginView]):
    """A user's logins that go on, the newest first: at most 20."""
