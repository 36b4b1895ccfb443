"""Firms."""

from dataclasses import asdict
from http import HTTPStatus

from fastapi import APIRouter, Response

from admin_api.schemas.accounts import FirmPage, FirmView, NewFirmBody
from admin_api.services import OperatorOf, ServicesOf
from store.audit import AuditEntry, add_audit_entries
from store.firms import ensure_firm, find_firm_named, list_firms

router = APIRouter(prefix="/v1/firms", tags=["firms"])


@router.get("")
async def list_all_firms(services: ServicesOf, _operator: OperatorOf) -> FirmPage:
    """Return all firms. For operators."""
    async with services.database.transaction() as connection:
        rows = await list_firms(connection)
    return FirmPage(items=[FirmView(**asdict(row)) for row in rows])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses={HTTPStatus.OK: {"model": FirmView, "description": "It was there already"}},
)
async def create_firm(
    services: ServicesOf, operator: OperatorOf, response: Response, body: NewFirmBody
) -> FirmView:
    """Set up a firm. One that is there already is returned with 200: repeating does no harm."""
    async with services.database.transaction() as connection:
        row = await find_firm_named(connection, body.name)
        if row is not None:
            response.status_code = HTTPStatus.OK
            return FirmView(**asdict(row))
        firm_id = await ensure_firm(connection, body.name)
        entry = AuditEntry(operator.actor, "firm_created", f"firm:{firm_id}", {"name": body.name})
        await add_audit_entries(connection, [entry])
        row = await find_firm_named(connection, body.name)
        assert row is not None
    return FirmView(**asdict(row))
