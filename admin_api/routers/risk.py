"""Risk controls: limits, the rules of instruments, trading modes, what an order would do."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from msgspec.structs import replace

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import ask_engine, first_event, get_instrument
from admin_api.errors import engine_away, invalid, not_found
from admin_api.etags import etag_of
from admin_api.limit_changes import LimitCall
from admin_api.risk_views import (
    loosens_limit,
    loosens_mode,
    loosens_rules,
    parse_limit,
    parse_price,
    parse_rules,
    view_limit,
    view_mode,
    view_rules,
)
from admin_api.schemas.changes import ApprovalView
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.problem import Problem, Responses
from admin_api.schemas.risk import (
    ControlBody,
    ControlsPage,
    ControlView,
    ModeAnswer,
    ModeBody,
    ModesPage,
    ReferencePriceBody,
    RefusalView,
    RulesAnswer,
    RulesBody,
    RulesChange,
    RulesView,
    ScopeName,
    WhatIfBody,
    WhatIfView,
)
from admin_api.services import Services, ServicesOf
from engine.commands import Command, NewOrder
from engine.controls import InstrumentRules, Level, Mode
from engine.gate import Rejection
from engine.instrument import Instrument
from engine.order import OrdType, Side, TimeInForce
from engine.refusal import describe
from engine.risk_commands import SetInstrumentRules, SetLimit, SetReferencePrice, SetTradingMode
from engine.runtime.client import LinkClosedError
from engine.scope import Scope
from engine.units import AccountId, ClOrdId, Price, Qty, SessionId, UserId
from store.audit import AuditEntry, add_audit_entries
from store.sessions import find_session

READ: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "There is none of that identity"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"},
}
SET: Final[Responses] = {
    **READ,
    HTTPStatus.ACCEPTED: {"model": ApprovalView, "description": "It loosens: it waits for another"},
    HTTPStatus.PRECONDITION_FAILED: {"model": Problem, "description": "Changed since"},
    HTTPStatus.CONFLICT: {"model": Problem, "description": "The exchange refused it, and why"},
    HTTPStatus.UNPROCESSABLE_ENTITY: {"model": Problem, "description": "Not a number that fits"},
}
ASKED: Final = ClOrdId("what-if")
"""The name of an order that is only asked about: nobody's, for it is never entered."""

Identity = Annotated[int, Path(ge=1, le=INTEGER_MAX)]
Symbol = Annotated[str, Path(max_length=64, examples=["BTC-USD"])]
Reader = Annotated[User, allow(Permission.LIMITS_READ)]
Writer = Annotated[User, allow(Permission.LIMITS_WRITE)]
Call = Annotated[LimitCall, Depends()]

router = APIRouter(tags=["risk"])


@router.get("/v1/risk/controls", responses=READ)
async def list_controls(
    services: ServicesOf,
    user: Reader,
    response: Response,
    scope: Annotated[ScopeName, Query()],
    scope_id: Annotated[int, Query(ge=0, le=INTEGER_MAX)],
) -> ControlsPage:
    """Return all limits of a firm, an account, a user or a session, by control."""
    await _check_engine(services)
    _check_sight(services, user, Scope[scope], scope_id)
    found = services.engine.limits.of_owner(Scope[scope], scope_id)
    response.headers["ETag"] = etag_of(found)
    reference = services.engine.reference
    return ControlsPage(items=[view_limit(limit, reference) for limit in found])


@router.put("/v1/risk/controls", responses=SET)
async def set_control(call: Call, user: Writer, body: ControlBody) -> ControlView | ApprovalView:
    """Set one limit, or take it away. It holds with the next order; the tightest level decides.

    What allows more than before is proposed where that takes two.
    """
    services = call.services
    await _check_engine(services)
    limit = parse_limit(body, services.engine.reference)
    subject = f"{limit.scope.name.lower()}:{limit.scope_id}"
    entry = user.audit("limits_ordered", subject, body.model_dump())
    done = await call.order(
        user,
        SetLimit(limit, user.actor),
        entry,
        read=lambda: services.engine.limits.of_owner(limit.scope, limit.scope_id),
        loosens=lambda held: loosens_limit(held, limit),
        firm_id=None,
    )
    if isinstance(done, ApprovalView):
        return done
    return view_limit(limit, services.engine.reference).model_copy(update=done)


