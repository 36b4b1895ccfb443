"""Credentials of FIX sessions: made, replaced without downtime, revoked at once."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from fastapi import APIRouter, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import conflict, invalid, not_found
from admin_api.paging import PagingOf
from admin_api.schemas.credentials import (
    CredentialChanged,
    CredentialMade,
    CredentialView,
    NewCredentialBody,
    RotationBody,
)
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import Services, ServicesOf
from admin_api.session_views import SessionPath, get_session, told_fields
from engine.units import SessionId
from store.audit import add_audit_entries
from store.passwords import hash_password
from store.postgres import Connection
from store.sessions import (
    CredentialRow,
    NewCredential,
    create_credential,
    expire_credential,
    list_credentials,
    revoke_credential,
)

SECRET_BYTES: Final = 24  # 192 bits.
LIVE_MAX: Final = 16
NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such session or credential"}
}
REFUSED: Final[Responses] = {
    **NOT_FOUND,
    HTTPStatus.CONFLICT: {"model": Problem, "description": "Too many live ones, or not live"},
    HTTPStatus.UNPROCESSABLE_ENTITY: {"model": Problem, "description": "`detail` names the field"},
}

Reader = Annotated[User, allow(Permission.SESSIONS_READ)]
Writer = Annotated[User, allow(Permission.CREDENTIALS_WRITE)]

router = APIRouter(prefix="/v1/sessions/{session_id}/credentials", tags=["credentials"])


@dataclass(frozen=True)
class Secret:
    """What is stored of a new credential, and what is shown once."""

    password_hash: str | None = None
    public_key: str | None = None
    password: str | None = None
    private_key: str | None = None


@router.get("", responses=NOT_FOUND)
async def list_session_credentials(
    services: ServicesOf, user: Reader, session_id: SessionPath, paging: PagingOf
) -> Page[CredentialView]:
    """Return all credentials that the session ever had, without secrets."""
    after_id = paging.begin(0)
    async with services.database.transaction() as connection:
        row = await get_session(connection, session_id, user)
        found = await list_credentials(connection, row.session_id)
    rows = [row for row in found if row.credential_id > after_id]
    return paging.page(
        rows, lambda row: CredentialView(**_fields(row)), lambda row: row.credential_id
    )


@router.post("", status_code=HTTPStatus.CREATED, responses=REFUSED)
async def create_session_credential(
    services: ServicesOf,
    user: Writer,
    response: Response,
    session_id: SessionPath,
    body: NewCredentialBody,
) -> CredentialMade:
    """Make a credential beside those that there are. Its secret is shown in this answer alone.

    A password has 192 random bits. For `ed25519` bring your public key, or a pair is made.
    """
    _check_expiry(body.expires_at)
    secret = await _make_secret(body.kind, body.public_key)
    async with services.database.transaction() as connection:
        session = await get_session(connection, session_id, user, for_update=True)
        await _check_room(connection, session.session_id)
        made = await create_credential(
            connection,
            NewCredential(
                session.session_id,
                body.username or session.client_comp_id,
                body.kind,
                secret.password_hash,
                secret.public_key,
                body.expires_at,
            ),
        )
        await _audit(connection, user, "credential_created", made)
    return await _show_once(services, response, made, secret)


@router.post("/{credential_id}/rotate", status_code=HTTPStatus.CREATED, responses=REFUSED)
async def rotate_session_credential(
    services: ServicesOf,
    user: Writer,
    response: Response,
    session_id: SessionPath,
    credential_id: int,
    body: RotationBody | None = None,
) -> CredentialMade:
    """Make a credential of the same kind and name, and let the old one end in `overlap_s` seconds.

    Both open the session meanwhile, so that the client changes over when it suits it.
    """
    wish = body or RotationBody()
    _check_expiry(wish.expires_at)
    async with services.database.transaction() as connection:
        await get_session(connection, session_id, user)
        old = await _get_credential(connection, session_id, credential_id)
    secret = await _make_secret(old.kind, wish.public_key)
    async with services.database.transaction() as connection:
        session = await get_session(connection, session_id, user, for_update=True)
        old = await _get_credential(connection, session_id, credential_id)
        if not _is_live(old):
            raise conflict(f"credential {credential_id} is not live: make a new one")
        await _check_room(connection, session.session_id)
        made = await create_credential(
            connection,
            NewCredential(
                session.session_id,
                old.username,
                old.kind,
                secret.password_hash,
                secret.public_key,
                wish.expires_at,
            ),
        )
        await expire_credential(connection, old.credential_id, overlap_s=wish.overlap_s)
        await _audit(
            connection,
            user,
            "credential_rotated",
            made,
            replaces=old.credential_id,
            overlap_s=wish.overlap_s,
        )
    return await _show_once(services, response, made, secret)


@router.delete("/{credential_id}", responses=NOT_FOUND)
async def revoke_session_credential(
    services: ServicesOf, user: Writer, session_id: SessionPath, credential_id: int
) -> CredentialChanged:
    """Revoke a credential at once: a client that has logged on with it is logged out."""
    async with services.database.transaction() as connection:
        session = await get_session(connection, session_id, user, for_update=True)
        await _get_credential(connection, session_id, credential_id)
        revoked = await revoke_credential(connection, session.session_id, credential_id)
        assert revoked is not None
        await _audit(connection, user, "credential_revoked", revoked)
    reached = await services.gateways.refresh()
    return CredentialChanged(**_fields(revoked), **told_fields(reached))


async def _show_once(
    services: Services, response: Response, made: CredentialRow, secret: Secret
) -> CredentialMade:
    reached = await services.gateways.refresh()
    response.headers["Cache-Control"] = "no-store"
    return CredentialMade(
        **_fields(made),
        **told_fields(reached),
        password=secret.password,
        private_key=secret.private_key,
    )


async def _make_secret(kind: str, public_key: str | None) -> Secret:
    if kind == "password":
        if public_key is not None:
            raise invalid("public_key: belongs to the kind ed25519, not to a password")
        password = secrets.token_urlsafe(SECRET_BYTES)
        password_hash = await asyncio.to_thread(hash_password, password)
        return Secret(password_hash=password_hash, password=password)
    if public_key is not None:
        return Secret(public_key=_read_public_key(public_key))
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Secret(public_key=_format_public_key(private.public_key()), private_key=text)


def _read_public_key(text: str) -> str:
    """Return the key in one notation, whatever stood around it."""
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise invalid("public_key: is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise invalid("public_key: is not an Ed25519 key")
    return _format_public_key(key)


def _format_public_key(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def _get_credential(
    connection: Connection, session_id: int, credential_id: int
) -> CredentialRow:
    for row in await list_credentials(connection, SessionId(session_id)):
        if row.credential_id == credential_id:
            return row
    raise not_found(f"session {session_id} has no credential {credential_id}")


async def _check_room(connection: Connection, session_id: SessionId) -> None:
    rows = await list_credentials(connection, session_id)
    if sum(_is_live(row) for row in rows) >= LIVE_MAX:
        raise conflict(f"session {session_id} has {LIVE_MAX} live credentials: revoke one first")


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise invalid("expires_at: is in the past")


def _is_live(row: CredentialRow) -> bool:
    now = datetime.now(UTC)
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def _fields(row: CredentialRow) -> dict[str, Any]:
    """Return what may be shown of a credential."""
    return {
        "credential_id": row.credential_id,
        "session_id": row.session_id,
        "username": row.username,
        "kind": row.kind,
        "public_key": row.public_key,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_at": row.last_used_at,
        "is_live": _is_live(row),
    }


async def _audit(
    connection: Connection,
    user: User,
    action: str,
    row: CredentialRow,
    **detail: object,
) -> None:
    about = {
        "credential_id": row.credential_id,
        "kind": row.kind,
        "username": row.username,
        "expires_at": None if row.expires_at is None else row.expires_at.isoformat(),
    }
    entry = user.audit(action, f"session:{row.session_id}", {**about, **detail})
    await add_audit_entries(connection, [entry])
