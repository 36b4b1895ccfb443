"""Lines of credit: how far below zero balances may go, an account's own and a firm's shared."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Depends, Path, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import check_engine, get_account, get_firm, parse_number
from admin_api.etags import etag_of
from admin_api.limit_changes import LimitCall
from admin_api.risk_views import find_asset
from admin_api.schemas.changes import ApprovalView
from admin_api.schemas.credit import CreditLine, CreditLineBody, CreditLineView
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import says
from admin_api.services import Services, ServicesOf
from admin_api.standing import CreditLines
from engine.ledger_commands import SetCreditLine, SetFirmCreditLine
from engine.units import AssetId, Money, format_fixed

READ: Final = {
    **says(HTTPStatus.NOT_FOUND, "No such account, firm or asset, or not of your firm"),
    **says(HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away"),
}
SET: Final = {
    **READ,
    HTTPStatus.ACCEPTED: {"model": ApprovalView, "description": "It lends more: it waits"},
    **says(HTTPStatus.CONFLICT, "The exchange has refused it: `code` is its reason"),
    **says(HTTPStatus.PRECONDITION_FAILED, "Changed since"),
}

Identity = Annotated[int, Path(ge=1, le=INTEGER_MAX)]
AssetPath = Annotated[str, Path(max_length=64, examples=["USD"])]
Reader = Annotated[User, allow(Permission.LIMITS_READ)]
Writer = Annotated[User, allow(Permission.LIMITS_WRITE)]
Call = Annotated[LimitCall, Depends()]

router = APIRouter(tags=["limits"])


class Borrower(NamedTuple):
    """Who is lent to. `lines` tells what holds, `make` returns the command that sets a line."""

    subject: str
    firm_id: int
    lines: Callable[[], CreditLines]
    make: Callable[[AssetId, Money], SetCreditLine | SetFirmCreditLine]


@router.get("/v1/accounts/{account_id}/credit-lines", responses=READ)
async def list_account_lines(
    services: ServicesOf, user: Reader, response: Response, account_id: Identity
) -> Page[CreditLine]:
    """Return how far below zero the account's balances may go. One that is not named may not."""
    await check_engine(services)
    return _list(services, response, _account(services, user, account_id))


@router.put("/v1/accounts/{account_id}/credit-lines/{asset}", responses=SET)
async def set_account_line(
    call: Call, user: Writer, account_id: Identity, asset: AssetPath, body: CreditLineBody
) -> CreditLineView | ApprovalView:
    """Set how far below zero the account's balance of an asset may go. It holds at once.

    More than before is proposed where it takes two. Less than is in use is refused.
    """
    await check_engine(call.services)
    return await _set(call, user, _account(call.services, user, account_id), asset, body)


@router.get("/v1/firms/{firm_id}/credit-lines", responses=READ)
async def list_firm_lines(
    services: ServicesOf, user: Reader, response: Response, firm_id: Identity
) -> Page[CreditLine]:
    """Return what the firm's accounts may be short of together, beyond their own lines."""
    await check_engine(services)
    return _list(services, response, await _firm(services, user, firm_id))


@router.put("/v1/firms/{firm_id}/credit-lines/{asset}", responses=SET)
async def set_firm_line(
    call: Call, user: Writer, firm_id: Identity, asset: AssetPath, body: CreditLineBody
) -> CreditLineView | ApprovalView:
    """Set what the firm's accounts may be short of together, beyond their own lines.

    As for an account.
    """
    await check_engine(call.services)
    return await _set(call, user, await _firm(call.services, user, firm_id), asset, body)


def _account(services: Services, user: User, account_id: int) -> Borrower:
    account = get_account(services, user, account_id)
    owner_id = account.account_id
    return Borrower(
        f"account:{owner_id}",
        account.firm_id,
        lambda: dict(services.engine.standing.credit_of_accounts.get(owner_id, {})),
        lambda asset_id, limit: SetCreditLine(owner_id, asset_id, limit),
    )


async def _firm(services: Services, user: User, firm_id: int) -> Borrower:
    owner_id = await get_firm(services, user, firm_id)
    return Borrower(
        f"firm:{owner_id}",
        owner_id,
        lambda: dict(services.engine.standing.credit_of_firms.get(owner_id, {})),
        lambda asset_id, limit: SetFirmCreditLine(owner_id, asset_id, limit),
    )


def _list(services: Services, response: Response, borrower: Borrower) -> Page[CreditLine]:
    lines = sorted(borrower.lines().items())
    response.headers["ETag"] = etag_of(lines)
    assets = services.engine.reference.assets
    return Page(
        items=[
            CreditLine(
                asset=assets[asset_id].symbol, limit=format_fixed(limit, assets[asset_id].decimals)
            )
            for asset_id, limit in lines
        ]
    )


async def _set(
    call: LimitCall, user: User, borrower: Borrower, symbol: str, body: CreditLineBody
) -> CreditLineView | ApprovalView:
    asset = find_asset(symbol, call.services.engine.reference)
    limit = Money(parse_number("limit", body.limit, asset.decimals))
    line = CreditLine(asset=asset.symbol, limit=format_fixed(limit, asset.decimals))
    done = await call.order(
        user,
        borrower.make(asset.asset_id, limit),
        user.audit("credit_line_ordered", borrower.subject, line.model_dump()),
        read=lambda: sorted(borrower.lines().items()),
        loosens=lambda held: limit > dict(held).get(asset.asset_id, 0),
        firm_id=borrower.firm_id,
    )
    if isinstance(done, ApprovalView):
        return done
    return CreditLineView(**line.model_dump(), **done)
