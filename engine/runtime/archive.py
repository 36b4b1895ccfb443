"""Compaction: segments that no start and no FIX session needs any more go to the archive.

They are compressed there and stay readable, only slower. At each moment a segment stands whole in
one of the two places or in both, so that a reader and a start find it wherever compaction stops.
"""

import gzip
from itertools import pairwise
from typing import Final, NamedTuple

from engine.runtime.journal import (
    JournalDamagedError,
    Segment,
    archived,
    list_segments,
    read_segment,
    sync_directory,
)
from engine.runtime.recovery import VenueFiles, find_start
from engine.runtime.whole_file import remove_drafts, write_whole_file
from engine.units import Seq

COMPRESSION: Final = 6


class Movable(NamedTuple):
    """A segment that may go to the archive, with its last record."""

    segment: Segment
    last_seq: Seq


class Plan(NamedTuple):
    """What a compaction would do, and what it goes by: the newest snapshot that verifies."""

    movables: list[Movable]
    snapshot_seq: Seq


def plan_compaction(files: VenueFiles, *, below_seq: int, durable_seq: Seq) -> Plan:
    """Return the segments that hold nothing but records that a snapshot covers, below `below_seq`.

    The segment that is written stays, and so does the one before it while the last one has no
    durable record: a start may still go back to it.
    """
    snapshot_seq = find_start(files, until_seq=durable_seq).seq
    segments = list_segments(files.journal_dir)
    movables = [
        Movable(segment, Seq(following.first_seq - 1))
        for segment, following in pairwise(segments)
        if not segment.is_archived
        and following.first_seq <= min(snapshot_seq + 1, below_seq, durable_seq)
    ]
    return Plan(movables, snapshot_seq)


def move_to_archive(movable: Movable) -> Segment:
    """Verify a segment, compress it into the archive, and return it there.

    May be repeated after it was stopped at any moment. The caller holds the snapshots' lock. Raises
    JournalDamagedError when the segment is not whole, and OSError; the segment stays then.
    """
    segment = movable.segment
    last_seq = segment.first_seq - 1
    for record in read_segment(segment):
        last_seq = record.seq
    if last_seq != movable.last_seq:
        raise JournalDamagedError(
            f"{segment.path} ends with record {last_seq}, not {movable.last_seq}"
        )
    data = segment.path.read_bytes()
    target = archived(segment)
    target.path.parent.mkdir(mode=0o700, exist_ok=True)
    sync_directory(segment.path.parent)
    remove_drafts(target.path.parent)
    # No time in it: the same segment gives the same bytes.
    write_whole_file(target.path, gzip.compress(data, COMPRESSION, mtime=0))
    if target.read_bytes() != data:
        raise JournalDamagedError(f"{target.path} does not hold what was written to it")
    segment.path.unlink()
    sync_directory(segment.path.parent)
    return target
