"""Risk limits: what an order may not exceed."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path

from admin_api.errors import conflict, engine_away, invalid, not_found
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.limits import RiskLimitsBody, RiskLimitsPage, RiskLimitsView
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import OperatorOf, ServicesOf
from engine.events import CommandRefused
from engine.instrument import Instrument
from engine.limits import RiskLimits
from engine.runtime.client import LinkClosedError
from engine.units import AccountId, Money, parse_fixed
from store.audit import AuditEntry, add_audit_entries

AWAY: Final[Responses] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"}
}
NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such account"}
}

AccountPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The account's identity")]

router = APIRouter(tags=["limits"])


@router.get("/v1/accounts/{account_id}/limits", responses={**NOT_FOUND, **AWAY})
async def list_risk_limits(
    services: ServicesOf, _operator: OperatorOf, account_id: AccountPath
) -> RiskLimitsPage:
    """Return what an order of the account may not exceed, by instrument. For operators."""
    if await services.engine.status() is None:
        raise engine_away()
    if account_id not in services.engine.reference.accounts:
        raise not_found(f"the exchange has no account {account_id}")
    instruments = services.engine.reference.instruments
    return RiskLimitsPage(
        items=[
            _view_limits(limits, instruments[limits.instrument_id])
            for limits in services.engine.limits.of_account(AccountId(account_id))
        ]
    )


@router.put(
    "/v1/accounts/{account_id}/limits/{symbol}",
    responses={
        HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such account or instrument"},
        HTTPStatus.UNPROCESSABLE_ENTITY: {
            "model": Problem,
            "description": "Not a number that the instrument can hold exactly",
        },
        **AWAY,
    },
)
async def set_risk_limits(
    services: ServicesOf,
    operator: OperatorOf,
    account_id: AccountPath,
    symbol: Annotated[str, Path(max_length=64, examples=["BTC-USD"])],
    body: RiskLimitsBody,
) -> RiskLimitsView:
    """Set what an order of the account in an instrument may not exceed. It holds at once."""
    reference = services.engine.reference
    instrument = reference.instruments_by_symbol.get(symbol)
    if account_id not in reference.accounts or instrument is None:
        if await services.engine.status() is None:
            raise engine_away()
        missing = f"account {account_id}" if instrument is not None else f"instrument {symbol}"
        raise not_found(f"the exchange has no {missing}")
    limits = _parse_limits(AccountId(account_id), instrument, body)
    async with services.database.transaction() as connection:
        # Before the engine is asked: no change without the name of who wanted it.
        detail = {"symbol": symbol, **body.model_dump()}
        entry = AuditEntry(operator.actor, "limits.set", f"account:{account_id}", detail)
        await add_audit_entries(connection, [entry])
    try:
        event = await services.engine.set_limits(limits)
    except (LinkClosedError, TimeoutError):
        raise engine_away() from None
    if isinstance(event, CommandRefused):
        raise conflict(f"the exchange refused it: {event.reason.name}")
    return _view_limits(event.limits, instrument)


def _parse_limits(
    account_id: AccountId, instrument: Instrument, body: RiskLimitsBody
) -> RiskLimits:
    order_qty_max = instrument.parse_qty(body.order_qty_max)
    if order_qty_max is None:
        raise _inexact("order_qty_max", body.order_qty_max, instrument.definition.qty_decimals)
    notional_max = parse_fixed(body.notional_max, instrument.quote.decimals)
    if notional_max is None:
        raise _inexact("notional_max", body.notional_max, instrument.quote.decimals)
    return RiskLimits(account_id, instrument.instrument_id, order_qty_max, Money(notional_max))


def _inexact(field: str, text: str, decimals: int) -> HTTPException:
    return invalid(f"{field}: {text!r} is no decimal number of at most {decimals} decimals")


def _view_limits(limits: RiskLimits, instrument: Instrument) -> RiskLimitsView:
    return RiskLimitsView(
        account_id=limits.account_id,
        symbol=instrument.symbol,
        order_qty_max=instrument.format_qty(limits.order_qty_max),
        notional_max=instrument.format_notional(limits.notional_max),
    )
