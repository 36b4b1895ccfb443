"""The dead-man timer: all orders of an account go when it is silent for too long."""

import msgspec
import pytest

from engine.commands import AdvanceTime, PullKillSwitch, SetDeadManTimer
from engine.controls import DAY_NS
from engine.dead_man import DeadManTimer
from engine.events import (
    CommandRefused,
    DeadManTimerExpired,
    DeadManTimerSet,
    Event,
    OrderAccepted,
    OrderCanceled,
)
from engine.exchange import Exchange
from engine.order import OrderView, OrdStatus
from engine.reasons import CancelReason, RejectReason
from engine.scope import Scope
from engine.session_commands import OpenSession
from engine.sweeper import CANCELED_MAX
from engine.units import AccountId, Money, Qty, SessionId
from risk.pre_trade import PreTradeGate
from tests.exchange_desk import ALICE, BOB, BTC, NS_PER_S, USD, Desk, session_order

TIMEOUT_NS = 5 * NS_PER_S
SESSION = SessionId(7)


class TimedDesk(Desk):
    """A desk where time passes as the sequencer lets it pass."""

    def arm(self, timeout_ns: int = TIMEOUT_NS, account_id: AccountId = ALICE) -> int:
        """Set the timer and return when it expires, as the event must say."""
        (event,) = self.apply(SetDeadManTimer(account_id, timeout_ns, "user:ann"))
        expires_at_ns = self.now_ns + timeout_ns if timeout_ns else 0
        assert event == DeadManTimerSet(account_id, expires_at_ns, "user:ann")
        return expires_at_ns

    def wait_until(self, until_ns: int) -> list[Event]:
        """Let pass what is due by then, and return what happens."""
        events: list[Event] = []
        while (timer_ns := self.exchange.next_timer_ns()) is not None and timer_ns <= until_ns:
            # `apply` adds the one.
            self.now_ns = max(self.now_ns, timer_ns - 1)
            events += self.apply(AdvanceTime())
        self.now_ns = max(self.now_ns, until_ns)
        return events

    def rest(self, account_id: AccountId = ALICE) -> OrderView:
        """Enter an order that meets no other, and return it."""
        (event,) = self.buy(account_id, 1, 1)
        assert isinstance(event, OrderAccepted)
        return event.order

    def restart(self) -> None:
        """Go on with an exchange that is restored from the state of the one before."""
        self.exchange = Exchange.restore(PreTradeGate(), self.exchange.state())


@pytest.fixture
def desk() -> TimedDesk:
    return TimedDesk({USD: Money(10**17), BTC: Money(10**17)})


def gone(order: OrderView) -> OrderCanceled:
    """Return the event by which an untouched order ends when its account's timer expires."""
    after = msgspec.structs.replace(order, leaves_qty=Qty(0), ord_status=OrdStatus.CANCELED)
    return OrderCanceled(after, CancelReason.DEAD_MAN, order.leaves_qty)


def test_all_orders_go_when_it_expires(desk: TimedDesk) -> None:
    """Those entered after it was set as well, in the order of entry; nobody else's, and once."""
    before = desk.rest()
    expires_at_ns = desk.arm()
    after = desk.rest()
    desk.rest(BOB)
    assert desk.wait_until(expires_at_ns - 1) == []
    assert desk.wait_until(expires_at_ns) == [
        DeadManTimerExpired(ALICE),
        gone(before),
        gone(after),
    ]
    assert desk.exchange.state().dead_man_timers == []
    assert desk.rest().ord_status is OrdStatus.NEW
    assert desk.wait_until(expires_at_ns + 10 * TIMEOUT_NS) == []


def test_order_that_outlives_its_connection_goes_too(desk: TimedDesk) -> None:
    """It is the connection that it outlives."""
    desk.apply(OpenSession(SESSION))
    (accepted,) = desk.apply(session_order(SESSION, 1, 1, outlives_connection=True))
    assert isinstance(accepted, OrderAccepted)
    assert desk.wait_until(desk.arm()) == [DeadManTimerExpired(ALICE), gone(accepted.order)]


