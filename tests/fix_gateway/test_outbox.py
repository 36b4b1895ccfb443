"""The outbox against a plain list of events."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.runtime.feed import BEFORE_ALL, Position, SessionEvent
from engine.session_events import SessionReleased
from engine.units import SessionId
from fix_gateway.fix.outbox import Outbox

EVENTS_MAX = 6


def event(number: int) -> SessionEvent:
    position = Position(number, 0)
    return SessionEvent(SessionId(1), position, number, SessionReleased(SessionId(1), number))


class OutboxAgainstList(RuleBasedStateMachine):
    """The model is all events that ever were, and how far was sent and proven."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(BEFORE_ALL, EVENTS_MAX)
        self.last = 0
        self.sent = 0
        self.proven = 0

    def first_held(self) -> int:
        return self.outbox.complete_after.seq + 1

    @rule()
    def push(self) -> None:
        self.last += 1
        self.outbox.push(event(self.last))
        # What is pushed out unsent has to be read from elsewhere, which the caller sees here.
        self.sent = max(self.sent, 0)

    @rule()
    def send_next(self) -> None:
        found = self.outbox.next_unsent()
        if found is None:
            assert max(self.sent, self.first_held() - 1) == self.last
            return
        assert found == event(max(self.sent + 1, self.first_held()))
        self.outbox.mark_sent()
        self.sent = found.position.seq

    @rule(share=st.floats(0, 1))
    def prove(self, share: float) -> None:
        self.proven = max(self.proven, int(self.sent * share))
        self.outbox.forget_through(Position(self.proven, 0))

    @rule()
    def rewind_to_proven(self) -> None:
        self.sent = self.proven
        self.outbox.rewind_to(Position(self.proven, 0))

    @rule()
    def skip(self) -> None:
        self.outbox.skip_to(Position(self.last, 0))

    @invariant()
    def holds_all_after_the_mark(self) -> None:
        held = [item.position.seq for item in self.outbox._events]
        assert held == list(range(self.first_held(), self.last + 1))
        assert len(held) <= EVENTS_MAX
        assert self.outbox.unsent_count == sum(number > self.sent for number in held)


TestOutboxAgainstList = OutboxAgainstList.TestCase
TestOutboxAgainstList.settings = settings(max_examples=100, deadline=None)
