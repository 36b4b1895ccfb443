"""What a proposal would take the place of: shown in words, and another tag once it has changed."""

from pathlib import Path
from typing import Any, get_args

import pytest

from admin_api.audit_follower import AuditFollower
from admin_api.engine_link import EngineWatch
from admin_api.held import NOTHING, find_held
from engine.commands import Command, LiftKillSwitch, PullKillSwitch
from engine.controls import Control, InstrumentRules, Level, Limit, Mode, Override
from engine.events import Event
from engine.ledger_commands import SetCreditLine, SetFirmCreditLine
from engine.limits import RiskLimits, ScopeLimits
from engine.reasons import RejectReason
from engine.risk_commands import (
    GrantOverride,
    RevokeOverride,
    SetAccountThrottle,
    SetInstrumentRules,
    SetLimit,
    SetRiskLimits,
    SetScopeLimits,
    SetTradingMode,
)
from engine.scope import Scope
from engine.units import FirmId, Money, Price, Qty
from store.approvals import StandingCommand
from tests.exchange_desk import ALICE, BTC_USD, START_NS, USD, Desk

FIRM = FirmId(ALICE)
SCOPE = (Scope.FIRM, FIRM)
CONTROL = Limit(Level.OPERATOR, *SCOPE, Control.OPEN_ORDERS, 5)
NONE_LENT = {"asset": "USD", "limit": "0.00000000"}


class Watched:
    """An exchange and what the admin API knows of it."""

    def __init__(self) -> None:
        self.desk = Desk()
        nobody = AuditFollower(None, Path())  # type: ignore[arg-type]  # Nothing is written here.
        self.engine = EngineWatch(Path(), nobody)
        self.learn_all()

    def learn_all(self) -> None:
        """Learn what a welcome tells."""
        exchange = self.desk.exchange
        self.engine.learn(
            [
                *exchange.reference.events(),
                *exchange.rule_events(),
                *exchange.standing_events(),
            ]
        )

    def apply(self, command: Command) -> list[Event]:
        events = self.desk.apply(command)
        self.engine.learn(events)
        return events


def qty_limits(qty: int) -> SetRiskLimits:
    return SetRiskLimits(RiskLimits(ALICE, BTC_USD, Qty(qty), Money(9)))


def scope_limits(qty: int | None) -> SetScopeLimits:
    return SetScopeLimits(ScopeLimits(*SCOPE, BTC_USD, None if qty is None else Qty(qty), None))


def rules(price_max: int) -> SetInstrumentRules:
    return SetInstrumentRules(InstrumentRules(BTC_USD, price_max=Price(price_max)), "rita")


def control(value: int) -> SetLimit:
    return SetLimit(Limit(Level.OPERATOR, *SCOPE, Control.OPEN_ORDERS, value), "rita")


def mode(wanted: Mode) -> SetTradingMode:
    return SetTradingMode(*SCOPE, Level.OPERATOR, wanted, "why", "rita")


def override(value: int) -> GrantOverride:
    return GrantOverride(
        Override(ALICE, RejectReason.MAX_OPEN_ORDERS, value, 2 * START_NS, "rita", "tom")
    )


CASES: list[tuple[StandingCommand, StandingCommand, dict[str, Any]]] = [
    (qty_limits(7), qty_limits(8), {"symbol": "BTC-USD", "order_qty_max": "0.0007"}),
    (scope_limits(7), scope_limits(8), {"symbol": "BTC-USD", "order_qty_max": "0.0007"}),
    (SetAccountThrottle(ALICE, 5, 6), SetAccountThrottle(ALICE), {"order_rate": 5}),
    (SetCreditLine(ALICE, USD, Money(50)), SetCreditLine(ALICE, USD, Money(60)),
     {"asset": "USD", "limit": "0.00000050"}),
    (SetFirmCreditLine(FIRM, USD, Money(50)), SetFirmCreditLine(FIRM, USD, Money(60)),
     {"asset": "USD", "limit": "0.00000050"}),
    (rules(500), rules(600), {"symbol": "BTC-USD", "price_max": "5.00"}),
    (control(5), control(6), {"control": "OPEN_ORDERS", "value": "5"}),
    (mode(Mode.CANCEL_ONLY), mode(Mode.BLOCKED), {"mode": "CANCEL_ONLY", "actor": "rita"}),
    (override(7), override(8), {"code": "MAX_OPEN_ORDERS", "value": "7"}),
    (override(7), RevokeOverride(ALICE, RejectReason.MAX_OPEN_ORDERS), {"code": "MAX_OPEN_ORDERS"}),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "seen"), CASES)
def test_what_holds_is_shown_and_changes_its_tag(
    first: StandingCommand, second: StandingCommand, seen: dict[str, Any]
) -> None:
    """Whoever proposes the second sees the first, until somebody has set something else."""
    watched = Watched()
    watched.apply(first)
    held = find_held(watched.engine, second)
    assert held.view is not None
    assert held.view.items() >= seen.items()
    # Also to an admin API that was started since.
    watched.learn_all()
    assert find_held(watched.engine, second) == held
    watched.apply(second)
    assert find_held(watched.engine, second).tag != held.tag


@pytest.mark.parametrize(
    "command", [scope_limits(7), SetAccountThrottle(ALICE, 5, 6), rules(5), control(5),
                mode(Mode.BLOCKED), override(7)],
)  # fmt: skip
def test_nothing_is_nothing(command: StandingCommand) -> None:
    """What was never set has a tag, too: who sets it in between is noticed."""
    watched = Watched()
    assert find_held(watched.engine, command) == NOTHING
    watched.apply(command)
    assert find_held(watched.engine, command).tag != NOTHING.tag


def test_lifted_switch_is_another_one_once_it_is_pulled_again() -> None:
    """By somebody else, or for another reason."""
    watched = Watched()
    lift = LiftKillSwitch(*SCOPE, "found its mind", "rita")
    assert find_held(watched.engine, lift) == NOTHING
    watched.apply(PullKillSwitch(*SCOPE, "lost its mind", "tom"))
    held = find_held(watched.engine, lift)
    assert held.view == {"is_pulled": True, "by": "tom", "reason": "lost its mind"}
    watched.apply(lift)
    watched.apply(PullKillSwitch(*SCOPE, "again", "tom"))
    assert find_held(watched.engine, lift).tag not in (held.tag, NOTHING.tag)


def test_no_credit_is_a_line_of_nothing() -> None:
    """Taken back, it is as it was before."""
    watched = Watched()
    wish = SetCreditLine(ALICE, USD, Money(5))
    before = find_held(watched.engine, wish)
    assert before.view == NONE_LENT
    watched.apply(wish)
    watched.apply(SetCreditLine(ALICE, USD, Money(0)))
    assert find_held(watched.engine, wish) == before


def test_every_kind_of_proposal_has_a_case_here() -> None:
    """Of a kill switch the tests above tell."""
    seen = {type(second) for _, second, _ in CASES} | {LiftKillSwitch}
    assert seen == set(get_args(StandingCommand))
