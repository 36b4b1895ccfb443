"""Users, what they prove themselves with, and how they become users."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from admin_api.auth.permissions import Permission
from admin_api.schemas.fields import Code, Identity, RequestBody, Timestamp, Username
from admin_api.schemas.pages import Page
from store.users import Role, UserStatus

DAY_S: Final = 24 * 3600
SCOPES_MAX: Final = 32

Password = Annotated[str, Field(min_length=1, max_length=1024, repr=False)]
Lifetime = Annotated[int, Field(strict=True, ge=60, le=30 * DAY_S)]


class UserView(BaseModel):
    """Somebody who may log in."""

    user_id: int
    name: str
    role: Role
    firm_id: int | None = Field(description="Null: of the venue's own people")
    status: UserStatus
    has_mfa: bool
    created_at: datetime
    password_changed_at: datetime


class MeView(UserView):
    """Whoever asks."""

    permissions: list[Permission]
    recovery_codes_left: int


class NewUserBody(RequestBody):
    """A user to be."""

    name: Username
    role: Role
    firm_id: Identity | None = Field(default=None, description="For roles of a firm's own people")


class UserMade(UserView):
    """A user with his password, which is shown this once."""

    password: str | None


class UserChange(RequestBody):
    """What is to change of a user; what is left out stays. His logins and keys end."""

    role: Role = Role.VIEWER
    firm_id: Identity | None = None
    status: Literal["active", "disabled"] = "active"


class InvitationBody(RequestBody):
    """As what somebody may register."""

    role: Role
    firm_id: Identity | None = None
    lifetime_s: Lifetime = 3 * DAY_S


class InvitationMade(BaseModel):
    """An invitation with its token, which is shown this once."""

    invitation_id: int
    role: Role
    firm_id: int | None
    expires_at: datetime
    token: str | None


class RegistrationBody(RequestBody):
    """A name and password of one's own choice, and the token of an invitation."""

    name: Username
    password: Password
    invitation: str | None = Field(default=None, max_length=128, repr=False)


class PasswordBody(RequestBody):
    """The password that is, and the one that is to be."""

    old_password: Password
    new_password: Password


class CodeBody(RequestBody):
    """A code of the authenticator, or a recovery code."""

    code: Code


class MfaSecretView(BaseModel):
    """What an authenticator is to be fed with. Shown this once."""

    secret: str = Field(description="Base 32")
    uri: str = Field(examples=["otpauth://totp/WorldClass:bob?secret=...&issuer=WorldClass"])
    qr_svg: str = Field(description="The URI as a QR code: a `data:` URI of an SVG image")


class MfaEnrolled(BaseModel):
    """The second factor counts from now on. Shown this once."""

    recovery_codes: list[str] = Field(description="Each serves once in place of a code")
    access_token: str


class ApiKeyBody(RequestBody):
    """A key for a machine."""

    name: Annotated[str, Field(pattern=r"^[ -~]{1,64}$", examples=["risk dashboard"])]
    scopes: Annotated[list[Permission], Field(min_length=1, max_length=SCOPES_MAX)]
    expires_at: Timestamp = Field(description="With its offset from UTC; at most a year off")


class ApiKeyView(BaseModel):
    """A key, without its secret."""

    key_id: str
    name: str
    scopes: list[Permission]
    created_at: datetime
    expires_at: datetime


class ApiKeyMade(ApiKeyView):
    """A key, which is shown this once: `Authorization: Bearer wcx_...`."""

    key: str | None


class ApiKeysView(Page[ApiKeyView]):
    """A user's live keys, the oldest first: at most 20."""
