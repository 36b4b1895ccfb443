"""Risk limits: what an order may not exceed."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path

from admin_api.auth.tokens import Operator
from admin_api.errors import conflict, engine_away, invalid, not_found
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.limits import RiskLimitsBody, RiskLimitsPage, RiskLimitsView
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import OperatorOf, Services, ServicesOf
from engine.commands import Command, SetRiskLimits
from engine.events import CommandRefused
from engine.instrument import Instrument
from engine.limits import RiskLimits
from engine.runtime.client import LinkClosedError
from engine.units import AccountId, Money, Qty, parse_fixed
from store.audit import AuditEntry, add_audit_entries

READ: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "There is none of that identity"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"},
}
SET: Final[Responses] = {
    **READ,
    HTTPStatus.UNPROCESSABLE_ENTITY: {
        "model": Problem,
        "description": "Not a number that the instrument can hold exactly",
    },
}

Identity = Annotated[int, Path(ge=1, le=INTEGER_MAX)]
Symbol = Annotated[str, Path(max_length=64, examples=["BTC-USD"])]

router = APIRouter(tags=["limits"])


@router.get("/v1/accounts/{account_id}/limits", responses=READ)
async def list_account_limits(
    services: ServicesOf, _operator: OperatorOf, account_id: Identity
) -> RiskLimitsPage:
    """Return what an order of the account may not exceed, by instrument. For operators."""
    await _check_engine(services)
    _check_account(services, account_id)
    return RiskLimitsPage(
        items=[
            _view_limits(limits, services.engine.reference.instruments[limits.instrument_id])
            for limits in services.engine.limits.of_account(AccountId(account_id))
        ]
    )


@router.put("/v1/accounts/{account_id}/limits/{symbol}", responses=SET)
async def set_account_limits(
    services: ServicesOf,
    operator: OperatorOf,
    account_id: Identity,
    symbol: Symbol,
    body: RiskLimitsBody,
) -> RiskLimitsView:
    """Set what an order of the account in an instrument may not exceed. It holds at once."""
    await _check_engine(services)
    _check_account(services, account_id)
    instrument = _get_instrument(services, symbol)
    limits = RiskLimits(
        AccountId(account_id),
        instrument.instrument_id,
        _parse_qty(body.order_qty_max, instrument),
        _parse_notional(body.notional_max, instrument),
    )
    detail = {"symbol": symbol, **body.model_dump()}
    entry = _entry(operator, "limits_ordered", f"account:{account_id}", detail)
    await _order(services, entry, SetRiskLimits(limits))
    return _view_limits(limits, instrument)


async def _check_engine(services: Services) -> None:
    """Only the engine knows what holds. Raises the 503 that says that it is away."""
    if await services.engine.status() is None:
        raise engine_away()


def _check_account(services: Services, account_id: int) -> None:
    if account_id not in services.engine.reference.accounts:
        raise not_found(f"the exchange has no account {account_id}")


def _get_instrument(services: Services, symbol: str) -> Instrument:
    instrument = services.engine.reference.instruments_by_symbol.get(symbol)
    if instrument is None:
        raise not_found(f"the exchange has no instrument {symbol}")
    return instrument


async def _order(services: Services, entry: AuditEntry, command: Command) -> None:
    """Write down who wants what, and then let the engine do it."""
    async with services.database.transaction() as connection:
        await add_audit_entries(connection, [entry])
    try:
        event = await services.engine.submit(command)
    except (LinkClosedError, TimeoutError):
        raise engine_away() from None
    if isinstance(event, CommandRefused):
        raise conflict(f"the exchange refused it: {event.reason.name}")


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


def _view_limits(limits: RiskLimits, instrument: Instrument) -> RiskLimitsView:
    return RiskLimitsView(
        account_id=limits.account_id,
        symbol=instrument.symbol,
        order_qty_max=instrument.format_qty(limits.order_qty_max),
        notional_max=instrument.format_notional(limits.notional_max),
    )


def _entry(operator: Operator, action: str, subject: str, detail: dict[str, Any]) -> AuditEntry:
    return AuditEntry(operator.actor, action, subject, detail)
