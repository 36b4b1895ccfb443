"""The audit log."""

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Query

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.paging import PagingOf
from admin_api.schemas.audit import AuditView
from admin_api.schemas.pages import Page
from admin_api.services import ServicesOf
from store.audit import AuditRow, list_audit_rows
from store.searches import BEFORE_NONE

PLAIN: Final = r"^[ -~]+$"

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("")
async def list_audit_log(
    services: ServicesOf,
    _user: Annotated[User, allow(Permission.AUDIT_READ)],
    paging: PagingOf,
    subject: Annotated[
        str | None, Query(pattern=PLAIN, max_length=128, examples=["session:5"])
    ] = None,
    actor: Annotated[
        str | None, Query(pattern=PLAIN, max_length=128, examples=["operator:admin"])
    ] = None,
) -> Page[AuditView]:
    """Return who did what, the newest first."""
    async with services.database.transaction() as connection:
        rows = await list_audit_rows(
            connection,
            before_id=paging.begin(BEFORE_NONE),
            subject=subject,
            actor=actor,
            limit=paging.row_count,
        )
    return paging.page(rows, _view, lambda row: row.audit_id)


def _view(row: AuditRow) -> AuditView:
    return AuditView(**{**asdict(row), "hash": row.hash.hex()})
