"""One owner per FIX session; what it has sent is applied once."""

import pytest

from engine.commands import CancelOrder, NewOrder
from engine.events import CancelRejected, CommandRefused, OrderAccepted
from engine.order import OrdType, Side, TimeInForce
from engine.reasons import RejectReason
from engine.session_commands import OpenSession, ReleaseAllSessions, ReleaseSession, ResetSession
from engine.session_events import SessionOpened, SessionReleased, SessionReset
from engine.units import ClOrdId, Price, Qty, SessionId
from tests.exchange_desk import ALICE, BTC_USD, Desk

SESSION = SessionId(7)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def order(generation: int, epoch: int, msg_seq_num: int) -> NewOrder:
    return NewOrder(
        session_id=SESSION,
        generation=generation,
        epoch=epoch,
        msg_seq_num=msg_seq_num,
        account_id=ALICE,
        instrument_id=BTC_USD,
        cl_ord_id=ClOrdId(f"{epoch}-{msg_seq_num}"),
        side=Side.BUY,
        ord_type=OrdType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Qty(1),
        price=Price(1),
    )


def test_first_grant_opens_the_first_epoch(desk: Desk) -> None:
    """A session nobody has owned starts at generation 1, epoch 1, nothing seen."""
    assert desk.apply(OpenSession(SESSION)) == [SessionOpened(SESSION, 1, 1, 0)]


def test_held_session_is_not_granted_twice(desk: Desk) -> None:
    """Another process is refused while the owner lives, and granted once it is gone."""
    desk.apply(OpenSession(SESSION))
    refused = CommandRefused(RejectReason.SESSION_HELD, SESSION, actual=1)
    assert desk.apply(OpenSession(SESSION)) == [refused]
    assert desk.apply(ReleaseSession(SESSION, 1)) == [SessionReleased(SESSION, 1)]
    assert desk.apply(OpenSession(SESSION)) == [SessionOpened(SESSION, 2, 1, 0)]


def test_late_release_of_an_old_grant_is_ignored(desk: Desk) -> None:
    """The death of a former owner does not end the grant of the present one."""
    desk.apply(OpenSession(SESSION))
    desk.apply(ReleaseSession(SESSION, 1))
    desk.apply(OpenSession(SESSION))
    assert desk.apply(ReleaseSession(SESSION, 1)) == []
    assert isinstance(desk.apply(order(2, 1, 2))[0], OrderAccepted)


def test_start_of_the_engine_ends_every_grant(desk: Desk) -> None:
    """No owner outlives the engine that it was linked to."""
    desk.apply(OpenSession(SESSION))
    desk.apply(OpenSession(SessionId(8)))
    assert desk.apply(ReleaseAllSessions()) == [
        SessionReleased(SESSION, 1),
        SessionReleased(SessionId(8), 1),
    ]
    assert desk.apply(ReleaseAllSessions()) == []


def test_seen_messages_are_ignored(desk: Desk) -> None:
    """A command that is sent again after its effect does nothing at all."""
    desk.apply(OpenSession(SESSION))
    assert isinstance(desk.apply(order(1, 1, 2))[0], OrderAccepted)
    assert desk.apply(order(1, 1, 2)) == []
    assert desk.apply(order(1, 1, 1)) == []
    assert isinstance(desk.apply(order(1, 1, 5))[0], OrderAccepted)
    desk.apply(ReleaseSession(SESSION, 1))
    assert desk.apply(OpenSession(SESSION)) == [SessionOpened(SESSION, 2, 1, 5)]


def test_reset_opens_an_epoch_with_nothing_seen(desk: Desk) -> None:
    """After a reset numbers start again; commands from before it are refused."""
    desk.apply(OpenSession(SESSION))
    desk.apply(order(1, 1, 9))
    assert desk.apply(OpenSession(SESSION, generation=1, reset=True)) == [
        SessionOpened(SESSION, 2, 2, 0)
    ]
    assert desk.apply(order(2, 1, 10)) == [
        CommandRefused(RejectReason.STALE_EPOCH, SESSION, limit=2, actual=1)
    ]
    assert isinstance(desk.apply(order(2, 2, 2))[0], OrderAccepted)


@pytest.mark.parametrize("generation", [0, 1, 3])
def test_former_owner_is_fenced_off(desk: Desk, generation: int) -> None:
    """A process that lost the session is refused and changes nothing, its numbers neither."""
    desk.apply(OpenSession(SESSION))
    desk.apply(ReleaseSession(SESSION, 1))
    desk.apply(OpenSession(SESSION))
    before = desk.exchange.state()
    assert desk.apply(order(generation, 1, 2)) == [
        CommandRefused(RejectReason.STALE_GENERATION, SESSION, limit=2, actual=generation)
    ]
    assert desk.exchange.state() == before


def test_released_session_takes_no_commands(desk: Desk) -> None:
    """Nobody speaks for a session that nobody holds, nor for one that never was."""
    assert desk.apply(order(0, 0, 1)) == [CommandRefused(RejectReason.STALE_GENERATION, SESSION)]
    desk.apply(OpenSession(SESSION))
    desk.apply(ReleaseSession(SESSION, 1))
    assert desk.apply(order(1, 1, 2)) == [
        CommandRefused(RejectReason.STALE_GENERATION, SESSION, limit=0, actual=1)
    ]


def test_refused_cancels_count_as_seen(desk: Desk) -> None:
    """A business refusal consumes the message: its repeat is ignored, not refused again."""
    desk.apply(OpenSession(SESSION))
    cancel = CancelOrder(SESSION, 1, 1, 2, ALICE, ClOrdId("x"), ClOrdId("nothing"))
    assert isinstance(desk.apply(cancel)[0], CancelRejected)
    assert desk.apply(cancel) == []


def test_reset_ends_the_grant_and_begins_an_epoch(desk: Desk) -> None:
    """Whoever held the session must ask again, and what it still sends is refused."""
    desk.apply(OpenSession(SESSION))
    desk.apply(order(1, 1, 5))
    assert desk.apply(ResetSession(SESSION)) == [SessionReset(SESSION, 1, 2)]
    stale = CommandRefused(RejectReason.STALE_GENERATION, SESSION, limit=0, actual=1)
    assert desk.apply(order(1, 1, 6)) == [stale]
    assert desk.apply(ReleaseSession(SESSION, 1)) == []
    assert desk.apply(OpenSession(SESSION)) == [SessionOpened(SESSION, 2, 2, 0)]


def test_unknown_session_is_not_reset(desk: Desk) -> None:
    """There is nothing to begin anew."""
    refused = CommandRefused(RejectReason.SESSION_UNKNOWN, SESSION)
    assert desk.apply(ResetSession(SESSION)) == [refused]
