"""Who is told when operators change limits or stop trading, and in which words."""

import pytest

from engine.events import Event, KillCompleted, KillSwitchLifted, KillSwitchPulled
from engine.limits import RiskLimits, ScopeLimits
from engine.risk_events import AccountThrottleSet, RiskLimitsSet, ScopeLimitsSet
from engine.scope import Scope
from engine.units import AccountId, FirmId, InstrumentId, Money, Qty, SessionId, UserId
from fix_gateway.announcements import Announcement, find_announcement
from tests.session_row import make_row

BTC_USD = InstrumentId(1)
CHANGED = "LIMITS CHANGED"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            RiskLimitsSet(RiskLimits(AccountId(7), BTC_USD, Qty(1), Money(1))),
            (Scope.ACCOUNT, 7, CHANGED, "the limits of the account are others from now on"),
        ),
        (
            AccountThrottleSet(AccountId(7), None),
            (Scope.ACCOUNT, 7, CHANGED, "the limits of the account are others from now on"),
        ),
        (
            ScopeLimitsSet(ScopeLimits(Scope.FIRM, 3, BTC_USD, None, None)),
            (Scope.FIRM, 3, CHANGED, "the limits of the firm are others from now on"),
        ),
        (
            KillSwitchPulled(Scope.SESSION, 9, "runaway\x01algo", "os:x"),
            (
                Scope.SESSION,
                9,
                "KILL_SWITCH PULLED",
                "no new orders of the session, open ones are cancelled: runaway?algo",
            ),
        ),
        (
            KillSwitchLifted(Scope.EVERYTHING, 0, "", "os:x"),
            (Scope.EVERYTHING, 0, "KILL_SWITCH LIFTED", "orders of all are taken again"),
        ),
        (KillCompleted(Scope.EVERYTHING, 0, 5), None),
    ],
)
def test_words(event: Event, said: tuple[Scope, int, str, str] | None) -> None:
    """In one line, with nothing that could break a message."""
    assert find_announcement(event) == said


@pytest.mark.parametrize(
    ("scope", "scope_id", "concerns"),
    [
        (Scope.EVERYTHING, 0, True),
        (Scope.FIRM, 3, True),
        (Scope.FIRM, 7, False),
        (Scope.ACCOUNT, 7, True),
        (Scope.ACCOUNT, 3, False),
        (Scope.SESSION, 9, True),
        (Scope.SESSION, 3, False),
        (Scope.USER, 5, True),
        (Scope.USER, 3, False),
    ],
)
def test_sessions_of_the_scope_are_told(scope: Scope, scope_id: int, concerns: bool) -> None:
    """Those of the firm, of the account or of the user, or the one session; for everything, all."""
    row = make_row(
        firm_id=FirmId(3), account_id=AccountId(7), session_id=SessionId(9), user_id=UserId(5)
    )
    assert Announcement(scope, scope_id, "", "").concerns(row) is concerns
