"""Planned ends: hours of sessions, resets of their numbers, maintenance, and the word before."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from engine.runtime.whole_file import write_whole_file
from engine.units import SessionId
from fix_gateway.fix.fields import MsgType, Tag, join_fields, printable
from fix_gateway.fix.schedule import Schedule
from fix_gateway.fix.sessions import FixSession
from fix_gateway.roster import Roster
from store.sessions import FixSessionRow

RESET_MARK: Final = "planned-reset"
TEXT_CHARACTERS_MAX: Final = 400
NEVER: Final = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger("gateway")


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Maintenance:
    """From `at` on nobody is logged on."""

    at: datetime
    text: str


class _End(NamedTuple):
    """When a client is logged out, and how it is told before."""

    at: datetime
    code: str
    text: str


@dataclass
class _Plan:
    """What holds for one session until `valid_until`.

    `closed` says why nobody may log on. `reset_done` is the planned time of the last reset that was
    carried out.
    """

    row: FixSessionRow
    schedule: Schedule
    valid_until: datetime = NEVER
    closed: str | None = None
    end: _End | None = None
    reset_done: datetime | None = None
    told: set[tuple[datetime, float]] = field(default_factory=set)


class Timetable:
    """The planned ends of all sessions that this process has. Belongs to the gateway's one thread.

    A client is told `notices_s` seconds before by News(B). A reset is planned for a time of day;
    one that fell into a time in which nobody had the session is made up for, once, before anybody
    logs on. What was done last stands beside the session's store.
    """

    def __init__(
        self, roster: Roster, notices_s: list[float], clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._roster = roster
        self._notices_s = sorted(notices_s)
        self._clock = clock
        self._plans: dict[SessionId, _Plan] = {}
        self._maintenance: Maintenance | None = None

    def plan_maintenance(self, maintenance: Maintenance | None) -> None:
        """Log everybody out at a time and let nobody in from then on, or call that off."""
        if maintenance is not None:
            text = printable(maintenance.text)[:TEXT_CHARACTERS_MAX]
            maintenance = Maintenance(maintenance.at, text)
        self._maintenance = maintenance
        log.warning("maintenance_planned", maintenance=maintenance)

    def why_closed(self, row: FixSessionRow) -> str | None:
        """Return in words why no client of the session may be logged on now, None if it may."""
        now = self._clock()
        if self._maintenance is not None and now >= self._maintenance.at:
            return f"MAINTENANCE: {self._maintenance.text}".rstrip(": ")
        plan = self._plan(row, now)
        if plan.closed is None and self._is_reset_due(plan, now):
            return "SEQ RESET: the sequence numbers are being reset as planned, log on again"
        return plan.closed

    def look(self) -> list[FixSession]:
        """Tell and log out whom it is time for. Once a second.

        Returns the sessions whose numbers are to be reset now: those have no client any more.
        """
        now = self._clock()
        due = []
        for session in self._roster.by_names.values():
            plan = self._plan(session.row, now)
            closed = self.why_closed(session.row)
            if session.has_client:
                if closed is not None:
                    session.end_client(closed)
                elif session.is_logged_on:
                    self._warn(session, plan, now)
            elif session.is_granted and self._is_reset_due(plan, now):
                due.append(session)
        for session_id in self._plans.keys() - self._roster.sessions.keys():
            del self._plans[session_id]  # Whoever has it now goes by the mark in the file.
        return due

    def note_reset(self, session: FixSession) -> None:
        """The session's numbers have been reset: the planned reset that is due need not be."""
        now = self._clock()
        plan = self._plan(session.row, now)
        if self._is_reset_due(plan, now):
            plan.reset_done = plan.schedule.last_reset(now)
            self._write_mark(plan)
            log.info("planned_reset_done", session=session.row.client_comp_id)

    def _plan(self, row: FixSessionRow, now: datetime) -> _Plan:
        plan = self._plans.get(row.session_id)
        if plan is not None and plan.row is row and now < plan.valid_until:
            return plan
        schedule = Schedule(
            frozenset(row.schedule_days), row.schedule_start, row.schedule_end, row.schedule_reset
        )
        fresh = _Plan(row, schedule)
        if plan is not None and plan.schedule == schedule:
            fresh.reset_done = plan.reset_done
        else:
            self._read_mark(fresh, now)
        change, reset = schedule.next_change(now), schedule.next_reset(now)
        fresh.valid_until = min(change or NEVER, reset or NEVER)
        if not schedule.is_open(now):
            fresh.closed = f"SESSION CLOSED: it opens at {_text(change)}"
        elif change is not None and (reset is None or change <= reset):
            opens = schedule.next_change(change)
            fresh.end = _End(change, "SESSION END", f"the session opens again at {_text(opens)}")
        elif reset is not None:
            text = f"both sequence numbers begin at 1 again at {_text(reset)}"
            fresh.end = _End(reset, "SEQ RESET", text)
        self._plans[row.session_id] = fresh
        return fresh

    def _is_reset_due(self, plan: _Plan, now: datetime) -> bool:
        last = plan.schedule.last_reset(now)
        return last is not None and plan.reset_done is not None and plan.reset_done < last

    def _warn(self, session: FixSession, plan: _Plan, now: datetime) -> None:
        end = plan.end
        if self._maintenance is not None and (end is None or self._maintenance.at < end.at):
            text = self._maintenance.text
            end = _End(self._maintenance.at, "MAINTENANCE", text or "everybody is logged out")
        if end is None:
            return
        left = end.at - now
        for notice_s in self._notices_s:
            if left <= timedelta(seconds=notice_s):
                if (end.at, notice_s) not in plan.told:
                    plan.told.update((end.at, each) for each in self._notices_s if each >= notice_s)
                    seconds = max(0, math.ceil(left.total_seconds()))
                    session.send(build_news(f"{end.code} in {seconds} s", end.text))
                return

    def _read_mark(self, plan: _Plan, now: datetime) -> None:
        last = plan.schedule.last_reset(now)
        path = self._mark_path(plan.row)
        if last is None:
            path.unlink(missing_ok=True)
            return
        try:
            plan.reset_done = datetime.fromisoformat(path.read_text())
        except (FileNotFoundError, ValueError):
            # Nothing was planned before: the first reset is the next one.
            plan.reset_done = last
            self._write_mark(plan)

    def _write_mark(self, plan: _Plan) -> None:
        assert plan.reset_done is not None
        write_whole_file(self._mark_path(plan.row), plan.reset_done.isoformat().encode())

    def _mark_path(self, row: FixSessionRow) -> Path:
        return self._roster.directory_of(row) / RESET_MARK


def build_news(headline: str, text: str) -> str:
    """Return a News(B) of one line, as fields from 35= on."""
    return join_fields(
        [
            (Tag.MSG_TYPE, MsgType.NEWS),
            (Tag.HEADLINE, headline),
            (Tag.LINES_OF_TEXT, "1"),
            (Tag.TEXT, text),
        ]
    )


def _text(moment: datetime | None) -> str:
    assert moment is not None  # What closes opens again, and the other way round.
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
