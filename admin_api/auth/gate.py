"""The one way to be allowed: an endpoint names its permission, and here it is asked for."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from admin_api.auth.api_keys import PREFIX
from admin_api.auth.permissions import DANGEROUS, Permission
from admin_api.auth.tokens import now_s
from admin_api.auth.user import User
from admin_api.errors import ApiError, unavailable
from admin_api.services import Services, get_services

bearer = HTTPBearer(
    auto_error=False, description="The access token that POST /v1/login gives, or an API key"
)


def allow(permission: Permission) -> Any:  # noqa: ANN401 - FastAPI's own mark has no type.
    """Return the mark of a parameter that is whoever calls, if he may do this, else 401 or 403."""
    return Security(require_user, scopes=[permission.value])


async def require_user(
    request: Request,
    response: Response,
    asked: SecurityScopes,
    services: Annotated[Services, Depends(get_services)],
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> User:
    """Let a user through who may do what the endpoint asks. Fails closed."""
    (permission,) = (Permission(scope) for scope in asked.scopes)
    user = await _identify(services, shown)
    if request.client is not None:
        user = replace(user, address=request.client.host)
    request.state.user = user
    response.headers.update(await services.budgets.take_call(user, permission))
    _check(user, permission, services.logins.policy.step_up_s)
    return user


async def count_try(
    request: Request,
    response: Response,
    services: Annotated[Services, Depends(get_services)],
) -> None:
    """Let an address try a secret, not too often. Fails closed while nobody counts."""
    address = "" if request.client is None else request.client.host
    response.headers.update(await services.budgets.take_login(address))


async def _identify(services: Services, shown: HTTPAuthorizationCredentials | None) -> User:
    if shown is None:
        raise _unauthenticated("an access token is needed: POST /v1/login gives one")
    # Without it nobody could say that the token was not stolen and revoked.
    if not services.revocations.is_current:
        raise unavailable(
            "neither the database nor Redis says which tokens are revoked",
            code="revocations_unknown",
        )
    text = shown.credentials
    if text.startswith(PREFIX):
        user = await services.api_keys.check(text)
    else:
        user = services.tokens.check(text)
    if user is None or services.revocations.is_revoked(user.rests_on):
        raise _unauthenticated("the token is not valid: it may have run out or been revoked")
    return user


def _check(user: User, permission: Permission, step_up_s: int) -> None:
    if not user.may(permission):
        whose = "the key's scopes lack" if user.is_machine else f"the role {user.role} lacks"
        raise ApiError(HTTPStatus.FORBIDDEN, f"{whose} {permission}", code="permission_needed")
    if permission is Permission.SELF:
        return
    if user.must_enrol:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            f"the role {user.role} needs a second factor: POST /v1/me/mfa",
            code="mfa_enrolment_needed",
        )
    if permission in DANGEROUS:
        check_is_fresh(user, step_up_s)


def check_is_fresh(user: User, step_up_s: int) -> None:
    """Raise the 403 that asks for a second factor, unless it was shown lately or there is none."""
    if user.mfa_at_s is not None and now_s() - user.mfa_at_s > step_up_s:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "show your second factor once more: POST /v1/me/step-up",
            code="step_up_needed",
        )


def _unauthenticated(detail: str) -> ApiError:
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        detail,
        code="unauthenticated",
        headers={"WWW-Authenticate": "Bearer"},
    )
