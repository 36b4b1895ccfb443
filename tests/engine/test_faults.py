"""Fault points: nothing without an order, and with one exactly what it says, once."""

import errno
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runtime import faults
from engine.runtime.faults import JOURNAL_POINTS, SEGMENT_POINTS, FaultOrder, give_order
from engine.runtime.journal import Journal, inspect_tail, lock_journal, repair_tail
from engine.units import Seq
from tests.engine.test_journal import batch, write

POINT = "journal.before_fsync"


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[Path]:
    """A directory that this process takes orders from."""
    directory = tmp_path / "faults"
    directory.mkdir()
    faults.arm(directory)
    yield directory
    faults.arm(None)


def append_second_batch(journal_dir: Path, orders: Path) -> None:
    faults.arm(orders)
    journal = Journal(journal_dir, next_seq=Seq(3), segment_bytes_max=1)
    journal.append(batch(3, 2), next_seq=Seq(5))


def test_point_without_an_order_is_passed(orders: Path) -> None:
    """Armed or not, a point does nothing by itself."""
    faults.reach(POINT)
    assert list(orders.iterdir()) == []


def test_order_is_carried_out_at_its_visit_and_only_once(orders: Path) -> None:
    """The third visit fails, with the damage that belongs to the point."""
    path = give_order(orders, POINT, FaultOrder(3, "ENOSPC"))
    damage: list[str] = []
    for _ in range(2):
        faults.reach(POINT, lambda: damage.append("done"))
    assert (path.exists(), damage) == (True, [])
    with pytest.raises(OSError, match=f"injected at {POINT}") as raised:
        faults.reach(POINT, lambda: damage.append("done"))
    assert (raised.value.errno, path.exists(), damage) == (errno.ENOSPC, False, ["done"])
    faults.reach(POINT)


def test_disarmed_process_takes_no_orders(orders: Path) -> None:
    """Without a directory the order stays where it is."""
    path = give_order(orders, POINT, FaultOrder(1, "EIO"))
    faults.arm(None)
    faults.reach(POINT)
    assert path.exists()


@pytest.mark.parametrize("point", [*JOURNAL_POINTS, faults.POWER_LOSS_POINT, *SEGMENT_POINTS])
def test_journal_survives_a_death_at_every_point(tmp_path: Path, orders: Path, point: str) -> None:
    """Whole records are there, from the first on, and more can be appended behind them."""
    journal_dir = tmp_path / "journal"
    write(journal_dir, 2)
    give_order(orders, point, FaultOrder(1, faults.KILL))
    writer = multiprocessing.get_context("spawn").Process(
        target=append_second_batch, args=(journal_dir, orders)
    )
    writer.start()
    writer.join(30)
    assert writer.exitcode == -signal.SIGKILL
    os.close(lock_journal(journal_dir))  # The lock died with its owner.
    last_seq = repair_tail(journal_dir).last_seq
    assert 2 <= last_seq <= 4
    write(journal_dir, 1)
    tail = inspect_tail(journal_dir)
    assert (tail.last_seq, tail.torn) == (last_seq + 1, None)
