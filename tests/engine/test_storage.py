"""New orders stop before the journal's disk is full, and come back when there is room again."""

import asyncio
from pathlib import Path

import pytest
import uvloop
from pydantic import ValidationError

from config.settings import JournalSettings
from engine.commands import SetStorageLow
from engine.events import (
    BalanceAdjusted,
    CommandRefused,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderStatusReported,
    StorageLowSet,
)
from engine.order import OrdStatus, Side, TimeInForce
from engine.reasons import CancelReason, RejectReason
from engine.runtime.journal import SEGMENT_BYTES_MAX, Journal, lock_journal
from engine.runtime.metrics import EngineMetrics
from engine.runtime.storage import StorageWatch, measure_free_bytes
from engine.session_commands import OpenSession
from engine.session_events import SessionOpened
from engine.units import Money, OrderId, Qty, Seq, SessionId
from tests.exchange_desk import (
    ALICE,
    BOB,
    DEFAULT_FUNDS,
    NS_PER_S,
    START_NS,
    USD,
    Desk,
    account_commands,
    new_order,
    view,
)

BUY, SELL = Side.BUY, Side.SELL
FIRST = 12  # The seq of the first command after the desk has been set up.
LOW, NORMAL = True, False


def test_new_orders_are_refused_while_storage_is_low() -> None:
    """With the precise reason, and without a trace; afterwards they are taken again."""
    desk = Desk()
    assert desk.apply(SetStorageLow(LOW)) == [StorageLowSet(LOW)]
    assert desk.exchange.is_storage_low
    refused = view(
        0, ALICE, "c1", BUY, qty=10, price=100, leaves_qty=0, ord_status=OrdStatus.REJECTED
    )
    assert desk.buy(ALICE, 10, 100) == [OrderRejected(refused, RejectReason.STORAGE_LOW)]
    assert desk.exchange.state().open_orders == []
    assert desk.apply(SetStorageLow(NORMAL)) == [StorageLowSet(NORMAL)]
    assert desk.buy(ALICE, 10, 100) == [
        OrderAccepted(view(FIRST + 3, ALICE, "c2", BUY, qty=10, price=100))
    ]


def test_what_is_said_twice_happens_once() -> None:
    """A repeat of how things stand leaves no event."""
    desk = Desk()
    assert desk.apply(SetStorageLow(NORMAL)) == []
    desk.apply(SetStorageLow(LOW))
    assert desk.apply(SetStorageLow(LOW)) == []


def test_all_that_ends_or_limits_something_goes_on() -> None:
    """Cancels, expiry, sessions, limits and money: none of them waits for the disk."""
    desk = Desk()
    desk.buy(ALICE, 10, 100)
    desk.buy(ALICE, 10, 100, TimeInForce.DAY)
    desk.apply(SetStorageLow(LOW))
    ended = {"leaves_qty": 0, "ord_status": OrdStatus.CANCELED}
    assert desk.cancel(ALICE, "c1", "x1") == [
        OrderCanceled(
            view(FIRST, ALICE, "c1", BUY, qty=10, price=100, **ended),  # type: ignore[arg-type]
            CancelReason.REQUESTED,
            Qty(10),
            cl_ord_id="x1",  # type: ignore[arg-type]
        )
    ]
    assert [type(event) for event in desk.apply(OpenSession(SessionId(1)))] == [SessionOpened]
    happened = [type(desk.apply(command)[0]) for command in account_commands(BOB, {USD: Money(1)})]
    assert BalanceAdjusted not in happened  # The reference has been used.
    assert happened[0] is CommandRefused
    assert type(desk.apply(account_commands(ALICE, DEFAULT_FUNDS)[1])[0]).__name__ == (
        "RiskLimitsSet"
    )
    assert [type(event) for event in desk.advance_to(START_NS + 24 * 3600 * NS_PER_S)] == [
        OrderExpired
    ]
    assert desk.balance(ALICE, USD)[1] == 0


def test_earlier_reasons_go_first() -> None:
    """A repeat of a known order is answered with its state, an unknown symbol with that."""
    desk = Desk()
    desk.apply(new_order(ALICE, BUY, 10, 100, cl_ord_id="known"))
    desk.apply(SetStorageLow(LOW))
    assert desk.apply(new_order(ALICE, BUY, 10, 100, cl_ord_id="known", is_poss_resend=True)) == [
        OrderStatusReported(view(FIRST, ALICE, "known", BUY, qty=10, price=100), SessionId(0))
    ]
    (event,) = desk.apply(new_order(ALICE, BUY, 0, 100, cl_ord_id="bad"))
    assert isinstance(event, OrderRejected)
    assert (event.reason, event.order.order_id) == (RejectReason.STORAGE_LOW, OrderId(0))


