"""Temporary overrides: for a while an account's orders, or one of them, pass one limit."""

import time
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.changes import view_approval
from admin_api.engine_answers import check_engine, get_account, get_instrument
from admin_api.errors import invalid
from admin_api.idempotency import OnceOf
from admin_api.limit_changes import LimitCall
from admin_api.override_views import parse_asset, parse_code, parse_value, view_override
from admin_api.schemas.changes import ApprovalView
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.overrides import OverrideBody, OverridesPage, RevokeBody, RevokedView
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import Services, ServicesOf
from engine.controls import NS_PER_S, Override
from engine.instrument import Instrument
from engine.risk_commands import GrantOverride, RevokeOverride
from engine.units import INT_MAX, AssetId, ClOrdId, InstrumentId

READ: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "There is none of that identity"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"},
}
SET: Final[Responses] = {
    **READ,
    HTTPStatus.CONFLICT: {"model": Problem, "description": "The exchange refused it, and why"},
    HTTPStatus.UNPROCESSABLE_ENTITY: {"model": Problem, "description": "Not a number that fits"},
}
REVOKED: Final[Responses] = {
    **SET,
    HTTPStatus.ACCEPTED: {"model": RevokedView, "description": "It waits for the engine"},
    HTTPStatus.PRECONDITION_FAILED: {"model": Problem, "description": "Changed since"},
}
AccountPath = Annotated[int, Path(ge=1, le=INTEGER_MAX)]
Reader = Annotated[User, allow(Permission.LIMITS_READ)]
Writer = Annotated[User, allow(Permission.LIMITS_WRITE)]
Call = Annotated[LimitCall, Depends()]

router = APIRouter(tags=["risk"])


@router.get("/v1/accounts/{account_id}/overrides", responses=READ)
async def list_overrides(
    services: ServicesOf, user: Reader, account_id: AccountPath
) -> OverridesPage:
    """Return what the account's orders may pass for a while, and until when."""
    await check_engine(services)
    account = get_account(services, user, account_id)
    granted = services.engine.limits.overrides_of(account.account_id)
    return OverridesPage(
        items=[
            view_override(override, services.engine.reference)
            for override in granted
            if override.expires_at_ns > time.time_ns()
        ]
    )


@router.post("/v1/accounts/{account_id}/overrides", responses=SET, status_code=HTTPStatus.ACCEPTED)
async def grant(
    services: ServicesOf, user: Writer, account_id: AccountPath, once: OnceOf, body: OverrideBody
) -> ApprovalView:
    """Propose that orders pass a limit up to a value for a while. It always takes two."""
    await check_engine(services)
    account = get_account(services, user, account_id)
    instrument = _find_instrument(services, body)
    reason = parse_code(body.code)
    asset = parse_asset(body.asset, reason, services.engine.reference)
    command = GrantOverride(
        Override(
            account.account_id,
            reason,
            parse_value(body.value, reason, instrument, asset),
            _expiry_of(body),
            user.actor,
            "",  # Who approves it.
            ClOrdId(body.cl_ord_id or ""),
            InstrumentId(0) if instrument is None else instrument.instrument_id,
            AssetId(0) if asset is None else asset.asset_id,
        )
    )
    detail = body.model_dump(mode="json", exclude={"reason"})
    entry = user.audit("override_ordered", f"account:{account_id}", detail, reason=body.reason)
    row = await services.changes.propose(user, once, command, entry, firm_id=None)
    return view_approval(row)


@router.post("/v1/accounts/{account_id}/overrides/revoke", responses=REVOKED)
async def revoke(
    call: Call, user: Writer, account_id: AccountPath, body: RevokeBody
) -> RevokedView:
    """Take an override back before its time is up. One may: it tightens."""
    services = call.services
    await check_engine(services)
    account = get_account(services, user, account_id)
    instrument = _find_instrument(services, body)
    reason = parse_code(body.code)
    asset = parse_asset(body.asset, reason, services.engine.reference)
    command = RevokeOverride(
        account.account_id,
        reason,
        ClOrdId(body.cl_ord_id or ""),
        InstrumentId(0) if instrument is None else instrument.instrument_id,
        user.actor,
        AssetId(0) if asset is None else asset.asset_id,
    )
    done = await call.order(
        user,
        command,
        user.audit("override_revoke_ordered", f"account:{account_id}", body.model_dump()),
        read=lambda: services.engine.limits.overrides_of(account.account_id),
        loosens=lambda _held: False,
        firm_id=None,
    )
    assert isinstance(done, dict), "it loosens nothing"
    return RevokedView(**body.model_dump(), **done)


def _expiry_of(body: OverrideBody) -> int:
    """Return when it ends. Raises the 422 of a time that the journal cannot hold."""
    expires_at_ns = int(body.expires_at.timestamp()) * NS_PER_S
    if not 0 < expires_at_ns <= INT_MAX:
        raise invalid("expires_at: is out of range")
    return expires_at_ns


def _find_instrument(services: Services, body: RevokeBody) -> Instrument | None:
    return None if body.symbol is None else get_instrument(services, body.symbol)
