"""Users: made, changed and ended by those who may, and registered by themselves."""

import secrets
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response

from admin_api.auth.gate import allow, count_try
from admin_api.auth.permissions import Permission
from admin_api.auth.totp import hash_token
from admin_api.auth.user import User
from admin_api.errors import conflict, forbidden, invalid, not_found
from admin_api.etags import IfMatch, check_if_match, etag_of
from admin_api.idempotency import OnceOf
from admin_api.paging import PagingOf
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import says
from admin_api.schemas.users import (
    InvitationBody,
    InvitationMade,
    NewUserBody,
    RegistrationBody,
    UserChange,
    UserMade,
    UserView,
)
from admin_api.services import ServicesOf
from admin_api.user_views import user_fields
from engine.units import FirmId
from store.audit import AuditEntry, add_audit_entries
from store.firms import find_firm
from store.invitations import add_invitation, find_open_invitation, use_invitation
from store.logins import end_logins, list_api_keys, list_logins, revoke_api_key
from store.passwords import find_password_fault
from store.postgres import Connection
from store.sessions import list_sessions_of_user
from store.users import (
    FIRM_ROLES,
    NewUser,
    Role,
    UserRow,
    UserStatus,
    add_user,
    find_user,
    keep_mfa_secret,
    list_users,
    set_password,
    update_user,
)

PASSWORD_BYTES: Final = 18
TOKEN_BYTES: Final = 24
NOT_FOUND: Final = says(HTTPStatus.NOT_FOUND, "No such user, or not of your firm")
CHANGED: Final = {
    **NOT_FOUND,
    **says(HTTPStatus.CONFLICT, "His own role or status, or a firm whose FIX sessions are his"),
    **says(HTTPStatus.PRECONDITION_FAILED, "Changed since"),
}

Reader = Annotated[User, allow(Permission.USERS_READ)]
Writer = Annotated[User, allow(Permission.USERS_WRITE)]
UserPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The user's identity")]

router = APIRouter(tags=["users"])


@router.get("/v1/users")
async def list_all_users(services: ServicesOf, user: Reader, paging: PagingOf) -> Page[UserView]:
    """Return users by identity; to people of a firm, those of the firm."""
    async with services.database.transaction() as connection:
        rows = await list_users(
            connection, firm_id=user.firm_id, after_id=paging.begin(0), limit=paging.row_count
        )
    return paging.page(rows, _view, lambda row: row.user_id)


@router.post(
    "/v1/users",
    status_code=HTTPStatus.CREATED,
    responses=says(HTTPStatus.CONFLICT, "There is one of that name"),
)
async def create_user(
    services: ServicesOf, user: Writer, response: Response, once: OnceOf, body: NewUserBody
) -> UserMade:
    """Make a user with a password of 144 random bits, which is shown this once."""
    _check_assignable(user, body.role, body.firm_id)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await services.logins.verifier.hash(password)
    async with services.database.transaction() as connection:
        await once.claim(connection, user)
        await _check_firm(connection, body.firm_id)
        new = NewUser(body.name, body.role, _firm_id(body.firm_id), password_hash)
        row = await add_user(connection, new)
        if row is None:
            raise conflict(f"there is a user {body.name} already", code="name_taken")
        await _audit(connection, user, "user_created", row, body.model_dump(mode="json"))
        made = UserMade(**user_fields(row), password=password)
        await once.keep(connection, user, made, secrets=frozenset({"password"}))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Location"] = f"/v1/users/{row.user_id}"
    return made


@router.get("/v1/users/{user_id}", responses=NOT_FOUND)
async def show_user(
    services: ServicesOf, user: Reader, response: Response, user_id: UserPath
) -> UserView:
    """Return a user."""
    async with services.database.transaction() as connection:
        row = await _get_user(connection, user, user_id)
    response.headers["ETag"] = _etag(row)
    return _view(row)


