"""What operators do that clients should know at once, as News(B): limits, kill switches, modes.

For whoever is logged on at that moment. What holds can be seen in every refusal, so nothing of it
is kept for clients that come later.
"""

from typing import NamedTuple

from engine.events import Event, KillSwitchLifted, KillSwitchPulled
from engine.risk_events import (
    AccountThrottleSet,
    LimitSet,
    RiskLimitsSet,
    ScopeLimitsSet,
    TradingModeSet,
)
from engine.scope import Scope
from fix_gateway.fix.fields import printable
from fix_gateway.timetable import TEXT_CHARACTERS_MAX
from store.sessions import FixSessionRow


class Announcement(NamedTuple):
    """What is said, and to the sessions of which scope."""

    scope: Scope
    scope_id: int
    headline: str
    text: str

    def concerns(self, row: FixSessionRow) -> bool:
        """Whether the session is told."""
        return self.scope is Scope.EVERYTHING or self.scope_id == {
            Scope.FIRM: row.firm_id,
            Scope.ACCOUNT: row.account_id,
            Scope.SESSION: row.session_id,
            Scope.USER: row.user_id,
        }.get(self.scope)


def find_announcement(event: Event) -> Announcement | None:
    """Return what is said of an event, None for one that is told otherwise or not at all."""
    match event:
        case RiskLimitsSet(limits):
            return _limits_changed(Scope.ACCOUNT, limits.account_id)
        case AccountThrottleSet(account_id):
            return _limits_changed(Scope.ACCOUNT, account_id)
        case ScopeLimitsSet(limits):
            return _limits_changed(limits.scope, limits.scope_id)
        case LimitSet(limit):
            return _limits_changed(limit.scope, limit.scope_id)
        case KillSwitchPulled(scope, scope_id, reason):
            text = f"no new orders of {_words(scope)}, open ones are cancelled: {reason}"
            return Announcement(scope, scope_id, "KILL_SWITCH PULLED", _clean(text))
        case KillSwitchLifted(scope, scope_id, reason):
            text = f"orders of {_words(scope)} are taken again: {reason}"
            return Announcement(scope, scope_id, "KILL_SWITCH LIFTED", _clean(text))
        case TradingModeSet(mode):
            headline = f"TRADING_MODE {mode.mode.name}"
            text = f"holds for {_words(mode.scope)}: {mode.reason}"
            return Announcement(mode.scope, mode.scope_id, headline, _clean(text))
        case _:
            return None


def _limits_changed(scope: Scope, scope_id: int) -> Announcement:
    text = f"the limits of {_words(scope)} are others from now on"
    return Announcement(scope, scope_id, "LIMITS CHANGED", text)


def _words(scope: Scope) -> str:
    return "all" if scope is Scope.EVERYTHING else f"the {scope.name.lower()}"


def _clean(text: str) -> str:
    return printable(text)[:TEXT_CHARACTERS_MAX].rstrip(": ")
