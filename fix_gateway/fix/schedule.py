"""When a FIX session is open, and when its numbers begin anew. Pure; all times are UTC."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
MIDNIGHT: Final = time()


@dataclass(frozen=True)
class Schedule:
    """The hours of a session.

    On each of the `days` (ISO, 1 is Monday) it opens at `start` and closes at the next `end`: on
    the same day, or on the next one when `end` is not after `start`. Without start and end it is
    open on those days from midnight to midnight. At `reset`, on every day, both numbers begin anew.
    """

    days: frozenset[int]
    start: time | None = None
    end: time | None = None
    reset: time | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether clients may be logged on."""
        return any(opens <= now < closes for opens, closes in self._spans(now))

    def next_change(self, now: datetime) -> datetime | None:
        """Return when it closes, or opens if it is closed; None when it never closes."""
        for opens, closes in self._spans(now):
            if now < opens:
                return opens
            if now < closes:
                return closes if closes - now <= WEEK else None
        raise AssertionError("there is at least one day")

    def last_reset(self, now: datetime) -> datetime | None:
        """Return the last time at or before now for which a reset is planned, None without any."""
        if self.reset is None:
            return None
        today = datetime.combine(now.date(), self.reset, UTC)
        return today if today <= now else today - DAY

    def next_reset(self, now: datetime) -> datetime | None:
        """Return the next time after now for which a reset is planned, None without any."""
        last = self.last_reset(now)
        return None if last is None else last + DAY

    def _spans(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Return from when to when it is open, in order; spans that touch are one."""
        current: tuple[datetime, datetime] | None = None
        first = now.date() - 2 * DAY
        for number in range(2 + 2 * WEEK.days):
            span = self._span(first + number * DAY)
            if span is None:
                continue
            if current is not None and span[0] <= current[1]:
                current = (current[0], max(current[1], span[1]))
                continue
            if current is not None:
                yield current
            current = span
        if current is not None:
            yield current

    def _span(self, day: date) -> tuple[datetime, datetime] | None:
        if day.isoweekday() not in self.days:
            return None
        start, end = self.start or MIDNIGHT, self.end or MIDNIGHT
        closes_on = day if end > start else day + DAY
        return datetime.combine(day, start, UTC), datetime.combine(closes_on, end, UTC)
