"""Orders are cancelled because their client is gone: when, which ones, and when not."""

import pytest

from engine.commands import AdvanceTime
from engine.events import (
    CommandRefused,
    Event,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    recipients,
)
from engine.exchange import Exchange
from engine.explain import explain
from engine.order import Side
from engine.presence import OWNER_WAIT_NS
from engine.reasons import CancelReason, RejectReason
from engine.scope import Scope
from engine.session_commands import (
    LogOffSession,
    LogOnSession,
    OpenSession,
    ReleaseAllSessions,
    ReleaseSession,
    ResetSession,
)
from engine.session_events import SessionLoggedOff, SessionLoggedOn, SessionOpened
from engine.sweeper import CANCELED_MAX
from engine.units import Money, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BTC, NS_PER_S, USD, Desk, session_order

SESSION, OTHER = SessionId(7), SessionId(8)
GRACE_NS = 3 * NS_PER_S


class PresenceDesk(Desk):
    """A desk with two sessions of ALICE. Orders rest far away from each other."""

    def __init__(self) -> None:
        super().__init__({USD: Money(10**17), BTC: Money(10**17)})
        self.generations: dict[SessionId, int] = {}
        self.numbers: dict[SessionId, int] = {}
        for session_id in (SESSION, OTHER):
            self.open(session_id)

    def open(self, session_id: SessionId) -> None:
        generation = self.generations.get(session_id, 0)
        (opened,) = self.apply(OpenSession(session_id, generation))
        assert isinstance(opened, SessionOpened)
        self.generations[session_id] = opened.generation

    def log_on(
        self,
        session_id: SessionId = SESSION,
        scope: Scope | None = Scope.SESSION,
        *,
        on_logout: bool = False,
        on_loss: bool = False,
        grace_ns: int = GRACE_NS,
    ) -> list[Event]:
        return self.apply(
            LogOnSession(
                session_id, self.generations[session_id], ALICE, scope, grace_ns, on_logout, on_loss
            )
        )

    def log_off(self, session_id: SessionId = SESSION, *, is_graceful: bool = False) -> list[Event]:
        return self.apply(LogOffSession(session_id, self.generations[session_id], is_graceful))

    def lose(self) -> None:
        """The owner's link breaks."""
        self.apply(ReleaseSession(SESSION, self.generations[SESSION]))

    def rest(
        self,
        session_id: SessionId = SESSION,
        *,
        outlives_connection: bool = False,
        orig_sent_at_ns: int = 0,
    ) -> Event:
        number = self.numbers[session_id] = self.numbers.get(session_id, 0) + 1
        (event,) = self.apply(
            session_order(
                session_id,
                self.generations[session_id],
                number,
                outlives_connection=outlives_connection,
                orig_sent_at_ns=orig_sent_at_ns,
            )
        )
        return event

    def wait(self, wait_ns: int) -> list[OrderCanceled]:
        """Let time pass as the sequencer does, up to so much from now, and return the cancels."""
        until_ns = self.now_ns + wait_ns
        canceled: list[OrderCanceled] = []
        while (timer_ns := self.exchange.next_timer_ns()) is not None and timer_ns <= until_ns:
            self.now_ns = max(self.now_ns, timer_ns)
            events = self.apply(AdvanceTime())
            canceled += [event for event in events if isinstance(event, OrderCanceled)]
        self.now_ns = max(self.now_ns, until_ns)
        return canceled

    def open_count(self) -> int:
        return len(self.exchange.state().open_orders)


@pytest.fixture
def desk() -> PresenceDesk:
    return PresenceDesk()


def test_lost_client_has_its_grace_then_its_orders_go(desk: PresenceDesk) -> None:
    """Only the session's own, with the reason, and the session is told."""
    assert desk.log_on() == [SessionLoggedOn(SESSION, 1, Scope.SESSION)]
    desk.rest()
    desk.rest(OTHER)
    desk.rest()
    (left,) = desk.log_off()
    assert left == SessionLoggedOff(SESSION, 1, False, desk.now_ns + GRACE_NS)
    assert desk.wait(GRACE_NS - 1) == []
    canceled = desk.wait(1)
    assert [event.order.cl_ord_id for event in canceled] == ["7-1", "7-2"]
    assert {event.reason for event in canceled} == {CancelReason.DISCONNECTED}
    assert {recipients(event) for event in canceled} == {(SESSION,)}
    assert desk.open_count() == 1
    assert desk.wait(10 * GRACE_NS) == []


