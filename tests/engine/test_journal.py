"""The journal keeps what was made durable, and tells a torn end from damage."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import AdvanceTime
from engine.runtime.codec import Record, encode_record
from engine.runtime.journal import (
    SEGMENT_HEADER,
    Journal,
    JournalDamagedError,
    JournalInUseError,
    inspect_tail,
    list_segments,
    lock_journal,
    read_records,
    repair_tail,
)
from engine.session_commands import OpenSession
from engine.session_events import SessionOpened
from engine.units import Seq, SessionId


def batch(first_seq: int, count: int) -> bytes:
    """Return the bytes of a batch whose records say which they are."""
    return b"".join(
        encode_record(
            Seq(first_seq + place),
            1000 + first_seq + place,
            OpenSession(SessionId(first_seq + place)),
            [SessionOpened(SessionId(first_seq + place), 1, 1, 0)],
            rules_version=1,
            batch_index=place,
        )
        for place in range(count)
    )


def write(directory: Path, *sizes: int, segment_bytes_max: int = 1 << 20) -> list[bytes]:
    """Append batches of the given sizes, and return their bytes."""
    os.close(lock_journal(directory))
    last_seq = inspect_tail(directory).last_seq
    journal = Journal(directory, next_seq=Seq(last_seq + 1), segment_bytes_max=segment_bytes_max)
    batches = []
    for size in sizes:
        batches.append(batch(last_seq + 1, size))
        last_seq = Seq(last_seq + size)
        journal.append(batches[-1], next_seq=Seq(last_seq + 1))
    journal.close()
    return batches


def read_seqs(directory: Path, *, after_seq: int = 0, until_seq: int) -> list[int]:
    return [
        record.seq for record in read_records(directory, after_seq=after_seq, until_seq=until_seq)
    ]


def only_segment(directory: Path) -> Path:
    (segment,) = list_segments(directory)
    return segment.path


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    """Command, events, time and version of every record survive."""
    write(tmp_path, 2)
    assert list(read_records(tmp_path, until_seq=2)) == [
        Record(
            seq=Seq(seq),
            now_ns=1000 + seq,
            rules_version=1,
            batch_index=seq - 1,
            command_bytes=record.command_bytes,
            events_bytes=record.events_bytes,
        )
        for seq, record in enumerate(read_records(tmp_path, until_seq=2), start=1)
    ]
    (first, _) = read_records(tmp_path, until_seq=2)
    assert first.command() == OpenSession(SessionId(1))
    assert first.events() == [SessionOpened(SessionId(1), 1, 1, 0)]


def test_empty_journal_has_no_records(tmp_path: Path) -> None:
    """A venue that never ran has an empty journal, not a damaged one."""
    assert inspect_tail(tmp_path / "none") == (0, None)
    assert read_seqs(tmp_path / "none", until_seq=0) == []


def test_segments_follow_each_other(tmp_path: Path) -> None:
    """A full segment is closed and the next begins with the next record; readers see one stream."""
    size = len(batch(1, 1))
    write(tmp_path, 1, 1, 1, 2, 1, segment_bytes_max=SEGMENT_HEADER.size + 2 * size)
    assert [segment.first_seq for segment in list_segments(tmp_path)] == [1, 3, 4, 6]
    assert read_seqs(tmp_path, until_seq=6) == [1, 2, 3, 4, 5, 6]
    assert read_seqs(tmp_path, after_seq=2, until_seq=4) == [3, 4]
    assert inspect_tail(tmp_path) == (6, None)


def test_missing_segment_is_noticed(tmp_path: Path) -> None:
    """A reader that needs a file that is gone is told so."""
    write(tmp_path, 1, 1, 1, segment_bytes_max=1)
    list_segments(tmp_path)[1].path.unlink()
    with pytest.raises(JournalDamagedError, match="record 2 is missing"):
        read_seqs(tmp_path, until_seq=3)
    with pytest.raises(JournalDamagedError, match="record 4 is missing"):
        read_seqs(tmp_path, after_seq=2, until_seq=4)


def test_any_cut_through_the_last_batch_is_repaired(tmp_path: Path) -> None:
    """Wherever a crash stops the write, what was whole before it stays and the rest goes."""
    first, last = write(tmp_path, 2, 2)
    path = only_segment(tmp_path)
    whole = path.read_bytes()
    kept = SEGMENT_HEADER.size + len(first)
    record_end = kept + len(batch(3, 1))
    for length in range(kept, len(whole)):
        path.write_bytes(whole[:length])
        tail = repair_tail(tmp_path)
        assert tail.last_seq == (3 if length >= record_end else 2)
        assert path.stat().st_size == (record_end if length >= record_end else kept)
        assert (tail.torn is None) == (length in (kept, record_end))
        assert read_seqs(tmp_path, until_seq=tail.last_seq)[-1] == tail.last_seq
        assert repair_tail(tmp_path).torn is None
    assert len(last) == len(whole) - kept


def test_appending_goes_on_behind_a_repaired_tail(tmp_path: Path) -> None:
    """After a repair the next batch takes the numbers of the one that was lost."""
    write(tmp_path, 2, 2)
    path = only_segment(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert repair_tail(tmp_path).last_seq == 3
    write(tmp_path, 2)
    assert read_seqs(tmp_path, until_seq=5) == [1, 2, 3, 4, 5]


def test_repair_makes_durable_what_a_killed_engine_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last batch may be in the page cache only; who goes on from it takes it for durable."""
    first, last = write(tmp_path, 2, 2)
    calls: list[tuple[str, object]] = []
    pwrite, fsync = os.pwrite, os.fsync

    def note_pwrite(descriptor: int, data: bytes, offset: int) -> int:
        calls.append(("pwrite", (bytes(data), offset)))
        return pwrite(descriptor, data, offset)

    def note_fsync(descriptor: int) -> None:
        calls.append(("fsync", Path(f"/proc/self/fd/{descriptor}").resolve()))
        fsync(descriptor)

    monkeypatch.setattr(os, "pwrite", note_pwrite)
    monkeypatch.setattr(os, "fsync", note_fsync)
    assert repair_tail(tmp_path) == (4, None)
    assert calls == [
        ("pwrite", (last, SEGMENT_HEADER.size + len(first))),
        ("fsync", only_segment(tmp_path).resolve()),
        ("fsync", tmp_path.resolve()),
    ]
    assert read_seqs(tmp_path, until_seq=4) == [1, 2, 3, 4]


