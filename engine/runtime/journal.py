"""The journal: append-only segments of records, the one truth about what has happened.

A batch of records is written and made durable as one (`append`), and only then may anything of it
leave the process. After a crash the end of the last segment may hold a batch that was never
finished; `repair_tail` cuts it off, since nobody was told of it. Damage anywhere else is never
repaired: it stops the start and names the record.
"""

import fcntl
import gzip
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from engine.runtime import faults
from engine.runtime.codec import MAGIC, Record, read_record, skip_record
from engine.units import Seq

Durability = Literal["fsync", "os"]

SEGMENT_BYTES_MAX: Final = 32 << 20
SEGMENT_SUFFIX: Final = ".wcj"
ARCHIVE_NAME: Final = "archive"
ARCHIVED_SUFFIX: Final = ".wcj.gz"
GZIP_SIZE: Final = struct.Struct("<I")  # RFC 1952: a gzip file ends with the size of its content.
SEGMENT_HEADER: Final = struct.Struct("<8sQ")
SEGMENT_MAGIC: Final = b"WCXJRNL1"


class Disk(Protocol):
    """The system calls by which the journal changes the disk: the module `os`, or what stands in
    for it in a simulation. Each raises OSError as the system does."""

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int:
        """Open or create a file, or a directory for the sake of `fsync`."""

    def write(self, descriptor: int, data: memoryview | bytes, /) -> int:
        """Write some of the data, and return how many bytes that was."""

    def pwrite(self, descriptor: int, data: memoryview | bytes, offset: int, /) -> int:
        """Write some of the data at a place in the file, and return how many bytes that was."""

    def fdatasync(self, descriptor: int, /) -> None:
        """Make durable what was written and the file's size."""

    def fsync(self, descriptor: int, /) -> None:
        """Make the file durable, or the names in a directory."""

    def ftruncate(self, descriptor: int, length: int, /) -> None:
        """Cut the file."""

    def unlink(self, path: Path, /) -> None:
        """Remove a name from its directory."""

    def close(self, descriptor: int, /) -> None:
        """Let go of a file."""


class JournalDamagedError(Exception):
    """A record that had been made durable cannot be read. The journal must be restored."""


class RecordsGoneError(JournalDamagedError):
    """Records before the first file of the journal and its archive are asked for."""


class JournalInUseError(Exception):
    """Another process writes this journal."""


class Segment(NamedTuple):
    """One file of the journal: its records begin with `first_seq`. Archived ones are compressed."""

    path: Path
    first_seq: Seq

    @property
    def is_archived(self) -> bool:
        """Whether the file stands in the archive."""
        return self.path.name.endswith(ARCHIVED_SUFFIX)

    def read_bytes(self) -> bytes:
        """Return the segment's bytes, also when it was archived since it was listed.

        Raises JournalDamagedError when they cannot be had.
        """
        if not self.is_archived:
            try:
                return self.path.read_bytes()
            except FileNotFoundError:
                return archived(self).read_bytes()
        try:
            return gzip.decompress(self.path.read_bytes())
        except FileNotFoundError:
            raise RecordsGoneError(f"{self.path} is not there any more") from None
        except (OSError, EOFError, zlib.error) as error:
            raise JournalDamagedError(f"{self.path} is damaged: {error}") from None

    def byte_count(self) -> int:
        """Return how many bytes the segment has, or had before it was compressed."""
        if not self.is_archived:
            try:
                return self.path.stat().st_size
            except FileNotFoundError:
                return archived(self).byte_count()
        with self.path.open("rb") as file:
            file.seek(-GZIP_SIZE.size, os.SEEK_END)
            (byte_count,) = GZIP_SIZE.unpack(file.read())
        return int(byte_count)


class TornTail(NamedTuple):
    """An unfinished batch at the end of a segment. `offset` 0 is the whole file."""

    segment: Segment
    offset: int
    byte_count: int


class Tail(NamedTuple):
    """How a journal ends: its last whole record, 0 for none, and what is torn behind it."""

    last_seq: Seq
    torn: TornTail | None


def list_segments(directory: Path) -> list[Segment]:
    """Return the segments in order, archived ones too; [] for a journal that does not exist yet."""
    # First those that may move to the archive meanwhile: this way none is missed.
    live = _segments_of(directory, SEGMENT_SUFFIX)
    segments = _segments_of(directory / ARCHIVE_NAME, ARCHIVED_SUFFIX) | live
    return [segments[first_seq] for first_seq in sorted(segments)]


def archived(segment: Segment) -> Segment:
    """Return where a segment stands once it is archived."""
    path = segment.path.parent / ARCHIVE_NAME / f"{segment.first_seq:020}{ARCHIVED_SUFFIX}"
    return Segment(path, segment.first_seq)


