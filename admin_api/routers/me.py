"""What users do for themselves: password, second factor, logins and API keys."""

import math
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from admin_api.auth.api_keys import make_key
from admin_api.auth.gate import allow, check_is_fresh
from admin_api.auth.permissions import NOT_FOR_KEYS, TABLE, Permission
from admin_api.auth.tokens import LIFETIME_S
from admin_api.auth.totp import draw_qr, hash_token, make_recovery_codes, make_secret, make_uri
from admin_api.auth.user import User
from admin_api.errors import ApiError, conflict, forbidden, invalid, not_found
from admin_api.idempotency import OnceOf
from admin_api.schemas.login import AccessView, OpenLoginsView, OpenLoginView
from admin_api.schemas.problem import says
from admin_api.schemas.users import (
    ApiKeyBody,
    ApiKeyMade,
    ApiKeysView,
    ApiKeyView,
    CodeBody,
    MeView,
    MfaEnrolled,
    MfaSecretView,
    PasswordBody,
)
from admin_api.services import Services, ServicesOf
from admin_api.user_views import user_fields
from store.audit import add_audit_entries
from store.logins import (
    NewApiKey,
    add_api_key,
    end_logins,
    list_api_keys,
    list_logins,
    note_mfa,
    revoke_api_key,
)
from store.passwords import find_password_fault
from store.postgres import Connection
from store.users import (
    UserRow,
    confirm_mfa,
    count_recovery_codes,
    find_user,
    keep_mfa_secret,
    set_password,
)

KEYS_MAX: Final = 20
KEY_LIFETIME_MAX: Final = timedelta(days=366)

Self = Annotated[User, allow(Permission.SELF)]

TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$")]

router = APIRouter(prefix="/v1/me", tags=["me"])


@router.get("")
async def show_me(services: ServicesOf, user: Self) -> MeView:
    """Return who asks, and what he may do."""
    async with services.database.transaction() as connection:
        row = await _get_row(connection, user)
        left = await count_recovery_codes(connection, row.user_id)
    permissions = sorted(TABLE[user.role])
    return MeView(**user_fields(row), permissions=permissions, recovery_codes_left=left)


@router.post(
    "/password",
    status_code=HTTPStatus.NO_CONTENT,
    responses={
        **says(HTTPStatus.FORBIDDEN, "The old password is wrong"),
        **says(HTTPStatus.TOO_MANY_REQUESTS, "After failures: wait"),
    },
)
async def change_password(
    services: ServicesOf, user: Self, request: Request, body: PasswordBody
) -> None:
    """Take another password. All other logins end."""
    fault = find_password_fault(body.new_password, user.name)
    if fault is not None:
        raise invalid(f"new_password: {fault}")
    async with services.database.transaction() as connection:
        row = await _get_row(connection, user)
    address = "" if request.client is None else request.client.host
    outcome = await services.logins.check_password(row, body.old_password, address)
    if outcome is False:
        raise forbidden("the old password is wrong", code="password_wrong")
    if outcome is not True:
        raise _wait(outcome)
    password_hash = await services.logins.verifier.hash(body.new_password)
    async with services.database.transaction() as connection:
        await set_password(connection, user.user_id, password_hash)
        live = await list_logins(connection, user.user_id)
        others = [row.login_id for row in live if f"login:{row.login_id}" != user.rests_on]
        ended = await end_logins(connection, others, "password changed")
        await _audit(connection, user, "password_changed", logins_ended=len(ended))
    await services.revocations.tell(f"login:{login_id}" for login_id in ended)


@router.post("/mfa", responses=says(HTTPStatus.CONFLICT, "There is a second factor already"))
async def begin_mfa(services: ServicesOf, user: Self, response: Response) -> MfaSecretView:
    """Make a secret for an authenticator. It counts once a code of it was shown."""
    secret = make_secret()
    async with services.database.transaction() as connection:
        row = await _get_row(connection, user)
        if row.has_mfa:
            raise conflict("there is a second factor: remove it first", code="mfa_enrolled")
        sealed = services.logins.second_factor.seal(secret, row.user_id)
        await keep_mfa_secret(connection, row.user_id, sealed)
        await _audit(connection, user, "mfa_begun")
    response.headers["Cache-Control"] = "no-store"
    uri = make_uri(secret, row.name)
    return MfaSecretView(secret=secret, uri=uri, qr_svg=draw_qr(uri))


