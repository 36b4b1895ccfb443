"""The screen of merged limits comes to what the checks come to, one after the other."""

import random
from collections.abc import Sequence
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import AdvanceTime, Command
from engine.controls import (
    CONTROL_RULES,
    DAY_NS,
    NS_PER_S,
    Control,
    InstrumentRules,
    Level,
    Limit,
    Unit,
)
from engine.gate import Candidate, Rejection, RiskGate
from engine.limits import RiskLimits, ScopeLimits
from engine.order import OrderTerms, Side, TimeInForce
from engine.risk_commands import (
    SetAccountThrottle,
    SetInstrumentRules,
    SetLimit,
    SetReferencePrice,
    SetRiskLimits,
    SetScopeLimits,
)
from engine.scope import Scope
from engine.units import AssetId, ClOrdId, InstrumentId, Money, Price, Qty
from risk.pre_trade import PreTradeGate
from risk.precedence import CHECKS
from tests.exchange_desk import (
    ALICE,
    BASE_FACTOR,
    BOB,
    BTC,
    BTC_USD,
    NOTIONAL_FACTOR,
    USD,
    Desk,
    new_order,
)

STEPS = 30
LIMITED = [control for control in Control if control is not Control.RESTRICTED]
FUNDS = {USD: Money(8000 * NOTIONAL_FACTOR), BTC: Money(60 * BASE_FACTOR)}


class Witness:
    """A gate that asks the screen and every check, and fails where they do not agree."""

    def __init__(self) -> None:
        self._gate = PreTradeGate()
        self.verdicts = {"let through": 0, "left to the checks": 0, "refused": 0}

    def __getattr__(self, name: str) -> object:
        """Return what the gate has of that name."""
        return getattr(self._gate, name)

    def check_entry(self, entry: Candidate) -> Rejection | None:
        """Return what the checks say, each of them asked that applies."""
        found = self._gate._find(entry.order)
        is_let_through = found.screen.lets_through(entry)
        rejections = [
            stage.check(found.plan, entry) for stage in CHECKS if stage.applies(found.plan)
        ]
        refused = next((rejection for rejection in rejections if rejection is not None), None)
        assert refused is None or not is_let_through, (refused, entry)
        self.verdicts["let through" if is_let_through else "left to the checks"] += 1
        self.verdicts["refused"] += refused is not None
        assert self._gate.check_entry(entry) == refused
        return refused


def a_limit(rng: random.Random, control: Control, value: int | None) -> Limit:
    """Return a limit of the control, for any of its scopes, assets and times."""
    rule = CONTROL_RULES[control]
    per_instrument = rule.per_instrument
    if per_instrument is None:
        per_instrument = rng.random() < 0.5
    return Limit(
        rng.choice([Level.OPERATOR, Level.FIRM]),
        rng.choice([scope for scope in rule.scopes if scope in (Scope.ACCOUNT, Scope.FIRM)]),
        1,
        control,
        value,
        BTC_USD if per_instrument else InstrumentId(0),
        rng.choice([BTC, BTC, USD]) if rule.unit is Unit.ASSET else AssetId(0),
        rng.choice([NS_PER_S, 60 * NS_PER_S, DAY_NS]) if rule.is_windowed else 0,
    )


def any_limit(rng: random.Random, controls: Sequence[Control]) -> SetLimit:
    """Return a limit such that orders fall on either side of it, or one that is taken away."""
    control = rng.choice(controls)
    limit = a_limit(rng, control, None)
    unit = CONTROL_RULES[control].unit
    value = rng.randint(1, 12)
    if unit is Unit.QUOTE or limit.asset_id == USD:
        value = rng.randint(1, 3000) * NOTIONAL_FACTOR
    elif unit is Unit.ASSET:
        value = rng.choice([rng.randint(1, 9), rng.randint(40, 90)]) * BASE_FACTOR
    return SetLimit(msgspec.structs.replace(limit, value=rng.choice([None, *[value] * 4])))


