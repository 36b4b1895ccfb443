"""What the endpoints work with, made once per process and handed to them by FastAPI."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from admin_api.auth.logins import Logins
from admin_api.auth.tokens import Operator, Tokens
from admin_api.engine_link import EngineWatch
from admin_api.gateway_control import GatewayControl
from admin_api.metrics import AdminMetrics
from admin_api.reports import ReportReader
from store.postgres import Database

bearer = HTTPBearer(auto_error=False, description="The access token that POST /v1/login gives")


@dataclass(frozen=True)
class Services:
    """The store, the engine, the gateways, the journal's reader and what logins need."""

    database: Database
    engine: EngineWatch
    gateways: GatewayControl
    reports: ReportReader
    metrics: AdminMetrics
    tokens: Tokens
    logins: Logins


def get_services(request: Request) -> Services:
    """Return what the application was made with."""
    return cast("Services", request.app.state.services)


def require_operator(
    services: Annotated[Services, Depends(get_services)],
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Operator:
    """Let operators through. Fails closed: without a valid token there is 401. Asks no database."""
    operator = None if shown is None else services.tokens.check(shown.credentials)
    if operator is None:
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED,
            "an access token is needed: POST /v1/login gives one for 15 minutes",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return operator


ServicesOf = Annotated[Services, Depends(get_services)]
OperatorOf = Annotated[Operator, Depends(require_operator)]