@router.get("/v1/instruments/{symbol}/rules", responses=READ)
async def show_rules(
    services: ServicesOf, _user: Reader, response: Response, symbol: Symbol
) -> RulesView:
    """Return what every order in the instrument must keep to."""
    await _check_engine(services)
    instrument = get_instrument(services, symbol)
    rules = services.engine.limits.rules_of(instrument.instrument_id)
    response.headers["ETag"] = etag_of(rules)
    return view_rules(rules or InstrumentRules(instrument.instrument_id), instrument)


@router.put("/v1/instruments/{symbol}/rules", responses=SET)
async def set_rules(
    call: Call, user: Writer, symbol: Symbol, body: RulesBody
) -> RulesAnswer | ApprovalView:
    """Set what every order in the instrument must keep to, all of it at once. It holds at once.

    What allows more than before is proposed where that takes two.
    """
    await _check_engine(call.services)
    return await _order_rules(call, user, get_instrument(call.services, symbol), body)


@router.patch("/v1/instruments/{symbol}/rules", responses=SET)
async def change_rules(
    call: Call, user: Writer, symbol: Symbol, body: RulesChange
) -> RulesAnswer | ApprovalView:
    """Set some rules of the instrument; what is left out stays. Else it is as `PUT`."""
    services = call.services
    await _check_engine(services)
    instrument = get_instrument(services, symbol)
    held = services.engine.limits.rules_of(instrument.instrument_id)
    call.build_on(held)
    shown = view_rules(held or InstrumentRules(instrument.instrument_id), instrument)
    values = shown.model_dump(exclude={"symbol"}) | body.model_dump(exclude_unset=True)
    return await _order_rules(call, user, instrument, RulesBody.model_validate(values))


@router.put("/v1/instruments/{symbol}/reference-price", responses=SET)
async def set_reference_price(
    services: ServicesOf, user: Writer, symbol: Symbol, body: ReferencePriceBody
) -> ReferencePriceBody:
    """Say what the instrument is worth while nothing trades."""
    await _check_engine(services)
    instrument = get_instrument(services, symbol)
    price = None if body.price is None else parse_price("price", body.price, instrument)
    entry = user.audit("reference_price_ordered", f"instrument:{symbol}", body.model_dump())
    await _order(services, entry, SetReferencePrice(instrument.instrument_id, price, user.actor))
    return body


@router.get("/v1/risk/modes", responses=READ)
async def list_modes(services: ServicesOf, user: Reader, response: Response) -> ModesPage:
    """Return who may not do everything at present, and why."""
    await _check_engine(services)
    modes = services.engine.limits.modes()
    response.headers["ETag"] = etag_of(modes)
    return ModesPage(
        items=[
            view_mode(mode)
            for mode in modes
            if user.firm_id is None or _sees(services, user, mode.scope, mode.scope_id)
        ]
    )


@router.put("/v1/risk/modes", responses=SET)
async def set_mode(call: Call, user: Writer, body: ModeBody) -> ModeAnswer | ApprovalView:
    """Say what a scope may still do. BLOCKED cancels its open orders too.

    What allows more than before is proposed where that takes two.
    """
    services = call.services
    await _check_engine(services)
    command = SetTradingMode(
        Scope[body.scope],
        body.scope_id,
        Level[body.level],
        Mode[body.mode],
        body.reason,
        user.actor,
    )
    subject = f"{body.scope.lower()}:{body.scope_id}"
    done = await call.order(
        user,
        command,
        user.audit("mode_ordered", subject, body.model_dump()),
        read=services.engine.limits.modes,
        loosens=lambda held: loosens_mode(held, command),
        firm_id=None,
    )
    if isinstance(done, ApprovalView):
        return done
    return ModeAnswer(**body.model_dump(), **done)


