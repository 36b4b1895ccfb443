"""Errors in one form: problem+json (RFC 9457), each with a code that never changes its meaning."""

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from store.passwords import VerifierBusyError

MEDIA_TYPE: Final = "application/problem+json"
CODES: Final = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.UNAUTHORIZED: "unauthenticated",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.GONE: "gone",
    HTTPStatus.PRECONDITION_FAILED: "precondition_failed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limited",
    HTTPStatus.INTERNAL_SERVER_ERROR: "fault",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
    HTTPStatus.GATEWAY_TIMEOUT: "timed_out",
}
"""The codes of statuses for which nothing more precise is said."""


class ApiError(HTTPException):
    """A refusal with a code of its own."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code or code_of(status)


def code_of(status: HTTPStatus) -> str:
    """Return the code of a status for which nothing more precise is said."""
    return CODES.get(status, status.name.lower())


def not_found(detail: str) -> ApiError:
    """Return the answer about something that is not there, or not for whoever asks."""
    return ApiError(HTTPStatus.NOT_FOUND, detail)


def conflict(detail: str, *, code: str | None = None) -> ApiError:
    """Return the answer to a request that does not fit what is there."""
    return ApiError(HTTPStatus.CONFLICT, detail, code=code)


def forbidden(detail: str, *, code: str | None = None) -> ApiError:
    """Return the answer to who may not do this, though he may do its like."""
    return ApiError(HTTPStatus.FORBIDDEN, detail, code=code)


def invalid(detail: str) -> ApiError:
    """Return the answer to a body that is well-formed and cannot be. `detail` is `FIELD: why`."""
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"body.{detail}")


def engine_away(detail: str = "the engine is away") -> ApiError:
    """Return the answer to what only the engine can do."""
    return unavailable(detail, code="engine_away")


def unavailable(detail: str, *, code: str) -> ApiError:
    """Return the answer to what can be done once a part of the venue is back."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, detail, code=code)


def problem(
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    code: str | None = None,
) -> JSONResponse:
    """Return the answer to a request that could not be served.

    Who was told that a part is away may ask again after a second, if nothing else is said.
    """
    headers = dict(headers or {})
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "1")
    content = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": detail,
        "code": code or code_of(status),
    }
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def install_error_handlers(app: FastAPI) -> None:
    """Let every error of the application leave in the one form."""

    @app.exception_handler(AnyHTTPException)
    async def on_http_error(_request: Request, error: AnyHTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        code = error.code if isinstance(error, ApiError) else None
        return problem(HTTPStatus(error.status_code), error.detail, headers, code=code)

    @app.exception_handler(VerifierBusyError)
    async def on_busy(_request: Request, _error: Exception) -> JSONResponse:
        detail = "too many passwords are looked at: try again"
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, code="busy")

    @app.exception_handler(RequestValidationError)
    async def on_invalid_request(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {first['msg']}")
