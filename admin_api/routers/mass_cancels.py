"""All open orders of an account or a firm cancelled at once, straight with the engine.

Or once an account is silent for too long: its dead-man timer.
"""

import secrets
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import (
    ask_engine,
    check_engine,
    check_is_known,
    first_event,
    get_account,
    get_instrument,
)
from admin_api.errors import conflict, not_found
from admin_api.idempotency import IdempotencyKey
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.problem import says
from admin_api.schemas.trading import (
    DeadManBody,
    DeadManDone,
    DeadManView,
    MassCancelBody,
    MassCancelDone,
)
from admin_api.services import Services, ServicesOf
from engine.commands import SetDeadManTimer
from engine.controls import NS_PER_S
from engine.events import DeadManTimerSet
from engine.explain import explain
from engine.order import Side
from engine.request_commands import MassCancel
from engine.request_events import MassCancelReported
from engine.scope import Scope
from engine.units import AccountId, ClOrdId, FirmId, InstrumentId, SessionId

ID_BYTES: Final = 12
NO_SESSION: Final = (SessionId(0), 0, 0, 0)
OPERATOR: Final = AccountId(0)
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
READ: Final = {
    **says(HTTPStatus.NOT_FOUND, "No such account, or not of your firm"),
    **says(HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away"),
}
ANSWERS: Final = {
    **says(HTTPStatus.NOT_FOUND, "No such account, firm or instrument, or not of your firm"),
    **says(HTTPStatus.CONFLICT, "The exchange has refused it: `code` is its reason"),
    **says(HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away: it may be done or not"),
}

Reader = Annotated[User, allow(Permission.ACCOUNTS_READ)]
Trader = Annotated[User, allow(Permission.ORDERS_WRITE)]
Canceler = Annotated[User, allow(Permission.ORDERS_CANCEL)]
Identity = Annotated[int, Path(ge=1, le=INTEGER_MAX)]

router = APIRouter(tags=["trading"])


@router.post("/v1/accounts/{account_id}/mass-cancel", responses=ANSWERS)
async def cancel_of_account(
    services: ServicesOf,
    user: Canceler,
    account_id: Identity,
    idempotency_key: IdempotencyKey = None,
    body: MassCancelBody | None = None,
) -> MassCancelDone:
    """Cancel all open orders of the account, of whichever sessions. Later ones are not touched."""
    account = get_account(services, user, account_id)
    owner = (account.account_id, Scope.ACCOUNT, account.account_id)
    return await _cancel(services, user, owner, idempotency_key, body)


@router.get("/v1/accounts/{account_id}/cancel-all-after", responses=READ)
async def show_dead_man_timer(
    services: ServicesOf, user: Reader, account_id: Identity
) -> DeadManView:
    """Return when all orders of the account are cancelled unless its timer is put off."""
    await check_engine(services)
    account = get_account(services, user, account_id)
    expires_at_ns = services.engine.standing.dead_man_timers.get(account.account_id, 0)
    return DeadManView(account_id=account_id, expires_at=_time_of(expires_at_ns))


@router.post("/v1/accounts/{account_id}/cancel-all-after", responses=ANSWERS)
async def cancel_all_after(
    services: ServicesOf, user: Trader, account_id: Identity, body: DeadManBody
) -> DeadManDone:
    """Cancel all orders of the account, later ones too, unless this is called again in time.

    Whatever becomes of connections. The timer is one for the account, whoever sets it.
    """
    account = get_account(services, user, account_id)
    timeout_ns = body.timeout_s * NS_PER_S
    outcome = await ask_engine(
        services, SetDeadManTimer(account.account_id, timeout_ns, user.actor)
    )
    event = first_event(outcome)
    assert isinstance(event, DeadManTimerSet)
    return DeadManDone(
        engine_seq=outcome.seq, account_id=account_id, expires_at=_time_of(event.expires_at_ns)
    )


@router.post("/v1/firms/{firm_id}/mass-cancel", responses=ANSWERS)
async def cancel_of_firm(
    services: ServicesOf,
    user: Canceler,
    firm_id: Identity,
    idempotency_key: IdempotencyKey = None,
    body: MassCancelBody | None = None,
) -> MassCancelDone:
    """Cancel all open orders of all accounts of the firm. Later ones are not touched."""
    check_is_known(services)
    accounts = services.engine.reference.accounts_of(FirmId(firm_id))
    if not accounts or not user.sees_firm(firm_id):
        raise not_found(f"the exchange has no accounts of a firm {firm_id}")
    asker = OPERATOR if user.firm_id is None else accounts[0].account_id
    return await _cancel(services, user, (asker, Scope.FIRM, firm_id), idempotency_key, body)


def _time_of(expires_at_ns: int) -> datetime | None:
    return datetime.fromtimestamp(expires_at_ns // NS_PER_S, UTC) if expires_at_ns else None


async def _cancel(
    services: Services,
    user: User,
    owner: tuple[AccountId, Scope, int],
    key: str | None,
    body: MassCancelBody | None,
) -> MassCancelDone:
    asker, scope, scope_id = owner
    wish = body or MassCancelBody()
    instrument_id = InstrumentId(0)
    if wish.symbol is not None:
        instrument_id = get_instrument(services, wish.symbol).instrument_id
    command = MassCancel(
        *NO_SESSION,
        asker,
        ClOrdId(key or f"R{secrets.token_hex(ID_BYTES)}"),
        scope,
        scope_id,
        instrument_id,
        None if wish.side is None else SIDES[wish.side],
    )
    outcome = await ask_engine(services, command)
    event = outcome.events[0]
    assert isinstance(event, MassCancelReported)
    if event.reason is not None:
        raise conflict(explain(event.reason), code=event.reason.name.lower())
    detail = {"total": event.total, "engine_seq": outcome.seq}
    subject = f"{scope.name.lower()}:{scope_id}"
    services.audit_later.add(user.audit("orders_mass_canceled", subject, detail))
    order_ids = [int(order.order_id) for order in event.affected]
    return MassCancelDone(engine_seq=outcome.seq, total=event.total, order_ids=order_ids)