def test_it_is_part_of_the_state() -> None:
    """Two exchanges that differ in nothing else have different states."""
    desk = Desk()
    before = desk.exchange.state()
    desk.apply(SetStorageLow(LOW))
    assert (before.is_storage_low, desk.exchange.state().is_storage_low) == (False, True)


class Disk:
    """A disk whose free space the test sets, and a watch over it with 1000 bytes as the least."""

    def __init__(self, free_bytes: int, *, is_low: bool) -> None:
        self.free_bytes = free_bytes
        self.changes: list[bool] = []
        self.metrics = EngineMetrics()
        self.watch = StorageWatch(
            lambda: self.free_bytes,
            self.metrics,
            free_bytes_min=1000,
            is_low=is_low,
            on_change=self.changes.append,
        )

    def gauge(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


def test_watch_reports_changes_with_hysteresis() -> None:
    """Low below the watermark, normal again only with a quarter more than it."""
    disk = Disk(1000, is_low=False)
    seen = []
    for free_bytes in (1000, 999, 1000, 1249, 1250, 1001, 999, 0, 1249, 5000):
        disk.free_bytes = free_bytes
        disk.watch.check()
        seen.append((free_bytes, list(disk.changes)))
        disk.changes.clear()
    assert seen == [
        (1000, []), (999, [LOW]), (1000, []), (1249, []), (1250, [NORMAL]), (1001, []),
        (999, [LOW]), (0, []), (1249, []), (5000, [NORMAL]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("free_bytes", "was_low", "changes"),
    [(1249, True, []), (1250, True, [NORMAL]), (999, False, [LOW]), (1000, False, [])],
)
def test_watch_goes_on_from_the_state_of_the_exchange(
    free_bytes: int, was_low: bool, changes: list[bool]
) -> None:
    """After a restart only what differs from the journal is said, on the first look."""
    disk = Disk(free_bytes, is_low=was_low)
    disk.watch.check()
    assert disk.changes == changes


def test_watch_shows_its_figures() -> None:
    """Free bytes and the state are gauges."""
    disk = Disk(999, is_low=False)
    assert disk.gauge("fixgw_storage_low") == 0
    disk.watch.check()
    assert disk.gauge("fixgw_journal_free_bytes") == 999
    assert disk.gauge("fixgw_storage_low") == 1


def test_watch_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the event loop's timer, until it is cancelled."""
    monkeypatch.setattr("engine.runtime.storage.CHECK_S", 0.001)
    disk = Disk(2000, is_low=False)

    async def scenario() -> None:
        changes: asyncio.Queue[bool] = asyncio.Queue()
        disk.watch._on_change = changes.put_nowait
        watching = asyncio.create_task(disk.watch.run())
        for free_bytes, change in ((999, LOW), (2000, NORMAL)):
            disk.free_bytes = free_bytes
            assert await changes.get() == change
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    uvloop.run(asyncio.wait_for(scenario(), 20))


def test_free_space_is_measured_or_none(tmp_path: Path) -> None:
    """A directory that is not there has no room for a journal."""
    assert measure_free_bytes(tmp_path) > 0
    assert measure_free_bytes(tmp_path / "nothing") == 0


def test_journal_lets_the_watch_look_before_each_new_segment(tmp_path: Path) -> None:
    """A burst that fills segments faster than the timer is noticed too."""
    lock_journal(tmp_path)
    journal = Journal(tmp_path, next_seq=Seq(1), segment_bytes_max=100)
    looks = []
    journal.before_segment = lambda: looks.append(len(list(tmp_path.glob("*.wcj"))))
    for seq in range(1, 5):
        journal.append(b"x" * 60, next_seq=Seq(seq + 1))
    journal.close()
    assert looks == [1, 2, 3]


def test_watermark_leaves_room_for_cancels() -> None:
    """It cannot be set so low that the next segments would not fit."""
    assert JournalSettings(free_bytes_min=4 * SEGMENT_BYTES_MAX).free_bytes_min > 0
    with pytest.raises(ValidationError):
        JournalSettings(free_bytes_min=4 * SEGMENT_BYTES_MAX - 1)
