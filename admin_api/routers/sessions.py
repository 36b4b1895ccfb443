"""FIX sessions."""

from http import HTTPStatus

import structlog
from fastapi import APIRouter, Depends, HTTPException

from admin_api.schemas import FixSessionPage, FixSessionView, Problem, SessionResetView
from admin_api.services import ServicesOf, require_operator
from engine.events import CommandRefused
from engine.runtime.client import LinkClosedError
from engine.units import SessionId
from store.sessions import list_sessions

log = structlog.get_logger("admin")

router = APIRouter(
    prefix="/v1/sessions", tags=["sessions"], dependencies=[Depends(require_operator)]
)


@router.get("")
async def list_fix_sessions(services: ServicesOf) -> FixSessionPage:
    """Return all FIX sessions with their present owners. For operators."""
    async with services.database.transaction() as connection:
        rows = await list_sessions(connection)
    items = []
    for row in rows:
        grant = services.engine.find_grant(row.session_id)
        items.append(
            FixSessionView(
                session_id=row.session_id,
                firm_id=row.firm_id,
                account_id=row.account_id,
                begin_string=row.begin_string,
                client_comp_id=row.client_comp_id,
                is_enabled=row.is_enabled,
                is_held=grant is not None and grant.is_held,
                epoch=0 if grant is None else grant.epoch,
                generation=0 if grant is None else grant.generation,
            )
        )
    return FixSessionPage(items=items)


@router.post(
    "/{session_id}/reset",
    responses={
        HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No session has ever been opened"},
        HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"},
    },
)
async def reset_fix_session(services: ServicesOf, session_id: int) -> SessionResetView:
    """Begin both sequence numbers of a FIX session at 1 again. For operators.

    A client that is logged on is logged out. It must reset its own numbers too, or log on with
    ResetSeqNumFlag(141)=Y. Reports that it has not proven to have come again with 97=Y.
    """
    try:
        event = await services.engine.reset_session(SessionId(session_id))
    except (LinkClosedError, TimeoutError):
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the engine is away") from None
    if isinstance(event, CommandRefused):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no session {session_id} was ever opened")
    log.warning("session_reset", session_id=session_id, epoch=event.epoch)
    return SessionResetView(session_id=session_id, epoch=event.epoch)
