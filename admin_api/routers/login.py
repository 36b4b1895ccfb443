"""Logging in."""

import math
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

from admin_api.auth.logins import LoginRefused
from admin_api.auth.tokens import LIFETIME_S
from admin_api.schemas.login import LoginBody, LoginView
from admin_api.schemas.problem import Problem
from admin_api.services import ServicesOf
from store.passwords import VerifierBusyError

REFUSED: Final = "name or password is wrong"

router = APIRouter(prefix="/v1/login", tags=["login"])


@router.post(
    "",
    responses={
        HTTPStatus.UNAUTHORIZED: {"model": Problem, "description": "It does not say what is wrong"},
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

    A refusal takes as long whatever is wrong, and does not say what. After some failures from
    one address each try has to wait, longer and longer.
    """
    address = "" if request.client is None else request.client.host
    try:
        outcome = await services.logins.log_in(body.name, body.password, address)
    except VerifierBusyError:
        raise HTTPException(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "too many log in at once: try again",
            headers={"Retry-After": "1"},
        ) from None
    if isinstance(outcome, LoginRefused) and outcome.wait_s > 0:
        raise HTTPException(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many failures: wait",
            headers={"Retry-After": str(math.ceil(outcome.wait_s))},
        )
    if isinstance(outcome, LoginRefused):
        headers = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(HTTPStatus.UNAUTHORIZED, REFUSED, headers=headers)
    response.headers["Cache-Control"] = "no-store"
    return LoginView(access_token=outcome, expires_in=LIFETIME_S)
