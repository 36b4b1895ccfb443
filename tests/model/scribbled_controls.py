"""Random commands that set limits, rules, modes, prices and exceptions."""

import random

from engine.commands import Command
from engine.controls import (
    CONTROL_RULES,
    DAY_NS,
    BreakerRules,
    Control,
    InstrumentRules,
    Level,
    Limit,
    Mode,
    Override,
    Unit,
)
from engine.reasons import RejectReason
from engine.risk_commands import (
    GrantOverride,
    RevokeOverride,
    SetInstrumentRules,
    SetLimit,
    SetReferencePrice,
    SetTradingMode,
)
from engine.scope import Scope
from engine.units import AccountId, AssetId, InstrumentId, Money, Price, Qty

VALUES = (0, 2, 10, 1000, 100_000_000)


def scribble_control(rng: random.Random, now_ns: int) -> Command:
    """Return one of them. Instruments are 1 and 2, accounts, firms and assets 1 to 3."""
    pick = rng.randint(0, 6)
    instrument_id = InstrumentId(rng.randint(1, 2))
    if pick == 0:
        return SetInstrumentRules(scribble_rules(rng, instrument_id))
    if pick == 1:
        price = rng.choice([None, Price(rng.randint(90, 110))])
        return SetReferencePrice(instrument_id, price, "ann")
    if pick == 2:
        scope = rng.choice(list(Scope))
        scope_id = 0 if scope is Scope.EVERYTHING else rng.randint(1, 3)
        mode = rng.choice([Mode.NORMAL, Mode.NORMAL, Mode.NORMAL, *Mode])
        return SetTradingMode(scope, scope_id, rng.choice(list(Level)), mode, "why", "ann")
    if pick == 3:
        reason = rng.choice([RejectReason.MAX_ORDER_QTY, RejectReason.POSITION_LIMIT])
        ends_at_ns = now_ns + rng.randint(0, 10**16)
        account_id = AccountId(rng.randint(1, 3))
        if rng.random() < 0.3:
            return RevokeOverride(account_id, reason)
        return GrantOverride(Override(account_id, reason, 10**9, ends_at_ns, "ann", "ben"))
    return SetLimit(scribble_limit(rng))


def scribble_limit(rng: random.Random) -> Limit:
    """Return a limit that makes sense."""
    control = rng.choice(list(Control))
    rule = CONTROL_RULES[control]
    has_instrument = rng.random() < 0.5 if rule.per_instrument is None else rule.per_instrument
    value = 3 if control is Control.RESTRICTED else rng.choice(VALUES)
    return Limit(
        rng.choice(list(Level)),
        rng.choice(rule.scopes),
        rng.randint(1, 3),
        control,
        rng.choice([None, value]),
        InstrumentId(rng.randint(1, 2) if has_instrument else 0),
        AssetId(rng.randint(1, 3) if rule.unit is Unit.ASSET else 0),
        rng.choice([10**9, 10**12, DAY_NS]) if rule.is_windowed else 0,
    )


def scribble_rules(rng: random.Random, instrument_id: InstrumentId) -> InstrumentRules:
    """Return rules that let most orders near a price of 100 pass."""
    return InstrumentRules(
        instrument_id,
        price_min=Price(rng.choice([0, 96])),
        order_qty_min=Qty(rng.choice([0, 2])),
        notional_max=Money(rng.choice([0, 10**5])),
        buy_up_bps=rng.choice([0, 500]),
        sell_down_bps=rng.choice([0, 500]),
        band_ticks=rng.choice([0, 7]),
        market_protection_bps=rng.choice([0, 300]),
        execution_collar_bps=rng.choice([0, 400]),
        trade_age_max_ns=rng.choice([0, 10**9]),
        breaker=rng.choice(
            [None, BreakerRules(200, 10**11, 10**9, 10**10, rng.choice([0, 10**9]))]
        ),
        trades_without_reference=rng.random() < 0.7,
    )