def test_it_is_put_off_each_time(desk: TimedDesk) -> None:
    """The last word counts, also when it brings the end nearer."""
    order = desk.rest()
    for _ in range(3):
        assert desk.wait_until(desk.arm() - 1) == []
    later = desk.arm(10 * TIMEOUT_NS)
    sooner = desk.arm(TIMEOUT_NS)
    assert sooner < later
    assert desk.exchange.state().dead_man_timers == [DeadManTimer(ALICE, sooner)]
    assert desk.exchange.standing_events() == [DeadManTimerSet(ALICE, sooner)]
    assert desk.wait_until(sooner) == [DeadManTimerExpired(ALICE), gone(order)]
    assert desk.wait_until(later) == []


def test_zero_stops_it(desk: TimedDesk) -> None:
    """Also when it does not run."""
    desk.rest()
    expires_at_ns = desk.arm()
    assert desk.arm(0) == 0
    assert desk.arm(0) == 0
    assert desk.exchange.next_timer_ns() is None
    assert desk.exchange.standing_events() == []
    assert desk.wait_until(expires_at_ns) == []
    assert len(desk.exchange.state().open_orders) == 1


def test_accounts_expire_in_their_order(desk: TimedDesk) -> None:
    """Each timer is its account's."""
    alices, bobs = desk.rest(), desk.rest(BOB)
    last_ns = desk.arm(2 * TIMEOUT_NS)
    desk.arm(TIMEOUT_NS, BOB)
    assert desk.wait_until(last_ns) == [
        DeadManTimerExpired(BOB),
        gone(bobs),
        DeadManTimerExpired(ALICE),
        gone(alices),
    ]


def test_it_runs_on_over_a_restart(desk: TimedDesk) -> None:
    """With the time it had, of which none is given back for the engine having been away."""
    order = desk.rest()
    expires_at_ns = desk.arm()
    desk.restart()
    assert desk.exchange.state().dead_man_timers == [DeadManTimer(ALICE, expires_at_ns)]
    assert desk.wait_until(expires_at_ns - 1) == []
    assert desk.wait_until(expires_at_ns) == [DeadManTimerExpired(ALICE), gone(order)]


def test_kill_switch_meanwhile_leaves_it_nothing(desk: TimedDesk) -> None:
    """The switch has cancelled what there was; the timer expires all the same."""
    desk.rest()
    expires_at_ns = desk.arm()
    desk.apply(PullKillSwitch(Scope.ACCOUNT, ALICE, "wild algorithm", "os:carol"))
    assert desk.wait_until(expires_at_ns) == [DeadManTimerExpired(ALICE)]


def test_many_orders_go_in_parts(desk: TimedDesk) -> None:
    """Nobody else waits for long, and a restart in between loses none."""
    orders = [desk.rest() for _ in range(CANCELED_MAX + 1)]
    expires_at_ns = desk.arm()
    desk.now_ns = expires_at_ns
    first = desk.apply(AdvanceTime())
    assert first == [DeadManTimerExpired(ALICE), *map(gone, orders[:CANCELED_MAX])]
    desk.restart()
    assert desk.wait_until(desk.now_ns) == [gone(orders[-1])]


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (
            SetDeadManTimer(AccountId(99), TIMEOUT_NS),
            CommandRefused(RejectReason.ACCOUNT_UNKNOWN, actual=99),
        ),
        (
            SetDeadManTimer(ALICE, -1),
            CommandRefused(RejectReason.AMOUNT_INVALID, limit=DAY_NS, actual=-1),
        ),
        (
            SetDeadManTimer(ALICE, DAY_NS + 1),
            CommandRefused(RejectReason.AMOUNT_INVALID, limit=DAY_NS, actual=DAY_NS + 1),
        ),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    desk: TimedDesk, command: SetDeadManTimer, refused: CommandRefused
) -> None:
    """A timer that ran before runs on."""
    expires_at_ns = desk.arm()
    assert desk.apply(command) == [refused]
    assert desk.exchange.state().dead_man_timers == [DeadManTimer(ALICE, expires_at_ns)]
