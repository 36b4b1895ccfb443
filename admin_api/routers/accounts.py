"""Accounts and what they may risk."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Response

from admin_api.errors import conflict, engine_away, invalid, not_found
from admin_api.schemas.accounts import (
    AccountPage,
    AccountView,
    NewAccountBody,
    RiskLimitsBody,
    RiskLimitsPage,
    RiskLimitsView,
)
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import OperatorOf, Services, ServicesOf
from engine.events import CommandRefused
from engine.instrument import Account, Instrument
from engine.limits import RiskLimits
from engine.runtime.client import LinkClosedError
from engine.units import AccountId, FirmId, Money, parse_fixed
from store.audit import AuditEntry, add_audit_entries
from store.firms import (
    AccountRow,
    ensure_account,
    find_account_named,
    find_firm,
    list_accounts,
)

AWAY: Final[Responses] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"}
}
NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such account"}
}

AccountPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The account's identity")]

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])


@router.get("")
async def list_all_accounts(services: ServicesOf, _operator: OperatorOf) -> AccountPage:
    """Return all accounts. For operators."""
    async with services.database.transaction() as connection:
        rows = await list_accounts(connection)
    return AccountPage(items=[_view(services, row) for row in rows])


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
        **AWAY,
    },
)
async def open_account(
    services: ServicesOf, operator: OperatorOf, response: Response, body: NewAccountBody
) -> AccountView:
    """Open an account, in PostgreSQL and then in the exchange.

    After a 503 it may be in the first alone: ask once more. Repeating does no harm: an account that
    is there already is returned with 200.
    """
    firm_id = FirmId(body.firm_id)
    async with services.database.transaction() as connection:
        if await find_firm(connection, firm_id) is None:
            raise invalid(f"firm_id: no firm {firm_id}")
        row = await find_account_named(connection, firm_id, body.name)
        if row is None:
            account_id = await ensure_account(connection, firm_id, body.name)
            entry = AuditEntry(
                operator.actor,
                "account.open",
                f"account:{account_id}",
                {"firm_id": firm_id, "name": body.name},
            )
            await add_audit_entries(connection, [entry])
            row = await find_account_named(connection, firm_id, body.name)
            assert row is not None
        else:
            response.status_code = HTTPStatus.OK
    await _open_in_exchange(services, row)
    return _view(services, row)


@router.get("/{account_id}/limits", responses={**NOT_FOUND, **AWAY})
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
            for limits in services.engine.limits_of(AccountId(account_id))
        ]
    )


@router.put(
    "/{account_id}/limits/{symbol}",
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


async def _open_in_exchange(services: Services, row: AccountRow) -> None:
    account = Account(row.account_id, row.firm_id, row.name)
    if services.engine.reference.accounts.get(row.account_id) == account:
        return
    try:
        event = await services.engine.open_account(account)
    except (LinkClosedError, TimeoutError):
        raise engine_away(
            f"account {row.account_id} is written down, but the engine is away: ask once more"
        ) from None
    known = services.engine.reference.accounts.get(row.account_id)
    if isinstance(event, CommandRefused) and known != account:
        raise conflict(
            f"the exchange refused account {row.account_id}: {event.reason.name}; "
            "the journal and the database are of different venues"
        )


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


def _view(services: Services, row: AccountRow) -> AccountView:
    is_open = row.account_id in services.engine.reference.accounts
    return AccountView(**asdict(row), is_open=is_open)


def _view_limits(limits: RiskLimits, instrument: Instrument) -> RiskLimitsView:
    return RiskLimitsView(
        account_id=limits.account_id,
        symbol=instrument.symbol,
        order_qty_max=instrument.format_qty(limits.order_qty_max),
        notional_max=instrument.format_notional(limits.notional_max),
    )
