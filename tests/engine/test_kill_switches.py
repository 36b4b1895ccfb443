"""Kill switches: what is open goes, nothing new comes, until somebody lets it."""

import pytest

from engine.commands import LiftKillSwitch, OpenSession, PullKillSwitch
from engine.events import (
    CommandRefused,
    Event,
    KillCompleted,
    KillSwitchLifted,
    KillSwitchPulled,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
)
from engine.explain import explain
from engine.reasons import CancelReason, RejectReason
from engine.scope import Scope
from engine.units import SessionId
from tests.exchange_desk import ALICE, BOB, Desk, session_order

SESSION = SessionId(7)
SCOPES = [
    (Scope.EVERYTHING, 0, "all trading is stopped, cancels are taken"),
    (Scope.FIRM, 1, "trading of the firm is stopped, cancels are taken"),
    (Scope.ACCOUNT, 1, "trading of the account is stopped, cancels are taken"),
    (Scope.SESSION, 7, "trading of the session is stopped, cancels are taken"),
]
every_scope = pytest.mark.parametrize(("scope", "scope_id", "words"), SCOPES)


@pytest.fixture
def desk() -> Desk:
    """Three orders rest: of ALICE over a session, of ALICE over none, of BOB."""
    desk = Desk()
    desk.apply(OpenSession(SESSION))
    desk.apply(session_order(SESSION, 1, 1))
    desk.buy(ALICE, 1, 2)
    desk.buy(BOB, 1, 3)
    return desk


def canceled(events: list[Event]) -> list[str]:
    orders = [event for event in events if isinstance(event, OrderCanceled)]
    assert {event.reason for event in orders} <= {CancelReason.KILLED}
    return [event.order.cl_ord_id for event in orders]


@every_scope
def test_switch_cancels_and_refuses_its_scope_alone(
    desk: Desk, scope: Scope, scope_id: int, words: str
) -> None:
    """Open orders go at once, with a count at the end; new ones are refused with the scope."""
    expected = {
        Scope.EVERYTHING: ["7-1", "c1", "c2"],
        Scope.FIRM: ["7-1", "c1"],
        Scope.ACCOUNT: ["7-1", "c1"],
        Scope.SESSION: ["7-1"],
    }[scope]
    events = desk.apply(PullKillSwitch(scope, scope_id, "wild algorithm", "os:carol"))
    assert events[0] == KillSwitchPulled(scope, scope_id, "wild algorithm", "os:carol")
    assert canceled(events) == expected
    assert events[-1] == KillCompleted(scope, scope_id, len(expected))
    (refused,) = desk.apply(session_order(SESSION, 1, 2))
    assert isinstance(refused, OrderRejected)
    assert explain(refused.reason, scope=refused.scope) == f"KILLED: {words}"
    (of_bob,) = desk.buy(BOB, 1, 3)
    assert isinstance(of_bob, OrderRejected) is (scope is Scope.EVERYTHING)


@every_scope
def test_cancels_stay_allowed(desk: Desk, scope: Scope, scope_id: int, words: str) -> None:
    """Who wants out gets out: the refusal is that of an order which has ended, no other."""
    del words
    desk.apply(PullKillSwitch(scope, scope_id, "x"))
    (event,) = desk.cancel(BOB, "c2", "x1")
    if scope is Scope.EVERYTHING:
        assert not isinstance(event, OrderCanceled)
    else:
        assert isinstance(event, OrderCanceled)
        assert event.reason is CancelReason.REQUESTED


@every_scope
def test_trading_goes_on_once_it_is_lifted(
    desk: Desk, scope: Scope, scope_id: int, words: str
) -> None:
    """With who and why; a switch that is not pulled cannot be lifted."""
    del words
    desk.apply(PullKillSwitch(scope, scope_id, "x"))
    lifted = KillSwitchLifted(scope, scope_id, "fixed", "os:dave")
    assert desk.apply(LiftKillSwitch(scope, scope_id, "fixed", "os:dave")) == [lifted]
    (accepted,) = desk.apply(session_order(SESSION, 1, 2))
    assert isinstance(accepted, OrderAccepted)
    (refused,) = desk.apply(LiftKillSwitch(scope, scope_id, "again"))
    assert refused == CommandRefused(RejectReason.NOT_KILLED, actual=scope_id)


def test_switches_nest(desk: Desk) -> None:
    """Lifting one leaves the others; the widest is the one that is named."""
    for scope, scope_id, _ in SCOPES:
        desk.apply(PullKillSwitch(scope, scope_id, "x"))
    for number, (scope, scope_id, words) in enumerate(SCOPES, start=2):
        (refused,) = desk.apply(session_order(SESSION, 1, number))
        assert isinstance(refused, OrderRejected)
        assert explain(refused.reason, scope=refused.scope).endswith(words)
        desk.apply(LiftKillSwitch(scope, scope_id, "x"))
    (accepted,) = desk.apply(session_order(SESSION, 1, 9))
    assert isinstance(accepted, OrderAccepted)


@pytest.mark.parametrize(
    ("scope", "scope_id", "reason"),
    [
        (Scope.EVERYTHING, 1, RejectReason.AMOUNT_INVALID),
        (Scope.FIRM, 99, RejectReason.FIRM_UNKNOWN),
        (Scope.ACCOUNT, 99, RejectReason.ACCOUNT_UNKNOWN),
        (Scope.SESSION, 99, RejectReason.SESSION_UNKNOWN),
    ],
)
def test_slip_of_the_finger_is_noticed(
    desk: Desk, scope: Scope, scope_id: int, reason: RejectReason
) -> None:
    """A switch for nobody would leave the operator believing that somebody was stopped."""
    for command in (PullKillSwitch(scope, scope_id, "x"), LiftKillSwitch(scope, scope_id, "x")):
        assert desk.apply(command) == [CommandRefused(reason, actual=scope_id)]


def test_pulling_again_is_harmless(desk: Desk) -> None:
    """It says so again, and finds nothing to cancel."""
    desk.apply(PullKillSwitch(Scope.EVERYTHING, 0, "x", "os:a"))
    assert desk.apply(PullKillSwitch(Scope.EVERYTHING, 0, "y", "os:b")) == [
        KillSwitchPulled(Scope.EVERYTHING, 0, "y", "os:b"),
        KillCompleted(Scope.EVERYTHING, 0, 0),
    ]