def test_account_scope_takes_the_orders_of_all_its_sessions(desk: PresenceDesk) -> None:
    """Also those entered over no session, but nobody else's."""
    desk.log_on(scope=Scope.ACCOUNT)
    desk.rest()
    desk.rest(OTHER)
    desk.buy(ALICE, 1, 1)
    desk.log_off()
    assert len(desk.wait(GRACE_NS)) == 3


def test_client_that_is_back_in_time_keeps_its_orders(desk: PresenceDesk) -> None:
    """The timer ends with the logon, and begins anew with the next loss."""
    desk.log_on()
    desk.rest()
    desk.log_off()
    assert desk.wait(GRACE_NS - 1) == []
    desk.log_on()
    assert desk.wait(10 * GRACE_NS) == []
    desk.log_off()
    assert desk.wait(GRACE_NS - 1) == []
    assert len(desk.wait(1)) == 1


@pytest.mark.parametrize("scope", [None, Scope.SESSION])
@pytest.mark.parametrize("is_graceful", [False, True])
@pytest.mark.parametrize("on_logout", [False, True])
def test_logout_counts_by_setting(
    desk: PresenceDesk, scope: Scope | None, is_graceful: bool, on_logout: bool
) -> None:
    """A loss always counts, a Logout if it is set so, and nothing where the mode is off."""
    desk.log_on(scope=scope, on_logout=on_logout)
    desk.rest()
    desk.log_off(is_graceful=is_graceful)
    canceled = desk.wait(GRACE_NS)
    if scope is None or (is_graceful and not on_logout):
        assert canceled == []
    else:
        reason = CancelReason.LOGGED_OUT if is_graceful else CancelReason.DISCONNECTED
        assert [event.reason for event in canceled] == [reason]


def test_order_may_outlive_the_connection(desk: PresenceDesk) -> None:
    """The one that asked for it stays."""
    desk.log_on()
    desk.rest(outlives_connection=True)
    desk.rest()
    desk.log_off()
    assert [event.order.cl_ord_id for event in desk.wait(GRACE_NS)] == ["7-2"]
    assert desk.open_count() == 1


def test_link_loss_that_counts_starts_the_grace_at_once(desk: PresenceDesk) -> None:
    """With CancelOrdersOnInternalDisconnect(8014)=Y nobody is waited for."""
    desk.log_on(on_loss=True)
    desk.rest()
    desk.lose()
    assert desk.wait(GRACE_NS - 1) == []
    assert len(desk.wait(1)) == 1


def test_owner_that_comes_back_speaks_for_its_client(desk: PresenceDesk) -> None:
    """The client never left: nothing is cancelled, however short its grace."""
    desk.log_on(grace_ns=0)
    desk.rest()
    desk.lose()
    assert desk.wait(OWNER_WAIT_NS - 1) == []
    desk.open(SESSION)
    assert desk.log_on(grace_ns=0) == [SessionLoggedOn(SESSION, 2, Scope.SESSION)]
    assert desk.wait(100 * OWNER_WAIT_NS) == []


def test_owner_that_comes_back_without_its_client_says_so(desk: PresenceDesk) -> None:
    """The gateway has died and a new one is there: the grace counts from the loss."""
    desk.log_on()
    desk.rest()
    desk.lose()
    lost_at_ns = desk.now_ns
    desk.wait(NS_PER_S)
    desk.open(SESSION)
    assert desk.log_off() == [SessionLoggedOff(SESSION, 2, False, lost_at_ns + GRACE_NS)]
    assert len(desk.wait(GRACE_NS - NS_PER_S)) == 1


def test_nobody_comes_back(desk: PresenceDesk) -> None:
    """After the wait for the owner and the grace the client counts as gone."""
    desk.log_on()
    desk.rest()
    desk.lose()
    assert desk.wait(OWNER_WAIT_NS + GRACE_NS - 1) == []
    assert len(desk.wait(1)) == 1


def test_client_that_said_goodbye_during_the_loss(desk: PresenceDesk) -> None:
    """Its Logout is told late, and still counts as one."""
    desk.log_on()
    desk.rest()
    desk.lose()
    desk.open(SESSION)
    desk.log_off(is_graceful=True)
    assert desk.wait(100 * OWNER_WAIT_NS) == []


