"""Limits and rules between text, as people write them, and the ints of the exchange."""

from typing import Final

from msgspec.structs import replace

from admin_api.errors import invalid, not_found
from admin_api.limit_views import is_looser
from admin_api.schemas.risk import (
    BreakerBody,
    ControlBody,
    ControlView,
    ModeView,
    RulesBody,
    RulesView,
)
from engine.controls import (
    CONTROL_RULES,
    NS_PER_S,
    BreakerRules,
    Control,
    InstrumentRules,
    Level,
    Limit,
    TradingMode,
    Unit,
)
from engine.instrument import Asset, Instrument
from engine.reference import Reference
from engine.risk_commands import SetTradingMode
from engine.scope import Scope
from engine.units import AssetId, InstrumentId, Money, Price, Qty, format_fixed, parse_fixed
from risk.instrument_checks import volume_share_of

PRICES: Final = ("price_min", "price_max")
QTYS: Final = ("order_qty_min", "order_qty_max", "market_qty_max", "average_daily_volume")
NOTIONALS: Final = ("notional_min", "notional_max")
PLAIN: Final = (
    "buy_up_bps",
    "buy_down_bps",
    "sell_up_bps",
    "sell_down_bps",
    "band_ticks",
    "market_protection_bps",
    "execution_collar_bps",
    "volume_share_max_bps",
    "trades_without_reference",
)
VOLUME_SHARE: Final = ("volume_share_max_bps", "average_daily_volume")
LOWEST: Final = ("price_min", "order_qty_min", "notional_min")
HIGHEST: Final = (
    "price_max",
    "order_qty_max",
    "market_qty_max",
    "notional_max",
    "buy_up_bps",
    "buy_down_bps",
    "sell_up_bps",
    "sell_down_bps",
    "band_ticks",
    "execution_collar_bps",
    "clock_skew_max_ns",
)
NO_BOUNDS: Final = frozenset(InstrumentRules.__struct_fields__) - {
    *LOWEST, *HIGHEST, *VOLUME_SHARE,
}  # fmt: skip
SPANS: Final = ("trade_age_max", "book_age_max", "operator_age_max", "clock_skew_max")
BREAKER_SPANS: Final = ("window", "limit_state", "pause", "collects", "opening")


def parse_limit(body: ControlBody, reference: Reference) -> Limit:
    """Return the limit that the body names. Raises the 404 or 422 that says what does not fit."""
    control = Control[body.control]
    instrument = asset = None
    if body.symbol is not None:
        instrument = reference.instruments_by_symbol.get(body.symbol)
        if instrument is None:
            raise not_found(f"the exchange has no instrument {body.symbol}")
    if body.asset is not None:
        asset = find_asset(body.asset, reference)
    value = None
    if body.value is not None:
        decimals = _decimals_of(control, instrument, asset)
        value = parse_fixed(body.value, decimals)
        if value is None:
            raise invalid(f"value: {body.value!r} is no number of at most {decimals} decimals")
    return Limit(
        Level[body.level],
        Scope[body.scope],
        body.scope_id,
        control,
        value,
        InstrumentId(0) if instrument is None else instrument.instrument_id,
        AssetId(0) if asset is None else asset.asset_id,
        (body.window_s or 0) * NS_PER_S,
    )


def view_limit(limit: Limit, reference: Reference) -> ControlView:
    """Return the limit as text."""
    instrument = reference.instruments.get(limit.instrument_id)
    asset = reference.assets.get(limit.asset_id)
    decimals = _decimals_of(limit.control, instrument, asset)
    return ControlView.model_validate(
        {
            "level": limit.level.name,
            "scope": limit.scope.name,
            "scope_id": limit.scope_id,
            "control": limit.control.name,
            "value": None if limit.value is None else format_fixed(limit.value, decimals),
            "symbol": None if instrument is None else instrument.symbol,
            "asset": None if asset is None else asset.symbol,
            "window_s": limit.window_ns // NS_PER_S or None,
        }
    )


def find_asset(symbol: str, reference: Reference) -> Asset:
    """Return the asset. Raises the 404 that says that there is none."""
    for asset in reference.assets.values():
        if asset.symbol == symbol:
            return asset
    raise not_found(f"the exchange has no asset {symbol}")


def parse_price(field: str, text: str, instrument: Instrument) -> Price:
    """Return the price. Raises the 422 that says that it does not fit."""
    price = instrument.parse_price(text)
    if price is None:
        raise invalid(f"{field}: {text!r} does not fit the instrument's prices")
    return price


