"""Errors in one form: problem+json (RFC 9457)."""

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

MEDIA_TYPE: Final = "application/problem+json"


def not_found(detail: str) -> HTTPException:
    """Return the answer about something that is not there."""
    return HTTPException(HTTPStatus.NOT_FOUND, detail)


def conflict(detail: str) -> HTTPException:
    """Return the answer to a request that does not fit what is there."""
    return HTTPException(HTTPStatus.CONFLICT, detail)


def invalid(detail: str) -> HTTPException:
    """Return the answer to a body that is well-formed and cannot be. `detail` is `FIELD: why`."""
    return HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"body.{detail}")


def engine_away(detail: str = "the engine is away") -> HTTPException:
    """Return the answer to what only the engine can do."""
    return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "1"})


def problem(status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that could not be served."""
    content = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def install_error_handlers(app: FastAPI) -> None:
    """Let every error of the application leave in the one form."""

    @app.exception_handler(AnyHTTPException)
    async def on_http_error(_request: Request, error: AnyHTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return problem(HTTPStatus(error.status_code), error.detail, headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid_request(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {first['msg']}")
