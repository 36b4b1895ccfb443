"""The events that a FIX session is to be told of: sent and not yet proven, and not yet sent.

Bounded. What does not fit is forgotten from the front, and read again from the journal files should
it be needed.
"""

from collections import deque
from typing import Final

from engine.runtime.feed import Position, SessionEvent

OUTBOX_EVENTS_MAX: Final = 1000


class Outbox:
    """A session's events in order. It holds all that come after `complete_after`.

    Belongs to the gateway's thread. The caller says how far it has sent.
    """

    def __init__(self, complete_after: Position, events_max: int = OUTBOX_EVENTS_MAX) -> None:
        self.complete_after = complete_after
        self._events: deque[SessionEvent] = deque()
        self._events_max = events_max
        self._sent_count = 0

    @property
    def unsent_count(self) -> int:
        """How many of the events held have not been sent."""
        return len(self._events) - self._sent_count

    def push(self, event: SessionEvent) -> None:
        """Take in an event that has just happened."""
        self._events.append(event)
        if len(self._events) > self._events_max:
            self.complete_after = self._events.popleft().position
            self._sent_count = max(0, self._sent_count - 1)

    def skip_to(self, position: Position) -> None:
        """Hold nothing: what happened up to `position` is to be read from the journal files."""
        self._events.clear()
        self._sent_count = 0
        self.complete_after = position

    def next_unsent(self) -> SessionEvent | None:
        """Return the event to send next, None when all have been sent."""
        if self._sent_count == len(self._events):
            return None
        return self._events[self._sent_count]

    def mark_sent(self) -> None:
        """Count the next unsent event as sent."""
        assert self._sent_count < len(self._events)
        self._sent_count += 1

    def rewind_to(self, sent: Position) -> None:
        """Count as sent exactly the events up to `sent`."""
        self._sent_count = sum(1 for event in self._events if event.position <= sent)

    def forget_through(self, proven: Position) -> None:
        """Let go of the sent events up to `proven`: nobody will ask for them again."""
        while self._sent_count and self._events[0].position <= proven:
            self.complete_after = self._events.popleft().position
            self._sent_count -= 1
