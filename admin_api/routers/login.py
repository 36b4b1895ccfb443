"""Logging in."""

import math
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import APIRouter, HTTPException, Request, Response

from admin_api.auth.login_throttle import Throttled
from admin_api.auth.tokens import LIFETIME_S, now_s
from admin_api.schemas.login import LoginBody, LoginView
from admin_api.schemas.problem import Problem
from admin_api.services import Services, ServicesOf
from store.audit import AuditEntry, add_audit_entries
from store.operators import NAME_PATTERN, find_operator
from store.passwords import VerifierBusyError

REFUSED: Final = "name or password is wrong"

log = structlog.get_logger("admin.login")
router = APIRouter(prefix="/v1/login", tags=["login"])


@router.post(
    "",
    responses={
        HTTPStatus.UNAUTHORIZED: {
            "model": Problem,
            "description": "It does not say which is wrong",
        },
        HTTPStatus.TOO_MANY_REQUESTS: {
            "model": Problem,
            "description": "After failures: Retry-After says how many seconds to wait",
        },
        HTTPStatus.SERVICE_UNAVAILABLE: {
            "model": Problem,
            "description": "The database is away, or too many log in at once",
        },
    },
)
async def log_in(
    services: ServicesOf, request: Request, response: Response, body: LoginBody
) -> LoginView:
    """Give an operator an access token for 15 minutes.

    A refusal takes as long whatever is wrong, and does not say what. After three failures in a row
    from one address each try has to wait, longer and longer.
    """
    address = "" if request.client is None else request.client.host
    tried = await services.throttle.admit(body.name, address)
    if isinstance(tried, Throttled):
        # Once for each wait: a flood of tries shall not fill the log.
        if tried.is_first:
            await _audit_refusal(services, body.name, address, "throttled")
        raise HTTPException(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many failures: wait",
            headers={"Retry-After": str(math.ceil(tried.wait_s))},
        )
    cause = await _find_fault(services, body)
    if cause is not None:
        await _audit_refusal(services, body.name, address, cause)
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED, REFUSED, headers={"WWW-Authenticate": "Bearer"}
        )
    async with services.database.transaction() as connection:
        entry = AuditEntry(f"operator:{body.name}", "login", _subject(body.name), {"from": address})
        await add_audit_entries(connection, [entry])
    await services.throttle.forgive(body.name, address)
    response.headers["Cache-Control"] = "no-store"
    token = services.tokens.issue(body.name, now_s=now_s())
    return LoginView(access_token=token, expires_in=LIFETIME_S)


async def _find_fault(services: Services, body: LoginBody) -> str | None:
    """Return the true cause of a refusal, None when the operator may come in."""
    async with services.database.transaction() as connection:
        operator = await find_operator(connection, body.name)
    hashes = [] if operator is None else [operator.password_hash]
    try:
        fits = await services.verifier.verify(body.password, hashes)
    except VerifierBusyError:
        raise HTTPException(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too many log in at once: try again",
            headers={"Retry-After": "1"},
        ) from None
    if operator is None:
        return "unknown name"
    if not fits:
        return "wrong password"
    return None if operator.is_enabled else "disabled"


async def _audit_refusal(services: Services, name: str, address: str, cause: str) -> None:
    log.warning("login_refused", name=name, address=address, cause=cause)
    entry = AuditEntry(f"address:{address}", "login.refused", _subject(name), {"cause": cause})
    async with services.database.transaction() as connection:
        await add_audit_entries(connection, [entry])


def _subject(name: str) -> str:
    # A name that nobody can have may be anything, a password typed into the wrong field too.
    return f"operator:{name}" if NAME_PATTERN.fullmatch(name) else "operator:?"
