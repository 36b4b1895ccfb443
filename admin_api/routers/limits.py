"""Risk limits: what an order may not exceed, and how many may come."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import check_engine, get_account, get_firm, get_instrument
from admin_api.errors import invalid
from admin_api.etags import etag_of
from admin_api.limit_changes import LimitCall
from admin_api.limit_views import is_looser, view_account_limits, view_scope_limits
from admin_api.schemas.changes import ApprovalView
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.limits import (
    AccountThrottleBody,
    AccountThrottleView,
    RiskLimitsBody,
    RiskLimitsPage,
    RiskLimitsView,
    ScopeLimitsBody,
    ScopeLimitsPage,
    ScopeLimitsView,
)
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import Services, ServicesOf
from admin_api.session_views import get_session
from engine.instrument import Instrument
from engine.limits import RiskLimits, ScopeLimits
from engine.risk_commands import SetAccountThrottle, SetRiskLimits, SetScopeLimits
from engine.scope import Scope
from engine.units import AccountId, Money, Qty, parse_fixed
from store.audit import AuditEntry

READ: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "There is none of that identity"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"},
}
SET: Final[Responses] = {
    **READ,
    HTTPStatus.ACCEPTED: {"model": ApprovalView, "description": "It loosens: it waits for another"},
    HTTPStatus.CONFLICT: {"model": Problem, "description": "The exchange has refused it"},
    HTTPStatus.PRECONDITION_FAILED: {"model": Problem, "description": "Changed since"},
    HTTPStatus.UNPROCESSABLE_ENTITY: {
        "model": Problem,
        "description": "Not a number that the instrument can hold exactly",
    },
}

Identity = Annotated[int, Path(ge=1, le=INTEGER_MAX)]
Symbol = Annotated[str, Path(max_length=64, examples=["BTC-USD"])]

Reader = Annotated[User, allow(Permission.LIMITS_READ)]
Writer = Annotated[User, allow(Permission.LIMITS_WRITE)]
Call = Annotated[LimitCall, Depends()]

router = APIRouter(tags=["limits"])


@router.get("/v1/accounts/{account_id}/limits", responses=READ)
async def list_account_limits(
    services: ServicesOf, user: Reader, response: Response, account_id: Identity
) -> RiskLimitsPage:
    """Return what an order of the account may not exceed, by instrument."""
    await check_engine(services)
    get_account(services, user, account_id)
    response.headers["ETag"] = etag_of(services.engine.limits.of_account(AccountId(account_id)))
    return RiskLimitsPage(
        items=[
            view_account_limits(limits, services.engine.reference)
            for limits in services.engine.limits.of_account(AccountId(account_id))
        ]
    )


@router.put("/v1/accounts/{account_id}/limits/{symbol}", responses=SET)
async def set_account_limits(
    call: Call, user: Writer, account_id: Identity, symbol: Symbol, body: RiskLimitsBody
) -> RiskLimitsView | ApprovalView:
    """Set what an order of the account in an instrument may not exceed. It holds at once.

    More than before, or the first limits there are, is proposed where it takes two.
    """
    services = call.services
    await check_engine(services)
    account = get_account(services, user, account_id)
    instrument = get_instrument(services, symbol)
    limits = RiskLimits(
        AccountId(account_id),
        instrument.instrument_id,
        _parse_qty(body.order_qty_max, instrument),
        _parse_notional(body.notional_max, instrument),
    )
    detail = {"symbol": symbol, **body.model_dump()}
    entry = user.audit("limits_ordered", f"account:{account_id}", detail)
    done = await call.order(
        user,
        SetRiskLimits(limits),
        entry,
        read=lambda: services.engine.limits.of_account(account.account_id),
        loosens=lambda held: _loosens_account(held, limits),
        firm_id=account.firm_id,
    )
    if isinstance(done, ApprovalView):
        return done
    return view_account_limits(limits, services.engine.reference).model_copy(update=done)


@router.get("/v1/accounts/{account_id}/throttle", responses=READ)
async def show_account_throttle(
    services: ServicesOf, user: Reader, response: Response, account_id: Identity
) -> AccountThrottleView:
    """Return how often the account may enter orders, over all its sessions."""
    await check_engine(services)
    get_account(services, user, account_id)
    throttle = services.engine.limits.throttle_of(AccountId(account_id))
    response.headers["ETag"] = etag_of(_throttle_of(services, AccountId(account_id)))
    return AccountThrottleView(
        account_id=account_id,
        order_rate=None if throttle is None else throttle.rate,
        order_burst=None if throttle is None else throttle.burst,
    )


@router.put("/v1/accounts/{account_id}/throttle", responses=SET)
async def set_account_throttle(
    call: Call, user: Writer, account_id: Identity, body: AccountThrottleBody
) -> AccountThrottleView | ApprovalView:
    """Set how often the account may enter orders, over all its sessions. It holds at once.

    Both null lifts it. Cancels are never counted.
    """
    rate, burst = body.order_rate, body.order_burst
    if (rate is None) != (burst is None):
        missing = "order_rate" if rate is None else "order_burst"
        raise invalid(f"{missing}: is needed beside the other, or neither")
    services = call.services
    await check_engine(services)
    account = get_account(services, user, account_id)
    entry = user.audit("throttle_ordered", f"account:{account_id}", body.model_dump())
    done = await call.order(
        user,
        SetAccountThrottle(account.account_id, rate, burst),
        entry,
        read=lambda: _throttle_of(services, account.account_id),
        loosens=lambda held: is_looser(held, (rate, burst)),
        firm_id=account.firm_id,
    )
    if isinstance(done, ApprovalView):
        return done
    return AccountThrottleView(account_id=account_id, order_rate=rate, order_burst=burst, **done)


@router.get("/v1/firms/{firm_id}/limits", responses=READ)
async def list_firm_limits(
    services: ServicesOf, user: Reader, response: Response, firm_id: Identity
) -> ScopeLimitsPage:
    """Return what an order of any account of the firm may not exceed."""
    await check_engine(services)
    await get_firm(services, user, firm_id)
    response.headers["ETag"] = etag_of(services.engine.limits.of_scope(Scope.FIRM, firm_id))
    return _list_scope_limits(services, Scope.FIRM, firm_id)


@router.put("/v1/firms/{firm_id}/limits/{symbol}", responses=SET)
async def set_firm_limits(
    call: Call, user: Writer, firm_id: Identity, symbol: Symbol, body: ScopeLimitsBody
) -> ScopeLimitsView | ApprovalView:
    """Set what an order of any account of the firm may not exceed. It holds at once.

    Beside the limits of accounts and sessions: the strictest decides. Both null lifts it.
    """
    services = call.services
    await check_engine(services)
    await get_firm(services, user, firm_id)
    limits = _parse_scope_limits(services, Scope.FIRM, firm_id, symbol, body)
    detail = {"symbol": symbol, **body.model_dump()}
    entry = user.audit("limits_ordered", f"firm:{firm_id}", detail)
    return await _order_scope_limits(call, user, entry, limits)


@router.get("/v1/sessions/{session_id}/limits", responses=READ)
async def list_session_limits(
    services: ServicesOf, user: Reader, response: Response, session_id: Identity
) -> ScopeLimitsPage:
    """Return what an order that comes over the FIX session may not exceed."""
    await check_engine(services)
    await _check_session(services, user, session_id)
    response.headers["ETag"] = etag_of(services.engine.limits.of_scope(Scope.SESSION, session_id))
    return _list_scope_limits(services, Scope.SESSION, session_id)


@router.put("/v1/sessions/{session_id}/limits/{symbol}", responses=SET)
async def set_session_limits(
    call: Call, user: Writer, session_id: Identity, symbol: Symbol, body: ScopeLimitsBody
) -> ScopeLimitsView | ApprovalView:
    """Set what an order that comes over the FIX session may not exceed. It holds at once.

    Beside the limits of the account and its firm: the strictest decides. Both null lifts it.
    """
    services = call.services
    await check_engine(services)
    await _check_session(services, user, session_id)
    limits = _parse_scope_limits(services, Scope.SESSION, session_id, symbol, body)
    entry = user.audit("limits_ordered", f"session:{session_id}", {"symbol": symbol, **dict(body)})
    return await _order_scope_limits(call, user, entry, limits)


async def _check_session(services: Services, user: User, session_id: int) -> None:
    async with services.database.transaction() as connection:
        await get_session(connection, session_id, user)


async def _order_scope_limits(
    call: LimitCall, user: User, entry: AuditEntry, limits: ScopeLimits
) -> ScopeLimitsView | ApprovalView:
    known = call.services.engine.limits
    done = await call.order(
        user,
        SetScopeLimits(limits),
        entry,
        read=lambda: known.of_scope(limits.scope, limits.scope_id),
        loosens=lambda held: _loosens_scope(held, limits),
        firm_id=limits.scope_id if limits.scope is Scope.FIRM else None,
    )
    if isinstance(done, ApprovalView):
        return done
    return view_scope_limits(limits, call.services.engine.reference).model_copy(update=done)


def _loosens_account(held: list[RiskLimits], wanted: RiskLimits) -> bool:
    """Whether more is allowed than was. Without limits nothing was."""
    for limits in held:
        if limits.instrument_id == wanted.instrument_id:
            return is_looser(
                (limits.order_qty_max, limits.notional_max),
                (wanted.order_qty_max, wanted.notional_max),
            )
    return True


def _loosens_scope(held: list[ScopeLimits], wanted: ScopeLimits) -> bool:
    for limits in held:
        if limits.instrument_id == wanted.instrument_id:
            return is_looser(
                (limits.order_qty_max, limits.notional_max),
                (wanted.order_qty_max, wanted.notional_max),
            )
    return False


def _throttle_of(services: Services, account_id: AccountId) -> tuple[int | None, int | None]:
    throttle = services.engine.limits.throttle_of(account_id)
    return (None, None) if throttle is None else (throttle.rate, throttle.burst)


def _parse_qty(text: str, instrument: Instrument) -> Qty:
    qty = instrument.parse_qty(text)
    if qty is None:
        raise _inexact("order_qty_max", text, instrument.definition.qty_decimals)
    return qty


def _parse_notional(text: str, instrument: Instrument) -> Money:
    notional = parse_fixed(text, instrument.quote.decimals)
    if notional is None:
        raise _inexact("notional_max", text, instrument.quote.decimals)
    return Money(notional)


def _inexact(field: str, text: str, decimals: int) -> HTTPException:
    return invalid(f"{field}: {text!r} is no decimal number of at most {decimals} decimals")


def _parse_scope_limits(
    services: Services, scope: Scope, scope_id: int, symbol: str, body: ScopeLimitsBody
) -> ScopeLimits:
    instrument = get_instrument(services, symbol)
    qty, notional = body.order_qty_max, body.notional_max
    return ScopeLimits(
        scope,
        scope_id,
        instrument.instrument_id,
        None if qty is None else _parse_qty(qty, instrument),
        None if notional is None else _parse_notional(notional, instrument),
    )


def _list_scope_limits(services: Services, scope: Scope, scope_id: int) -> ScopeLimitsPage:
    found = services.engine.limits.of_scope(scope, scope_id)
    return ScopeLimitsPage(
        items=[view_scope_limits(limits, services.engine.reference) for limits in found]
    )