@router.post("/v1/accounts/{account_id}/what-if", responses=SET)
async def what_if(
    services: ServicesOf, user: Reader, account_id: Identity, body: WhatIfBody
) -> WhatIfView:
    """Return whether the exchange would let such an order in now. It is not entered."""
    await _check_engine(services)
    _check_sight(services, user, Scope.ACCOUNT, account_id)
    instrument = get_instrument(services, body.symbol)
    order = _make_order(body, AccountId(account_id), instrument)
    if body.session_id:
        order = replace(order, user_id=await _find_user_of(services, user, order.session_id))
    try:
        answer = await services.engine.what_if(order)
    except (LinkClosedError, TimeoutError):
        raise engine_away() from None
    refusal = None
    if answer.reason is not None:
        rejection = Rejection(
            answer.reason, answer.limit, answer.actual, answer.scope, answer.detail
        )
        refusal = RefusalView.model_validate(asdict(describe(rejection, instrument, order.side)))
    return WhatIfView(would_be_accepted=refusal is None, as_of_seq=answer.last_seq, refusal=refusal)


async def _order_rules(
    call: LimitCall, user: User, instrument: Instrument, body: RulesBody
) -> RulesAnswer | ApprovalView:
    rules = parse_rules(body, instrument)
    entry = user.audit("rules_ordered", f"instrument:{instrument.symbol}", body.model_dump())
    done = await call.order(
        user,
        SetInstrumentRules(rules, user.actor),
        entry,
        read=lambda: call.services.engine.limits.rules_of(instrument.instrument_id),
        loosens=lambda held: loosens_rules(held, rules),
        firm_id=None,
    )
    if isinstance(done, ApprovalView):
        return done
    return RulesAnswer(**view_rules(rules, instrument).model_dump(), **done)


async def _find_user_of(services: Services, user: User, session_id: SessionId) -> UserId:
    """Return whose the session's orders are, 0 for nobody's."""
    async with services.database.transaction() as connection:
        row = await find_session(connection, session_id)
    if row is None or not user.sees_firm(row.firm_id):
        return UserId(0)
    return row.user_id or UserId(0)


def _make_order(body: WhatIfBody, account_id: AccountId, instrument: Instrument) -> NewOrder:
    qty = instrument.parse_qty(body.order_qty)
    if qty is None:
        raise invalid(f"order_qty: {body.order_qty!r} does not fit the instrument")
    price = None if body.price is None else parse_price("price", body.price, instrument)
    return NewOrder(
        session_id=SessionId(body.session_id),
        generation=0,
        epoch=0,
        msg_seq_num=0,
        account_id=account_id,
        instrument_id=instrument.instrument_id,
        cl_ord_id=ASKED,
        side=Side[body.side],
        ord_type=OrdType[body.ord_type],
        time_in_force=TimeInForce[body.time_in_force],
        order_qty=Qty(qty),
        price=None if price is None else Price(price),
    )


async def _check_engine(services: Services) -> None:
    """Only the engine knows what holds. Raises the 503 that says that it is away."""
    if await services.engine.status() is None:
        raise engine_away()


def _check_sight(services: Services, user: User, scope: Scope, scope_id: int) -> None:
    """To people of a firm nothing exists but what is their firm's. Raises the 404."""
    if scope is Scope.ACCOUNT:
        account = services.engine.reference.accounts.get(AccountId(scope_id))
        if account is None or not user.sees_firm(account.firm_id):
            raise not_found(f"the exchange has no account {scope_id}")
    elif user.firm_id is not None and not _sees(services, user, scope, scope_id):
        raise not_found(f"no {scope.name.lower()} {scope_id}")


def _sees(services: Services, user: User, scope: Scope, scope_id: int) -> bool:
    """Return whether somebody of a firm may know of it."""
    match scope:
        case Scope.EVERYTHING | Scope.INSTRUMENT:
            return True
        case Scope.FIRM:
            return scope_id == user.firm_id
        case Scope.ACCOUNT:
            account = services.engine.reference.accounts.get(AccountId(scope_id))
            return account is not None and user.sees_firm(account.firm_id)
        case Scope.USER:
            return scope_id == user.user_id
        case Scope.SESSION:
            return False


async def _order(services: Services, entry: AuditEntry, command: Command) -> None:
    """Write down who wants what, and then let the engine do it."""
    async with services.database.transaction() as connection:
        await add_audit_entries(connection, [entry])
    first_event(await ask_engine(services, command))
