"""Credentials of FIX sessions."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from admin_api.schemas.fields import GatewaysTold, RequestBody, Timestamp, Username

PEM_MAX: Final = 1024
OVERLAP_MAX_S: Final = 30 * 24 * 3600
OVERLAP_S: Final = 24 * 3600

PublicKey = Annotated[str, Field(max_length=PEM_MAX, description="Ed25519, PEM")]


class NewCredentialBody(RequestBody):
    """A credential to be made."""

    kind: Literal["password", "ed25519"] = "password"
    username: Username | None = Field(
        default=None, description="Username(553); null: the session's CompID"
    )
    public_key: PublicKey | None = Field(
        default=None, description="The client's own Ed25519 key (PEM); null: a pair is made"
    )
    expires_at: Timestamp | None = Field(
        default=None, description="With its offset from UTC; null: never"
    )


class RotationBody(RequestBody):
    """How a credential is replaced."""

    overlap_s: Annotated[int, Field(strict=True, ge=0, le=OVERLAP_MAX_S)] = Field(
        default=OVERLAP_S, description="For how long the old one works on"
    )
    public_key: PublicKey | None = None
    expires_at: Timestamp | None = Field(default=None, description="Of the new one")


class CredentialView(BaseModel):
    """A credential, without its secret."""

    credential_id: int
    session_id: int
    username: str
    kind: str = Field(examples=["password", "ed25519"])
    public_key: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    is_live: bool = Field(description="Whether it opens the session now, if that is enabled")


class CredentialChanged(GatewaysTold, CredentialView):
    """A credential as it is now, and whether the gateways know."""


class CredentialMade(CredentialChanged):
    """A new credential with its secret, which is shown this once."""

    password: str | None = Field(description="Password(554), for the kind password")
    private_key: str | None = Field(
        description="PKCS #8, PEM, for the kind ed25519 if the client has brought no key"
    )
