"""What goes round every request: its name, its end in time, the headers of its answer, its line."""

import asyncio
import re
import secrets
import time
from http import HTTPStatus
from typing import Any, Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin_api.auth.user import User
from admin_api.errors import problem
from admin_api.services import Services

REQUEST_ID: Final = "X-Request-Id"
REQUEST_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
ID_BYTES: Final = 8
# Longer than the engine and all gateways may take together.
REQUEST_S_MAX: Final = 60.0
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
# The documentation's page runs scripts of its own; what is data runs and shows nothing.
NOTHING_RUNS: Final = "default-src 'none'; frame-ancestors 'none'"
DATA: Final = "/v1/"

log = structlog.get_logger("admin.request")


class RequestFrame:
    """Gives each request a name, an end and a line in the log. Secrets never get into it.

    The line has no query and no body. Reads that went well are logged at the level debug.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Called by the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _name_of(scope)
        began_s = time.monotonic()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        is_answered = False

        async def send_framed(message: Message) -> None:
            nonlocal status, is_answered
            if message["type"] == "http.response.start":
                status, is_answered = message["status"], True
                _add_headers(MutableHeaders(scope=message), scope["path"], request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                async with asyncio.timeout(REQUEST_S_MAX):
                    await self._app(scope, receive, send_framed)
            except TimeoutError:
                if is_answered:
                    raise
                detail = f"not done within {REQUEST_S_MAX:g} s: it may be done or not"
                response = problem(HTTPStatus.GATEWAY_TIMEOUT, detail)
                await response(scope, receive, send_framed)
            except Exception:
                log.exception("request_failed", path=scope["path"])
                if is_answered:
                    raise
                response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the venue's own")
                await response(scope, receive, send_framed)
            finally:
                self._note(scope, status, time.monotonic() - began_s)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        self._services.metrics.requests.labels(f"{status // 100}xx").inc()
        user: User | None = scope.get("state", {}).get("user")
        fields: dict[str, Any] = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "address": scope["client"][0] if scope.get("client") else "",
            "user": None if user is None else user.name,
        }
        if scope["method"] == "GET" and status < HTTPStatus.BAD_REQUEST:
            log.debug("request", **fields)
        else:
            log.info("request", **fields)


def _name_of(scope: Scope) -> str:
    """Return the client's own name for the request if it is a decent one, else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if REQUEST_ID_PATTERN.fullmatch(given) else secrets.token_hex(ID_BYTES)


def _add_headers(headers: MutableHeaders, path: str, request_id: str) -> None:
    headers[REQUEST_ID] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    if path.startswith(DATA):
        headers["Content-Security-Policy"] = NOTHING_RUNS
        headers.setdefault("Cache-Control", "no-store")
