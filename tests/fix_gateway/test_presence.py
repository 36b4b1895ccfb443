"""What the engine is told of a session's client, and when."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import pytest

from engine.commands import SessionCommand
from engine.events import CommandRefused
from engine.runtime.feed import AccountEvent, Position, SessionEvent
from engine.scope import Scope
from engine.session_commands import LogOffSession, LogOnSession, PresenceCommand
from engine.session_events import SessionOpened
from engine.units import AccountId, SessionId
from fix_gateway.fix.logon import Admission
from fix_gateway.fix.presence import Presence, make_logon
from tests.session_row import make_row

SESSION = SessionId(7)
ADMISSION = Admission(b"", "192.0.2.7:5555", 1)


class Listener:
    """An engine that writes down what it is told (`session_tools.Engine`)."""

    is_available = True

    def __init__(self) -> None:
        self.told: list[PresenceCommand] = []

    def tell(self, command: PresenceCommand) -> None:
        self.told.append(command)

    def enter(self, command: SessionCommand) -> None:
        raise AssertionError(command)

    async def open_session(
        self, session_id: SessionId, *, generation: int, reset: bool
    ) -> SessionOpened | CommandRefused:
        raise AssertionError(session_id, generation, reset)

    def release_session(self, session_id: SessionId, generation: int) -> None:
        raise AssertionError(session_id, generation)

    last_seq = 0

    def read_session_events(
        self, session_id: SessionId, after: Position, heard: AbstractSet[AccountId]
    ) -> Iterator[SessionEvent]:
        raise AssertionError(session_id, after, heard)

    def read_account_events(
        self, account_ids: AbstractSet[AccountId], after: Position
    ) -> Iterator[AccountEvent | None]:
        raise AssertionError(account_ids, after)


@pytest.fixture
def engine() -> Listener:
    return Listener()


@pytest.mark.parametrize(
    ("setting", "asked", "scope"),
    [
        ("off", None, None),
        ("session", None, Scope.SESSION),
        ("account", None, Scope.ACCOUNT),
        ("account", "N", None),
        ("off", "S", Scope.SESSION),
        ("off", "A", Scope.ACCOUNT),
        ("session", "Y", Scope.ACCOUNT),
    ],
)
def test_logon_goes_before_the_setting(
    setting: str, asked: str | None, scope: Scope | None
) -> None:
    """CancelOrdersOnDisconnect(8013) of the Logon, or else what the operator has set."""
    admission = Admission(b"", "192.0.2.7:5555", 1, cancel_on_disconnect=asked)
    assert make_logon(make_row(cancel_on_disconnect=setting), admission).cancel_scope is scope


@pytest.mark.parametrize(
    ("setting", "asked", "counts"),
    [(False, None, False), (True, None, True), (True, "N", False), (False, "Y", True)],
)
def test_internal_loss_too(setting: bool, asked: str | None, counts: bool) -> None:
    """CancelOrdersOnInternalDisconnect(8014) likewise; the rest is the operator's alone."""
    row = make_row(cancel_on_internal_loss=setting, cancel_grace_ms=1500, cancel_on_logout=True)
    admission = Admission(b"", "192.0.2.7:5555", 1, cancel_on_internal_loss=asked)
    assert make_logon(row, admission) == LogOnSession(
        SESSION,
        0,
        AccountId(1),
        grace_ns=1_500_000_000,
        cancels_on_logout=True,
        cancels_on_internal_loss=counts,
    )


def test_new_process_says_that_nobody_is_there(engine: Listener) -> None:
    """Whoever was there was connected to its predecessor."""
    presence = Presence(make_row(), engine)
    presence.tell(3)
    assert engine.told == [LogOffSession(SESSION, 3, is_graceful=False)]


def test_said_again_with_each_grant(engine: Listener) -> None:
    """Without a grant nothing is said; with the next one it is."""
    presence = Presence(make_row(), engine)
    presence.log_on(make_row(), ADMISSION, 1)
    presence.tell(2)
    presence.change(make_row(cancel_on_disconnect="session"), 2)
    presence.note_goodbye()
    presence.log_off(0)
    presence.change(make_row(cancel_on_disconnect="account"), 3)
    presence.tell(3)
    said = [(type(command), command.generation) for command in engine.told]
    assert said == [(LogOnSession, 1), (LogOnSession, 2), (LogOnSession, 2), (LogOffSession, 3)]
    assert isinstance(engine.told[2], LogOnSession)
    assert engine.told[2].cancel_scope is Scope.SESSION
    assert engine.told[3] == LogOffSession(SESSION, 3, is_graceful=True)


@pytest.mark.parametrize("says_goodbye", [False, True])
@pytest.mark.parametrize("is_sent_away", [False, True])
def test_only_its_own_will_is_graceful(
    engine: Listener, says_goodbye: bool, is_sent_away: bool
) -> None:
    """Who is told to leave answers with a Logout, and a later logon forgets all of it."""
    presence = Presence(make_row(), engine)
    presence.log_on(make_row(), ADMISSION, 1)
    if is_sent_away:
        presence.note_sent_away()
    if says_goodbye:
        presence.note_goodbye()
    presence.log_off(1)
    assert engine.told[-1] == LogOffSession(SESSION, 1, says_goodbye and not is_sent_away)
    presence.log_on(make_row(), ADMISSION, 1)
    presence.log_off(1)
    assert engine.told[-1] == LogOffSession(SESSION, 1, is_graceful=False)
