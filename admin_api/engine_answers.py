"""What the engine answers, as the REST door tells it."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Response

from admin_api.auth.user import User
from admin_api.errors import conflict, engine_away, invalid, not_found
from admin_api.services import Services
from engine.commands import CancelOrder, Command, NewOrder, ReplaceOrder
from engine.events import CommandRefused, Event
from engine.explain import explain
from engine.instrument import Account, Instrument
from engine.request_commands import MassCancel
from engine.runtime.client import LinkClosedError, Outcome
from engine.units import AccountId, FirmId, parse_fixed
from store.changes import ChangeRow
from store.firms import find_firm


async def ask_engine(services: Services, command: Command) -> Outcome:
    """Return what a command has led to. Raises the 503 that says that nobody knows."""
    try:
        outcome = await services.engine.ask(command)
    except (LinkClosedError, TimeoutError):
        raise engine_away() from None
    # With them the line of the request can be found by its order, and the other way round.
    structlog.contextvars.bind_contextvars(engine_seq=outcome.seq)
    if isinstance(command, NewOrder | CancelOrder | ReplaceOrder | MassCancel):
        structlog.contextvars.bind_contextvars(cl_ord_id=command.cl_ord_id)
    return outcome


def first_event(outcome: Outcome) -> Event:
    """Return what the engine has done. Raises the 409 that says that it has refused."""
    event = outcome.events[0]
    if isinstance(event, CommandRefused):
        words = explain(event.reason, limit=event.limit, actual=event.actual)
        raise conflict(words, code=event.reason.name.lower())
    return event


def settle(response: Response, row: ChangeRow) -> dict[str, Any]:
    """Return where a change stands, as fields of a view: 202 while it waits for the engine.

    Raises the 409 that says that the engine has refused it.
    """
    if row.refusal is not None:
        code, _, _ = row.refusal.partition(":")
        raise conflict(row.refusal, code=code.lower())
    if row.engine_seq is None:
        response.status_code = HTTPStatus.ACCEPTED
    return {"change_id": row.change_id, "engine_seq": row.engine_seq}


async def check_engine(services: Services) -> None:
    """Let those through who ask what only the engine knows. Raises the 503 that it is away."""
    if await services.engine.status() is None:
        raise engine_away()


def check_is_known(services: Services) -> None:
    """Let those through who ask for what the engine has told. Raises 503 before its first word."""
    if services.engine.durable_seq is None:
        raise engine_away()


def get_account(services: Services, user: User, account_id: int) -> Account:
    """Return the account. Raises the 404 that says that there is none, or none for this user."""
    check_is_known(services)
    account = services.engine.reference.accounts.get(AccountId(account_id))
    if account is None or not user.sees_firm(account.firm_id):
        raise not_found(f"no account {account_id}")
    return account


async def get_firm(services: Services, user: User, firm_id: int) -> FirmId:
    """Return the firm. Raises the 404 that says that there is none, or none for this user."""
    async with services.database.transaction() as connection:
        firm = await find_firm(connection, FirmId(firm_id))
    if firm is None or not user.sees_firm(firm.firm_id):
        raise not_found(f"no firm {firm_id}")
    return firm.firm_id


def get_instrument(services: Services, symbol: str) -> Instrument:
    """Return the instrument. Raises the 404 that says that there is none."""
    check_is_known(services)
    instrument = services.engine.reference.instruments_by_symbol.get(symbol)
    if instrument is None:
        raise not_found(f"the exchange has no instrument {symbol}")
    return instrument


def parse_number(field: str, text: str, decimals: int) -> int:
    """Return what decimal text names, exactly. Raises 422, `field` being whose it is."""
    value = parse_fixed(text, decimals)
    if value is None:
        raise invalid(f"{field}: {text!r} is no decimal number of at most {decimals} decimals")
    return value
