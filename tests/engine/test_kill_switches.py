"""Kill switches: what is open goes, nothing new comes, until somebody lets it."""

import msgspec
import pytest

from engine.commands import LiftKillSwitch, NewOrder, PullKillSwitch, ReplaceOrder
from engine.controls import Level
from engine.events import (
    CancelRejected,
    CommandRefused,
    Event,
    KillCompleted,
    KillSwitchLifted,
    KillSwitchPulled,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    Trade,
)
from engine.explain import explain
from engine.order import Side
from engine.reasons import CancelReason, RejectReason
from engine.scope import Scope
from engine.session_commands import OpenSession
from engine.units import ClOrdId, Price, Qty, Seq, SessionId, UserId
from tests.exchange_desk import ALICE, BOB, Desk, new_order, session_order

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


@pytest.mark.parametrize(
    ("scope", "scope_id", "expected"),
    [(Scope.INSTRUMENT, 1, ["7-1", "c1", "c2", "u9"]), (Scope.USER, 9, ["u9"])],
)
def test_switch_of_a_user_or_an_instrument(
    desk: Desk, scope: Scope, scope_id: int, expected: list[str]
) -> None:
    """A user's orders go whichever session they came over."""
    order = new_order(ALICE, Side.BUY, 1, 4, cl_ord_id="u9")
    of_user = msgspec.structs.replace(order, user_id=UserId(9))
    desk.apply(of_user)
    events = desk.apply(PullKillSwitch(scope, scope_id, "x"))
    assert canceled(events) == expected
    again = msgspec.structs.replace(of_user, cl_ord_id=ClOrdId("u10"))
    (refused,) = desk.apply(again)
    assert isinstance(refused, OrderRejected)
    assert (refused.reason, refused.scope) == (RejectReason.KILLED, scope)
    (of_bob,) = desk.buy(BOB, 1, 3)
    assert isinstance(of_bob, OrderRejected) is (scope is Scope.INSTRUMENT)


def test_switch_of_a_user_reaches_all_of_the_users_sessions(desk: Desk) -> None:
    """Working orders go and are counted, new ones and amendments are refused, others trade on."""
    other_session = SessionId(8)
    desk.apply(OpenSession(other_session))
    for session_id, number in ((SESSION, 2), (other_session, 1)):
        desk.apply(of_user(session_order(session_id, 1, number)))
    events = desk.apply(PullKillSwitch(Scope.USER, 9, "x", "os:ann"))
    assert events[0] == KillSwitchPulled(Scope.USER, 9, "x", "os:ann")
    assert canceled(events) == ["7-2", "8-1"]
    assert events[-1] == KillCompleted(Scope.USER, 9, 2, ended_count=0, left_count=0)

    (refused,) = desk.apply(of_user(session_order(other_session, 1, 2)))
    assert isinstance(refused, OrderRejected)
    text = explain(refused.reason, scope=refused.scope, detail=refused.detail)
    assert text == "KILLED: trading of the user is stopped, cancels are taken"
    (not_amended,) = desk.apply(amended_by(UserId(9)))
    assert isinstance(not_amended, CancelRejected)
    assert (not_amended.reason, not_amended.scope) == (RejectReason.KILLED, Scope.USER)
    (of_nobody,) = desk.apply(session_order(SESSION, 1, 4))
    assert isinstance(of_nobody, OrderAccepted)

    desk.apply(LiftKillSwitch(Scope.USER, 9, "y", "os:ben"))
    (accepted,) = desk.apply(of_user(session_order(SESSION, 1, 5)))
    assert isinstance(accepted, OrderAccepted)


def of_user(order: NewOrder) -> NewOrder:
    """Return the order as one of the user 9."""
    return msgspec.structs.replace(order, user_id=UserId(9))


def amended_by(user_id: UserId) -> ReplaceOrder:
    """Return an amendment of the session's first order, which is nobody's, by a user."""
    return ReplaceOrder(
        session_id=SESSION,
        generation=1,
        epoch=1,
        msg_seq_num=3,
        account_id=ALICE,
        cl_ord_id=ClOrdId("7-3"),
        orig_cl_ord_id=ClOrdId("7-1"),
        order_qty=Qty(2),
        price=Price(1),
        user_id=user_id,
    )


@pytest.mark.parametrize("level", list(Level))
def test_switch_is_lifted_by_another_operator(desk: Desk, level: Level) -> None:
    """Two people have looked, except at a client's own switch.

    Whom the machine alone knows has broken the glass: there may be nobody else.
    """
    scope, scope_id, ann = Scope.ACCOUNT, 1, "operator:ann os:wcx"
    desk.apply(PullKillSwitch(scope, scope_id, "x", ann, level))
    by_ann = desk.apply(LiftKillSwitch(scope, scope_id, "y", ann, level))
    if level is Level.CLIENT:
        assert by_ann == [KillSwitchLifted(scope, scope_id, "y", ann, level)]
    else:
        assert by_ann == [CommandRefused(RejectReason.SAME_OPERATOR, actual=1)]
        ben = "operator:ben os:wcx"
        by_ben = desk.apply(LiftKillSwitch(scope, scope_id, "y", ben, level))
        assert by_ben == [KillSwitchLifted(scope, scope_id, "y", ben, level)]
    desk.apply(PullKillSwitch(scope, scope_id, "x", "os:root", level))
    by_root = desk.apply(LiftKillSwitch(scope, scope_id, "y", "os:root", level))
    assert by_root == [KillSwitchLifted(scope, scope_id, "y", "os:root", level)]


def test_switches_of_operator_firm_and_client_are_three(desk: Desk) -> None:
    """Nobody lifts another's: trading goes on when the last is lifted. The refusal names whose."""
    for level in Level:
        desk.apply(PullKillSwitch(Scope.ACCOUNT, 1, "x", level=level))
    for level, words in (
        (Level.OPERATOR, ""),
        (Level.FIRM, " by the firm"),
        (Level.CLIENT, " by the client"),
    ):
        (refused,) = desk.buy(ALICE, 1, 1)
        assert isinstance(refused, OrderRejected)
        text = explain(refused.reason, scope=refused.scope, detail=refused.detail)
        assert text == f"KILLED: trading of the account is stopped{words}, cancels are taken"
        (lifted,) = desk.apply(LiftKillSwitch(Scope.ACCOUNT, 1, "y", level=level))
        assert isinstance(lifted, KillSwitchLifted)
    assert isinstance(desk.buy(ALICE, 1, 1)[0], OrderAccepted)


def test_report_counts_what_ended_before_it_was_reached() -> None:
    """Of 1,500 orders a thousand go at once; what is filled meanwhile is told as filled."""
    desk = Desk()
    for _ in range(1500):
        desk.seq += 1
        order = new_order(ALICE, Side.BUY, 1, 50, cl_ord_id=f"k{desk.seq}")
        desk.exchange.apply(Seq(desk.seq), desk.now_ns, order)
    events = desk.apply(PullKillSwitch(Scope.ACCOUNT, 1, "x"))
    assert len(canceled(events)) == 1000
    (_, trade, *_) = desk.sell(BOB, 2, 50)
    assert isinstance(trade, Trade)
    events = desk.advance_to(desk.now_ns + 1)
    assert len(canceled(events)) == 498
    assert events[-1] == KillCompleted(Scope.ACCOUNT, 1, 1498, ended_count=2, left_count=0)
