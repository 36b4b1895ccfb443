"""What is traded, in which state, and what it costs."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.engine_answers import (
    ask_engine,
    check_engine,
    first_event,
    get_firm,
    get_instrument,
    parse_number,
    settle,
)
from admin_api.errors import invalid
from admin_api.idempotency import OnceOf
from admin_api.schemas.fields import INTEGER_MAX
from admin_api.schemas.markets import (
    AssetBody,
    AssetView,
    FeesBody,
    FeesPage,
    FeesView,
    FeeTierBody,
    FeeTierView,
    InstrumentBody,
    InstrumentView,
    StateBody,
    StateDone,
)
from admin_api.schemas.pages import Page
from admin_api.schemas.problem import says
from admin_api.services import Services, ServicesOf
from engine.commands import DefineAsset, DefineInstrument, SetTradingState
from engine.events import TradingStateChanged
from engine.fee_rates import FeeRates
from engine.instrument import Asset, InstrumentDefinition
from engine.ledger_commands import SetFees, SetFirmFeeTier
from engine.trading_state import TradingState
from engine.units import AssetId, FirmId, InstrumentId, Price, Qty, format_fixed

NS_PER_S: Final = 1_000_000_000
STATES: Final = {state.name.lower(): state for state in TradingState}
READ: Final = {
    **says(HTTPStatus.NOT_FOUND, "No such instrument or firm"),
    **says(HTTPStatus.SERVICE_UNAVAILABLE, "The engine is away"),
}
SET: Final = {
    **READ,
    **says(HTTPStatus.CONFLICT, "The exchange has refused it: `code` is its reason"),
}
WAITS: Final = {"description": "The engine is away: it is done when it is back, in order"}

Reader = Annotated[User, allow(Permission.INSTRUMENTS_READ)]
Definer = Annotated[User, allow(Permission.INSTRUMENTS_WRITE)]
Steerer = Annotated[User, allow(Permission.MARKETS_WRITE)]
Symbol = Annotated[str, Path(max_length=64, examples=["BTC-USD"])]

router = APIRouter(tags=["markets"])


@router.get("/v1/assets", responses=READ)
async def list_assets(services: ServicesOf, _user: Reader) -> Page[AssetView]:
    """Return all assets."""
    await check_engine(services)
    assets = services.engine.reference.assets.values()
    return Page(
        items=[
            AssetView(asset_id=asset.asset_id, symbol=asset.symbol, decimals=asset.decimals)
            for asset in assets
        ]
    )


@router.post(
    "/v1/assets",
    status_code=HTTPStatus.CREATED,
    responses={HTTPStatus.ACCEPTED: {"model": AssetView, **WAITS}, **SET},
)
async def define_asset(
    services: ServicesOf, user: Definer, response: Response, once: OnceOf, body: AssetBody
) -> AssetView:
    """Introduce an asset. Its decimals never change."""
    known = services.engine.reference.assets
    asset = Asset(AssetId(max(known, default=0) + 1), body.symbol, body.decimals)
    entry = user.audit("asset_defined", f"asset:{body.symbol}", after=body.model_dump(mode="json"))
    row = await services.changes.order(user, once, DefineAsset(asset), entry)
    return AssetView(
        asset_id=asset.asset_id,
        symbol=asset.symbol,
        decimals=asset.decimals,
        **settle(response, row),
    )


@router.get("/v1/instruments", responses=READ)
async def list_instruments(services: ServicesOf, _user: Reader) -> Page[InstrumentView]:
    """Return all instruments with the states of their markets."""
    await check_engine(services)
    instruments = services.engine.reference.instruments.values()
    return Page(
        items=[InstrumentView(**_fields(services, known.definition)) for known in instruments]
    )


@router.post(
    "/v1/instruments",
    status_code=HTTPStatus.CREATED,
    responses={HTTPStatus.ACCEPTED: {"model": InstrumentView, **WAITS}, **SET},
)
async def define_instrument(
    services: ServicesOf, user: Definer, response: Response, once: OnceOf, body: InstrumentBody
) -> InstrumentView:
    """Introduce an instrument. Its decimals and steps never change."""
    known = services.engine.reference.instruments
    definition = InstrumentDefinition(
        instrument_id=InstrumentId(max(known, default=0) + 1),
        symbol=body.symbol,
        base_asset_id=_find_asset(services, "base", body.base),
        quote_asset_id=_find_asset(services, "quote", body.quote),
        price_decimals=body.price_decimals,
        qty_decimals=body.qty_decimals,
        tick_size=Price(parse_number("tick_size", body.tick_size, body.price_decimals)),
        lot_size=Qty(parse_number("lot_size", body.lot_size, body.qty_decimals)),
        session_end_s=body.session_end_s,
        market_protection_bps=body.market_protection_bps,
        initial_state=STATES[body.initial_state],
    )
    entry = user.audit(
        "instrument_defined", f"instrument:{body.symbol}", after=body.model_dump(mode="json")
    )
    row = await services.changes.order(user, once, DefineInstrument(definition), entry)
    return InstrumentView(**_fields(services, definition), **settle(response, row))


@router.put("/v1/instruments/{symbol}/state", responses=SET)
async def set_state(
    services: ServicesOf, user: Steerer, symbol: Symbol, body: StateBody
) -> StateDone:
    """Put the market of an instrument into another state, at once.

    Into `continuous` or `post_only` it goes through an opening when orders may cross now. Asks
    neither PostgreSQL nor Redis; who asked stands in the journal.
    """
    instrument = get_instrument(services, symbol)
    ends_at_ns = 0 if body.until is None else int(body.until.timestamp()) * NS_PER_S
    if not 0 <= ends_at_ns < 1 << 63:
        raise invalid("until: is out of range")
    command = SetTradingState(
        instrument.instrument_id,
        STATES[body.state],
        body.reason,
        user.actor,
        ends_at_ns,
        body.collects_s * NS_PER_S,
    )
    outcome = await ask_engine(services, command)
    first_event(outcome)
    changed = [event for event in outcome.events if isinstance(event, TradingStateChanged)]
    detail = {"state": body.state, "engine_seq": outcome.seq}
    services.audit_later.add(
        user.audit("market_state_set", f"instrument:{symbol}", detail, reason=body.reason)
    )
    state = changed[-1].state.name.lower() if changed else body.state
    return StateDone.model_validate({"engine_seq": outcome.seq, "symbol": symbol, "state": state})


@router.get("/v1/fees", responses=READ)
async def list_fees(services: ServicesOf, _user: Reader) -> FeesPage:
    """Return the fees in force."""
    await check_engine(services)
    instruments = services.engine.reference.instruments
    return FeesPage(
        items=[
            FeesView(
                symbol=instruments[instrument_id].symbol,
                tier=tier,
                maker_ppm=rates.maker_ppm,
                taker_ppm=rates.taker_ppm,
            )
            for (instrument_id, tier), rates in sorted(services.engine.standing.fees.items())
        ]
    )


@router.put(
    "/v1/instruments/{symbol}/fees",
    responses={HTTPStatus.ACCEPTED: {"model": FeesView, **WAITS}, **SET},
)
async def set_fees(
    services: ServicesOf,
    user: Definer,
    response: Response,
    once: OnceOf,
    symbol: Symbol,
    body: FeesBody,
) -> FeesView:
    """Set what firms of a tier are charged, for orders that are accepted from now on."""
    instrument = get_instrument(services, symbol)
    before = services.engine.standing.fees.get((instrument.instrument_id, body.tier))
    rates = FeeRates(body.maker_ppm, body.taker_ppm)
    entry = user.audit(
        "fees_set",
        f"instrument:{symbol}",
        before=None
        if before is None
        else {"maker_ppm": before.maker_ppm, "taker_ppm": before.taker_ppm},
        after=body.model_dump(),
    )
    command = SetFees(instrument.instrument_id, body.tier, rates)
    row = await services.changes.order(user, once, command, entry)
    return FeesView(
        symbol=symbol,
        tier=body.tier,
        maker_ppm=body.maker_ppm,
        taker_ppm=body.taker_ppm,
        **settle(response, row),
    )


@router.put(
    "/v1/firms/{firm_id}/fee-tier",
    responses={HTTPStatus.ACCEPTED: {"model": FeeTierView, **WAITS}, **SET},
)
async def set_fee_tier(
    services: ServicesOf,
    user: Definer,
    response: Response,
    once: OnceOf,
    firm_id: Annotated[int, Path(ge=1, le=INTEGER_MAX)],
    body: FeeTierBody,
) -> FeeTierView:
    """Put a firm into a tier of fees."""
    await get_firm(services, user, firm_id)
    before = services.engine.standing.fee_tiers.get(FirmId(firm_id), 0)
    entry = user.audit(
        "fee_tier_set", f"firm:{firm_id}", before={"tier": before}, after={"tier": body.tier}
    )
    command = SetFirmFeeTier(FirmId(firm_id), body.tier)
    row = await services.changes.order(user, once, command, entry)
    return FeeTierView(firm_id=firm_id, tier=body.tier, **settle(response, row))


def _find_asset(services: Services, field: str, symbol: str) -> AssetId:
    for asset in services.engine.reference.assets.values():
        if asset.symbol == symbol:
            return asset.asset_id
    raise invalid(f"{field}: the exchange has no asset {symbol}")


def _fields(services: Services, definition: InstrumentDefinition) -> dict[str, Any]:
    assets = services.engine.reference.assets
    told = services.engine.standing.market_states.get(definition.instrument_id)
    state = None
    if definition.instrument_id in services.engine.reference.instruments:
        state = (definition.initial_state if told is None else told.state).name.lower()
    return {
        "instrument_id": definition.instrument_id,
        "symbol": definition.symbol,
        "base": assets[definition.base_asset_id].symbol,
        "quote": assets[definition.quote_asset_id].symbol,
        "price_decimals": definition.price_decimals,
        "qty_decimals": definition.qty_decimals,
        "tick_size": format_fixed(definition.tick_size, definition.price_decimals),
        "lot_size": format_fixed(definition.lot_size, definition.qty_decimals),
        "session_end_s": definition.session_end_s,
        "market_protection_bps": definition.market_protection_bps,
        "state": state,
    }
