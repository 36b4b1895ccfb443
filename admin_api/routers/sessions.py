"""FIX sessions: set up and changed. What is changed holds at once."""

from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import conflict, invalid
from admin_api.etags import IfMatch, check_if_match, etag_of
from admin_api.idempotency import OnceOf
from admin_api.paging import PagingOf
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import Problem, Responses
from admin_api.schemas.sessions import (
    FixSessionChange,
    FixSessionChanged,
    FixSessionView,
    NewFixSessionBody,
    find_conflict,
)
from admin_api.services import Services, ServicesOf
from admin_api.session_views import (
    SessionPath,
    get_session,
    grant_fields,
    told_fields,
    view_session,
)
from engine.units import AccountId, FirmId
from store.audit import AuditEntry, add_audit_entries
from store.firms import find_account, find_firm
from store.postgres import Connection
from store.sessions import FixSessionRow, create_session, page_sessions, update_session
from store.users import find_user

NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such session"}
}
INVALID: Final[Responses] = {
    HTTPStatus.UNPROCESSABLE_ENTITY: {"model": Problem, "description": "`detail` names the field"}
}
DEFAULTS: Final = {**FixSessionChange().model_dump(), "is_market_data": False}

Reader = Annotated[User, allow(Permission.SESSIONS_READ)]
Writer = Annotated[User, allow(Permission.SESSIONS_WRITE)]

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.get("")
async def list_fix_sessions(
    services: ServicesOf, user: Reader, paging: PagingOf
) -> Page[FixSessionView]:
    """Return FIX sessions with their present owners; to people of a firm, the firm's."""
    async with services.database.transaction() as connection:
        rows = await page_sessions(
            connection, firm_id=user.firm_id, after_id=paging.begin(0), limit=paging.row_count
        )
    return paging.page(
        rows, lambda row: view_session(row, services.engine), lambda row: row.session_id
    )


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses={
        HTTPStatus.CONFLICT: {"model": Problem, "description": "There is one of that CompID"},
        **INVALID,
    },
)
async def create_fix_session(
    services: ServicesOf,
    user: Writer,
    response: Response,
    once: OnceOf,
    body: NewFixSessionBody,
) -> FixSessionChanged:
    """Set up a FIX session. It can be logged on to as soon as it has a credential."""
    values = body.model_dump(exclude_unset=True) | {"begin_string": body.begin_string}
    _check_settings({**DEFAULTS, **values})
    async with services.database.transaction() as connection:
        await once.claim(connection, user)
        if await find_firm(connection, FirmId(body.firm_id)) is None:
            raise invalid(f"firm_id: no firm {body.firm_id}")
        await _check_owners(connection, values, FirmId(body.firm_id))
        row = await create_session(connection, values)
        if row is None:
            raise conflict(f"there is a {body.begin_string} session {body.client_comp_id} already")
        detail = body.model_dump(mode="json", exclude_unset=True)
        await add_audit_entries(connection, [_entry(user, "session_created", row, detail)])
        made = FixSessionChanged(
            **asdict(row),
            **grant_fields(row, services.engine),
            gateways_refreshed=0,
            gateways_failed={},
        )
        await once.keep(connection, user, made)
    response.headers["Location"] = f"/v1/sessions/{row.session_id}"
    return await _tell(services, response, row)


@router.get("/{session_id}", responses=NOT_FOUND)
async def show_fix_session(
    services: ServicesOf, user: Reader, response: Response, session_id: SessionPath
) -> FixSessionView:
    """Return a FIX session."""
    async with services.database.transaction() as connection:
        row = await get_session(connection, session_id, user)
    response.headers["ETag"] = etag_of(row)
    return view_session(row, services.engine)


@router.patch(
    "/{session_id}",
    responses={
        HTTPStatus.PRECONDITION_FAILED: {"model": Problem, "description": "Changed since"},
        **NOT_FOUND,
        **INVALID,
    },
)
async def change_fix_session(
    services: ServicesOf,
    user: Writer,
    response: Response,
    session_id: SessionPath,
    body: FixSessionChange,
    *,
    if_match: IfMatch = None,
) -> FixSessionChanged:
    """Change settings of a FIX session; what is left out stays. Others are not touched."""
    values = body.model_dump(exclude_unset=True)
    async with services.database.transaction() as connection:
        row = await get_session(connection, session_id, user, for_update=True)
        check_if_match(row, if_match)
        _check_settings({**asdict(row), **values})
        await _check_owners(connection, values, row.firm_id)
        if values:
            before = view_session(row, services.engine).model_dump(mode="json", include=set(values))
            row = await update_session(connection, row.session_id, values)
            after = body.model_dump(mode="json", exclude_unset=True)
            entry = _entry(user, "session_changed", row, {})
            await add_audit_entries(connection, [replace(entry, before=before, after=after)])
    return await _tell(services, response, row)


@router.post("/{session_id}/disable", responses=NOT_FOUND)
async def disable_fix_session(
    services: ServicesOf, user: Writer, response: Response, session_id: SessionPath
) -> FixSessionChanged:
    """Let nobody log on to the session any more; a client that is logged on is logged out."""
    return await _switch(services, user, response, session_id, is_enabled=False)


@router.post("/{session_id}/enable", responses=NOT_FOUND)
async def enable_fix_session(
    services: ServicesOf, user: Writer, response: Response, session_id: SessionPath
) -> FixSessionChanged:
    """Let clients log on to the session again. Its sequence numbers go on."""
    return await _switch(services, user, response, session_id, is_enabled=True)


async def _switch(
    services: Services,
    user: User,
    response: Response,
    session_id: int,
    *,
    is_enabled: bool,
) -> FixSessionChanged:
    action = "session_enabled" if is_enabled else "session_disabled"
    async with services.database.transaction() as connection:
        row = await get_session(connection, session_id, user, for_update=True)
        row = await update_session(connection, row.session_id, {"is_enabled": is_enabled})
        await add_audit_entries(connection, [_entry(user, action, row, {})])
    return await _tell(services, response, row)


async def _tell(services: Services, response: Response, row: FixSessionRow) -> FixSessionChanged:
    """Let the gateways take the change over, and answer only then."""
    reached = await services.gateways.refresh()
    response.headers["ETag"] = etag_of(row)
    return FixSessionChanged(
        **asdict(row), **grant_fields(row, services.engine), **told_fields(reached)
    )


async def _check_owners(connection: Connection, values: dict[str, Any], firm_id: FirmId) -> None:
    """Refuse accounts and a user that are not the firm's."""
    named = [("copied_account_ids", each) for each in values.get("copied_account_ids", [])]
    if "account_id" in values:
        named.append(("account_id", values["account_id"]))
    for field, account_id in named:
        account = await find_account(connection, AccountId(account_id))
        if account is None or account.firm_id != firm_id:
            raise invalid(f"{field}: firm {firm_id} has no account {account_id}")
    user_id = values.get("user_id")
    if user_id is not None:
        owner = await find_user(connection, user_id)
        if owner is None or owner.firm_id != firm_id:
            raise invalid(f"user_id: firm {firm_id} has no user {user_id}")


def _check_settings(values: dict[str, Any]) -> None:
    conflict_text = find_conflict(values)
    if conflict_text is not None:
        raise invalid(conflict_text)


def _entry(user: User, action: str, row: FixSessionRow, detail: dict[str, Any]) -> AuditEntry:
    return user.audit(action, f"session:{row.session_id}", detail)
