"""Limits of accounts, firms and FIX sessions: as text, and which of two allows more."""

from collections.abc import Sequence

from admin_api.schemas.limits import RiskLimitsView, ScopeLimitsView
from engine.limits import RiskLimits, ScopeLimits
from engine.reference import Reference


def view_account_limits(limits: RiskLimits, reference: Reference) -> RiskLimitsView:
    """Return what one order of an account in an instrument may not exceed."""
    instrument = reference.instruments[limits.instrument_id]
    return RiskLimitsView(
        account_id=limits.account_id,
        symbol=instrument.symbol,
        order_qty_max=instrument.format_qty(limits.order_qty_max),
        notional_max=instrument.format_notional(limits.notional_max),
    )


def view_scope_limits(limits: ScopeLimits, reference: Reference) -> ScopeLimitsView:
    """Return the same of a firm or FIX session. Null is no limit."""
    instrument = reference.instruments[limits.instrument_id]
    qty, notional = limits.order_qty_max, limits.notional_max
    return ScopeLimitsView(
        symbol=instrument.symbol,
        order_qty_max=None if qty is None else instrument.format_qty(qty),
        notional_max=None if notional is None else instrument.format_notional(notional),
    )


def is_looser(before: Sequence[int | None], after: Sequence[int | None]) -> bool:
    """Whether any of the numbers allows more than it did. None is no limit at all."""
    return any(
        old is not None and (new is None or new > old)
        for old, new in zip(before, after, strict=True)
    )
