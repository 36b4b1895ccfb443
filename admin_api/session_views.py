"""FIX sessions as the endpoints show them, and what several of them do alike."""

from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import Path

from admin_api.auth.user import User
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
    connection: Connection, session_id: int, user: User, *, for_update: bool = False
) -> FixSessionRow:
    """Return the session. Raises the 404 that says that there is none, or none for this user."""
    row = await find_session(connection, SessionId(session_id), for_update=for_update)
    if row is None or not user.sees_firm(row.firm_id):
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
