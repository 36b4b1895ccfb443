"""The journal: append-only segments of records, the one truth about what has happened.

A batch of records is written and made durable as one (`append`), and only then may anything of it
leave the process. After a crash the end of the last segment may hold a batch that was never
finished; `repair_tail` cuts it off, since nobody was told of it. Damage anywhere else is never
repaired: it stops the start and names the record.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from engine.runtime.codec import MAGIC, Record, read_record
from engine.units import Seq

Durability = Literal["fsync", "os"]

SEGMENT_BYTES_MAX: Final = 32 << 20
SEGMENT_SUFFIX: Final = ".wcj"
SEGMENT_HEADER: Final = struct.Struct("<8sQ")
SEGMENT_MAGIC: Final = b"WCXJRNL1"


class JournalDamagedError(Exception):
    """A record that had been made durable cannot be read. The journal must be restored."""


class JournalInUseError(Exception):
    """Another process writes this journal."""


class Segment(NamedTuple):
    """One file of the journal: its records begin with `first_seq`."""

    path: Path
    first_seq: Seq


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
    """Return the segments in order, [] for a journal that does not exist yet."""
    if not directory.is_dir():
        return []
    return [
        Segment(path, Seq(int(path.stem))) for path in sorted(directory.glob(f"*{SEGMENT_SUFFIX}"))
    ]


def read_segment(segment: Segment) -> Iterator[Record]:
    """Yield the records of one segment, in order.

    Raises JournalDamagedError where a record is not whole, also at the end.
    """
    data = memoryview(segment.path.read_bytes())
    _check_segment_header(segment, data)
    offset = SEGMENT_HEADER.size
    expected_seq = segment.first_seq
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
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if following is not None and following.first_seq <= next_seq:
            continue
        if segment.first_seq > next_seq:
            break
        for record in read_segment(segment):
            if record.seq < next_seq:
                continue
            yield record
            next_seq = record.seq + 1
            if next_seq > until_seq:
                return
    raise JournalDamagedError(f"record {next_seq} is missing from {directory}")


def inspect_tail(directory: Path) -> Tail:
    """Return how the journal ends. Changes nothing.

    Raises JournalDamagedError when what cannot be read is followed by a later batch: then it had
    been durable and is damage, not a torn write.
    """
    segments = list_segments(directory)
    if not segments:
        return Tail(Seq(0), None)
    segment = segments[-1]
    data = memoryview(segment.path.read_bytes())
    if len(data) <= SEGMENT_HEADER.size and data != _segment_header(segment.first_seq):
        # The crash came while the segment was being made, before its first record.
        return Tail(Seq(segment.first_seq - 1), TornTail(segment, 0, len(data)))
    _check_segment_header(segment, data)
    offset = SEGMENT_HEADER.size
    expected_seq = segment.first_seq
    while offset < len(data):
        found = read_record(data, offset)
        if found is None or found[0].seq != expected_seq:
            _check_is_torn(segment, data, offset, expected_seq)
            torn = TornTail(segment, offset, len(data) - offset)
            return Tail(Seq(expected_seq - 1), torn)
        offset = found[1]
        expected_seq = Seq(expected_seq + 1)
    return Tail(Seq(expected_seq - 1), None)


def repair_tail(directory: Path) -> Tail:
    """Cut an unfinished batch off the end of the journal, and return how it ended.

    Nobody was told of what is cut. Raises JournalDamagedError as `inspect_tail` does.
    """
    tail = inspect_tail(directory)
    torn = tail.torn
    if torn is None:
        return tail
    if torn.offset == 0:
        torn.segment.path.unlink()
        _sync_directory(directory)
    else:
        _truncate(torn.segment.path, torn.offset)
    return tail


class Journal:
    """Appends batches of records. One process at a time; belongs to the sequencer's thread."""

    def __init__(
        self,
        directory: Path,
        *,
        next_seq: Seq,
        durability: Durability = "fsync",
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> None:
        self.durability: Durability = durability
        self._directory = directory
        self._segment_bytes_max = segment_bytes_max
        self._next_seq = next_seq
        segments = list_segments(directory)
        if segments:
            self._file = os.open(segments[-1].path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._file_bytes = os.fstat(self._file).st_size
        else:
            self._start_segment()

    def append(self, records: bytes, *, next_seq: Seq) -> None:
        """Write a batch and make it durable. `next_seq` is the seq that the next batch begins with.

        Raises OSError when the disk fails. Nothing of the batch may be released then, and nothing
        more may be appended: the process has to end, and the next start cuts off what is torn.
        """
        if self._file_bytes + len(records) > self._segment_bytes_max and not self._is_fresh:
            os.close(self._file)
            self._start_segment()
        written = 0
        view = memoryview(records)
        while written < len(records):
            written += os.write(self._file, view[written:])
        if self.durability == "fsync":
            os.fdatasync(self._file)
        self._file_bytes += len(records)
        self._next_seq = next_seq

    def close(self) -> None:
        """Close the file. All that was appended is where `durability` put it."""
        os.close(self._file)

    @property
    def _is_fresh(self) -> bool:
        return self._file_bytes == SEGMENT_HEADER.size

    def _start_segment(self) -> None:
        path = self._directory / f"{self._next_seq:020}{SEGMENT_SUFFIX}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        os.write(self._file, _segment_header(self._next_seq))
        os.fsync(self._file)
        _sync_directory(self._directory)
        self._file_bytes = SEGMENT_HEADER.size


def lock_journal(directory: Path) -> int:
    """Make this process the journal's only writer, for as long as it lives.

    Creates the directory. Returns the descriptor that carries the lock; closing it gives the lock
    back. Raises JournalInUseError when another process has it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise JournalInUseError(f"another engine writes {directory}") from None
    return descriptor


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


def _truncate(path: Path, length: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, length)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
