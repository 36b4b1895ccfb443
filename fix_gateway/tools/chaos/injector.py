"""The faults of a chaos run: what may go wrong, how often, and how it is done to a venue."""

import contextlib
import os
import random
import resource
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from engine.runtime.faults import (
    ADOPTION_POINTS,
    DELAY,
    EPOCH_POINTS,
    ERRORS,
    GATEWAY_POINTS,
    JOURNAL_POINTS,
    KILL,
    POWER_LOSS_POINT,
    PROJECTOR_POINTS,
    RECOVERY_POINTS,
    SEGMENT_POINTS,
    FaultOrder,
    give_order,
)
from fix_gateway.tools.chaos.client import ChaosClient
from fix_gateway.tools.chaos.venue import VenueProcess

ENGINE, GATEWAY, ADMIN_API = "engine", "gateway", "admin_api"
POSTGRES, VALKEY, PROJECTOR = "postgres", "valkey", "projector"
BROKER, PUBLISHER = "mqtt", "publisher"
PARTS: Final = (ENGINE, GATEWAY, ADMIN_API, POSTGRES, VALKEY, PROJECTOR, BROKER, PUBLISHER)
VISITS_MAX: Final = 12
ORDERS_OPEN_MAX: Final = 6
ORDER_LIFE_FAULTS: Final = 5
"""After so many other faults an order that nobody has carried out is taken back."""
STOP_S: Final = (0.3, 3.0)
HANG_S: Final = (5.5, 7.0)
DELAY_S: Final = (0.1, 1.0)
BEFORE_DEATH_S: Final = 0.3
"""Time for what has been let out too early to reach a client."""
SECOND_KILL_S: Final = 0.8
CUT_BYTES_MAX: Final = 4000
ROOM_BYTES_MAX: Final = 2000
RESTART_S: Final = 1.2
SECOND_DEATH_SHARE: Final = 0.7


class _OpenOrder(NamedTuple):
    """An order that is still to be carried out: its file and what it counts as."""

    path: Path
    kind: str
    given_at: int


