"""Idempotency-Key: a request that may be sent twice is done once, and answered alike."""

import hashlib
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from admin_api.auth.user import User
from admin_api.errors import ApiError
from store.idempotency import DoneRequest, claim_key, find_done, keep_answer
from store.postgres import Connection

KEY_PATTERN: Final = r"^[A-Za-z0-9_-]{1,36}$"
REPLAYED: Final = "Idempotency-Replayed"

View = TypeVar("View", bound=BaseModel)

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=KEY_PATTERN,
        description="A name of your own for this request: sent again, it is not done again",
    ),
]


class AnsweredBeforeError(Exception):
    """The request was done before: here is what was answered then."""

    def __init__(self, status: int, body: Any) -> None:  # noqa: ANN401 - JSON has no type.
        super().__init__(status)
        self.status = status
        self.body = body


class Once:
    """One request, which may bear a key. Without a key it is done each time it is sent."""

    def __init__(self, key: str | None, fingerprint: str) -> None:
        self.key = key
        self.fingerprint = fingerprint

    async def claim(self, connection: Connection, user: User) -> None:
        """Go on if this is to be done: in the transaction that does it, before anything else.

        Raises AnsweredBeforeError, and 422 when the key has served for another request.
        """
        if self.key is None:
            return
        self._answer(await claim_key(connection, user.actor, self.key, self.fingerprint))

    async def check(self, connection: Connection, user: User) -> None:
        """Go on if no answer is kept. For what the engine does once by the same key.

        Raises as `claim` does.
        """
        if self.key is not None:
            self._answer(await find_done(connection, user.actor, self.key))

    def _answer(self, done: DoneRequest | None) -> None:
        if done is None:
            return
        if done.fingerprint != self.fingerprint:
            raise key_reused()
        raise AnsweredBeforeError(done.status, done.body)

    async def keep(
        self,
        connection: Connection,
        user: User,
        view: View,
        *,
        status: HTTPStatus = HTTPStatus.CREATED,
        secrets: frozenset[str] = frozenset(),
    ) -> View:
        """Keep the answer with what was done, and return it. `secrets` are not kept: null then."""
        if self.key is not None:
            body = view.model_dump(mode="json")
            body.update(dict.fromkeys(secrets))
            await keep_answer(connection, user.actor, self.key, status, body)
        return view


def key_reused() -> ApiError:
    """Return the answer to a key that has served for another request."""
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "header.Idempotency-Key: has served for another request",
        code="idempotency_key_reused",
    )


async def read_once(request: Request, idempotency_key: IdempotencyKey = None) -> Once:
    """Return the request's key and what it asks."""
    body = await request.body()
    text = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
    return Once(idempotency_key, hashlib.sha256(text).hexdigest())


OnceOf = Annotated[Once, Depends(read_once)]


def install_replays(app: FastAPI) -> None:
    """Answer again what was answered before."""

    @app.exception_handler(AnsweredBeforeError)
    async def on_answered_before(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AnsweredBeforeError)
        return JSONResponse(error.body, error.status, {REPLAYED: "true"})
