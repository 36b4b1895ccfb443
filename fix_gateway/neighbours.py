"""The gateway's other processes: which of them live, and which of them has a session."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fix_gateway.fix.message_store import read_owner, store_directory
from fix_gateway.fix.relay import OwnerEnd
from store.sessions import FixSessionRow

DEAD_AFTER_S: Final = 2.0
FIRST_LOOK_WAIT_S: Final = 10.0
"""For so long after its own start a process takes nobody for dead: all of them are starting."""
RETRY_S: Final = 0.1

Names = tuple[str, str]
"""BeginString(8) and the client's CompID."""


@dataclass(frozen=True)
class Worker:
    """Which of the gateway's processes this one is: `number` from 0, of `count` that take orders.

    With `has_market_data` one more process has the market data sessions; its number is `count`.
    """

    number: int = 0
    count: int = 1
    has_market_data: bool = False

    @property
    def total(self) -> int:
        """How many processes the gateway has."""
        return self.count + self.has_market_data

    @property
    def is_for_market_data(self) -> bool:
        """Whether this process has the market data sessions, and no others."""
        return self.number == self.count


def control_socket(sockets_dir: Path, number: int) -> Path:
    """Return the control socket of a gateway process."""
    return sockets_dir / f"gateway-{number}.sock"


def is_listening(path: Path) -> bool:
    """Whether a living process listens on the Unix socket."""
    kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_UNIX, kind) as probe:
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # So busy that its queue is full, or stopped: it lives.
        except OSError:
            return False
        return True


class Neighbours:
    """What this process knows of the others. Belongs to the gateway's one thread.

    `rows` are all sessions by name, whoever has them. `clock_s` is monotonic.
    """

    def __init__(
        self,
        worker: Worker,
        sockets_dir: Path,
        store_dir: Path,
        rows: Mapping[Names, FixSessionRow],
        clock_s: Callable[[], float],
    ) -> None:
        self._worker = worker
        self._sockets_dir = sockets_dir
        self._store_dir = store_dir
        self._rows = rows
        self._started_s = clock_s()
        self._clock_s = clock_s
        self._silent_since_s: dict[int, float] = {}

    def look(self) -> None:
        """See who is there. Once a second."""
        now_s = self._clock_s()
        for number in range(self._worker.total):
            if number == self._worker.number or self._is_listening(number):
                self._silent_since_s.pop(number, None)
            else:
                self._silent_since_s.setdefault(number, now_s)

    def is_heir(self, row: FixSessionRow) -> bool:
        """Whether the session is this process's to take, if nobody has it.

        It is its own, or of a process that is dead and whose sessions the living share. Nobody but
        their own process takes market data sessions, nor does that one take others.
        """
        number, count = self._home(row), self._worker.count
        if row.is_market_data or self._worker.is_for_market_data:
            return number == self._worker.number
        session_id, dead = row.session_id, self._dead()
        if number in dead:
            living = [other for other in range(count) if other not in dead]
            number = living[session_id // count % len(living)]
        return number == self._worker.number

    async def reach(self, names: Names, is_here: Callable[[], bool]) -> OwnerEnd | None:
        """Connect to the process that has the session, None when it is to be served here.

        While nobody has the session, waits; whoever waits sets the limit. `is_here` says whether
        this process has it by now.
        """
        while self._worker.total > 1 and not is_here():
            row = self._rows.get(names)
            if row is None:
                return None
            number = read_owner(store_directory(self._store_dir, *names))
            if number is None or number >= self._worker.total:
                number = self._home(row)
            if number != self._worker.number:
                with contextlib.suppress(OSError):
                    return await OwnerEnd.connect(control_socket(self._sockets_dir, number))
            await asyncio.sleep(RETRY_S)
        return None

    def _home(self, row: FixSessionRow) -> int:
        """Return the process that has the session while all of them live."""
        count = self._worker.count
        return count if row.is_market_data else row.session_id % count

    def _dead(self) -> set[int]:
        now_s = self._clock_s()
        if now_s - self._started_s < FIRST_LOOK_WAIT_S:
            return set()
        return {
            number
            for number, since_s in self._silent_since_s.items()
            if now_s - since_s >= DEAD_AFTER_S
        }

    def _is_listening(self, number: int) -> bool:
        return is_listening(control_socket(self._sockets_dir, number))
