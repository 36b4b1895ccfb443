"""Accounts."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import settle
from admin_api.errors import invalid
from admin_api.paging import PagingOf
from admin_api.schemas.accounts import AccountView, NewAccountBody
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import Services, ServicesOf
from engine.commands import OpenAccount
from engine.instrument import Account
from engine.units import FirmId
from store.firms import (
    AccountRow,
    ensure_account,
    find_account_named,
    find_firm,
    list_accounts,
)

NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such account"}
}

AccountPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The account's identity")]

Reader = Annotated[User, allow(Permission.ACCOUNTS_READ)]
Writer = Annotated[User, allow(Permission.ACCOUNTS_WRITE)]

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


@router.get("")
async def list_all_accounts(
    services: ServicesOf, user: Reader, paging: PagingOf
) -> Page[AccountView]:
    """Return accounts by identity; to people of a firm, the firm's."""
    async with services.database.transaction() as connection:
        rows = await list_accounts(
            connection, firm_id=user.firm_id, after_id=paging.begin(0), limit=paging.row_count
        )
    return paging.page(rows, lambda row: _view(services, row), lambda row: row.account_id)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses={
        HTTPStatus.OK: {"model": AccountView, "description": "It was there already"},
        HTTPStatus.CONFLICT: {
            "model": Problem,
            "description": "The exchange knows another account of that identity or name",
        },
        HTTPStatus.UNPROCESSABLE_ENTITY: {"model": Problem, "description": "No such firm"},
        HTTPStatus.ACCEPTED: {
            "model": AccountView,
            "description": "The engine is away: it is opened when that is back",
        },
    },
)
async def open_account(
    services: ServicesOf, user: Writer, response: Response, body: NewAccountBody
) -> AccountView:
    """Open an account, in PostgreSQL and in the exchange.

    While the engine is away the answer is 202, and it is opened when the engine is back. Repeating
    does no harm: an account that is there already is returned with 200.
    """
    firm_id = FirmId(body.firm_id)
    async with services.database.transaction() as connection:
        if await find_firm(connection, firm_id) is None:
            raise invalid(f"firm_id: no firm {firm_id}")
        row = await find_account_named(connection, firm_id, body.name)
        if row is not None:
            response.status_code = HTTPStatus.OK
            if not _is_open(services, row):
                response.status_code = HTTPStatus.ACCEPTED
            return _view(services, row)
        account_id = await ensure_account(connection, firm_id, body.name)
        entry = user.audit(
            "account_opened",
            f"account:{account_id}",
            after={"firm_id": firm_id, "name": body.name},
        )
        command = OpenAccount(Account(account_id, firm_id, body.name))
        change_id = await services.changes.add(connection, user, command, entry)
        row = await find_account_named(connection, firm_id, body.name)
        assert row is not None
    change = await services.changes.wait_for(change_id)
    return _view(services, row, **settle(response, change))


def _is_open(services: Services, row: AccountRow) -> bool:
    account = Account(row.account_id, row.firm_id, row.name)
    return services.engine.reference.accounts.get(row.account_id) == account


def _view(services: Services, row: AccountRow, **change: int | None) -> AccountView:
    fields = {**asdict(row), **change, "is_open": _is_open(services, row)}
    return AccountView.model_validate(fields)