@router.patch("/v1/users/{user_id}", responses=CHANGED)
async def change_user(
    services: ServicesOf,
    user: Writer,
    response: Response,
    user_id: UserPath,
    body: UserChange,
    *,
    if_match: IfMatch = None,
) -> UserView:
    """Change role, firm or status of a user. His logins end, and his API keys are revoked."""
    values = body.model_dump(mode="json", exclude_unset=True)
    async with services.database.transaction() as connection:
        row = await _get_user(connection, user, user_id)
        check_if_match(_etag_of_row(row), if_match)
        _check_is_other(user, row)
        wanted = replace(row, **values)
        if set(values) != {"status"} or wanted.status == UserStatus.ACTIVE:
            _check_assignable(user, Role(wanted.role), wanted.firm_id)
        await _check_firm(connection, wanted.firm_id)
        if wanted.firm_id != row.firm_id:
            await _check_has_no_session(connection, row)
        revoked: list[str] = []
        if values:
            row = await update_user(connection, user_id, values)
            revoked = await _end_access(connection, row, "the user was changed")
            await _audit(connection, user, "user_changed", row, values)
    await services.revocations.tell(revoked)
    response.headers["ETag"] = _etag(row)
    return _view(row)


@router.post("/v1/users/{user_id}/reset-password", responses=CHANGED)
async def reset_password(
    services: ServicesOf, user: Writer, response: Response, user_id: UserPath
) -> UserMade:
    """Give a user another random password, shown this once. His logins and keys end."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await services.logins.verifier.hash(password)
    async with services.database.transaction() as connection:
        row = await _get_changeable(connection, user, user_id)
        await set_password(connection, row.user_id, password_hash)
        revoked = await _end_access(connection, row, "password reset")
        await _audit(connection, user, "password_reset", row, {})
    await services.revocations.tell(revoked)
    response.headers["Cache-Control"] = "no-store"
    return UserMade(**user_fields(row), password=password)


@router.post("/v1/users/{user_id}/reset-mfa", responses=CHANGED)
async def reset_mfa(services: ServicesOf, user: Writer, user_id: UserPath) -> UserView:
    """Take away the second factor of a user who has lost it. His logins and keys end."""
    async with services.database.transaction() as connection:
        row = await _get_changeable(connection, user, user_id)
        await keep_mfa_secret(connection, row.user_id, None)
        revoked = await _end_access(connection, row, "second factor reset")
        await _audit(connection, user, "mfa_reset", row, {})
        row = await _get_user(connection, user, user_id)
    await services.revocations.tell(revoked)
    return _view(row)


@router.post("/v1/users/{user_id}/end-logins", responses=CHANGED)
async def end_all_logins(services: ServicesOf, user: Writer, user_id: UserPath) -> UserView:
    """End all logins of a user, and revoke his API keys. He may log in again."""
    async with services.database.transaction() as connection:
        row = await _get_changeable(connection, user, user_id)
        revoked = await _end_access(connection, row, "ended by another")
        await _audit(connection, user, "logins_ended", row, {"revoked": revoked})
    await services.revocations.tell(revoked)
    return _view(row)


@router.post("/v1/invitations", status_code=HTTPStatus.CREATED)
async def invite(
    services: ServicesOf, user: Writer, response: Response, once: OnceOf, body: InvitationBody
) -> InvitationMade:
    """Let whoever is given the token register, once, as what the invitation says."""
    _check_assignable(user, body.role, body.firm_id)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with services.database.transaction() as connection:
        await once.claim(connection, user)
        await _check_firm(connection, body.firm_id)
        row = await add_invitation(
            connection,
            hash_token(token),
            role=body.role,
            firm_id=_firm_id(body.firm_id),
            invited_by=user.actor,
            lifetime_s=body.lifetime_s,
        )
        entry = user.audit(
            "invited", f"invitation:{row.invitation_id}", body.model_dump(mode="json")
        )
        await add_audit_entries(connection, [entry])
        made = InvitationMade(
            invitation_id=row.invitation_id,
            role=Role(row.role),
            firm_id=row.firm_id,
            expires_at=row.expires_at,
            token=token,
        )
        await once.keep(connection, user, made, secrets=frozenset({"token"}))
    response.headers["Cache-Control"] = "no-store"
    return made


@router.post(
    "/v1/registrations",
    dependencies=[Depends(count_try)],
    status_code=HTTPStatus.CREATED,
    responses={
        **says(HTTPStatus.FORBIDDEN, "An invitation is needed, or this one is not good any more"),
        **says(HTTPStatus.CONFLICT, "There is one of that name"),
    },
)
async def register(services: ServicesOf, request: Request, body: RegistrationBody) -> UserView:
    """Become a user: as what an invitation says, or, where it is open, pending without a role."""
    policy = services.logins.policy.registration
    if policy == "closed" or (policy == "invitation" and body.invitation is None):
        raise forbidden("an invitation is needed", code="invitation_needed")
    fault = find_password_fault(body.password, body.name)
    if fault is not None:
        raise invalid(f"password: {fault}")
    password_hash = await services.logins.verifier.hash(body.password)
    address = "" if request.client is None else request.client.host
    async with services.database.transaction() as connection:
        new = NewUser(body.name, Role.VIEWER, None, password_hash, UserStatus.PENDING)
        invitation = None
        if body.invitation is not None:
            invitation = await find_open_invitation(connection, hash_token(body.invitation))
            if invitation is None:
                raise forbidden("the invitation is unknown, used or too old", code="invitation_bad")
            role = Role(invitation.role)
            new = NewUser(body.name, role, invitation.firm_id, password_hash)
        row = await add_user(connection, new)
        if row is None:
            raise conflict(f"there is a user {body.name} already", code="name_taken")
        if invitation is not None:
            await use_invitation(connection, invitation.invitation_id, row.user_id)
        detail = {"role": row.role, "firm_id": row.firm_id, "status": row.status}
        entry = AuditEntry(f"address:{address}", "registered", f"user:{row.name}", detail)
        await add_audit_entries(connection, [entry])
    return _view(row)


async def _get_user(connection: Connection, user: User, user_id: int) -> UserRow:
    row = await find_user(connection, user_id)
    if row is None or not user.sees_firm(row.firm_id):
        raise not_found(f"no user {user_id}")
    return row


async def _get_changeable(connection: Connection, user: User, user_id: int) -> UserRow:
    row = await _get_user(connection, user, user_id)
    _check_is_other(user, row)
    return row


async def _check_firm(connection: Connection, firm_id: int | None) -> None:
    if firm_id is not None and await find_firm(connection, FirmId(firm_id)) is None:
        raise invalid(f"firm_id: no firm {firm_id}")


async def _check_has_no_session(connection: Connection, row: UserRow) -> None:
    """Refuse to take a user from a firm whose FIX sessions are his: they would stay the firm's."""
    owned = await list_sessions_of_user(connection, row.user_id)
    if owned:
        numbers = ", ".join(str(session_id) for session_id in owned)
        raise conflict(f"FIX sessions of the firm are his: {numbers}", code="has_sessions")


