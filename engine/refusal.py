"""A refusal as data: what Text(58) says in words, each number as text in the trader's units."""

from dataclasses import dataclass

from engine.controls import NS_PER_S, RefusalDetail
from engine.explain import MEASURES, explain, format_utc, formatter
from engine.gate import Rejection
from engine.instrument import Instrument
from engine.order import Side


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order is refused. None is what the reason does not have."""

    code: str
    text: str
    scope: str
    scope_id: int
    level: str
    limit: str | None = None
    actual: str | None = None
    usage: str | None = None
    low: str | None = None
    high: str | None = None
    reference_price: str | None = None
    reference_at: str | None = None
    window_s: int | None = None


def describe(rejection: Rejection, instrument: Instrument | None, side: Side | None) -> Refusal:
    """Return all that is to be said of a refusal of an order of that side, None if unknown."""
    detail = rejection.detail or RefusalDetail()
    text = explain(
        rejection.reason,
        limit=rejection.limit,
        actual=rejection.actual,
        instrument=instrument,
        side=side,
        scope=rejection.scope,
        detail=rejection.detail,
    )
    whose = (rejection.scope.name, detail.scope_id, detail.level.name)
    if instrument is None or rejection.reason not in MEASURES:
        return Refusal(rejection.reason.name, text, *whose)
    show = formatter(rejection.reason, instrument, side, detail)

    def show_if(value: int | None) -> str | None:
        return None if value is None else show(value)

    price = detail.reference_price
    return Refusal(
        rejection.reason.name,
        text,
        *whose,
        limit=show(rejection.limit),
        actual=show(rejection.actual),
        usage=show_if(detail.usage),
        low=show_if(detail.low),
        high=show_if(detail.high),
        reference_price=None if price is None else instrument.format_price(price),
        reference_at=format_utc(detail.reference_at_ns) if detail.reference_at_ns else None,
        window_s=detail.window_ns // NS_PER_S or None,
    )
