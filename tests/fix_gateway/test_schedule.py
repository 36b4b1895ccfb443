"""Hours of a session, on the edges of days, nights and weeks. 2026-11-23 is a Monday."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix_gateway.fix.schedule import Schedule

EVERY_DAY = frozenset(range(1, 8))
WORKDAYS = frozenset(range(1, 6))
MONDAY = 23


def at(day: int, text: str) -> datetime:
    return datetime.combine(datetime(2026, 11, day, tzinfo=UTC), time.fromisoformat(text), UTC)


def hours(days: frozenset[int], start: str | None = None, end: str | None = None) -> Schedule:
    return Schedule(
        days,
        None if start is None else time.fromisoformat(start),
        None if end is None else time.fromisoformat(end),
    )


ALWAYS = hours(EVERY_DAY)
BANKING = hours(WORKDAYS, "08:00", "17:30")
NIGHT = hours(WORKDAYS, "22:00", "06:00")
WEEK_LONG = hours(WORKDAYS)
FULL_DAYS = hours(EVERY_DAY, "17:00", "17:00")
PAUSE = hours(EVERY_DAY, "17:05", "17:00")
MONDAYS = hours(frozenset({1}), "17:00", "17:00")
SUNDAY_NIGHT = hours(frozenset({7}), "23:00", "01:00")


@pytest.mark.parametrize(
    ("schedule", "now", "is_open", "next_change"),
    [
        (ALWAYS, at(23, "12:00"), True, None),
        (FULL_DAYS, at(23, "17:00"), True, None),
        (BANKING, at(23, "07:59:59"), False, at(23, "08:00")),
        (BANKING, at(23, "08:00"), True, at(23, "17:30")),
        (BANKING, at(23, "17:29:59.999999"), True, at(23, "17:30")),
        (BANKING, at(23, "17:30"), False, at(24, "08:00")),
        (BANKING, at(27, "17:30"), False, at(30, "08:00")),  # Friday evening.
        (BANKING, at(29, "12:00"), False, at(30, "08:00")),
        (NIGHT, at(23, "05:00"), False, at(23, "22:00")),  # Sunday has no night.
        (NIGHT, at(23, "22:00"), True, at(24, "06:00")),
        (NIGHT, at(24, "05:59:59"), True, at(24, "06:00")),
        (NIGHT, at(24, "06:00"), False, at(24, "22:00")),
        (NIGHT, at(28, "05:00"), True, at(28, "06:00")),  # Friday's night ends on Saturday.
        (NIGHT, at(28, "06:00"), False, at(30, "22:00")),
        (WEEK_LONG, at(23, "00:00"), True, at(28, "00:00")),
        (WEEK_LONG, at(27, "23:59:59"), True, at(28, "00:00")),
        (WEEK_LONG, at(28, "00:00"), False, at(30, "00:00")),
        (PAUSE, at(23, "16:59"), True, at(23, "17:00")),
        (PAUSE, at(23, "17:00"), False, at(23, "17:05")),
        (PAUSE, at(23, "17:05"), True, at(24, "17:00")),
        (MONDAYS, at(23, "16:59"), False, at(23, "17:00")),
        (MONDAYS, at(24, "16:59"), True, at(24, "17:00")),
        (MONDAYS, at(24, "17:00"), False, at(30, "17:00")),
        (SUNDAY_NIGHT, at(23, "00:30"), True, at(23, "01:00")),
        (SUNDAY_NIGHT, at(23, "01:00"), False, at(29, "23:00")),
    ],
)
def test_hours(
    schedule: Schedule, now: datetime, is_open: bool, next_change: datetime | None
) -> None:
    """Open from the start on, closed from the end on; what touches is one."""
    assert schedule.is_open(now) is is_open
    assert schedule.next_change(now) == next_change


@pytest.mark.parametrize(
    ("now", "last", "following"),
    [
        (at(23, "04:59:59"), at(22, "05:00"), at(23, "05:00")),
        (at(23, "05:00"), at(23, "05:00"), at(24, "05:00")),
        (at(23, "23:59"), at(23, "05:00"), at(24, "05:00")),
    ],
)
def test_planned_resets(now: datetime, last: datetime, following: datetime) -> None:
    """Once a day, at the second, whatever the days of the session are."""
    schedule = Schedule(WORKDAYS, reset=time(5))
    assert (schedule.last_reset(now), schedule.next_reset(now)) == (last, following)
    assert (ALWAYS.last_reset(now), ALWAYS.next_reset(now)) == (None, None)


times = st.times().map(lambda found: found.replace(second=0, microsecond=0))
moments = st.integers(0, 1000 * 24 * 60).map(  # Minutes, a leap year among them.
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@settings(deadline=None)
@given(st.frozensets(st.integers(1, 7), min_size=1), times, times, moments)
def test_change_is_the_first_one(
    days: frozenset[int], start: time, end: time, now: datetime
) -> None:
    """From now until the next change it stays as it is, and then it is the other way round."""
    schedule = Schedule(days, start, end)
    state = schedule.is_open(now)
    change = schedule.next_change(now)
    until = change or now + timedelta(days=8)
    step = (until - now) / 50
    assert now < until <= now + timedelta(days=8)
    assert all(schedule.is_open(now + number * step) is state for number in range(50))
    if change is not None:
        assert schedule.is_open(change) is not state
        assert schedule.is_open(change - timedelta(microseconds=1)) is state
