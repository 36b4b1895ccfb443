"""Orders, executions and trades, searched in the read model."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import not_found
from admin_api.paging import PagingOf
from admin_api.schemas.fields import INTEGER_MAX, Timestamp
from admin_api.schemas.pages import SearchPage
from admin_api.schemas.problem import Problem, Responses
from admin_api.schemas.reports import ExecutionReportView
from admin_api.schemas.searches import (
    OrderEventView,
    OrderStory,
    OrderSummary,
    TradeParty,
    TradeView,
)
from admin_api.services import ServicesOf
from engine.units import OrderId
from store.searches import (
    BEFORE_NONE,
    OrderEventFound,
    OrderFound,
    Search,
    TradeFound,
    find_order,
    list_executions,
    list_order_events,
    list_orders,
    list_trades,
    snapshot,
)

NOT_FOUND: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such order"}
}
NO_FIELDS: Final[dict[str, Any]] = dict.fromkeys(ExecutionReportView.model_fields)

Reader = Annotated[User, allow(Permission.ORDERS_READ)]
OrderPath = Annotated[int, Path(ge=1, le=BEFORE_NONE, description="OrderID(37)")]
AccountQuery = Annotated[int | None, Query(ge=1, le=INTEGER_MAX, description="Of this account")]
OrderQuery = Annotated[int | None, Query(ge=1, le=BEFORE_NONE, description="Of this order")]
SymbolQuery = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._/-]{1,32}$", examples=["BTC-USD"])]
ClOrdIdQuery = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,36}$", description="ClOrdID(11)")
]
CodeQuery = Annotated[str | None, Query(pattern=r"^[0-9A-Z]$")]
SinceQuery = Annotated[
    Timestamp | None,
    Query(description="From this moment on", examples=["2026-11-23T09:30:00Z"]),
]
UntilQuery = Annotated[Timestamp | None, Query(description="Before this moment")]

router = APIRouter(prefix="/v1", tags=["orders"])


@router.get("/orders")
async def search_orders(  # noqa: PLR0913 - A search has as many parts.
    services: ServicesOf,
    user: Reader,
    paging: PagingOf,
    *,
    account_id: AccountQuery = None,
    cl_ord_id: ClOrdIdQuery = None,
    symbol: SymbolQuery = None,
    ord_status: CodeQuery = None,
    is_open: bool | None = None,
    since: SinceQuery = None,
    until: UntilQuery = None,
) -> SearchPage[OrderSummary]:
    """Return orders, refused ones too, the newest first.

    All that is named must fit: `cl_ord_id` is any that the order has had, `since` and `until` are
    when it was entered. To people of a firm, the firm's.
    """
    search = Search(
        firm_id=user.firm_id,
        account_id=account_id,
        cl_ord_id=cl_ord_id,
        symbol=symbol,
        ord_status=ord_status,
        is_open=is_open,
        since=since,
        until=until,
    )
    before_id = paging.begin(BEFORE_NONE)
    async with snapshot(services.database) as at:
        rows = await list_orders(at, search, before_id=before_id, limit=paging.row_count)
    return paging.found(at, rows, _view_order, lambda row: row.order_id)


@router.get("/orders/{order_id}", responses=NOT_FOUND)
async def tell_order(
    services: ServicesOf, user: Reader, order_id: OrderPath, paging: PagingOf
) -> OrderStory:
    """Return an order and its story: every event in order, with the data behind each refusal."""
    after = paging.begin_at(0, 0)
    async with snapshot(services.database) as at:
        order = await find_order(at, OrderId(order_id), firm_id=user.firm_id)
        if order is None:
            raise not_found(f"no order {order_id}")
        rows = await list_order_events(at, order_id, after=after, limit=paging.row_count)
    page = paging.found(at, rows, _view_event, lambda row: (row.seq, row.event_index))
    return OrderStory(**dict(page), order=_view_order(order))


@router.get("/executions")
async def search_executions(  # noqa: PLR0913 - A search has as many parts.
    services: ServicesOf,
    user: Reader,
    paging: PagingOf,
    *,
    account_id: AccountQuery = None,
    order_id: OrderQuery = None,
    cl_ord_id: ClOrdIdQuery = None,
    symbol: SymbolQuery = None,
    exec_type: CodeQuery = None,
    since: SinceQuery = None,
    until: UntilQuery = None,
) -> SearchPage[ExecutionReportView]:
    """Return what was told by ExecutionReport(8), the newest first; fills alone by `exec_type=F`.

    `cl_ord_id` is the order's at that time. To people of a firm, the firm's.
    """
    search = Search(
        firm_id=user.firm_id,
        account_id=account_id,
        order_id=order_id,
        cl_ord_id=cl_ord_id,
        symbol=symbol,
        exec_type=exec_type,
        since=since,
        until=until,
    )
    before = paging.begin_at(BEFORE_NONE, 0)
    async with snapshot(services.database) as at:
        rows = await list_executions(at, search, before=before, limit=paging.row_count)
    return paging.found(at, rows, _view_execution, lambda row: (row.seq, row.event_index))


@router.get("/trades")
async def search_trades(  # noqa: PLR0913 - A search has as many parts.
    services: ServicesOf,
    user: Reader,
    paging: PagingOf,
    *,
    account_id: AccountQuery = None,
    order_id: OrderQuery = None,
    symbol: SymbolQuery = None,
    since: SinceQuery = None,
    until: UntilQuery = None,
) -> SearchPage[TradeView]:
    """Return matches, the newest first; to people of a firm, those in which the firm is a side."""
    search = Search(
        firm_id=user.firm_id,
        account_id=account_id,
        order_id=order_id,
        symbol=symbol,
        since=since,
        until=until,
    )
    before_id = paging.begin(BEFORE_NONE)
    async with snapshot(services.database) as at:
        rows = await list_trades(at, search, before_id=before_id, limit=paging.row_count)
    return paging.found(at, rows, _view_trade, lambda row: row.trade_id)


def _view_order(row: OrderFound) -> OrderSummary:
    return OrderSummary(**asdict(row))


def _view_event(row: OrderEventFound) -> OrderEventView:
    return OrderEventView(
        exec_id=f"{row.seq}.{row.event_index}",
        happened_at=row.happened_at,
        kind=row.kind,
        report=row.report,
        refusal=row.refusal,  # type: ignore[arg-type]  # Pydantic makes the view of it.
    )


def _view_execution(row: OrderEventFound) -> ExecutionReportView:
    return ExecutionReportView(**{**NO_FIELDS, **row.report, "transact_time": row.happened_at})


def _view_trade(row: TradeFound) -> TradeView:
    buyer = TradeParty(
        order_id=row.buy_order_id,
        account_id=row.buy_account_id,
        fee=row.buy_fee,
        fee_asset=row.buy_fee_asset,
    )
    seller = TradeParty(
        order_id=row.sell_order_id,
        account_id=row.sell_account_id,
        fee=row.sell_fee,
        fee_asset=row.sell_fee_asset,
    )
    return TradeView(
        trade_id=row.trade_id,
        happened_at=row.happened_at,
        seq=row.seq,
        symbol=row.symbol,
        price=row.price,
        qty=row.qty,
        notional=row.notional,
        aggressor_side=row.aggressor_side,
        state=row.state,
        changed_seq=row.changed_seq,
        buyer=buyer if row.sees_buyer else None,
        seller=seller if row.sees_seller else None,
    )
