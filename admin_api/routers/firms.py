"""Firms."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.idempotency import OnceOf
from admin_api.paging import PagingOf
from admin_api.schemas.accounts import FirmView, NewFirmBody
from admin_api.schemas.pages import Page
from admin_api.services import ServicesOf
from store.audit import add_audit_entries
from store.firms import ensure_firm, find_firm_named, list_firms

Reader = Annotated[User, allow(Permission.FIRMS_READ)]
Writer = Annotated[User, allow(Permission.FIRMS_WRITE)]

router = APIRouter(prefix="/v1/firms", tags=["firms"])


@router.get("")
async def list_all_firms(services: ServicesOf, user: Reader, paging: PagingOf) -> Page[FirmView]:
    """Return firms by identity; to people of a firm, theirs."""
    async with services.database.transaction() as connection:
        rows = await list_firms(
            connection, firm_id=user.firm_id, after_id=paging.begin(0), limit=paging.row_count
        )
    return paging.page(rows, lambda row: FirmView(**asdict(row)), lambda row: row.firm_id)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses={HTTPStatus.OK: {"model": FirmView, "description": "It was there already"}},
)
async def create_firm(
    services: ServicesOf, user: Writer, response: Response, once: OnceOf, body: NewFirmBody
) -> FirmView:
    """Set up a firm. One that is there already is returned with 200: repeating does no harm."""
    async with services.database.transaction() as connection:
        await once.claim(connection, user)
        row = await find_firm_named(connection, body.name)
        if row is not None:
            response.status_code = HTTPStatus.OK
            view = FirmView(**asdict(row))
            return await once.keep(connection, user, view, status=HTTPStatus.OK)
        firm_id = await ensure_firm(connection, body.name)
        entry = user.audit("firm_created", f"firm:{firm_id}", {"name": body.name})
        await add_audit_entries(connection, [entry])
        row = await find_firm_named(connection, body.name)
        assert row is not None
        return await once.keep(connection, user, FirmView(**asdict(row)))
