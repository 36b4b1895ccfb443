"""Compaction moves what nobody needs to the archive, where it stays readable, and loses nothing."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from engine.commands import Command, NewOrder
from engine.order import OrdType, Side, TimeInForce
from engine.runtime.archive import Movable, move_to_archive, plan_compaction
from engine.runtime.codec import Record
from engine.runtime.feed import (
    BEFORE_ALL,
    Position,
    SessionEvent,
    find_first_unread,
    read_session_events,
)
from engine.runtime.journal import (
    Journal,
    JournalDamagedError,
    RecordsGoneError,
    inspect_tail,
    list_segments,
    read_records,
    repair_tail,
)
from engine.runtime.recovery import rebuild, verify
from engine.runtime.replay import hash_state
from engine.session_commands import OpenSession
from engine.units import AccountId, ClOrdId, Price, Qty, Seq, SessionId
from tests.exchange_desk import ALICE, BOB, BTC_USD
from tests.venue_files import FilesDesk, die_at_step

OF_ALICE, OF_BOB = SessionId(1), SessionId(2)
ALL_READ = {OF_ALICE: Position(10**9, 0), OF_BOB: Position(10**9, 0)}


def order(session_id: SessionId, account_id: AccountId, side: Side, number: int) -> NewOrder:
    return NewOrder(
        session_id=session_id,
        generation=1,
        epoch=1,
        msg_seq_num=number + 1,
        account_id=account_id,
        instrument_id=BTC_USD,
        cl_ord_id=ClOrdId(f"o{number}"),
        side=side,
        ord_type=OrdType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Qty(1),
        price=Price(100),
    )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[FilesDesk]:
    """A venue on which two sessions traded, in many small segments, with a snapshot near the end.

    BOB's session has no event after the first half.
    """
    desk = FilesDesk(tmp_path, segment_bytes_max=700)
    opened: list[Command] = [OpenSession(OF_ALICE), OpenSession(OF_BOB)]
    desk.commit(opened)
    desk.commit(order(OF_BOB, BOB, Side.SELL, number) for number in range(10))
    desk.commit(order(OF_ALICE, ALICE, Side.BUY, number) for number in range(10, 30))
    desk.snapshot()
    desk.trade(8)
    yield desk
    desk.close()


def compact(desk: FilesDesk, below_seq: int = 10**9) -> list[Movable]:
    """Compact as the verb does."""
    plan = plan_compaction(desk.files, below_seq=below_seq, durable_seq=desk.last_seq)
    for movable in plan.movables:
        move_to_archive(movable)
    return plan.movables


def records(desk: FilesDesk, after_seq: int = 0) -> list[Record]:
    return list(read_records(desk.files.journal_dir, after_seq=after_seq, until_seq=desk.last_seq))


def events(desk: FilesDesk, position: Position = BEFORE_ALL) -> list[SessionEvent]:
    positions = {OF_ALICE: position, OF_BOB: position}
    return list(read_session_events(desk.files.journal_dir, positions, until_seq=desk.last_seq))


def archived_count(desk: FilesDesk) -> int:
    return sum(segment.is_archived for segment in list_segments(desk.files.journal_dir))


def test_archived_records_are_read_as_before(desk: FilesDesk) -> None:
    """By the journal's readers and the feed's, with an index or without, and by a verification."""
    before, told = records(desk), events(desk)
    moved = compact(desk)
    assert len(moved) > 4
    assert archived_count(desk) == len(moved)
    assert records(desk) == before
    assert events(desk) == told
    assert events(desk, Position(moved[1].last_seq, 0)) == [
        event for event in told if event.position > (moved[1].last_seq, 0)
    ]
    for path in desk.files.journal_dir.glob("*.idx"):
        path.unlink()
    assert events(desk) == told
    verified = verify(desk.files, until_seq=desk.last_seq, is_all=True)
    assert (verified.rebuilt.replay.record_count, verified.faults) == (desk.last_seq, [])
    assert rebuild(desk.files, until_seq=Seq(15)).replay.last_seq == 15


def test_verification_reads_the_archive_only_when_asked(desk: FilesDesk) -> None:
    """By itself it begins with a snapshot; without one outside the archive it begins anew."""
    compact(desk)
    verified = verify(desk.files, until_seq=desk.last_seq, is_all=False)
    assert verified.rebuilt.snapshot_seq > 0
    assert verified.rebuilt.replay.record_count == desk.last_seq - verified.rebuilt.snapshot_seq
    for path in desk.files.snapshots_dir.glob("*.wcs"):
        path.write_bytes(b"junk")
    verified = verify(desk.files, until_seq=desk.last_seq, is_all=False)
    assert verified.rebuilt.replay.record_count == desk.last_seq


def test_only_what_is_covered_and_read_is_moved(desk: FilesDesk) -> None:
    """Nothing that the snapshot does not hold, nothing from the lowest cursor on, never the end."""
    directory = desk.files.journal_dir
    for below_seq in range(1, desk.last_seq + 2):
        plan = plan_compaction(desk.files, below_seq=below_seq, durable_seq=desk.last_seq)
        assert all(movable.last_seq < below_seq for movable in plan.movables)
        assert all(movable.last_seq <= plan.snapshot_seq for movable in plan.movables)
        assert list_segments(directory)[-1] not in {item.segment for item in plan.movables}
    segment = list_segments(directory)[3]
    plan = plan_compaction(desk.files, below_seq=10**9, durable_seq=Seq(segment.first_seq - 1))
    assert plan.movables == []  # The snapshot is of later.
    (file,) = desk.files.snapshots_dir.glob("*.wcs")
    file.write_bytes(file.read_bytes()[:-1])
    assert compact(desk) == []


def test_segment_before_an_empty_one_stays(desk: FilesDesk) -> None:
    """A start may remove a segment without records, and then goes on with the one before it."""
    directory = desk.files.journal_dir
    desk.snapshot()
    (directory / f"{desk.last_seq + 1:020}.wcj").write_bytes(b"")
    compact(desk)
    assert [segment.is_archived for segment in list_segments(directory)][-2:] == [False, False]
    assert repair_tail(directory).last_seq == desk.last_seq
    assert not list_segments(directory)[-1].is_archived


def test_journal_goes_on_behind_its_archive(desk: FilesDesk) -> None:
    """Appending, recovery and the next compaction take no notice."""
    first = compact(desk)
    assert inspect_tail(desk.files.journal_dir).last_seq == desk.last_seq
    desk.trade(20)
    assert compact(desk) == []  # The snapshot is the same as before.
    desk.snapshot()
    second = compact(desk)
    assert second[0].segment.first_seq == first[-1].last_seq + 1
    rebuilt = rebuild(desk.files, until_seq=desk.last_seq)
    assert hash_state(rebuilt.exchange.state()) == desk.state_hashes[desk.last_seq]
    assert [record.seq for record in records(desk)] == list(range(1, desk.last_seq + 1))


def test_damaged_segment_is_not_archived(desk: FilesDesk) -> None:
    """It stays where it is, for whoever restores it."""
    segment = list_segments(desk.files.journal_dir)[1]
    data = bytearray(segment.path.read_bytes())
    data[-1] ^= 1
    segment.path.write_bytes(data)
    with pytest.raises(JournalDamagedError, match=r"record \d+ is damaged"):
        compact(desk)
    assert segment.path.read_bytes() == data
    assert archived_count(desk) == 1


def test_damage_in_the_archive_is_noticed(desk: FilesDesk) -> None:
    """A compressed file that was changed or cut is damage, not an end."""
    compact(desk)
    path = list_segments(desk.files.journal_dir)[0].path
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:20], b"", whole[:40] + b"x" + whole[41:]):
        path.write_bytes(damaged)
        with pytest.raises(JournalDamagedError):
            records(desk)


def test_what_is_gone_from_the_archive_is_refused(desk: FilesDesk) -> None:
    """Whoever asks for it is told what is missing; what is there can be read."""
    moved = compact(desk)
    gone = list_segments(desk.files.journal_dir)[:2]
    for segment in gone:
        segment.path.unlink()
    with pytest.raises(RecordsGoneError, match=f"before {moved[2].segment.first_seq} are not"):
        records(desk)
    with pytest.raises(RecordsGoneError, match="restore their files"):
        events(desk)
    assert records(desk, after_seq=gone[-1].first_seq + 100) == []  # Beyond the end.
    assert records(desk, after_seq=moved[1].last_seq)[0].seq == moved[2].segment.first_seq


def test_reader_that_listed_the_files_before_goes_on(desk: FilesDesk) -> None:
    """Compaction beside a reader takes nothing out of its hands."""
    before = records(desk)
    reader = read_records(desk.files.journal_dir, until_seq=desk.last_seq)
    seen = [next(reader)]
    compact(desk)
    seen += reader
    assert seen == before


STEPS_MAX = 400


def test_killed_at_any_step_it_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL before each call that changes the disk: readers and a start find every record."""
    step = 0
    while True:
        desk = FilesDesk(tmp_path / f"{step}", segment_bytes_max=1500)
        desk.trade(30)
        desk.snapshot()
        before = records(desk)
        step += 1
        was_killed = die_at_step(partial(compact, desk), step)
        assert records(desk) == before
        assert verify(desk.files, until_seq=desk.last_seq, is_all=True).faults == []
        assert repair_tail(desk.files.journal_dir).last_seq == desk.last_seq
        compact(desk)
        assert records(desk) == before
        assert archived_count(desk) > 1
        assert list(desk.files.journal_dir.rglob("*.draft")) == []
        desk.close()
        if not was_killed:
            break
        assert step < STEPS_MAX
    assert step > 10