def test_owner_gets_its_time_again_when_the_engine_starts_twice(desk: PresenceDesk) -> None:
    """While the engine was away nobody could come back to it."""
    desk.log_on()
    desk.rest()
    desk.apply(ReleaseAllSessions())
    desk.now_ns += 100 * OWNER_WAIT_NS
    desk.apply(ReleaseAllSessions())
    assert desk.wait(OWNER_WAIT_NS + GRACE_NS - 1) == []
    assert len(desk.wait(1)) == 1


def test_operators_reset_ends_the_presence(desk: PresenceDesk) -> None:
    """The owner logs the client out; if it dies before it can say so, the client is gone too."""
    desk.log_on()
    desk.rest()
    desk.apply(ResetSession(SESSION))
    assert len(desk.wait(OWNER_WAIT_NS + GRACE_NS)) == 1


def test_only_the_owner_may_say_who_is_there(desk: PresenceDesk) -> None:
    """A process that lost the session neither starts nor stops anything."""
    desk.log_on()
    desk.rest()
    desk.lose()
    desk.open(SESSION)
    desk.generations[SESSION] = 1
    for events in (desk.log_on(), desk.log_off()):
        (refused,) = events
        assert isinstance(refused, CommandRefused)
        assert refused.reason is RejectReason.STALE_GENERATION
    assert len(desk.wait(OWNER_WAIT_NS + GRACE_NS)) == 1
    desk.generations[SESSION] = 2
    assert desk.log_off() == []  # It is known to be gone.


def test_resent_order_from_before_the_cancelling_is_stale(desk: PresenceDesk) -> None:
    """What was first sent before the client was gone must not enter the book after it."""
    desk.log_on()
    desk.rest()
    first_sent_ns = desk.now_ns
    desk.log_off()
    desk.wait(GRACE_NS)
    for _ in range(2):  # In doubt since before, and resent after the next logon.
        refused = desk.rest(orig_sent_at_ns=first_sent_ns)
        assert isinstance(refused, OrderRejected)
        assert refused.reason is RejectReason.STALE
        assert "before the session's orders were cancelled" in explain(
            refused.reason, limit=refused.limit, actual=refused.actual
        )
        desk.log_on()
    assert isinstance(desk.rest(OTHER, orig_sent_at_ns=first_sent_ns), OrderAccepted)
    assert isinstance(desk.rest(orig_sent_at_ns=desk.now_ns), OrderAccepted)
    assert isinstance(desk.rest(), OrderAccepted)


def test_many_orders_go_in_turns_and_newer_ones_stay(desk: PresenceDesk) -> None:
    """So many per record; what the account enters meanwhile over another session is not meant."""
    desk.log_on(scope=Scope.ACCOUNT, grace_ns=0)
    for _ in range(CANCELED_MAX + 5):
        # Not every state is checked: that would take the square of the time.
        desk.seq += 1
        desk.now_ns += 1
        number = desk.numbers[SESSION] = desk.numbers.get(SESSION, 0) + 1
        desk.exchange.apply(
            desk.seq,  # type: ignore[arg-type]
            desk.now_ns,
            session_order(SESSION, 1, number),
        )
    desk.log_off()
    first = [event for event in desk.apply(AdvanceTime()) if isinstance(event, OrderCanceled)]
    assert len(first) == CANCELED_MAX
    assert desk.exchange.next_timer_ns() == 0
    assert isinstance(desk.rest(OTHER), OrderAccepted)
    desk.log_on(scope=Scope.ACCOUNT)  # Too late: it has begun.
    copy = Exchange.restore(PreTradeGate(), desk.exchange.state())
    events = desk.apply(AdvanceTime())
    assert copy.apply(desk.seq, desk.now_ns, AdvanceTime()) == events  # type: ignore[arg-type]
    assert len(events) == 5
    assert desk.open_count() == 1
    assert desk.exchange.next_timer_ns() is None


def test_partly_filled_order_loses_the_rest_only(desk: PresenceDesk) -> None:
    """A fill that came first stays a fill."""
    desk.log_on()
    desk.rest()
    desk.sell(ALICE, 1, 1)
    desk.rest()
    desk.log_off()
    (event,) = desk.wait(GRACE_NS)
    assert event.order.side is Side.BUY
    assert event.order.cl_ord_id == "7-2"
