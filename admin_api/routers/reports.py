"""Accounts: what was reported of their orders."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import get_account
from admin_api.errors import ApiError, engine_away, not_found
from admin_api.paging import PagingOf
from admin_api.reports import reading_answers
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import Problem
from admin_api.schemas.reports import ExecutionReportView
from admin_api.services import ServicesOf
from engine.runtime.feed import BEFORE_ALL, Position, parse_exec_id
from engine.units import Seq

SHOWN_MAX: Final = 64

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


@router.get(
    "/{account_id}/reports",
    responses={
        HTTPStatus.NOT_FOUND: {
            "model": Problem,
            "description": "No such account, or an ExecID that has not been given yet",
        },
        HTTPStatus.GONE: {"model": Problem, "description": "Older than what is kept"},
        HTTPStatus.UNPROCESSABLE_ENTITY: {"model": Problem, "description": "Not an ExecID"},
        HTTPStatus.SERVICE_UNAVAILABLE: {
            "model": Problem,
            "description": "The engine is away, or too many ask at once",
        },
    },
)
async def list_reports(
    services: ServicesOf,
    user: Annotated[User, allow(Permission.ORDERS_READ)],
    account_id: Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The account's identity")],
    paging: PagingOf,
    after_exec_id: Annotated[
        str | None,
        Query(
            description="The last ExecID(17) that you have; absent: from the beginning. "
            "With a `cursor` it counts for nothing",
            examples=["1042.0"],
        ),
    ] = None,
) -> Page[ExecutionReportView]:
    """Return every ExecutionReport(8) of the account's orders after an ExecID, in order.

    Of all sessions of the account, as FIX clients are sent them, with the same ExecID(17). Only
    what is durable. Orders that were refused at the FIX door (ExecIDs with a D) never reached the
    exchange and are not here. A page may have few reports, or none, though others follow. After the
    last page the last ExecID is where to begin the next time.
    """
    after = Position(*paging.begin_at(*_parse_after(after_exec_id)))
    is_engine_there = await services.engine.status() is not None
    account = get_account(services, user, account_id)
    durable_seq = services.engine.durable_seq
    assert durable_seq is not None
    if after.seq > durable_seq:
        raise _beyond_the_end(after, durable_seq, is_engine_there=is_engine_there)
    reference = services.engine.reference
    with reading_answers():
        return await services.reports.read(
            account.account_id, after, reference, until_seq=durable_seq, limit=paging.limit
        )


def _parse_after(after_exec_id: str | None) -> Position:
    if after_exec_id is None:
        return BEFORE_ALL
    after = parse_exec_id(after_exec_id)
    if after is not None:
        return after
    shown = repr(after_exec_id[:SHOWN_MAX])
    if after_exec_id.startswith("D"):
        detail = f"{shown} is of an order refused at the FIX door: name the last ExecID without D"
    else:
        detail = f"{shown} is not an ExecID, such as '1042.0'"
    raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _beyond_the_end(after: Position, durable_seq: Seq, *, is_engine_there: bool) -> ApiError:
    if is_engine_there:
        return not_found(
            f"ExecID {after.exec_id} is beyond the end: the last durable record is {durable_seq}"
        )
    # It may have been told to a FIX client in the moment in which the engine went.
    return engine_away(
        f"the engine is away, and ExecID {after.exec_id} is not known yet to be durable"
    )
