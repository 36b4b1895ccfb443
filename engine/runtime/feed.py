"""Old events, read from the journal files by whoever wants them: never by the engine's thread.

A sealed segment gets a small index when it is first read: which FIX session has its last event at
which seq. A session that has none after its position costs nothing then.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from engine.events import Event, recipients
from engine.runtime.journal import (
    JournalDamagedError,
    Segment,
    list_segments,
    read_records,
    read_segment,
)
from engine.units import SessionId

INDEX_SUFFIX: Final = ".idx"

_index_decoder = msgspec.msgpack.Decoder(dict[int, int])


class Position(NamedTuple):
    """A place in the stream of events: the record, and the event's place in it, from 0."""

    seq: int
    event_index: int


BEFORE_ALL: Final = Position(0, 0)


class SessionEvent(NamedTuple):
    """An event that a FIX session is told of."""

    session_id: SessionId
    position: Position
    happened_at_ns: int
    event: Event


def read_session_events(
    directory: Path, positions: Mapping[SessionId, Position], *, until_seq: int
) -> Iterator[SessionEvent]:
    """Yield what the sessions were told after their positions, up to and including `until_seq`.

    In order; an event for two of the sessions comes twice. `until_seq` must be durable. Raises
    JournalDamagedError, also when a segment that is needed is not there.
    """
    segments = list_segments(directory)
    lowest_seq = min((position.seq for position in positions.values()), default=until_seq)
    if segments and segments[0].first_seq > lowest_seq + 1:
        raise JournalDamagedError(f"records before {segments[0].first_seq} are not there any more")
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if segment.first_seq > until_seq:
            return
        last_seq = until_seq if following is None else following.first_seq - 1
        if following is not None and not _concerns(segment, positions):
            continue
        wanted_from = max(lowest_seq - 1, segment.first_seq - 1)
        for record in read_records(
            directory, after_seq=wanted_from, until_seq=min(last_seq, until_seq)
        ):
            for event_index, event in enumerate(record.events()):
                for session_id in recipients(event):
                    position = Position(record.seq, event_index)
                    after = positions.get(session_id)
                    if after is not None and position > after:
                        yield SessionEvent(session_id, position, record.now_ns, event)


def _concerns(segment: Segment, positions: Mapping[SessionId, Position]) -> bool:
    last_seqs = _load_index(segment)
    return any(
        session_id in last_seqs and last_seqs[session_id] >= position.seq
        for session_id, position in positions.items()
    )


def _load_index(segment: Segment) -> dict[int, int]:
    path = segment.path.with_suffix(INDEX_SUFFIX)
    try:
        return _index_decoder.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        index = _build_index(segment)
    # Readers may race: each writes the same content under a name of its own.
    draft = path.with_suffix(f"{INDEX_SUFFIX}.{os.getpid()}")
    draft.write_bytes(msgspec.msgpack.encode(index))
    draft.replace(path)
    return index


def _build_index(segment: Segment) -> dict[int, int]:
    last_seqs: dict[int, int] = {}
    for record in read_segment(segment):
        for event in record.events():
            for session_id in recipients(event):
                last_seqs[session_id] = record.seq
    return last_seqs
