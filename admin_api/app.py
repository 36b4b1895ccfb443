"""The REST application: endpoints, errors and figures put together."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from admin_api.body_limit import BodyLimit
from admin_api.errors import install_error_handlers, problem
from admin_api.idempotency import install_replays
from admin_api.routers import (
    accounts,
    audit,
    credentials,
    firms,
    health,
    limits,
    login,
    me,
    order_searches,
    reports,
    session_control,
    sessions,
    statements,
    users,
)
from admin_api.services import Services
from store.postgres import StoreError
from store.searches import SearchTooLongError

log = structlog.get_logger("admin")


def make_app(services: Services) -> FastAPI:
    """Return the application. Its documentation at `/docs` needs no network."""
    app = FastAPIOffline(title="WorldClass FIX Gateway: admin API", version="0.1.0")
    app.state.services = services
    install_error_handlers(app)
    install_replays(app)
    for module in (
        health,
        login,
        me,
        users,
        sessions,
        session_control,
        credentials,
        firms,
        accounts,
        limits,
        reports,
        order_searches,
        statements,
        audit,
    ):
        app.include_router(module.router)
    app.add_middleware(BodyLimit)

    @app.exception_handler(SearchTooLongError)
    async def on_long_search(_request: Request, _error: Exception) -> JSONResponse:
        detail = "the search takes too long: name an account, an order or a shorter time"
        return problem(HTTPStatus.GATEWAY_TIMEOUT, detail)

    @app.exception_handler(StoreError)
    async def on_store_error(_request: Request, error: Exception) -> JSONResponse:
        log.warning("store_away", error=str(error))
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away")

    @app.middleware("http")
    async def count(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        services.metrics.requests.labels(f"{response.status_code // 100}xx").inc()
        return response

    return app