def test_cursor_is_the_first_record_that_somebody_has_not_read(desk: FilesDesk) -> None:
    """A session without a position has read nothing; one that has read all stops nobody."""
    directory = desk.files.journal_dir
    last_first_seq = list_segments(directory)[-1].first_seq
    told = [event for event in events(desk) if event.position.seq < last_first_seq]
    assert find_first_unread(directory, ALL_READ, {}) == (last_first_seq, 0)
    assert find_first_unread(directory, {}, {}) == (told[0].position.seq, OF_BOB)
    for owner, other in ((OF_ALICE, OF_BOB), (OF_BOB, OF_ALICE)):
        mine = [event.position for event in told if event.session_id == owner]
        assert find_first_unread(directory, {other: ALL_READ[other]}, {}) == (mine[0].seq, owner)
        for place, position in enumerate(mine):
            found = find_first_unread(directory, ALL_READ | {owner: position}, {})
            if place + 1 < len(mine):
                assert found == (mine[place + 1].seq, owner)
            else:
                assert found == (last_first_seq, 0)


def test_cursor_waits_for_who_listens_to_an_account(desk: FilesDesk) -> None:
    """A session that is told of others' orders keeps what happened to them until it has it."""
    directory = desk.files.journal_dir
    last_first_seq = list_segments(directory)[-1].first_seq
    listener = SessionId(9)
    heard = {listener: {BOB}}
    told = read_session_events(
        directory, {listener: BEFORE_ALL}, until_seq=desk.last_seq, copied=heard
    )
    copies = [event.position for event in told if event.position.seq < last_first_seq]
    assert len(copies) > 10
    assert find_first_unread(directory, ALL_READ, heard) == (copies[0].seq, listener)
    for position, following in pairwise(copies):
        found = find_first_unread(directory, ALL_READ | {listener: position}, heard)
        assert found == (following.seq, listener)
    found = find_first_unread(directory, ALL_READ | {listener: copies[-1]}, heard)
    assert found == (last_first_seq, 0)
    assert find_first_unread(directory, ALL_READ, {listener: set()}) == (last_first_seq, 0)


def test_cursor_of_an_empty_journal_is_its_beginning(tmp_path: Path) -> None:
    """There is nothing to compact, and nothing fails."""
    assert find_first_unread(tmp_path, {}, {}) == (1, 0)
    Journal(tmp_path, next_seq=Seq(1)).close()
    assert find_first_unread(tmp_path, {}, {}) == (1, 0)
