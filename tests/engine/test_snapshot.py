"""Snapshots: whole or not there, the newest that verifies is the start, the journal decides."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.exchange import RULES_VERSION, Exchange
from engine.gate_state import GateState
from engine.runtime.journal import JournalDamagedError, list_segments, read_records
from engine.runtime.recovery import (
    check_journal_is_whole,
    rebuild,
    verify,
)
from engine.runtime.replay import OtherRulesError, hash_state, replay
from engine.runtime.snapshot import (
    Snapshot,
    SnapshotDamagedError,
    SnapshotInUseError,
    list_snapshots,
    load_snapshot,
    lock_snapshots,
    prune_snapshots,
    save_snapshot,
)
from engine.units import Seq
from risk.pre_trade import PreTradeGate
from tests.venue_files import FilesDesk, die_at_step

GOLDEN = Path(__file__).parent / "golden" / "rules-1"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[FilesDesk]:
    """A venue with a journal of 60 orders."""
    desk = FilesDesk(tmp_path)
    desk.trade(60)
    yield desk
    desk.close()


def snapshot_after(desk: FilesDesk, seq: int, rules_version: int = RULES_VERSION) -> Snapshot:
    """Return a snapshot of the desk's state now, under a name and version of the test's choice."""
    taken = Snapshot.take(desk.sequencer.exchange.state(), seq=Seq(seq), now_ns=1)
    return taken._replace(rules_version=rules_version)


def test_start_with_a_snapshot_replays_only_what_came_after_it(desk: FilesDesk) -> None:
    """The state is the same with and without, and so is the time; the work is not."""
    without = rebuild(desk.files, until_seq=desk.last_seq)
    assert (without.snapshot_seq, without.replay.record_count) == (0, desk.last_seq)
    desk.snapshot()
    covered = desk.last_seq
    desk.trade(5)
    rebuilt = rebuild(desk.files, until_seq=desk.last_seq)
    assert rebuilt.snapshot_seq == covered
    assert rebuilt.replay.record_count == 5
    assert rebuilt.replay.last_seq == desk.last_seq
    assert hash_state(rebuilt.exchange.state()) == desk.state_hashes[desk.last_seq]
    shutil.rmtree(desk.files.snapshots_dir)
    assert rebuild(desk.files, until_seq=desk.last_seq).replay.last_ns == rebuilt.replay.last_ns


def test_start_right_at_a_snapshot_replays_nothing(desk: FilesDesk) -> None:
    """Last record and time come from the snapshot then."""
    last = rebuild(desk.files, until_seq=desk.last_seq).replay
    desk.snapshot()
    rebuilt = rebuild(desk.files, until_seq=desk.last_seq)
    assert rebuilt.replay.record_count == 0
    assert (rebuilt.replay.last_seq, rebuilt.replay.last_ns) == (last.last_seq, last.last_ns)


def test_snapshot_comes_back_as_it_was(desk: FilesDesk, tmp_path: Path) -> None:
    """State, place, time and rules version survive."""
    snapshot = snapshot_after(desk, desk.last_seq)
    loaded = load_snapshot(save_snapshot(tmp_path, snapshot))
    assert loaded == snapshot
    assert loaded.state() == desk.sequencer.exchange.state()
    assert loaded.state_hash == desk.state_hashes[desk.last_seq]


@settings(max_examples=80)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    """A snapshot that is not what was written is never used."""
    path = tmp_path_factory.mktemp("snapshots") / f"{19:020}.wcs"
    save_snapshot(
        path.parent, Snapshot.take(Exchange(PreTradeGate()).state(), seq=Seq(19), now_ns=5)
    )
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(SnapshotDamagedError):
        load_snapshot(path)


def test_any_cut_is_noticed(desk: FilesDesk, tmp_path: Path) -> None:
    """So is one that ends early, wherever it does, and one under the name of another."""
    path = save_snapshot(tmp_path, snapshot_after(desk, 7))
    data = path.read_bytes()
    for length in (0, 1, 50, 75, 76, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(SnapshotDamagedError):
            load_snapshot(path)
    other = path.with_name(f"{8:020}.wcs")
    other.write_bytes(data)
    with pytest.raises(SnapshotDamagedError, match="snapshot after record 7"):
        load_snapshot(other)


def test_damaged_snapshot_makes_way_for_an_older_one(desk: FilesDesk) -> None:
    """The next older one that verifies is the start, and without any the whole journal is."""
    paths = []
    for _ in range(3):
        paths.append((desk.last_seq, desk.snapshot()))
        desk.trade(4)
    for seq, path in reversed(paths):
        assert rebuild(desk.files, until_seq=desk.last_seq).snapshot_seq == seq
        path.write_bytes(path.read_bytes()[:-3])
    rebuilt = rebuild(desk.files, until_seq=desk.last_seq)
    assert (rebuilt.snapshot_seq, rebuilt.replay.record_count) == (0, desk.last_seq)
    assert hash_state(rebuilt.exchange.state()) == desk.state_hashes[desk.last_seq]


def test_any_earlier_moment_can_be_rebuilt(desk: FilesDesk) -> None:
    """The snapshots before it help, those after it do not disturb."""
    desk.snapshot()
    desk.trade(6)
    desk.snapshot()
    for seq in range(1, desk.last_seq + 1):
        rebuilt = rebuild(desk.files, until_seq=Seq(seq))
        assert hash_state(rebuilt.exchange.state()) == desk.state_hashes.get(seq)


def test_snapshot_whose_state_is_not_of_this_version_is_not_used(desk: FilesDesk) -> None:
    """One of a later version would be read without what that version has added."""
    desk.files.snapshots_dir.mkdir()
    save_snapshot(desk.files.snapshots_dir, snapshot_after(desk, desk.last_seq, RULES_VERSION + 1))
    assert rebuild(desk.files, until_seq=desk.last_seq).snapshot_seq == 0


def test_journal_that_ends_before_its_snapshot_is_refused(desk: FilesDesk) -> None:
    """Records that were acknowledged are missing: nobody may go on as if they never were."""
    desk.snapshot()
    check_journal_is_whole(desk.files, desk.last_seq)
    with pytest.raises(JournalDamagedError, match="restore the journal's missing records"):
        check_journal_is_whole(desk.files, Seq(desk.last_seq - 1))


def test_old_snapshots_are_removed(desk: FilesDesk) -> None:
    """The newest few stay; so does the last one of an older version, the only start after it."""
    directory = desk.files.snapshots_dir
    directory.mkdir()
    for seq, rules_version in ((10, 0), (20, 0), (30, 1), (40, 1), (50, 1)):
        save_snapshot(directory, snapshot_after(desk, seq, rules_version))
    prune_snapshots(directory, kept_max=2)
    assert [file.seq for file in list_snapshots(directory)] == [20, 40, 50]


def test_disk_that_fails_leaves_no_snapshot(
    desk: FilesDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stands under a snapshot's name that was not flushed first."""

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    desk.files.snapshots_dir.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            save_snapshot(desk.files.snapshots_dir, snapshot_after(desk, 5))
    assert list(desk.files.snapshots_dir.iterdir()) == []
    assert list_snapshots(desk.snapshot().parent)[-1].seq == desk.last_seq


