"""Orders over REST: placed, amended and cancelled by people of the firm, straight with the engine.

Once a call is let in it asks neither PostgreSQL nor Redis.
"""

import secrets
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import ask_engine, get_account, get_instrument, parse_number
from admin_api.errors import ApiError, conflict, invalid, not_found
from admin_api.idempotency import OnceOf, key_reused
from admin_api.reports import view_report
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.problem import says
from admin_api.schemas.trading import (
    AmendBody,
    NewOrderBody,
    OrderDone,
)
from admin_api.services import Services, ServicesOf
from engine.commands import CancelOrder, NewOrder, ReplaceOrder
from engine.events import (
    CancelRejected,
    Event,
    ExecutionEvent,
    OrderRejected,
    OrderStatusReported,
)
from engine.explain import explain
from engine.instrument import Account, Instrument
from engine.order import OrderTerms, OrderView, OrdStatus, OrdType, Side, TimeInForce
from engine.reasons import RejectReason
from engine.request_commands import ReportOrder
from engine.runtime.client import Outcome
from engine.units import ClOrdId, OrderId, Price, Qty, SessionId, UserId

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
ORD_TYPES: Final = {"limit": OrdType.LIMIT, "market": OrdType.MARKET}
TIMES: Final = {
    "day": TimeInForce.DAY,
    "gtc": TimeInForce.GTC,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
    "gtd": TimeInForce.GTD,
}
NO_SESSION: Final = (SessionId(0), 0, 0, 0)
ID_BYTES: Final = 12
NS_PER_S: Final = 1_000_000_000
ANSWERS: Final = {
    **says(HTTPStatus.NOT_FOUND, "No such account or instrument, or not of your firm"),
    **says(HTTPStatus.CONFLICT, "The exchange has refused it: `code` is its reason"),
    **says(HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away: it may be done or not"),
}

Reader = Annotated[User, allow(Permission.ORDERS_READ)]
Trader = Annotated[User, allow(Permission.ORDERS_WRITE)]
Canceler = Annotated[User, allow(Permission.ORDERS_CANCEL)]
AccountPath = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The account's identity")]
OrderPath = Annotated[int, Path(ge=1, le=(1 << 63) - 1, description="OrderID(37)")]

router = APIRouter(prefix="/v1/accounts/{account_id}", tags=["trading"])


@router.post("/orders", status_code=HTTPStatus.CREATED, responses=ANSWERS)
async def place_order(
    services: ServicesOf, user: Trader, account_id: AccountPath, once: OnceOf, body: NewOrderBody
) -> OrderDone:
    """Place an order. The answer comes once it is durable, with the fills that it had at once.

    The Idempotency-Key is its ClOrdID(11), which an account uses once in 24 hours: sent again with
    the same key the order is not placed again, and the answer is how it stands. One that was
    refused is forgotten: sent again it is looked at anew.
    """
    account = get_account(services, user, account_id)
    instrument = get_instrument(services, body.symbol)
    command = msgspec.structs.replace(
        _new_order(account, instrument, body, _name(once.key, body.cl_ord_id)),
        user_id=UserId(user.user_id),
        is_poss_resend=once.key is not None,
    )
    outcome = await ask_engine(services, command)
    event = outcome.events[0]
    if isinstance(event, OrderRejected):
        raise _refused(event, instrument)
    assert isinstance(event, ExecutionEvent)
    if isinstance(event, OrderStatusReported) and not _is_same(event.order, command):
        raise key_reused()
    detail = {"cl_ord_id": command.cl_ord_id, "engine_seq": outcome.seq}
    services.audit_later.add(user.audit("order_placed", f"account:{account_id}", detail))
    return _done(services, outcome, event.order)


@router.get("/orders/{order_id}", responses=ANSWERS)
async def show_order(
    services: ServicesOf, user: Reader, account_id: AccountPath, order_id: OrderPath
) -> OrderDone:
    """Return how an order stands now: open, or ended within the last 24 hours."""
    account = get_account(services, user, account_id)
    outcome = await _find_order(services, account, order_id)
    event = outcome.events[0]
    assert isinstance(event, OrderStatusReported)
    return _done(services, outcome, event.order)


@router.patch("/orders/{order_id}", responses=ANSWERS)
async def amend_order(
    services: ServicesOf,
    user: Trader,
    account_id: AccountPath,
    order_id: OrderPath,
    once: OnceOf,
    body: AmendBody,
) -> OrderDone:
    """Amend an order. It keeps its place for less of the same price alone."""
    account = get_account(services, user, account_id)
    found = (await _find_order(services, account, order_id)).events[0]
    assert isinstance(found, OrderStatusReported)
    instrument = services.engine.reference.instruments[found.order.instrument_id]
    command = ReplaceOrder(
        *NO_SESSION,
        account.account_id,
        _name(once.key, body.cl_ord_id),
        ClOrdId(""),
        Qty(parse_number("order_qty", body.order_qty, instrument.definition.qty_decimals)),
        Price(parse_number("price", body.price, instrument.definition.price_decimals)),
        OrderId(order_id),
        is_poss_resend=once.key is not None,
        user_id=UserId(user.user_id),
    )
    outcome = await ask_engine(services, command)
    order = _changed(outcome.events[0], instrument)
    detail = {"order_id": order_id, "engine_seq": outcome.seq}
    services.audit_later.add(user.audit("order_amended", f"account:{account_id}", detail))
    return _done(services, outcome, order)


@router.delete("/orders/{order_id}", responses=ANSWERS)
async def cancel_order(
    services: ServicesOf, user: Canceler, account_id: AccountPath, order_id: OrderPath, once: OnceOf
) -> OrderDone:
    """Cancel an order. For one that is cancelled already the answer is good, too."""
    account = get_account(services, user, account_id)
    command = CancelOrder(
        *NO_SESSION, account.account_id, _name(once.key, None), ClOrdId(""), OrderId(order_id)
    )
    outcome = await ask_engine(services, command)
    event = outcome.events[0]
    if isinstance(event, CancelRejected) and _is_canceled(event):
        assert event.order is not None
        return _done(services, Outcome(outcome.seq, [], 0), event.order)
    order = _changed(event, None)
    detail = {"order_id": order_id, "engine_seq": outcome.seq}
    services.audit_later.add(user.audit("order_canceled", f"account:{account_id}", detail))
    return _done(services, outcome, order)


def _name(key: str | None, cl_ord_id: str | None) -> ClOrdId:
    """Return the ClOrdID of a request: the client's own name for it wherever he has given it."""
    if key is not None and cl_ord_id not in (None, key):
        raise invalid("cl_ord_id: is another one than the Idempotency-Key")
    return ClOrdId(key or cl_ord_id or f"R{secrets.token_hex(ID_BYTES)}")


def _new_order(
    account: Account, instrument: Instrument, body: NewOrderBody, cl_ord_id: ClOrdId
) -> NewOrder:
    definition = instrument.definition
    price = body.price
    return NewOrder(
        *NO_SESSION,
        account.account_id,
        instrument.instrument_id,
        cl_ord_id,
        SIDES[body.side],
        ORD_TYPES[body.ord_type],
        TIMES[body.time_in_force],
        Qty(parse_number("order_qty", body.order_qty, definition.qty_decimals)),
        None if price is None else Price(parse_number("price", price, definition.price_decimals)),
        outlives_connection=True,
        terms=_terms(instrument, body),
    )


def _terms(instrument: Instrument, body: NewOrderBody) -> OrderTerms | None:
    min_qty = Qty(0)
    if body.min_qty is not None:
        min_qty = Qty(parse_number("min_qty", body.min_qty, instrument.definition.qty_decimals))
    expires_at_ns = 0
    if body.expires_at is not None:
        expires_at_ns = int(body.expires_at.timestamp()) * NS_PER_S
        if not 0 < expires_at_ns < 1 << 63:
            raise invalid("expires_at: is out of range")
    terms = OrderTerms(body.is_post_only, min_qty, expires_at_ns)
    return None if terms == OrderTerms() else terms


def _is_same(order: OrderView, command: NewOrder) -> bool:
    """Whether the order that bears the name is the one that is asked for again."""
    asked = (command.instrument_id, command.side, command.ord_type, command.time_in_force)
    if (order.instrument_id, order.side, order.ord_type, order.time_in_force) != asked:
        return False
    # An amendment has given it another name, another price and another quantity.
    is_amended = order.cl_ord_id != command.cl_ord_id
    return is_amended or (order.price, order.order_qty) == (command.price, command.order_qty)


async def _find_order(services: Services, account: Account, order_id: int) -> Outcome:
    """Ask the engine, who alone knows how an order stands now. Raises 404."""
    command = ReportOrder(*NO_SESSION, account.account_id, ClOrdId(""), OrderId(order_id))
    outcome = await ask_engine(services, command)
    if not isinstance(outcome.events[0], OrderStatusReported):
        raise not_found(f"account {account.account_id} has no order {order_id}")
    return outcome


def _changed(event: Event, instrument: Instrument | None) -> OrderView:
    if isinstance(event, CancelRejected):
        words = explain(
            event.reason,
            limit=event.limit,
            actual=event.actual,
            instrument=instrument,
            side=None if event.order is None else event.order.side,
            scope=event.scope,
        )
        if event.reason is RejectReason.UNKNOWN_ORDER:
            raise not_found(words)
        raise conflict(words, code=event.reason.name.lower())
    assert isinstance(event, ExecutionEvent)
    return event.order


def _refused(event: OrderRejected, instrument: Instrument) -> ApiError:
    words = explain(
        event.reason,
        limit=event.limit,
        actual=event.actual,
        instrument=instrument,
        side=event.order.side,
        scope=event.scope,
    )
    return conflict(words, code=event.reason.name.lower())


def _is_canceled(event: CancelRejected) -> bool:
    return (
        event.reason is RejectReason.TOO_LATE_TO_CANCEL
        and event.order is not None
        and event.order.ord_status is OrdStatus.CANCELED
    )


def _done(services: Services, outcome: Outcome, order: OrderView) -> OrderDone:
    """Return the reports of the order among all that has happened, those of others left out."""
    reports = [
        view_report(
            event, f"{outcome.seq}.{index}", services.engine.reference, outcome.happened_at_ns
        )
        for index, event in enumerate(outcome.events)
        if isinstance(event, ExecutionEvent) and event.order.order_id == order.order_id
    ]
    return OrderDone(
        engine_seq=outcome.seq,
        order_id=order.order_id,
        cl_ord_id=order.cl_ord_id,
        reports=reports,
    )
