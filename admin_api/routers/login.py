"""Logging in, going on with a refresh token, and logging out."""

import math
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from admin_api.auth.gate import allow, count_try
from admin_api.auth.logins import Client, LoggedIn, LoginRefused
from admin_api.auth.permissions import Permission
from admin_api.auth.tokens import LIFETIME_S
from admin_api.auth.user import User
from admin_api.errors import ApiError
from admin_api.schemas.login import LoginBody, LoginView, RefreshBody
from admin_api.schemas.problem import says
from admin_api.services import ServicesOf
from store.audit import add_audit_entries
from store.logins import end_logins

REFUSED: Final = "name or password is wrong"

router = APIRouter(tags=["login"])


@router.post(
    "/v1/login",
    dependencies=[Depends(count_try)],
    responses={
        **says(HTTPStatus.UNAUTHORIZED, "It does not say what is wrong"),
        **says(HTTPStatus.TOO_MANY_REQUESTS, "After failures: Retry-After says how long to wait"),
        **says(HTTPStatus.SERVICE_UNAVAILABLE, "The database is away, or too many log in at once"),
    },
)
async def log_in(
    services: ServicesOf, request: Request, response: Response, body: LoginBody
) -> LoginView:
    """Give a user an access token for 15 minutes, and a refresh token to go on with.

    A refusal takes as long whatever is wrong, and does not say what: but for `mfa_code_needed`,
    which asks for the same once more with a code. After some failures from one address each try has
    to wait, longer and longer.
    """
    outcome = await services.logins.log_in(body.name, body.password, body.code, client_of(request))
    return _answer(response, outcome, REFUSED)


@router.post(
    "/v1/login/refresh",
    dependencies=[Depends(count_try)],
    responses=says(HTTPStatus.UNAUTHORIZED, "It is unknown, too old, revoked or was shown before"),
)
async def refresh(
    services: ServicesOf, request: Request, response: Response, body: RefreshBody
) -> LoginView:
    """Give new tokens for a refresh token, which serves once.

    One that is shown a second time was stolen, from whoever or by whoever: the login ends, with all
    of its tokens.
    """
    outcome = await services.logins.refresh(body.refresh_token, client_of(request))
    return _answer(response, outcome, "the refresh token is not valid: log in again")


@router.post("/v1/logout", status_code=HTTPStatus.NO_CONTENT)
async def log_out(services: ServicesOf, user: Annotated[User, allow(Permission.SELF)]) -> None:
    """End this login: its tokens are worth nothing from now on."""
    login_id = user.rests_on.removeprefix("login:")
    async with services.database.transaction() as connection:
        await end_logins(connection, [login_id], "logged out")
        entry = user.audit("logged_out", f"user:{user.name}", {"login_id": login_id})
        await add_audit_entries(connection, [entry])
    await services.revocations.tell([user.rests_on])


def client_of(request: Request) -> Client:
    """Return from where a request comes."""
    address = "" if request.client is None else request.client.host
    return Client(address, request.headers.get("user-agent", ""))


def _answer(response: Response, outcome: LoggedIn | LoginRefused, refused: str) -> LoginView:
    if isinstance(outcome, LoginRefused):
        raise _refusal(outcome, refused)
    response.headers["Cache-Control"] = "no-store"
    return LoginView(
        access_token=outcome.access_token,
        expires_in=LIFETIME_S,
        refresh_token=outcome.refresh_token,
        refresh_expires_in=outcome.refresh_s,
        must_enrol_mfa=outcome.user.must_enrol,
    )


def _refusal(refused: LoginRefused, detail: str) -> ApiError:
    if refused.wait_s > 0:
        return ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many failures: wait",
            code="locked_out",
            headers={"Retry-After": str(math.ceil(refused.wait_s))},
        )
    headers = {"WWW-Authenticate": "Bearer"}
    if refused.needs_code:
        detail = "a code of the second factor is needed"
        return ApiError(HTTPStatus.UNAUTHORIZED, detail, code="mfa_code_needed", headers=headers)
    return ApiError(HTTPStatus.UNAUTHORIZED, detail, code="login_refused", headers=headers)