def test_hole_in_an_unfinished_batch_is_torn(tmp_path: Path) -> None:
    """A power cut may keep later pages of a batch and lose earlier ones: still nobody was told."""
    first, _ = write(tmp_path, 2, 3)
    path = only_segment(tmp_path)
    data = bytearray(path.read_bytes())
    hole = SEGMENT_HEADER.size + len(first) + 4
    data[hole : hole + 20] = bytes(20)
    path.write_bytes(data)
    assert repair_tail(tmp_path).last_seq == 2
    assert read_seqs(tmp_path, until_seq=2) == [1, 2]


@settings(max_examples=60)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_damage_before_the_last_batch_stops_the_start(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    """One flipped bit in what was durable is never taken for a torn end."""
    directory = tmp_path_factory.mktemp("journal")
    first, second, _ = write(directory, 2, 1, 1)
    path = only_segment(directory)
    data = bytearray(path.read_bytes())
    data[place % (SEGMENT_HEADER.size + len(first) + len(second))] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(JournalDamagedError):
        repair_tail(directory)
    assert path.read_bytes() == data


def test_damage_in_a_sealed_segment_names_the_record(tmp_path: Path) -> None:
    """The message says which record and where, for whoever restores the file."""
    write(tmp_path, 1, 1, segment_bytes_max=1)
    path = list_segments(tmp_path)[0].path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert inspect_tail(tmp_path) == (2, None)
    with pytest.raises(JournalDamagedError, match=r"record 1 is damaged: .*0001\.wcj, byte 16"):
        read_seqs(tmp_path, until_seq=2)


def test_crash_while_a_segment_is_made_is_repaired(tmp_path: Path) -> None:
    """A segment without a whole header holds nothing and is removed."""
    write(tmp_path, 1)
    (tmp_path / f"{2:020}.wcj").write_bytes(b"WCX")
    tail = repair_tail(tmp_path)
    assert (tail.last_seq, tail.torn is not None) == (1, True)
    assert len(list_segments(tmp_path)) == 1
    write(tmp_path, 1, segment_bytes_max=1)
    assert read_seqs(tmp_path, until_seq=2) == [1, 2]


def test_failed_flush_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot keep a batch raises: nobody may be told of that batch."""
    os.close(lock_journal(tmp_path))
    journal = Journal(tmp_path, next_seq=Seq(1))

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        journal.append(batch(1, 1), next_seq=Seq(2))
    journal.close()


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take a part of a header or a batch at a time."""
    os.close(lock_journal(tmp_path))
    whole_write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole_write(file, bytes(data)[:7]))
    journal = Journal(tmp_path, next_seq=Seq(1))
    journal.append(batch(1, 3), next_seq=Seq(4))
    journal.close()
    assert read_seqs(tmp_path, until_seq=3) == [1, 2, 3]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second engine on the same journal is refused, until the first is gone."""
    descriptor = lock_journal(tmp_path)
    with pytest.raises(JournalInUseError):
        lock_journal(tmp_path)
    os.close(descriptor)
    os.close(lock_journal(tmp_path))


def test_command_without_fields_and_events_is_a_record_too() -> None:
    """The smallest record there is can be read back."""
    data = encode_record(Seq(1), 5, AdvanceTime(), [], rules_version=1, batch_index=0)
    assert len(data) == 36 + 2 + 1