def test_killed_at_any_step_it_leaves_a_start(desk: FilesDesk) -> None:
    """SIGKILL before each change to the disk: a start finds a snapshot that was whole, or none."""
    desk.snapshot()
    was_killed, step = True, 0
    while was_killed:
        whole = {file.seq for file in list_snapshots(desk.files.snapshots_dir)}
        desk.trade(1)
        step += 1
        was_killed = die_at_step(lambda: desk.snapshot(kept_max=2), step)
        rebuilt = rebuild(desk.files, until_seq=desk.last_seq)
        assert rebuilt.snapshot_seq in whole | {desk.last_seq}
        assert rebuilt.snapshot_seq >= max(whole)
        assert hash_state(rebuilt.exchange.state()) == desk.state_hashes[desk.last_seq]
    assert step > 5
    assert [path.suffix for path in sorted(desk.files.snapshots_dir.iterdir())] == [
        ".wcs", ".wcs", ""
    ]  # fmt: skip


def test_one_process_at_a_time_makes_snapshots(tmp_path: Path) -> None:
    """A second one is told so, until the first is done."""
    with lock_snapshots(tmp_path), pytest.raises(SnapshotInUseError), lock_snapshots(tmp_path):
        pass
    with lock_snapshots(tmp_path):
        pass


def test_verification_passes_through_every_snapshot(desk: FilesDesk) -> None:
    """It begins with the first record and compares each snapshot with what the replay has."""
    desk.snapshot()
    first = desk.last_seq
    desk.trade(3)
    wrong = desk.files.snapshots_dir / f"{desk.last_seq:020}.wcs"
    desk.trade(3)
    desk.snapshot()
    verified = verify(desk.files, until_seq=desk.last_seq, is_all=False)
    assert verified.faults == []
    assert verified.compared == [first, desk.last_seq]
    assert verified.rebuilt.replay.record_count == desk.last_seq
    save_snapshot(wrong.parent, snapshot_after(desk, desk.last_seq - 3))
    (fault,) = verify(desk.files, until_seq=desk.last_seq, is_all=False).faults
    assert fault.startswith(f"{wrong} has another state")


def test_records_of_other_rules_are_replayed_from_a_snapshot_only(
    desk: FilesDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade its snapshot is the start; without one it is said what to do."""
    older = desk.last_seq
    path = desk.snapshot()
    monkeypatch.setattr("engine.runtime.sequencer.RULES_VERSION", 2)
    monkeypatch.setattr("engine.runtime.replay.RULES_VERSION", 2)
    desk.trade(4)
    verified = verify(desk.files, until_seq=desk.last_seq, is_all=True)
    assert verified.rebuilt.snapshot_seq == older
    assert verified.rebuilt.replay.record_count == 4
    assert verified.other_rules is not None
    path.unlink()
    with pytest.raises(OtherRulesError, match=r"record 1 was .* run `wcx upgrade` of the version"):
        rebuild(desk.files, until_seq=desk.last_seq)
    with pytest.raises(OtherRulesError, match="record 1 was written under rules version 1"):
        verify(desk.files, until_seq=desk.last_seq, is_all=True)
    monkeypatch.setattr("engine.runtime.replay.RULES_VERSION", 1)
    with pytest.raises(OtherRulesError, match="a later version wrote it: start that one"):
        rebuild(desk.files, until_seq=desk.last_seq)


def test_old_snapshots_stay_readable() -> None:
    """Bytes that this rules version once wrote are still the state of the golden journal.

    All but what the gate has seen, prices and what was traded today: it did not look yet.
    """
    (file,) = list_snapshots(GOLDEN)
    exchange = Exchange(PreTradeGate())
    replay(exchange, read_records(GOLDEN, until_seq=file.seq))
    restored = Exchange.restore(PreTradeGate(), load_snapshot(file.path).state())
    states = [
        msgspec.structs.replace(known.state(), gate=GateState()) for known in (restored, exchange)
    ]
    assert states[0] == states[1]


def test_journal_of_the_desk_has_several_segments(desk: FilesDesk) -> None:
    """The tests above read across the borders of files."""
    assert len(list_segments(desk.files.journal_dir)) > 4
