"""Fault points: named places round writes at which a test lets a process fail.

They exist only in a process that `arm` has given a directory; elsewhere `reach` is one comparison.
A file in that directory, named like a point, is an order to fail there: `VISIT ACTION SECONDS`,
such as `1 kill 0`, `3 EIO 0.2` or `2 delay 0.5`. The process that reaches the point for the
VISIT-th time since it first saw the order takes the file away, waits, and does what it says. So
whoever gave the order sees that it was carried out, and a process that is still to be started can
be made to fail.
"""

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import structlog

KILL: Final = "kill"
DELAY: Final = "delay"
ERRORS: Final = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}

JOURNAL_POINTS: Final = (
    "journal.before_write",
    "journal.torn_write",
    "journal.before_fsync",
    "journal.after_fsync",
)
"""Round each batch. Damage at `torn_write`: half of the batch is in the file."""
POWER_LOSS_POINT: Final = "journal.unsynced_lost"
"""Before each flush. Damage: what was not flushed is gone, as after a power failure."""
SEGMENT_POINTS: Final = (
    "journal.before_new_segment",
    "journal.amid_new_segment",
    "journal.after_new_segment",
)
RECOVERY_POINTS: Final = (
    "recovery.before_tail_cut",
    "recovery.after_tail_cut",
    "recovery.replayed",
    "recovery.serving",
)
"""In an engine that starts. The first two are reached only when a tail is torn."""
GATEWAY_POINTS: Final = (
    "gateway.before_commands",
    "gateway.after_commands",
    "delivery.before_position",
    "delivery.before_send",
    "delivery.after_send",
    "refusal.before_write",
    "refusal.after_write",
    "refusal.after_reply",
)
EPOCH_POINTS: Final = (
    "epoch.before_engine",
    "epoch.before_mark",
    "epoch.before_store_reset",
    "epoch.after_store_reset",
    "epoch.after_mark",
)
ADOPTION_POINTS: Final = ("adoption.before_wipe", "adoption.after_wipe", "adoption.adopted")
"""In a gateway that starts."""
PROJECTOR_POINTS: Final = (
    "projector.amid_batch",
    "projector.before_commit",
    "projector.after_commit",
)
POINTS: Final = frozenset(
    (
        *JOURNAL_POINTS,
        POWER_LOSS_POINT,
        *SEGMENT_POINTS,
        *RECOVERY_POINTS,
        *GATEWAY_POINTS,
        *EPOCH_POINTS,
        *ADOPTION_POINTS,
        *PROJECTOR_POINTS,
    )
)

log = structlog.get_logger("faults")


class FaultOrder(NamedTuple):
    """What a process is to do at a point: at which of its visits, and after how long a wait."""

    visit: int
    action: str
    delay_s: float = 0.0

    def format(self) -> str:
        """Return the order as its file holds it."""
        return f"{self.visit} {self.action} {self.delay_s}"


class _Arms:
    """Where this process finds its orders, and how often it has passed by each."""

    def __init__(self) -> None:
        self.directory: Path | None = None
        self.visits: Counter[str] = Counter()


_arms: Final = _Arms()


def arm(directory: Path | None) -> None:
    """Take orders from a directory from now on, none when it is None. For composition roots."""
    _arms.directory = directory
    if directory is not None:
        log.critical("faults_armed", directory=str(directory), meaning="this process is a test's")


def give_order(directory: Path, point: str, order: FaultOrder) -> Path:
    """Let the next process that reaches the point fail there. The file returned is gone then."""
    assert point in POINTS
    path = directory / point
    draft = directory / f".{point}"
    draft.write_text(order.format())
    draft.replace(path)
    return path


def reach(point: str, damage: Callable[[], object] | None = None) -> None:
    """Pass a point: fail here if there is an order to.

    `damage` is done before the process is killed or sees an error. Raises the OSError that the
    order names.
    """
    if _arms.directory is not None:
        _look(_arms.directory, point, damage)


def _look(directory: Path, point: str, damage: Callable[[], object] | None) -> None:
    assert point in POINTS
    path = directory / point
    try:
        visit_text, action, delay_text = path.read_text().split()
        _arms.visits[point] += 1
        if _arms.visits[point] < int(visit_text):
            return
        path.unlink()
    except FileNotFoundError:
        # No order, or another process was faster.
        del _arms.visits[point]
        return
    del _arms.visits[point]
    log.critical("fault_injected", point=point, action=action)
    time.sleep(float(delay_text))
    if action == DELAY:
        return
    if damage is not None:
        damage()
    if action == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    raise OSError(ERRORS[action], f"injected at {point}")
