"""Every control at once, so wide that no order is refused: what all of them cost."""

from engine.commands import Command
from engine.controls import (
    CONTROL_RULES,
    DAY_NS,
    NS_PER_S,
    BreakerRules,
    Control,
    InstrumentRules,
    Level,
    Limit,
    Unit,
)
from engine.risk_commands import SetAccountThrottle, SetInstrumentRules, SetLimit
from engine.scope import Scope
from engine.units import INT_MAX, AccountId, AssetId, InstrumentId, Money, Price, Qty

WIDE_BPS = 9_999
WIDE_RATE = 1_000_000
NOTHING_RESTRICTED = 0


def control_commands(
    account_count: int, instrument_id: InstrumentId, base: AssetId, quote: AssetId
) -> list[Command]:
    """Return what sets each control for each account, which is a firm of its own, and all rules."""
    commands: list[Command] = [SetInstrumentRules(_wide_rules(instrument_id))]
    for scope_id in range(1, account_count + 1):
        commands.append(SetAccountThrottle(AccountId(scope_id), WIDE_RATE, WIDE_RATE))
        for control, rule in CONTROL_RULES.items():
            asset_id = base if control is Control.POSITION else quote
            commands.append(
                SetLimit(
                    Limit(
                        Level.OPERATOR,
                        Scope.ACCOUNT,
                        scope_id,
                        control,
                        NOTHING_RESTRICTED if rule.unit is Unit.RESTRICTIONS else rule.value_max,
                        instrument_id if rule.per_instrument else InstrumentId(0),
                        asset_id if rule.unit is Unit.ASSET else AssetId(0),
                        DAY_NS if rule.is_windowed else 0,
                    )
                )
            )
    return commands


def _wide_rules(instrument_id: InstrumentId) -> InstrumentRules:
    return InstrumentRules(
        instrument_id,
        price_min=Price(1),
        price_max=Price(INT_MAX),
        order_qty_min=Qty(1),
        order_qty_max=Qty(INT_MAX),
        market_qty_max=Qty(INT_MAX),
        notional_min=Money(1),
        notional_max=Money(INT_MAX),
        buy_up_bps=100 * WIDE_BPS,
        buy_down_bps=WIDE_BPS,
        sell_up_bps=100 * WIDE_BPS,
        sell_down_bps=WIDE_BPS,
        band_ticks=10**9,
        market_protection_bps=WIDE_BPS,
        execution_collar_bps=WIDE_BPS,
        trade_age_max_ns=DAY_NS,
        trades_without_reference=True,
        clock_skew_max_ns=NS_PER_S,
        breaker=BreakerRules(WIDE_BPS),
        volume_share_max_bps=WIDE_BPS,
        average_daily_volume=Qty(INT_MAX),
    )
