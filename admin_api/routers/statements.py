"""Accounts: what they have, and what came and went."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import not_found
from admin_api.paging import PagingOf
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.pages import SearchPage
from admin_api.schemas.problem import Problem, Responses
from admin_api.schemas.searches import BalancesView, BalanceView, LedgerEntryView
from admin_api.services import Services, ServicesOf
from engine.reference import Reference
from engine.request_events import BalanceLine
from engine.units import AccountId, FirmId, format_fixed
from store.searches import (
    BEFORE_NONE,
    LedgerEntryFound,
    find_account_firm,
    list_balances,
    list_ledger_entries,
    snapshot,
)

NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such account"}
}

Reader = Annotated[User, allow(Permission.WALLETS_READ)]
AccountPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The account's identity")]

router = APIRouter(prefix="/v1/accounts", tags=["wallets"])


@router.get("/{account_id}/balances", responses=NOT_FOUND)
async def show_balances(
    services: ServicesOf, user: Reader, account_id: AccountPath
) -> BalancesView:
    """Return what the account has at this moment, as the engine says.

    While the engine is away, as the read model has it: then without what is held.
    """
    live = await _find_live(services, user, AccountId(account_id))
    if live is not None:
        return live
    async with snapshot(services.database) as at:
        _check_is_seen(user, account_id, await find_account_firm(at, account_id))
        rows = await list_balances(at, AccountId(account_id))
    return BalancesView(
        account_id=account_id,
        seq=at.seq,
        source="read_model",
        items=[
            BalanceView(
                asset=row.asset, balance=row.balance, held=None, available=None, credit=None
            )
            for row in rows
        ],
    )


@router.get("/{account_id}/ledger", responses=NOT_FOUND)
async def show_ledger(
    services: ServicesOf,
    user: Reader,
    account_id: AccountPath,
    paging: PagingOf,
    asset: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,16}$", examples=["USD"])] = None,
) -> SearchPage[LedgerEntryView]:
    """Return what came and went on the account, the newest first, with the balance after each."""
    before = paging.begin_at(BEFORE_NONE, 0, 0)
    async with snapshot(services.database) as at:
        _check_is_seen(user, account_id, await find_account_firm(at, account_id))
        rows = await list_ledger_entries(
            at, AccountId(account_id), asset=asset, before=before, limit=paging.row_count
        )
    return paging.found(
        at, rows, _view_entry, lambda row: (row.seq, row.event_index, row.posting_index)
    )


async def _find_live(services: Services, user: User, account_id: AccountId) -> BalancesView | None:
    """Return what the engine says, None when it is away. Raises 404."""
    balances = await services.engine.balances(account_id)
    if balances is None:
        return None
    reference = services.engine.reference
    account = reference.accounts.get(account_id)
    _check_is_seen(user, account_id, None if account is None else account.firm_id)
    items = [_view_line(line, reference) for line in balances.lines]
    return BalancesView(account_id=account_id, seq=balances.last_seq, source="engine", items=items)


def _check_is_seen(user: User, account_id: int, firm_id: FirmId | None) -> None:
    if firm_id is None or not user.sees_firm(firm_id):
        raise not_found(f"no account {account_id}")


def _view_line(line: BalanceLine, reference: Reference) -> BalanceView:
    asset = reference.assets[line.asset_id]
    balance, held, available, credit = (
        format_fixed(amount, asset.decimals)
        for amount in (line.balance, line.held, line.available, line.credit)
    )
    return BalanceView(
        asset=asset.symbol, balance=balance, held=held, available=available, credit=credit
    )


def _view_entry(row: LedgerEntryFound) -> LedgerEntryView:
    fields = asdict(row)
    place = [str(fields.pop(name)) for name in ("seq", "event_index", "posting_index")]
    return LedgerEntryView(entry_id=".".join(place), **fields)