def any_rules(rng: random.Random) -> SetInstrumentRules:
    """Return rules of which each demands something every other time."""

    def maybe(low: int, high: int) -> int:
        return rng.choice([0, rng.randint(low, high)])

    return SetInstrumentRules(
        InstrumentRules(
            BTC_USD,
            price_min=Price(maybe(95, 101)),
            price_max=Price(maybe(101, 106)),
            order_qty_min=Qty(maybe(1, 3)),
            order_qty_max=Qty(maybe(5, 9)),
            market_qty_max=Qty(maybe(1, 6)),
            notional_min=Money(maybe(1, 300) * NOTIONAL_FACTOR),
            notional_max=Money(maybe(300, 900) * NOTIONAL_FACTOR),
            buy_up_bps=maybe(1, 400),
            buy_down_bps=maybe(1, 400),
            sell_up_bps=maybe(1, 400),
            sell_down_bps=maybe(1, 400),
            band_ticks=maybe(1, 6),
            trade_age_max_ns=maybe(NS_PER_S, 100 * NS_PER_S),
            trades_without_reference=rng.random() < 0.5,
            volume_share_max_bps=maybe(50, 100) if rng.random() < 0.3 else 0,
            average_daily_volume=Qty(rng.choice([0, 500, 900, 900])),
        )
    )


def setting(rng: random.Random, controls: Sequence[Control]) -> Command:
    """Return a command that sets or takes away some limit, mostly of a few controls."""
    if rng.random() < 0.8:
        return any_limit(rng, controls)
    qty, notional = Qty(rng.randint(3, 9)), Money(rng.randint(200, 900) * NOTIONAL_FACTOR)
    commands: list[Command] = [
        any_rules(rng),
        SetRiskLimits(RiskLimits(ALICE, BTC_USD, qty, notional)),
        SetScopeLimits(ScopeLimits(Scope.FIRM, 1, BTC_USD, rng.choice([None, qty]), notional)),
        SetAccountThrottle(ALICE, *rng.choice([(None, None), (rng.randint(1, 9), 4)])),
        SetReferencePrice(BTC_USD, rng.choice([None, Price(rng.randint(98, 102))])),
    ]
    return rng.choice(commands)


def enter(desk: Desk, rng: random.Random, number: int) -> None:
    """Let an order come in, or several that are alike."""
    price = rng.choice([None, *range(96, 105)])
    terms = None
    if price is not None and rng.random() < 0.3:
        terms = rng.choice(
            [OrderTerms(display_qty=Qty(rng.randint(1, 3))), OrderTerms(stop_price=Price(110))]
        )
    order = new_order(
        rng.choice([ALICE, ALICE, BOB]),
        rng.choice(list(Side)),
        rng.randint(1, 9),
        price,
        rng.choice([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC]),
        cl_ord_id=f"c{number}",
        terms=terms,
    )
    for again in range(rng.choice([1, 1, 1, rng.randint(2, 5)])):
        name = ClOrdId(f"c{number}" if not again else f"c{number}r{again}")
        desk.apply(msgspec.structs.replace(order, cl_ord_id=name))


def act(desk: Desk, rng: random.Random, number: int) -> None:
    """Let orders come in, be amended or cancelled, or time pass."""
    account_id = rng.choice([ALICE, ALICE, BOB])
    pick, name = rng.random(), f"c{rng.randint(0, number)}"
    if pick < 0.7:
        enter(desk, rng, number)
    elif pick < 0.8:
        desk.cancel(account_id, name, f"x{number}")
    elif pick < 0.95:
        desk.amend(account_id, name, f"c{number}", rng.randint(1, 9), rng.randint(96, 104))
    else:
        desk.now_ns += rng.choice([NS_PER_S // 2, 10 * NS_PER_S, DAY_NS // 3])
        desk.apply(AdvanceTime())


@pytest.mark.parametrize("control", LIMITED)
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32))
def test_screen_lets_through_nothing_that_a_check_refuses(control: Control, seed: int) -> None:
    """Whatever limits are set, taken away and used up; the gate itself answers as the checks do."""
    rng = random.Random(seed)
    desk = Desk(FUNDS, gate=cast("RiskGate", Witness()))
    controls = [control, control, rng.choice(LIMITED)]
    for number in range(STEPS):
        if rng.random() < 0.25:
            desk.apply(setting(rng, controls))
        act(desk, rng, number)


def test_screen_lets_through_most_orders_that_are_inside_all_limits() -> None:
    """A screen that let nothing through would be right too, and of no use."""
    gate = Witness()
    desk = Desk(FUNDS, gate=cast("RiskGate", gate))
    desk.buy(BOB, 1, 100)
    desk.sell(BOB, 1, 100)
    for control in LIMITED:
        desk.apply(SetLimit(a_limit(random.Random(1), control, 10**15)))
    desk.apply(
        SetInstrumentRules(
            InstrumentRules(BTC_USD, price_max=Price(200), buy_up_bps=500, band_ticks=9)
        )
    )
    before = dict(gate.verdicts)
    for price in (97, 98, 99):
        desk.buy(ALICE, 1, price)
    desk.buy(ALICE, 1, None)
    assert gate.verdicts == {**before, "let through": before["let through"] + 4}
