"""Overrides between text, as people write them, and the ints of the exchange."""

from datetime import UTC, datetime
from typing import Final

from admin_api.errors import invalid
from admin_api.risk_views import find_asset
from admin_api.schemas.overrides import OverrideView
from engine.controls import NS_PER_S, Override
from engine.explain import MEASURES, Measure
from engine.instrument import Asset, Instrument
from engine.limit_desk import OVERRIDABLE
from engine.reasons import RejectReason
from engine.reference import Reference
from engine.units import format_fixed, parse_fixed

CODES: Final = {reason.name: reason for reason in OVERRIDABLE if reason in MEASURES}


def parse_code(code: str) -> RejectReason:
    """Return the reason that is meant. Raises the 422 that names those that there are."""
    if code not in CODES:
        raise invalid(f"code: is none of {', '.join(CODES)}")
    return CODES[code]


def parse_asset(symbol: str | None, reason: RejectReason, reference: Reference) -> Asset | None:
    """Return whose amounts are meant, None where they are an instrument's.

    Raises the 422 that says that it is missing, or is not to be named; the 404 that it is unknown.
    """
    if (symbol is not None) is not (reason is RejectReason.MAX_ASSET):
        raise invalid("asset: is named with MAX_ASSET, and with no other code")
    return None if symbol is None else find_asset(symbol, reference)


def parse_value(
    text: str, reason: RejectReason, instrument: Instrument | None, asset: Asset | None
) -> int:
    """Return the most that passes. Raises the 422 that says what is missing or does not fit."""
    decimals = _decimals_of(reason, instrument) if asset is None else asset.decimals
    if decimals is None:
        raise invalid(f"symbol: the unit of {reason.name} is that of an instrument")
    value = parse_fixed(text, decimals)
    if value is None:
        raise invalid(f"value: {text!r} is no number of at most {decimals} decimals")
    return value


def view_override(override: Override, reference: Reference) -> OverrideView:
    """Return the override as text."""
    instrument = reference.instruments.get(override.instrument_id)
    asset = reference.assets.get(override.asset_id)
    decimals = _decimals_of(override.reason, instrument) if asset is None else asset.decimals
    return OverrideView(
        code=override.reason.name,
        symbol=None if instrument is None else instrument.symbol,
        cl_ord_id=override.cl_ord_id or None,
        asset=None if asset is None else asset.symbol,
        value=format_fixed(override.value, decimals or 0),
        expires_at=datetime.fromtimestamp(override.expires_at_ns // NS_PER_S, UTC),
        actor=override.actor,
        approver=override.approver,
    )


def _decimals_of(reason: RejectReason, instrument: Instrument | None) -> int | None:
    """Return in how many decimals the reason counts, None when only an instrument says that."""
    measure = MEASURES.get(reason, Measure.COUNT)
    if measure is Measure.COUNT:
        return 0
    if instrument is None:
        return None
    return {
        Measure.PRICE: instrument.definition.price_decimals,
        Measure.QTY: instrument.definition.qty_decimals,
        Measure.QUOTE: instrument.quote.decimals,
        Measure.ASSET: instrument.base.decimals,
    }[measure]