def _segments_of(directory: Path, suffix: str) -> dict[Seq, Segment]:
    found = {}
    for path in directory.glob(f"*{suffix}"):
        first_seq = Seq(int(path.name.removesuffix(suffix)))
        found[first_seq] = Segment(path, first_seq)
    return found


def read_segment(segment: Segment, *, after_seq: int = 0) -> Iterator[Record]:
    """Yield the records of one segment after `after_seq`, in order.

    Raises JournalDamagedError where a record is not whole, also at the end. Those before are passed
    over by their lengths: whoever reads on from a place pays for what comes after it.
    """
    data = memoryview(segment.read_bytes())
    _check_segment_header(segment, data)
    offset = SEGMENT_HEADER.size
    expected_seq = segment.first_seq
    while offset < len(data) and expected_seq <= after_seq:
        end = skip_record(data, offset)
        if end is None:
            raise JournalDamagedError(_damage(segment, expected_seq, offset))
        offset = end
        expected_seq = Seq(expected_seq + 1)
    while offset < len(data):
        found = read_record(data, offset)
        if found is None or found[0].seq != expected_seq:
            raise JournalDamagedError(_damage(segment, expected_seq, offset))
        record, offset = found
        yield record
        expected_seq = Seq(expected_seq + 1)


def read_records(directory: Path, *, after_seq: int = 0, until_seq: int) -> Iterator[Record]:
    """Yield the records after `after_seq` up to and including `until_seq`.

    Safe beside a process that appends, as long as `until_seq` is durable. Raises
    JournalDamagedError when one of them is damaged or missing.
    """
    if until_seq <= after_seq:
        return
    segments = list_segments(directory)
    next_seq = after_seq + 1
    check_reaches_back(segments, next_seq)
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if following is not None and following.first_seq <= next_seq:
            continue
        if segment.first_seq > next_seq:
            break
        for record in read_segment(segment, after_seq=next_seq - 1):
            yield record
            next_seq = record.seq + 1
            if next_seq > until_seq:
                return
    raise JournalDamagedError(f"record {next_seq} is missing from {directory}")


def check_reaches_back(segments: list[Segment], seq: int) -> None:
    """Raise RecordsGoneError when the segments begin after the record `seq`."""
    if segments and segments[0].first_seq > seq:
        raise RecordsGoneError(
            f"records before {segments[0].first_seq} are not there any more, {seq} is asked for: "
            "restore their files"
        )


def inspect_tail(directory: Path) -> Tail:
    """Return how the journal ends. Changes nothing.

    Raises JournalDamagedError when what cannot be read is followed by a later batch: then it had
    been durable and is damage, not a torn write.
    """
    segments = list_segments(directory)
    return _inspect_segment(segments[-1])[0] if segments else Tail(Seq(0), None)


def repair_tail(directory: Path, disk: Disk = os) -> Tail:
    """Cut an unfinished batch off the end of the journal, and return how it ended.

    Nobody was told of what is cut. What stays is durable afterwards, as whoever goes on from it
    will take it to be. Raises JournalDamagedError as `inspect_tail` does, OSError when the disk
    fails.
    """
    segments = list_segments(directory)
    if not segments:
        return Tail(Seq(0), None)
    if segments[-1].is_archived:
        return inspect_tail(directory)
    tail, batch_offset = _inspect_segment(segments[-1])
    if tail.torn is not None:
        faults.reach("recovery.before_tail_cut")
    if tail.torn is not None and tail.torn.offset == 0:
        disk.unlink(segments[-1].path)
    else:
        _write_again(segments[-1].path, batch_offset, tail.torn, disk)
    sync_directory(directory, disk)
    if tail.torn is not None:
        faults.reach("recovery.after_tail_cut")
    return tail


def _inspect_segment(segment: Segment) -> tuple[Tail, int]:
    """Return how the last segment ends, and where in it the last batch begins, 0 for none."""
    data = memoryview(segment.read_bytes())
    if len(data) <= SEGMENT_HEADER.size and data != _segment_header(segment.first_seq):
        # The crash came while the segment was being made, before its first record.
        return Tail(Seq(segment.first_seq - 1), TornTail(segment, 0, len(data))), 0
    _check_segment_header(segment, data)
    offset = SEGMENT_HEADER.size
    batch_offset = 0
    expected_seq = segment.first_seq
    torn = None
    while offset < len(data):
        found = read_record(data, offset)
        if found is None or found[0].seq != expected_seq:
            _check_is_torn(segment, data, offset, expected_seq)
            torn = TornTail(segment, offset, len(data) - offset)
            break
        if found[0].batch_index == 0:
            batch_offset = offset
        offset = found[1]
        expected_seq = Seq(expected_seq + 1)
    return Tail(Seq(expected_seq - 1), torn), batch_offset


