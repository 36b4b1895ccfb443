"""The sequencer: the one writer. Gives commands their place and time, applies and journals them."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from engine.commands import AdvanceTime, Command
from engine.events import Event
from engine.exchange import RULES_VERSION, Exchange
from engine.runtime.codec import BATCH_RECORDS_MAX, encode_record
from engine.units import Seq

# Room in a batch for the passing of time that goes before the commands.
TIMER_RECORDS_MAX: Final = 64
BATCH_COMMANDS_MAX: Final = BATCH_RECORDS_MAX - TIMER_RECORDS_MAX


class AppendsBatches(Protocol):
    """What the sequencer needs of a journal."""

    def append(self, records: bytes, *, next_seq: Seq) -> None:
        """Make the batch durable. Raises OSError when it cannot."""


class Batch(NamedTuple):
    """What one group commit made durable. `seqs` and `events` belong to the
    commands that were passed in, one each."""

    records: bytes
    seqs: list[Seq]
    events: list[list[Event]]
    record_count: int


class Sequencer:
    """Applies commands in the order given, one batch after the other.

    Belongs to one thread. After any exception it must not be used again: what was applied and what
    was journaled may differ then, and only a restart brings them together.
    """

    def __init__(
        self,
        exchange: Exchange,
        journal: AppendsBatches,
        *,
        last_seq: Seq,
        last_ns: int,
        clock_ns: Callable[[], int],
    ) -> None:
        self.exchange = exchange
        self.last_seq = last_seq
        self.clock_steps_back = 0
        self._journal = journal
        self._last_ns = last_ns
        self._clock_ns = clock_ns

    def commit(self, commands: Sequence[Command]) -> Batch:
        """Apply the commands, after the passing of time where some is due, and make all durable.

        Nothing of the batch may leave the process before this returns. Raises OSError when the
        journal fails and AssertionError when the exchange is broken; the process must end then.
        """
        assert len(commands) <= BATCH_COMMANDS_MAX
        records: list[bytes] = []
        for _ in range(TIMER_RECORDS_MAX):
            timer_ns = self.exchange.next_timer_ns()
            if timer_ns is None or timer_ns > self._stamp():
                break
            self._apply(AdvanceTime(), records)
        first_seq = self.last_seq + 1
        events = [self._apply(command, records) for command in commands]
        data = b"".join(records)
        if records:
            self._journal.append(data, next_seq=Seq(self.last_seq + 1))
        seqs = [Seq(first_seq + place) for place in range(len(commands))]
        return Batch(data, seqs, events, len(records))

    def wait_ns(self) -> int | None:
        """Return how long until time has to pass in the exchange, None when nothing waits."""
        timer_ns = self.exchange.next_timer_ns()
        return None if timer_ns is None else max(0, timer_ns - self._clock_ns())

    def _apply(self, command: Command, records: list[bytes]) -> list[Event]:
        seq = self.last_seq = Seq(self.last_seq + 1)
        now_ns = self._stamp()
        events = self.exchange.apply(seq, now_ns, command)
        records.append(
            encode_record(
                seq,
                now_ns,
                command,
                events,
                rules_version=RULES_VERSION,
                batch_index=len(records),
            )
        )
        return events

    def _stamp(self) -> int:
        """Return the time, which never goes back: a clock that does is counted, not followed."""
        clock_ns = self._clock_ns()
        if clock_ns < self._last_ns:
            self.clock_steps_back += 1
        self._last_ns = max(self._last_ns, clock_ns)
        return self._last_ns