@router.post(
    "/mfa/confirm",
    responses={
        **says(HTTPStatus.CONFLICT, "There is nothing to confirm"),
        **says(HTTPStatus.FORBIDDEN, "The code is wrong"),
        **says(HTTPStatus.TOO_MANY_REQUESTS, "After failures: wait"),
    },
)
async def enrol_mfa(
    services: ServicesOf, user: Self, response: Response, body: CodeBody
) -> MfaEnrolled:
    """Show a code of the new secret: from now on each login asks for one."""
    codes = make_recovery_codes()
    async with services.database.transaction() as connection:
        row = await _get_row(connection, user)
        if row.has_mfa or row.mfa_secret is None:
            raise conflict("there is nothing to confirm: POST /v1/me/mfa first")
        is_good = await _check_code(services, connection, row, body.code)
        token = None
        if is_good:
            await confirm_mfa(connection, row.user_id, [hash_token(code) for code in codes])
            await _audit(connection, user, "mfa_enrolled")
            token = await _note_shown(services, connection, user)
    if token is None:
        raise _wrong_code()
    response.headers["Cache-Control"] = "no-store"
    return MfaEnrolled(recovery_codes=codes, access_token=token)


@router.post(
    "/step-up",
    responses={
        **says(HTTPStatus.CONFLICT, "There is no second factor"),
        **says(HTTPStatus.FORBIDDEN, "The code is wrong"),
        **says(HTTPStatus.TOO_MANY_REQUESTS, "After failures: wait"),
    },
)
async def step_up(
    services: ServicesOf, user: Self, response: Response, body: CodeBody
) -> AccessView:
    """Show the second factor once more, for what is dangerous. A code works once."""
    async with services.database.transaction() as connection:
        row = await _get_row(connection, user)
        if not row.has_mfa:
            raise conflict("there is no second factor: POST /v1/me/mfa", code="mfa_not_enrolled")
        is_good = await _check_code(services, connection, row, body.code)
        token = await _note_shown(services, connection, user) if is_good else None
        await _audit(connection, user, "mfa_shown" if is_good else "mfa_refused")
    if token is None:
        raise _wrong_code()
    response.headers["Cache-Control"] = "no-store"
    return AccessView(access_token=token, expires_in=LIFETIME_S)


@router.delete("/mfa", status_code=HTTPStatus.NO_CONTENT)
async def remove_mfa(services: ServicesOf, user: Self) -> None:
    """Do without the second factor. It must have been shown lately."""
    check_is_fresh(user, services.logins.policy.step_up_s)
    async with services.database.transaction() as connection:
        row = await _get_row(connection, user)
        await keep_mfa_secret(connection, row.user_id, None)
        await _audit(connection, user, "mfa_removed")


@router.get("/logins")
async def list_my_logins(services: ServicesOf, user: Self) -> OpenLoginsView:
    """Return the logins that go on."""
    async with services.database.transaction() as connection:
        rows = await list_logins(connection, user.user_id)
    return OpenLoginsView(
        items=[
            OpenLoginView(
                login_id=row.login_id,
                created_at=row.created_at,
                last_used_at=row.last_used_at,
                expires_at=row.expires_at,
                address=row.address,
                user_agent=row.user_agent,
                mfa_at=row.mfa_at,
                is_this=f"login:{row.login_id}" == user.rests_on,
            )
            for row in rows
        ]
    )


@router.delete(
    "/logins/{login_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=says(HTTPStatus.NOT_FOUND, "No such login goes on"),
)
async def end_my_login(services: ServicesOf, user: Self, login_id: TokenId) -> None:
    """End a login: its tokens are worth nothing from now on."""
    async with services.database.transaction() as connection:
        live = [row.login_id for row in await list_logins(connection, user.user_id)]
        if login_id not in live:
            raise not_found("no such login goes on")
        await end_logins(connection, [login_id], "ended by the user")
        await _audit(connection, user, "login_ended", login_id=login_id)
    await services.revocations.tell([f"login:{login_id}"])