class Journal:
    """Appends batches of records. One process at a time; belongs to the sequencer's thread.

    `before_segment`, if set, is called before each new segment: whoever watches the space left for
    the journal looks then.
    """

    def __init__(
        self,
        directory: Path,
        *,
        next_seq: Seq,
        durability: Durability = "fsync",
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        disk: Disk = os,
    ) -> None:
        self.durability: Durability = durability
        self.before_segment: Callable[[], None] | None = None
        self._directory = directory
        self._disk = disk
        self._segment_bytes_max = segment_bytes_max
        self._next_seq = next_seq
        segments = list_segments(directory)
        if segments and not segments[-1].is_archived:
            self._file = disk.open(segments[-1].path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._file_bytes = os.fstat(self._file).st_size
        else:
            self._start_segment()

    def append(self, records: bytes, *, next_seq: Seq) -> None:
        """Write a batch and make it durable. `next_seq` is the seq that the next batch begins with.

        Raises OSError when the disk fails. Nothing of the batch may be released then, and nothing
        more may be appended: the process has to end, and the next start cuts off what is torn.
        """
        if self._file_bytes + len(records) > self._segment_bytes_max and not self._is_fresh:
            self._disk.close(self._file)
            self._start_segment()
        faults.reach("journal.before_write")
        faults.reach("journal.torn_write", lambda: self._write(records[: len(records) // 2]))
        self._write(records)
        faults.reach("journal.unsynced_lost", lambda: os.ftruncate(self._file, self._file_bytes))
        if self.durability == "fsync":
            faults.reach("journal.before_fsync")
            self._disk.fdatasync(self._file)
        faults.reach("journal.after_fsync")
        self._file_bytes += len(records)
        self._next_seq = next_seq

    def close(self) -> None:
        """Close the file. All that was appended is where `durability` put it."""
        self._disk.close(self._file)

    def _write(self, data: bytes) -> None:
        written = 0
        view = memoryview(data)
        while written < len(data):
            written += self._disk.write(self._file, view[written:])

    @property
    def _is_fresh(self) -> bool:
        return self._file_bytes == SEGMENT_HEADER.size

    def _start_segment(self) -> None:
        if self.before_segment is not None:
            self.before_segment()
        path = self._directory / f"{self._next_seq:020}{SEGMENT_SUFFIX}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        faults.reach("journal.before_new_segment")
        self._file = self._disk.open(path, flags, 0o600)
        faults.reach("journal.amid_new_segment")
        self._write(_segment_header(self._next_seq))
        self._disk.fsync(self._file)
        sync_directory(self._directory, self._disk)
        faults.reach("journal.after_new_segment")
        self._file_bytes = SEGMENT_HEADER.size


def lock_journal(directory: Path, disk: Disk = os) -> int:
    """Make this process the journal's only writer, for as long as it lives.

    Creates the directory, durably. Returns the descriptor that carries the lock; closing it gives
    the lock back. Raises JournalInUseError when another process has it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_directory(directory.parent, disk)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JournalInUseError(f"another engine writes {directory}") from None
    return descriptor


def sync_directory(directory: Path, disk: Disk = os) -> None:
    """Make the creation, renaming and removal of files in the directory durable."""
    descriptor = disk.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)


def _segment_header(first_seq: Seq) -> bytes:
    return SEGMENT_HEADER.pack(SEGMENT_MAGIC, first_seq)


def _check_segment_header(segment: Segment, data: memoryview) -> None:
    if data[: SEGMENT_HEADER.size] != _segment_header(segment.first_seq):
        raise JournalDamagedError(f"{segment.path} does not begin like segment {segment.first_seq}")


def _check_is_torn(segment: Segment, data: memoryview, offset: int, expected_seq: Seq) -> None:
    """Look for a later batch behind what cannot be read: it proves that this one was durable."""
    raw = bytes(data[offset:])
    position = raw.find(MAGIC, 1)
    while position != -1:
        found = read_record(data, offset + position)
        if found is not None and found[0].batch_first_seq > expected_seq:
            raise JournalDamagedError(_damage(segment, expected_seq, offset))
        position = raw.find(MAGIC, position + 1)


def _damage(segment: Segment, seq: Seq, offset: int) -> str:
    return f"record {seq} is damaged: {segment.path}, byte {offset}"


def _write_again(path: Path, offset: int, torn: TornTail | None, disk: Disk) -> None:
    """Make durable what follows `offset`, after cutting what is torn.

    A killed engine leaves its last batch in the page cache, a failed sync even in pages that count
    as clean: to sync them would do nothing, so they are written once more.
    """
    descriptor = disk.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if torn is not None:
            disk.ftruncate(descriptor, torn.offset)
        left = memoryview(path.read_bytes())[offset:]
        while left:
            count = disk.pwrite(descriptor, left, offset)
            left, offset = left[count:], offset + count
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)
