"""What of the risk settings takes two people."""

from typing import Any

import pytest
from msgspec.structs import replace

from admin_api.risk_views import loosens_limit, loosens_mode, loosens_rules
from engine.controls import (
    NS_PER_S,
    BreakerRules,
    Control,
    InstrumentRules,
    Level,
    Limit,
    Mode,
    ModeCause,
    TradingMode,
)
from engine.risk_commands import SetTradingMode
from engine.scope import Scope
from engine.units import InstrumentId, Price, Qty

ORDERS = Limit(Level.OPERATOR, Scope.FIRM, 1, Control.OPEN_ORDERS, 10)
RESTRICTED = replace(ORDERS, control=Control.RESTRICTED, value=1)


def test_limit_is_loosened_by_more_and_by_none() -> None:
    """Compared with the limit of the same level, owner and control alone."""
    wanted = [replace(ORDERS, value=value) for value in (9, 10, 11, None)]
    assert [loosens_limit([ORDERS], limit) for limit in wanted] == [False, False, True, True]
    assert not loosens_limit([], replace(ORDERS, value=11))
    assert not loosens_limit([ORDERS], replace(ORDERS, level=Level.FIRM, value=11))
    assert [loosens_limit([RESTRICTED], replace(RESTRICTED, value=v)) for v in (1, 0, None)] == [
        False, True, True,
    ]  # fmt: skip


def test_mode_is_loosened_by_one_that_allows_more() -> None:
    """Compared with the mode of the same scope and level alone."""

    def wanted(mode: Mode, level: Level = Level.OPERATOR) -> SetTradingMode:
        return SetTradingMode(Scope.FIRM, 1, level, mode, "why", "rita")

    held = [MODE]
    assert [loosens_mode(held, wanted(mode)) for mode in Mode] == [True, True, False, False]
    assert not loosens_mode(held, wanted(Mode.NORMAL, Level.FIRM))
    assert not loosens_mode([], wanted(Mode.NORMAL))


RULES = InstrumentRules(
    InstrumentId(1),
    price_min=Price(10),
    price_max=Price(1000),
    buy_up_bps=500,
    market_protection_bps=100,
    trade_age_max_ns=NS_PER_S,
    volume_share_max_bps=200,
    average_daily_volume=Qty(1000),
)


@pytest.mark.parametrize(
    ("changes", "loosens"),
    [
        ({}, False),
        ({"volume_share_max_bps": 100}, False),
        ({"volume_share_max_bps": 201}, False),  # Still 20 of 1000.
        ({"volume_share_max_bps": 210}, True),
        ({"volume_share_max_bps": 0}, True),
        ({"average_daily_volume": Qty(500)}, False),
        ({"average_daily_volume": Qty(0)}, False),  # Then no order is let in.
        ({"average_daily_volume": Qty(2000)}, True),
        ({"average_daily_volume": Qty(2000), "volume_share_max_bps": 100}, False),
        ({"price_min": Price(11), "price_max": Price(999), "sell_up_bps": 1}, False),
        ({"price_min": Price(9)}, True),
        ({"price_min": Price(0)}, True),
        ({"price_max": Price(1001)}, True),
        ({"price_max": Price(0)}, True),
        ({"buy_up_bps": 501}, True),
        ({"market_protection_bps": 99}, False),
        ({"market_protection_bps": 0}, True),
        ({"market_protection_bps": 101}, True),
        ({"trade_age_max_ns": 1}, True),
        ({"trades_without_reference": True}, True),
        ({"breaker": BreakerRules(500)}, False),
    ],
)
def test_rules_are_loosened_by_what_allows_more(changes: dict[str, Any], loosens: bool) -> None:
    """Each by itself; what nobody has set before is not loosened."""
    wanted = replace(RULES, **changes)
    assert loosens_rules(RULES, wanted) is loosens
    assert not loosens_rules(None, wanted)


def test_rules_are_loosened_by_another_breaker_and_narrowed_by_a_reference() -> None:
    """Another breaker is neither wider nor narrower; to need a reference price is narrower."""
    held = replace(RULES, breaker=BreakerRules(500), trades_without_reference=True)
    assert loosens_rules(held, replace(held, breaker=BreakerRules(400)))
    assert loosens_rules(held, replace(held, breaker=None))
    assert not loosens_rules(held, replace(held, trades_without_reference=False))


MODE = TradingMode(Scope.FIRM, 1, Level.OPERATOR, Mode.CANCEL_ONLY, ModeCause.PERSON, "why", "rita")
