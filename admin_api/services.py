"""What the endpoints work with, made once per process and handed to them by FastAPI."""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from admin_api.engine_link import EngineWatch
from admin_api.metrics import AdminMetrics
from admin_api.reports import ReportReader
from store.postgres import Database

bearer = HTTPBearer(auto_error=False, description="The operator token of the venue")


@dataclass(frozen=True)
class Services:
    """The store, the engine, the journal's reader and the secret that operators show."""

    database: Database
    engine: EngineWatch
    reports: ReportReader
    metrics: AdminMetrics
    operator_token: str


def get_services(request: Request) -> Services:
    """Return what the application was made with."""
    return cast("Services", request.app.state.services)


def require_operator(
    services: Annotated[Services, Depends(get_services)],
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> None:
    """Let operators through. Fails closed: without the token there is 401."""
    token = "" if shown is None else shown.credentials
    if not hmac.compare_digest(token.encode(), services.operator_token.encode()):
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED,
            "an operator token is needed",
            headers={"WWW-Authenticate": "Bearer"},
        )


ServicesOf = Annotated[Services, Depends(get_services)]