def _check_is_other(user: User, row: UserRow) -> None:
    if row.user_id == user.user_id:
        raise conflict("nobody does this to himself: ask another", code="not_to_oneself")


def _check_assignable(user: User, role: Role, firm_id: int | None) -> None:
    """Roles of a firm have a firm, others have none; firm people give roles of their firm alone."""
    if (role in FIRM_ROLES) != (firm_id is not None):
        needed = "is needed for" if role in FIRM_ROLES else "does not go with"
        raise invalid(f"firm_id: {needed} the role {role}")
    if user.firm_id is not None and firm_id != user.firm_id:
        raise forbidden("only users of your own firm", code="other_firm")


async def _end_access(connection: Connection, row: UserRow, why: str) -> list[str]:
    """End all logins and API keys of a user. Returns what is to be told as revoked."""
    live = [login.login_id for login in await list_logins(connection, row.user_id)]
    ended = await end_logins(connection, live, why) if live else []
    keys = await list_api_keys(connection, row.user_id)
    for key in keys:
        await revoke_api_key(connection, key.key_id)
    return [*(f"login:{login_id}" for login_id in ended), *(f"key:{key.key_id}" for key in keys)]


async def _audit(
    connection: Connection, user: User, action: str, row: UserRow, detail: dict[str, Any]
) -> None:
    entry = user.audit(action, f"user:{row.name}", detail)
    await add_audit_entries(connection, [entry])


def _firm_id(firm_id: int | None) -> FirmId | None:
    return None if firm_id is None else FirmId(firm_id)


def _etag_of_row(row: UserRow) -> object:
    """Return what an operator sees of a user: codes that are used up change nothing of it."""
    return _view(row)


def _etag(row: UserRow) -> str:
    return etag_of(_etag_of_row(row))


def _view(row: UserRow) -> UserView:
    return UserView(**user_fields(row))
