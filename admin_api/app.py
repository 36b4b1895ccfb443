"""The REST application: endpoints, errors and what goes round them put together."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.routing import Match

from admin_api.body_limit import BodyLimit
from admin_api.errors import install_error_handlers, problem
from admin_api.idempotency import install_replays
from admin_api.openapi import install_document
from admin_api.request_frame import RequestFrame
from admin_api.routers import (
    accounts,
    approvals,
    audit,
    credentials,
    credit,
    firms,
    health,
    instruments,
    kill_switches,
    limits,
    login,
    markets,
    mass_cancels,
    me,
    order_searches,
    overrides,
    reports,
    risk,
    session_control,
    sessions,
    statements,
    trades,
    trading,
    users,
    venue,
    wallets,
)
from admin_api.services import Services
from store.postgres import StoreError
from store.searches import SearchTooLongError

ROUTERS: Final = (
    health,
    venue,
    login,
    me,
    users,
    firms,
    accounts,
    sessions,
    session_control,
    credentials,
    limits,
    credit,
    overrides,
    risk,
    markets,
    instruments,
    kill_switches,
    approvals,
    trading,
    mass_cancels,
    trades,
    wallets,
    reports,
    order_searches,
    statements,
    audit,
)

log = structlog.get_logger("admin")


def make_app(services: Services, *, cors_origins: Sequence[str] = ()) -> FastAPI:
    """Return the application. Its documentation at `/docs` needs no network.

    Browsers let pages of other origins than `cors_origins` read no answer.
    """
    app = FastAPIOffline(title="WorldClass FIX Gateway: admin API", version="0.1.0")
    app.state.services = services
    install_error_handlers(app)
    install_replays(app)
    install_document(app)
    for module in ROUTERS:
        app.include_router(module.router)
    # The last one is the outermost.
    app.add_middleware(BodyLimit)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match"],
            expose_headers=["ETag", "Retry-After", "X-Request-Id", "Idempotency-Replayed"],
        )
    app.add_middleware(RequestFrame, services=services)

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def on_other_method(request: Request, error: HTTPException) -> JSONResponse:
        # Each endpoint knows its own method alone, also where several have one path.
        methods = {
            method
            for module in ROUTERS
            for route in module.router.routes
            if route.matches(request.scope)[0] is not Match.NONE
            for method in getattr(route, "methods", ())
        }
        headers = {"Allow": ", ".join(sorted(methods))} if methods else dict(error.headers or {})
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, error.detail, headers)

    @app.exception_handler(SearchTooLongError)
    async def on_long_search(_request: Request, _error: Exception) -> JSONResponse:
        detail = "the search takes too long: name an account, an order or a shorter time"
        return problem(HTTPStatus.GATEWAY_TIMEOUT, detail)

    @app.exception_handler(StoreError)
    async def on_store_error(_request: Request, error: Exception) -> JSONResponse:
        log.warning("store_away", error=str(error))
        detail = "the database is away"
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, code="store_away")

    return app