def parse_rules(body: RulesBody, instrument: Instrument) -> InstrumentRules:
    """Return the rules that the body names. Raises the 422 that says what does not fit."""
    values: dict[str, object] = {name: getattr(body, name) for name in PLAIN}
    for name in PRICES:
        text = getattr(body, name)
        values[name] = Price(0) if text is None else parse_price(name, text, instrument)
    for name in QTYS:
        values[name] = Qty(_parse(name, body, instrument.definition.qty_decimals))
    for name in NOTIONALS:
        values[name] = Money(_parse(name, body, instrument.quote.decimals))
    for name in SPANS:
        values[f"{name}_ns"] = getattr(body, f"{name}_s") * NS_PER_S
    values["breaker"] = None if body.breaker is None else _parse_breaker(body.breaker)
    return InstrumentRules(instrument.instrument_id, **values)  # type: ignore[arg-type]  # By name.


def view_rules(rules: InstrumentRules, instrument: Instrument) -> RulesView:
    """Return the rules as text. What demands nothing is null or 0."""
    values: dict[str, object] = {name: getattr(rules, name) for name in PLAIN}
    shows = (
        (PRICES, instrument.format_price),
        (QTYS, instrument.format_qty),
        (NOTIONALS, instrument.format_notional),
    )
    for names, show in shows:
        values |= {name: show(getattr(rules, name)) for name in names if getattr(rules, name)}
    values |= {f"{name}_s": getattr(rules, f"{name}_ns") // NS_PER_S for name in SPANS}
    breaker = rules.breaker
    if breaker is not None:
        spans = {f"{name}_s": getattr(breaker, f"{name}_ns") // NS_PER_S for name in BREAKER_SPANS}
        bands = {"band_bps": breaker.band_bps, "opening_band_bps": breaker.opening_band_bps}
        values["breaker"] = {**bands, **spans}
    return RulesView.model_validate({"symbol": instrument.symbol, **values})


def view_mode(mode: TradingMode) -> ModeView:
    """Return the mode as text."""
    return ModeView.model_validate(
        {
            "scope": mode.scope.name,
            "scope_id": mode.scope_id,
            "level": mode.level.name,
            "mode": mode.mode.name,
            "reason": mode.reason,
            "cause": mode.cause.name,
            "actor": mode.actor,
        }
    )


def _decimals_of(control: Control, instrument: Instrument | None, asset: Asset | None) -> int:
    """Return in how many decimals the control counts. What it lacks the exchange will refuse."""
    unit = CONTROL_RULES[control].unit
    if unit is Unit.QTY and instrument is not None:
        return instrument.definition.qty_decimals
    if unit is Unit.QUOTE and instrument is not None:
        return instrument.quote.decimals
    if unit is Unit.ASSET and asset is not None:
        return asset.decimals
    return 0


def _parse(name: str, body: RulesBody, decimals: int) -> int:
    text = getattr(body, name)
    if text is None:
        return 0
    value = parse_fixed(text, decimals)
    if value is None:
        raise invalid(f"{name}: {text!r} is no decimal number of at most {decimals} decimals")
    return value


def _parse_breaker(body: BreakerBody) -> BreakerRules:
    spans = {f"{name}_ns": getattr(body, f"{name}_s") * NS_PER_S for name in BREAKER_SPANS}
    return BreakerRules(body.band_bps, opening_band_bps=body.opening_band_bps, **spans)


def loosens_limit(held: list[Limit], wanted: Limit) -> bool:
    """Whether the limit allows more than the one that it takes the place of."""
    for limit in held:
        if replace(limit, value=wanted.value) == wanted:
            if wanted.control is Control.RESTRICTED:
                return limit.value != wanted.value
            return is_looser((limit.value,), (wanted.value,))
    return False


def loosens_rules(held: InstrumentRules | None, wanted: InstrumentRules) -> bool:
    """Whether the rules allow anything that those that they take the place of do not.

    What is neither wider nor narrower, as another age of the reference price is, counts as looser.
    """
    if held is None:
        return False
    changed = {name for name in NO_BOUNDS if getattr(held, name) != getattr(wanted, name)}
    if held.breaker is None:
        changed.discard("breaker")
    if not wanted.trades_without_reference:
        changed.discard("trades_without_reference")
    # With none the instrument's own holds, which may be narrower than what is wanted now.
    if wanted.market_protection_bps and wanted.market_protection_bps < held.market_protection_bps:
        changed.discard("market_protection_bps")
    return bool(changed) or is_looser(_bounds(held), _bounds(wanted))


def _bounds(rules: InstrumentRules) -> list[int | None]:
    """Return what orders may come to at most, None for no bound; the least of a number negated."""
    share = volume_share_of(rules) if rules.volume_share_max_bps else None
    highest = [getattr(rules, name) or None for name in HIGHEST]
    return [share, *highest, *(-getattr(rules, name) for name in LOWEST)]


def loosens_mode(held: list[TradingMode], wanted: SetTradingMode) -> bool:
    """Whether the mode allows more than the one that it takes the place of."""
    key = (wanted.scope, wanted.scope_id, wanted.level)
    return any(
        wanted.mode.value < mode.mode.value
        for mode in held
        if (mode.scope, mode.scope_id, mode.level) == key
    )
