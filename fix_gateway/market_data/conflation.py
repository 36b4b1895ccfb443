"""Changes told together: who wants less is told of several in one message.

Pure: the time is passed in, in seconds of a clock that only goes forward.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.depth import DepthChange
from engine.order import Side
from engine.units import InstrumentId, Price


class Conflated:
    """Instruments that have changed, told of at most once in an interval. Belongs to one thread."""

    def __init__(self, interval_s: float) -> None:
        assert interval_s > 0
        self._interval_s = interval_s
        self._due_s = 0.0
        self._changed: dict[InstrumentId, None] = {}

    def note(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """These have changed."""
        self._changed.update(dict.fromkeys(instrument_ids))

    def due_in_s(self, now_s: float) -> float | None:
        """Return how long until they are to be told of, None when none has changed."""
        return max(0.0, self._due_s - now_s) if self._changed else None

    def take(self, now_s: float) -> list[InstrumentId]:
        """Return those that have changed, if it is time; they count as told then."""
        if self.due_in_s(now_s) != 0:
            return []
        self._due_s = now_s + self._interval_s
        changed, self._changed = self._changed, {}
        return list(changed)


class BookChange(NamedTuple):
    """The levels of a book that are other than after the record `prev_seq`, as they are now."""

    instrument_id: InstrumentId
    levels: list[DepthChange]
    prev_seq: int


class ConflatedDepth:
    """The changes of the books, told of at one speed. Belongs to one thread.

    What is pending is bounded by the levels that there are.
    """

    def __init__(self, interval_ms: int) -> None:
        self.name = f"{interval_ms}ms"
        self._books = Conflated(interval_ms / 1000)
        self._levels: dict[InstrumentId, dict[tuple[Side, Price], DepthChange]] = {}
        self._told_seqs: dict[InstrumentId, int] = {}

    def note(self, changes: Iterable[DepthChange]) -> None:
        """These levels have changed."""
        for change in changes:
            self._books.note((change.instrument_id,))
            levels = self._levels.setdefault(change.instrument_id, {})
            levels[change.side, change.price] = change

    def start_from(self, instrument_ids: Iterable[InstrumentId], seq: int) -> None:
        """Subscribers are told of the books as they are after `seq` by other means."""
        self._levels.clear()
        self._told_seqs = dict.fromkeys(instrument_ids, seq)

    def due_in_s(self, now_s: float) -> float | None:
        """Return how long until something is to be told, None when nothing has changed."""
        return self._books.due_in_s(now_s)

    def take(self, now_s: float, seq: int) -> list[BookChange]:
        """Return what has changed in each book until `seq`, if it is time."""
        changes = []
        for instrument_id in self._books.take(now_s):
            levels = self._levels.pop(instrument_id, None)
            if levels is None:
                continue
            prev_seq = self._told_seqs.get(instrument_id, 0)
            self._told_seqs[instrument_id] = seq
            changes.append(BookChange(instrument_id, list(levels.values()), prev_seq))
        return changes