class Injector:
    """Does one fault after the other. Belongs to one thread, but for delayed second halves.

    `counts` says what has been done so far, by kind; what a process was ordered to do counts once
    it has done it.
    """

    def __init__(
        self, venue: VenueProcess, fault_dir: Path, clients: list[ChaosClient], rng: random.Random
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._venue = venue
        self._fault_dir = fault_dir
        self._clients = clients
        self._rng = rng
        self._orders: list[_OpenOrder] = []
        self._timers: list[threading.Timer] = []
        self._turn = 0
        self._deck: list[Callable[[], None]] = []
        # How many cards of each there are in a deck.
        self._kinds: dict[Callable[[], None], int] = {
            self._kill_one: 4,
            self._kill_two: 1,
            self._kill_at_a_point: 6,
            self._kill_in_recovery: 2,
            self._kill_in_a_reset: 1,
            self._lose_power: 2,
            self._fail_a_write: 1,
            self._fail_a_flush: 1,
            self._slow_a_point: 1,
            self._fill_the_journals_disk: 1,
            self._fill_the_stores_disk: 1,
            self._cut_one: 4,
            self._cut_all: 1,
            self._pause: 2,
            self._hang: 1,
            self._leave_in_doubt: 3,
            self._refuse_then_kill: 2,
        }

    def inject(self) -> None:
        """Do something, chosen at random.

        Kinds are dealt like cards, so that each of them has its turn also in a short run.
        """
        self._turn += 1
        self.note_what_was_done()
        if not self._deck:
            self._deck = [kind for kind, count in self._kinds.items() for _ in range(count)]
            self._rng.shuffle(self._deck)
        self._deck.pop()()

    def note_what_was_done(self) -> None:
        """Count the orders that were carried out, and take back those that nobody cared for."""
        for order in list(self._orders):
            if not order.path.exists():
                self.counts[order.kind] += 1
                self._orders.remove(order)
            elif self._turn - order.given_at > ORDER_LIFE_FAULTS:
                order.path.unlink(missing_ok=True)
                self._orders.remove(order)

    def heal(self) -> None:
        """Let everything run again, and nothing more go wrong."""
        for timer in self._timers:
            timer.join()
        self._turn += ORDER_LIFE_FAULTS + 1
        self.note_what_was_done()
        for pid in self._venue.part_pids().values():
            _signal(pid, signal.SIGCONT)
            _limit_files(pid, resource.RLIM_INFINITY)
        for client in self._clients:
            client.proxy.spare()

    # What goes wrong.

    def _kill_one(self) -> None:
        (part,) = self._rng.choices(PARTS, (8, 8, 2, 2, 2, 3, 3, 3))
        self._kill(part)

    def _kill_two(self) -> None:
        first, second = self._rng.sample(PARTS[:2] * 3 + PARTS[2:], 2)
        self._kill(first)
        self._later(self._rng.uniform(0, SECOND_KILL_S), lambda: self._kill(second))

    def _kill_at_a_point(self) -> None:
        points = (*JOURNAL_POINTS, *GATEWAY_POINTS, *PROJECTOR_POINTS)
        point = self._rng.choice((*points, *points, *SEGMENT_POINTS))
        visit = 1 if point in SEGMENT_POINTS else self._rng.randint(1, VISITS_MAX)
        delay_s = self._rng.choice((0.0, BEFORE_DEATH_S)) if point in JOURNAL_POINTS else 0.0
        self._order(point, FaultOrder(visit, KILL, delay_s), f"kill at {point}")

    def _kill_in_recovery(self) -> None:
        """Kill a part, and its successor while it starts."""
        point = self._rng.choice((*RECOVERY_POINTS, *ADOPTION_POINTS))
        visit = self._rng.randint(1, 2) if point in ADOPTION_POINTS else 1
        if not self._order(point, FaultOrder(visit, KILL), f"kill at {point}"):
            return
        if point in ADOPTION_POINTS:
            # So that a store has to be wiped: its numbers are reset while the gateway dies.
            self._order("epoch.before_mark", FaultOrder(1, KILL), "kill at epoch.before_mark")
            self._cut_a_resetting_client()
        elif point.endswith("tail_cut"):
            self._order("journal.torn_write", FaultOrder(1, KILL), "kill at journal.torn_write")
        else:
            self._kill(ENGINE)

    def _kill_in_a_reset(self) -> None:
        point = self._rng.choice(EPOCH_POINTS)
        self._order(point, FaultOrder(1, KILL), f"kill at {point}")
        self._cut_a_resetting_client()

    def _lose_power(self) -> None:
        visit = self._rng.randint(1, VISITS_MAX)
        order = FaultOrder(visit, KILL, BEFORE_DEATH_S)
        self._order(POWER_LOSS_POINT, order, "unflushed bytes lost")

    def _fail_a_write(self) -> None:
        point = self._rng.choice(("journal.before_write", "journal.torn_write"))
        error = self._rng.choice(list(ERRORS))
        visit = self._rng.randint(1, VISITS_MAX)
        self._order(point, FaultOrder(visit, error), f"{error} when writing")

    def _fail_a_flush(self) -> None:
        visit = self._rng.randint(1, VISITS_MAX)
        self._order("journal.before_fsync", FaultOrder(visit, "EIO"), "EIO when flushing")

    def _slow_a_point(self) -> None:
        point = self._rng.choice(("journal.before_fsync", *GATEWAY_POINTS, *RECOVERY_POINTS[2:]))
        visit, delay_s = self._rng.randint(1, VISITS_MAX), self._rng.uniform(*DELAY_S)
        self._order(point, FaultOrder(visit, DELAY, delay_s), f"delay at {point}")

    def _fill_the_journals_disk(self) -> None:
        """Let the engine's present segment not grow any further, as on a disk without room."""
        pid = self._venue.part_pids().get(ENGINE)
        segments = sorted((self._venue.data_dir / "journal").glob("*.wcj"))
        if pid is not None and segments:
            room = self._rng.randint(1, ROOM_BYTES_MAX)
            _limit_files(pid, segments[-1].stat().st_size + room)
            self.counts["journal's disk full"] += 1

    def _fill_the_stores_disk(self) -> None:
        """Let the gateway write no more than this into any file."""
        pid = self._pid_of(GATEWAY)
        bodies = sorted((self._venue.data_dir / "fix").glob("*/*.body"))
        if pid is not None and bodies:
            room = self._rng.randint(1, ROOM_BYTES_MAX)
            _limit_files(pid, max(path.stat().st_size for path in bodies) + room)
            self.counts["message stores' disk full"] += 1

    def _cut_one(self) -> None:
        self._cut(self._rng.choice(self._clients))

    def _cut_all(self) -> None:
        for client in self._clients:
            client.proxy.cut_now()
        self.counts["all connections cut"] += 1

    def _pause(self) -> None:
        (part,) = self._rng.choices((ENGINE, GATEWAY, POSTGRES), (4, 4, 1))
        pid = self._pid_of(part)
        if pid is not None:
            self._stop_for(pid, self._rng.uniform(*STOP_S))
            self.counts[f"{part} stopped for a while"] += 1

    def _hang(self) -> None:
        """The engine does not answer for so long that the gateway hangs up."""
        pid = self._venue.part_pids().get(ENGINE)
        if pid is not None:
            self._stop_for(pid, self._rng.uniform(*HANG_S))
            self.counts["engine hung"] += 1

    def _leave_in_doubt(self) -> None:
        """The engine dies with commands in hand; clients that reset come back before it does.

        The next engine often dies too, right after it has reset their numbers: what was in doubt is
        of an earlier epoch then.
        """
        if not self._order(
            "journal.before_write", FaultOrder(1, KILL), "kill at journal.before_write"
        ):
            return
        if self._rng.random() < SECOND_DEATH_SHARE:
            # Its batches: all grants end, the gateway is granted its sessions, numbers are reset.
            order = FaultOrder(self._rng.choice((2, 3, 3, 3, 4)), KILL)
            self._order("journal.after_fsync", order, "kill at journal.after_fsync")
        delay = FaultOrder(1, DELAY, RESTART_S)
        self._order("recovery.replayed", delay, "delay at recovery.replayed")
        self._cut_all()

    def _refuse_then_kill(self) -> None:
        """Orders are refused while the engine is away, and then the gateway dies too."""
        self._kill(ENGINE)
        self._later(self._rng.uniform(0.1, SECOND_KILL_S), lambda: self._kill(GATEWAY))

    # How it is done.

    def _pid_of(self, part: str) -> int | None:
        """Return the part's process, one of several gateways; None when there is none."""
        chosen = self._rng.random()  # Drawn also when there is no choice, so that a seed means it.
        pids = self._venue.part_pids()
        names = [name for name in pids if name == part or name.startswith(f"{part}-")]
        return pids[names[int(chosen * len(names))]] if names else None

    def _kill(self, part: str) -> None:
        pid = self._pid_of(part)
        if pid is not None and _signal(pid, signal.SIGKILL):
            self.counts[f"{part} killed"] += 1

    def _order(self, point: str, order: FaultOrder, kind: str) -> bool:
        """Order a process to fail. Returns False when too much is ordered already."""
        if len(self._orders) >= ORDERS_OPEN_MAX or (self._fault_dir / point).exists():
            return False
        path = give_order(self._fault_dir, point, order)
        self._orders.append(_OpenOrder(path, kind, self._turn))
        return True

    def _cut(self, client: ChaosClient) -> None:
        client.proxy.cut(
            after_bytes=self._rng.randint(1, CUT_BYTES_MAX),
            is_to_client=self._rng.choice((True, False)),
        )
        self.counts["connection cut in mid-message"] += 1

    def _stop_for(self, pid: int, seconds: float) -> None:
        _signal(pid, signal.SIGSTOP)
        self._later(seconds, lambda: _signal(pid, signal.SIGCONT))

    def _cut_a_resetting_client(self) -> None:
        resetting = [client for client in self._clients if client.log.is_reset]
        if resetting:
            self._rng.choice(resetting).proxy.cut_now()

    def _later(self, delay_s: float, action: Callable[[], object]) -> None:
        timer = threading.Timer(delay_s, action)
        timer.start()
        self._timers.append(timer)


def _signal(pid: int, number: signal.Signals) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _limit_files(pid: int, byte_count: int) -> None:
    """Let the process write no file beyond this size."""
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (byte_count, hard))
