"""Approvals: what one has proposed another lets pass, or not. And what has become of changes."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.changes import view_approval
from admin_api.engine_answers import check_engine
from admin_api.errors import conflict, forbidden, not_found
from admin_api.paging import PagingOf
from admin_api.schemas.changes import ApprovalView, ChangeView, DecisionBody
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import says
from admin_api.services import ServicesOf
from store.approvals import ApprovalRow, decide, find_approval, list_approvals
from store.audit import add_audit_entries
from store.changes import find_change
from store.postgres import Connection

BIGINT_MAX: Final = (1 << 63) - 1
NOT_FOUND: Final = says(HTTPStatus.NOT_FOUND, "There is none")
DECIDED: Final = {
    **NOT_FOUND,
    **says(HTTPStatus.FORBIDDEN, "Nobody approves what he has proposed himself"),
    **says(HTTPStatus.CONFLICT, "It is decided already, too old, or what it changes has changed"),
}

Reader = Annotated[User, allow(Permission.APPROVALS_READ)]
Decider = Annotated[User, allow(Permission.APPROVALS_DECIDE)]
ApprovalPath = Annotated[int, Path(ge=1, le=BIGINT_MAX)]

router = APIRouter(tags=["approvals"])


@router.get("/v1/approvals")
async def list_all_approvals(
    services: ServicesOf,
    _user: Reader,
    paging: PagingOf,
    pending: Annotated[bool, Query(description="Only those that can still be decided")] = False,  # noqa: FBT002 - A query's parameter.
) -> Page[ApprovalView]:
    """Return what was proposed, the newest first."""
    async with services.database.transaction() as connection:
        rows = await list_approvals(
            connection,
            is_pending=pending,
            before_id=paging.begin(BIGINT_MAX),
            limit=paging.row_count,
        )
    return paging.page(rows, view_approval, lambda row: row.approval_id)


@router.get("/v1/approvals/{approval_id}", responses=NOT_FOUND)
async def show_approval(
    services: ServicesOf, _user: Reader, approval_id: ApprovalPath
) -> ApprovalView:
    """Return what was proposed: what held then, and what shall hold."""
    async with services.database.transaction() as connection:
        return view_approval(await _get(connection, approval_id))


@router.post("/v1/approvals/{approval_id}/approve", responses=DECIDED)
async def approve(services: ServicesOf, user: Decider, approval_id: ApprovalPath) -> ApprovalView:
    """Let a proposal pass: `change_id` says what has become of it.

    It is refused when what it takes the place of is not any more what it was.
    """
    await check_engine(services)
    async with services.changes.one_at_a_time:
        async with services.database.transaction() as connection:
            row = await _get_pending(connection, approval_id)
            if row.proposed_by == user.user_id:
                raise forbidden("another must approve what you have proposed", code="four_eyes")
            row = await services.changes.approve(connection, user, row)
        assert row.change_id is not None
        await services.changes.wait_for(row.change_id)
    return view_approval(row)


@router.post("/v1/approvals/{approval_id}/reject", responses=DECIDED)
async def reject(
    services: ServicesOf, user: Decider, approval_id: ApprovalPath, body: DecisionBody | None = None
) -> ApprovalView:
    """Let a proposal not pass. Who has proposed it may take it back so."""
    async with services.database.transaction() as connection:
        row = await _get_pending(connection, approval_id)
        row = await decide(connection, approval_id, decided_by=user.user_id, change_id=None)
        entry = user.audit(
            "approval_rejected",
            f"approval:{approval_id}",
            {"action": row.action, "subject": row.subject},
            reason="" if body is None else body.reason,
        )
        await add_audit_entries(connection, [entry])
    return view_approval(row)


@router.get("/v1/changes/{change_id}", responses=NOT_FOUND)
async def show_change(
    services: ServicesOf, _user: Reader, change_id: Annotated[int, Path(ge=1, le=BIGINT_MAX)]
) -> ChangeView:
    """Return whether a change has reached the engine, and what it said."""
    async with services.database.transaction() as connection:
        row = await find_change(connection, change_id)
    if row is None:
        raise not_found(f"no change {change_id}")
    return ChangeView.model_validate(
        {
            "change_id": row.change_id,
            "status": row.status,
            "engine_seq": row.engine_seq,
            "refusal": row.refusal,
        }
    )


async def _get(connection: Connection, approval_id: int) -> ApprovalRow:
    row = await find_approval(connection, approval_id)
    if row is None:
        raise not_found(f"no approval {approval_id}")
    return row


async def _get_pending(connection: Connection, approval_id: int) -> ApprovalRow:
    row = await _get(connection, approval_id)
    if row.status != "pending":
        raise conflict(f"approval {approval_id} is {row.status}", code=f"approval_{row.status}")
    return row
