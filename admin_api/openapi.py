"""The OpenAPI document: FastAPI's own of the endpoints, and beside it what all of them answer.

An endpoint names the refusals that are its own; those that come before it is reached, and those of
the venue's state, are named here for all.
"""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from admin_api.errors import MEDIA_TYPE
from admin_api.schemas.problem import Problem

JSON: Final = "application/json"
PROBLEM: Final = {"$ref": f"#/components/schemas/{Problem.__name__}"}
REPLACED: Final = ("HTTPValidationError", "ValidationError")
"""What FastAPI would answer to what does not fit; here it is a problem like any other."""
VALIDATION_ERROR: Final = "Validation Error"
RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "Seconds to wait",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
WAITS: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

OF_ALL: Final = {
    HTTPStatus.INTERNAL_SERVER_ERROR: "A fault of the venue's own",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part of the venue is away: `code` says which",
    HTTPStatus.GATEWAY_TIMEOUT: "Not done in time: it may be done or not",
}
OF_THE_KNOWN: Final = {
    HTTPStatus.UNAUTHORIZED: "No access token or API key, or none that is still good",
    HTTPStatus.FORBIDDEN: "Not with this role or key, or not without a second factor",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many calls",
}
OF_BODIES: Final = {
    HTTPStatus.BAD_REQUEST: "A body that is no text",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "A body of more than 64 KiB",
}
INVALID: Final = "A parameter or a field is missing, unknown, or holds what it cannot"


def install_document(app: FastAPI) -> None:
    """Let the application's document say all that its endpoints answer."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(make())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to do this.


def _complete(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in REPLACED:
        schemas.pop(name, None)
    schemas.setdefault(Problem.__name__, Problem.model_json_schema())
    for item in document["paths"].values():
        for operation in item.values():
            _add_answers(operation)


def _add_answers(operation: dict[str, Any]) -> None:
    named: dict[str, Any] = operation["responses"]
    described = dict(OF_ALL)
    if "security" in operation:
        described |= OF_THE_KNOWN
    if "requestBody" in operation:
        described |= OF_BODIES
    # FastAPI has noted that something may not fit, though not how that is answered.
    unfit = str(HTTPStatus.UNPROCESSABLE_ENTITY.value)
    if named.get(unfit, {}).get("description") == VALIDATION_ERROR:
        del named[unfit]
        described[HTTPStatus.UNPROCESSABLE_ENTITY] = INVALID
    for status, description in described.items():
        # What an endpoint says of its own is more precise.
        named.setdefault(
            str(status.value),
            {"description": description, "content": {JSON: {"schema": PROBLEM}}},
        )
    for code, answer in named.items():
        if answer.get("content", {}).get(JSON, {}).get("schema") == PROBLEM:
            answer["content"] = {MEDIA_TYPE: answer["content"][JSON]}
            if int(code) in WAITS:
                answer["headers"] = RETRY_AFTER
    operation["responses"] = dict(sorted(named.items()))
