"""The sequencer: the one writer. Gives commands their place and time, applies and journals them."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from engine.commands import AdvanceTime, Command, NewOrder
from engine.events import Event
from engine.exchange import RULES_VERSION, Exchange
from engine.gate import Rejection
from engine.runtime.codec import BATCH_RECORDS_MAX, encode_record
from engine.session_commands import ReleaseAllSessions
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
        # How long it took to make the last batch durable.
        self.append_s = 0.0
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
        seqs: list[Seq] = []
        events: list[list[Event]] = []
        waiting = deque(commands)
        if waiting and isinstance(waiting[0], ReleaseAllSessions):
            # An engine that starts says first that no owner outlived its link: they get time to
            # come back before anything happens for want of them.
            events.append(self._apply(waiting.popleft(), records))
            seqs.append(self.last_seq)
        self._let_time_pass(records)
        for command in waiting:
            events.append(self._apply(command, records))
            seqs.append(self.last_seq)
        data = b"".join(records)
        if records:
            started_s = time.perf_counter()
            self._journal.append(data, next_seq=Seq(self.last_seq + 1))
            self.append_s = time.perf_counter() - started_s
        return Batch(data, seqs, events, len(records))

    def find_refusal(self, order: NewOrder) -> Rejection | None:
        """Return why the order would be refused if it came now, None if it would be let in.

        Between two batches. Nothing is journaled, for nothing changes.
        """
        return self.exchange.find_refusal(max(self._last_ns, self._clock_ns()), order)

    def count_limits_used(self) -> dict[tuple[str, int], int]:
        """Return of how many limits how many percent are used now, by control and percent."""
        return self.exchange.count_limits_used(max(self._last_ns, self._clock_ns()))

    def wait_ns(self) -> int | None:
        """Return how long until time has to pass in the exchange, None when nothing waits."""
        timer_ns = self.exchange.next_timer_ns()
        return None if timer_ns is None else max(0, timer_ns - self._clock_ns())

    def _let_time_pass(self, records: list[bytes]) -> None:
        for _ in range(TIMER_RECORDS_MAX):
            timer_ns = self.exchange.next_timer_ns()
            if timer_ns is None or timer_ns > self._stamp():
                break
            self._apply(AdvanceTime(), records)

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
