"""Instruments: what stands in their books."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import engine_away, not_found
from admin_api.schemas.books import BookLevelView, BookView
from admin_api.schemas.problem import Problem, Responses
from admin_api.services import ServicesOf
from engine.book import DepthLevel
from engine.instrument import Instrument

LEVELS_MAX: Final = 1000

READ: Final[Responses] = {
    HTTPStatus.NOT_FOUND: {"model": Problem, "description": "No such instrument"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": Problem, "description": "The engine is away"},
}

Reader = Annotated[User, allow(Permission.INSTRUMENTS_READ)]

router = APIRouter(prefix="/v1/instruments", tags=["instruments"])


@router.get("/{symbol}/book", responses=READ)
async def show_book(
    services: ServicesOf,
    _user: Reader,
    symbol: Annotated[str, Path(max_length=64, examples=["BTC-USD"])],
    levels: Annotated[int, Query(ge=1, le=LEVELS_MAX, description="Of each side")] = 10,
) -> BookView:
    """Return what everybody may see of the book at this moment, as the engine says."""
    status = await services.engine.status()
    if status is None:
        raise engine_away()
    instrument = services.engine.reference.instruments_by_symbol.get(symbol)
    if instrument is None:
        raise not_found(f"the exchange has no instrument {symbol}")
    book = await services.engine.book(instrument.instrument_id, levels)
    if book is None:
        raise engine_away()
    assert book.market is not None, "an instrument stays"
    last_price = book.market.last_price
    return BookView(
        symbol=symbol,
        seq=book.last_seq,
        state=book.market.state.name,
        last_price=None if last_price is None else instrument.format_price(last_price),
        bids=[_view_level(level, instrument) for level in book.bids],
        asks=[_view_level(level, instrument) for level in book.asks],
    )


def _view_level(level: DepthLevel, instrument: Instrument) -> BookLevelView:
    return BookLevelView(
        price=instrument.format_price(level.price),
        qty=instrument.format_qty(level.qty),
        order_count=level.order_count,
    )
