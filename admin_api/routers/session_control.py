"""FIX sessions as they run: how they are, log a client out, begin the numbers anew."""

from http import HTTPStatus
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import conflict, engine_away
from admin_api.gateway_control import Reached
from admin_api.schemas.problem import Problem, Responses
from admin_api.schemas.sessions import (
    DisconnectBody,
    DisconnectView,
    FixSessionStatus,
    SessionResetView,
)
from admin_api.services import ServicesOf
from admin_api.session_views import SessionPath, get_session, grant_fields
from engine.runtime.client import LinkClosedError
from engine.session_commands import ResetSession
from engine.session_events import SessionReset
from store.audit import add_audit_entries

NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such session"}
}
# What nobody knows of a session that no gateway tells of.
UNTOLD: Final[dict[str, Any]] = {
    "is_logged_on": False,
    "peer": None,
    "credential_id": None,
    "next_sender_msg_seq_num": None,
    "next_target_msg_seq_num": None,
    "logged_on_at": None,
    "last_received_at": None,
    "throttle": None,
}

Reader = Annotated[User, allow(Permission.SESSIONS_READ)]
Writer = Annotated[User, allow(Permission.SESSIONS_WRITE)]

log = structlog.get_logger("admin")
router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.get("/{session_id}/status", responses=NOT_FOUND)
async def show_status(
    services: ServicesOf, user: Reader, session_id: SessionPath
) -> FixSessionStatus:
    """Return how a FIX session is at this moment, as its gateway process says."""
    async with services.database.transaction() as connection:
        row = await get_session(connection, session_id, user)
    reached = await services.gateways.status()
    gateway, told = _find_told(reached, session_id)
    return FixSessionStatus(
        session_id=row.session_id,
        client_comp_id=row.client_comp_id,
        is_enabled=row.is_enabled,
        gateway=gateway,
        gateways_failed=reached.failures,
        **_merged(grant_fields(row, services.engine), told),
    )


@router.post("/{session_id}/disconnect", responses=NOT_FOUND)
async def disconnect(
    services: ServicesOf,
    user: Writer,
    session_id: SessionPath,
    body: DisconnectBody | None = None,
) -> DisconnectView:
    """Log a session's client out. It may log on again: to keep it out, disable the session."""
    text = (body or DisconnectBody()).text
    async with services.database.transaction() as connection:
        row = await get_session(connection, session_id, user)
        await add_audit_entries(
            connection,
            [
                user.audit(
                    "session_disconnect_ordered",
                    f"session:{row.session_id}",
                    {"text": text},
                )
            ],
        )
    reached = await services.gateways.log_out(row.session_id, text)
    return DisconnectView(
        session_id=row.session_id,
        was_logged_on=any(answer.get("found") is True for answer in reached.answers.values()),
        gateways_asked=len(reached.answers) + len(reached.failures),
        gateways_failed=reached.failures,
    )


@router.post(
    "/{session_id}/reset",
    responses={
        **NOT_FOUND,
        HTTPStatus.CONFLICT: {"model": Problem, "description": "It has no numbers yet"},
        HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"},
    },
)
async def reset_fix_session(
    services: ServicesOf, user: Writer, session_id: SessionPath
) -> SessionResetView:
    """Begin both sequence numbers of a FIX session at 1 again.

    A client that is logged on is logged out. It must reset its own numbers too, or log on with
    ResetSeqNumFlag(141)=Y. Reports that it has not proven to have come again with 97=Y.
    """
    async with services.database.transaction() as connection:
        row = await get_session(connection, session_id, user)
        # Before the engine is asked: no change without the name of who wanted it.
        await add_audit_entries(
            connection,
            [user.audit("session_reset_ordered", f"session:{row.session_id}")],
        )
    try:
        event = await services.engine.submit(ResetSession(row.session_id))
    except (LinkClosedError, TimeoutError):
        raise engine_away() from None
    if not isinstance(event, SessionReset):
        raise conflict(f"session {session_id} was never opened by a gateway: it has no numbers")
    log.warning("session_reset", session_id=session_id, epoch=event.epoch)
    return SessionResetView(session_id=session_id, epoch=event.epoch)


def _find_told(reached: Reached, session_id: int) -> tuple[str | None, dict[str, Any]]:
    """Return which gateway owns the session and what it says; the one with the client comes first.

    Two may tell of it for a moment, while one takes it over from the other.
    """
    found = [
        (gateway, session)
        for gateway, answer in reached.answers.items()
        for session in answer.get("sessions", [])
        if session["session_id"] == session_id
    ]
    if not found:
        return None, {}
    return max(found, key=lambda item: (bool(item[1]["is_logged_on"]), item[1]["epoch"]))


def _merged(granted: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Join the engine's word with the gateway's; the gateway sits nearer to the numbers."""
    epoch = max(granted["epoch"], told.get("epoch") or 0)
    return {**granted, **{key: told.get(key, default) for key, default in UNTOLD.items()},
            "epoch": epoch}  # fmt: skip
