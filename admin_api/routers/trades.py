"""Trades undone or settled anew: proposed by one of the venue, let pass by another.

Everything moves as the trade had moved it, fees too. The market is not played again.
"""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.changes import view_approval
from admin_api.engine_answers import check_engine, parse_number, settle
from admin_api.errors import not_found
from admin_api.idempotency import Once, OnceOf
from admin_api.reports import reading_answers
from admin_api.schemas.changes import ApprovalView
from admin_api.schemas.problem import says
from admin_api.schemas.trades import BustBody, CorrectionBody, TradeAmended
from admin_api.services import Services, ServicesOf
from engine.trade_commands import BookedTrade, BustTrade, CorrectTrade, TradeCommand
from engine.units import Price, Qty, Seq, TradeId
from store.audit import AuditEntry
from store.searches import BEFORE_NONE, find_trade, snapshot

ANSWERS: Final = {
    HTTPStatus.ACCEPTED: {"model": ApprovalView, "description": "It waits for another's word"},
    **says(HTTPStatus.NOT_FOUND, "No such trade, as far as the read model goes"),
    **says(HTTPStatus.CONFLICT, "The exchange has refused it: `code` is its reason"),
    **says(HTTPStatus.GONE, "Older than what is kept"),
}

Amender = Annotated[User, allow(Permission.TRADES_AMEND)]
TradePath = Annotated[int, Path(ge=1, le=BEFORE_NONE, description="SecondaryExecID(527)")]

router = APIRouter(prefix="/v1/trades/{trade_id}", tags=["trades"])


@router.post("/bust", responses=ANSWERS)
async def bust_trade(
    services: ServicesOf,
    user: Amender,
    response: Response,
    once: OnceOf,
    trade_id: TradePath,
    body: BustBody,
) -> TradeAmended | ApprovalView:
    """Undo a trade: what it moved goes back, and both sides are told. No order is opened again.

    Refused when an account cannot give back what it got, unless it is forced.
    """
    trade = await _get_trade(services, trade_id)
    command = BustTrade(trade, body.reason, user.actor, body.is_forced)
    shall_be = {"state": "busted", "is_forced": body.is_forced}
    entry = user.audit("trade_bust_ordered", f"trade:{trade_id}", shall_be, reason=body.reason)
    return await _order(services, user, response, once, command, entry)


@router.post("/correct", responses=ANSWERS)
async def correct_trade(
    services: ServicesOf,
    user: Amender,
    response: Response,
    once: OnceOf,
    trade_id: TradePath,
    body: CorrectionBody,
) -> TradeAmended | ApprovalView:
    """Settle a trade anew at another price, or for less than it was. Otherwise as undoing it."""
    trade = await _get_trade(services, trade_id)
    definition = services.engine.reference.instruments[trade.instrument_id].definition
    command = CorrectTrade(
        trade,
        Qty(parse_number("qty", body.qty, definition.qty_decimals)),
        Price(parse_number("price", body.price, definition.price_decimals)),
        body.reason,
        user.actor,
        body.is_forced,
    )
    shall_be = {"state": "corrected", **body.model_dump(exclude={"reason"})}
    entry = user.audit(
        "trade_correction_ordered", f"trade:{trade_id}", shall_be, reason=body.reason
    )
    return await _order(services, user, response, once, command, entry)


async def _get_trade(services: Services, trade_id: int) -> BookedTrade:
    """Return the trade as the journal tells of it, whose record the read model knows."""
    await check_engine(services)
    async with snapshot(services.database) as at:
        found = await find_trade(at, TradeId(trade_id))
    if found is None:
        raise not_found(f"no trade {trade_id}")
    with reading_answers():
        trade = await services.reports.find_trade(Seq(found.seq), TradeId(trade_id))
    assert trade is not None
    return trade


async def _order(
    services: Services,
    user: User,
    response: Response,
    once: Once,
    command: TradeCommand,
    entry: AuditEntry,
) -> TradeAmended | ApprovalView:
    if services.changes.four_eyes:
        row = await services.changes.propose(user, once, command, entry, firm_id=None)
        response.status_code = HTTPStatus.ACCEPTED
        return view_approval(row)
    change = await services.changes.order(user, once, command, entry)
    return TradeAmended(trade_id=command.trade.trade_id, **settle(response, change))