@router.get("/api-keys")
async def list_my_keys(services: ServicesOf, user: Self) -> ApiKeysView:
    """Return the live API keys, without secrets."""
    async with services.database.transaction() as connection:
        rows = await list_api_keys(connection, user.user_id)
    return ApiKeysView(
        items=[
            ApiKeyView(
                key_id=row.key_id,
                name=row.name,
                scopes=[Permission(scope) for scope in row.scopes],
                created_at=row.created_at,
                expires_at=row.expires_at,
            )
            for row in rows
        ]
    )


@router.post(
    "/api-keys",
    status_code=HTTPStatus.CREATED,
    responses=says(HTTPStatus.CONFLICT, "Too many keys"),
)
async def make_my_key(
    services: ServicesOf, user: Self, response: Response, once: OnceOf, body: ApiKeyBody
) -> ApiKeyMade:
    """Make a key for a machine, which may do what the scopes say and the role allows."""
    check_is_fresh(user, services.logins.policy.step_up_s)
    if user.must_enrol:
        raise forbidden("set up a second factor first", code="mfa_enrolment_needed")
    if not datetime.now(UTC) < body.expires_at <= datetime.now(UTC) + KEY_LIFETIME_MAX:
        raise invalid("expires_at: is in the past, or more than a year off")
    for scope in body.scopes:
        if scope in NOT_FOR_KEYS or scope not in TABLE[user.role]:
            raise invalid(f"scopes: {scope} is not for keys, or not of the role {user.role}")
    key_id, secret_hash, text = make_key()
    async with services.database.transaction() as connection:
        await once.claim(connection, user)
        await find_user(connection, user.user_id)  # Two at once are counted one after the other.
        if len(await list_api_keys(connection, user.user_id)) >= KEYS_MAX:
            raise conflict(f"there are {KEYS_MAX} keys: revoke one first")
        scopes = sorted({scope.value for scope in body.scopes})
        new = NewApiKey(key_id, user.user_id, body.name, secret_hash, scopes, body.expires_at)
        row = await add_api_key(connection, new)
        await _audit(connection, user, "api_key_made", key_id=key_id, scopes=scopes)
        made = ApiKeyMade(
            key_id=row.key_id,
            name=row.name,
            scopes=[Permission(scope) for scope in scopes],
            created_at=row.created_at,
            expires_at=row.expires_at,
            key=text,
        )
        await once.keep(connection, user, made, secrets=frozenset({"key"}))
    response.headers["Cache-Control"] = "no-store"
    return made


@router.delete(
    "/api-keys/{key_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=says(HTTPStatus.NOT_FOUND, "No such key is live"),
)
async def revoke_my_key(services: ServicesOf, user: Self, key_id: TokenId) -> None:
    """Revoke a key at once."""
    async with services.database.transaction() as connection:
        live = [row.key_id for row in await list_api_keys(connection, user.user_id)]
        if key_id not in live:
            raise not_found("no such key is live")
        await revoke_api_key(connection, key_id)
        await _audit(connection, user, "api_key_revoked", key_id=key_id)
    await services.revocations.tell([f"key:{key_id}"])


async def _get_row(connection: Connection, user: User) -> UserRow:
    row = await find_user(connection, user.user_id)
    assert row is not None
    return row


async def _check_code(services: Services, connection: Connection, row: UserRow, code: str) -> bool:
    wait_s = await services.logins.second_factor.wait_s(row)
    if wait_s > 0:
        raise _wait(wait_s)
    return await services.logins.second_factor.check(connection, row, code)


async def _note_shown(services: Services, connection: Connection, user: User) -> str:
    login_id = user.rests_on.removeprefix("login:")
    await note_mfa(connection, login_id)
    row = await _get_row(connection, user)
    token = await services.logins.reissue(connection, row, login_id)
    if token is None:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "the login has ended: log in again")
    return token


async def _audit(connection: Connection, user: User, action: str, **detail: object) -> None:
    entry = user.audit(action, f"user:{user.name}", detail)
    await add_audit_entries(connection, [entry])


def _wait(wait_s: float) -> ApiError:
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many failures: wait",
        code="locked_out",
        headers={"Retry-After": str(math.ceil(wait_s))},
    )


def _wrong_code() -> ApiError:
    return forbidden("the code is wrong, or has served before", code="code_wrong")
