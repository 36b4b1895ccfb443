"""The audit log."""

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Query

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.schemas.audit import AuditPage, AuditView
from admin_api.services import ServicesOf
from store.audit import list_audit_rows

LIMIT_MAX: Final = 1000
PLAIN: Final = r"^[ -~]+$"
BIGINT_MAX: Final = 2**63 - 1

router = APIRouter(prefix="/v1/audit", tags=["audit"])


@router.get("")
async def list_audit_log(
    services: ServicesOf,
    _user: Annotated[User, allow(Permission.AUDIT_READ)],
    before_id: Annotated[
        int | None,
        Query(ge=1, le=BIGINT_MAX, description="`next_before_id` of the page before"),
    ] = None,
    subject: Annotated[
        str | None, Query(pattern=PLAIN, max_length=128, examples=["session:5"])
    ] = None,
    actor: Annotated[
        str | None, Query(pattern=PLAIN, max_length=128, examples=["operator:admin"])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Entries per page")] = 100,
) -> AuditPage:
    """Return who did what, the newest first."""
    async with services.database.transaction() as connection:
        rows = await list_audit_rows(
            connection, before_id=before_id, subject=subject, actor=actor, limit=limit + 1
        )
    items = [AuditView(**{**asdict(row), "hash": row.hash.hex()}) for row in rows[:limit]]
    has_more = len(rows) > limit
    return AuditPage(items=items, next_before_id=items[-1].audit_id if has_more else None)
