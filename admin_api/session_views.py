"""FIX sessions as the endpoints show them, and what several of them do alike."""

import hashlib
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import HTTPException, Path

from admin_api.engine_link import EngineWatch, Grant
from admin_api.errors import not_found
from admin_api.gateway_control import Reached
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.sessions import FixSessionView
from engine.units import SessionId
from store.postgres import Connection
from store.sessions import FixSessionRow, find_session

NEVER_GRANTED: Final = Grant(generation=0, epoch=0, is_held=False)

SessionPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The FIX session's identity")]


async def get_session(
    connection: Connection, session_id: int, *, for_update: bool = False
) -> FixSessionRow:
    """Return the session. Raises the 404 that says that there is none."""
    row = await find_session(connection, SessionId(session_id), for_update=for_update)
    if row is None:
        raise not_found(f"no session {session_id}")
    return row


def view_session(row: FixSessionRow, engine: EngineWatch) -> FixSessionView:
    """Return how the session is set up and who owns it."""
    return FixSessionView(**asdict(row), **grant_fields(row, engine))


def grant_fields(row: FixSessionRow, engine: EngineWatch) -> dict[str, Any]:
    """Return what the engine says of the session's ownership, as fields of a view."""
    return asdict(engine.find_grant(row.session_id) or NEVER_GRANTED)


def told_fields(reached: Reached) -> dict[str, Any]:
    """Return which gateways have taken a change over, as fields of a view."""
    return {
        "gateways_refreshed": len(reached.answers),
        "gateways_failed": reached.failures,
    }


def etag_of(row: FixSessionRow) -> str:
    """Return the tag of these very settings."""
    return f'"{hashlib.sha256(repr(row).encode()).hexdigest()[:16]}"'


def check_if_match(row: FixSessionRow, if_match: str | None) -> None:
    """Raise 412 when the caller has seen other settings than there are now."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag_of(row) not in {tag.strip() for tag in if_match.split(",")}:
        raise HTTPException(
            HTTPStatus.PRECONDITION_FAILED, "the session was changed since: read it again"
        )
