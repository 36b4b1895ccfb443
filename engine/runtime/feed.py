"""Old events, read from the journal files by whoever wants them: never by the engine's thread.

A sealed segment gets a small index when it is first read: which FIX session, and which account, has
its last event at which seq. A reader that has none after its position passes over the segment then.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, NamedTuple, TypeGuard

import msgspec

from engine.events import Event, ExecutionEvent, OrderStatusReported, Trade, recipients
from engine.runtime.codec import Record
from engine.runtime.journal import (
    Segment,
    check_reaches_back,
    list_segments,
    read_records,
    read_segment,
)
from engine.trade_commands import BookedTrade, TradeSide
from engine.units import AccountId, SessionId, TradeId

INDEX_SUFFIX: Final = ".idx"
BARREN_RECORDS_MAX: Final = 500


class Position(NamedTuple):
    """A place in the stream of events: the record, and the event's place in it, from 0."""

    seq: int
    event_index: int

    @property
    def exec_id(self) -> str:
        """ExecID(17) of the event's report."""
        return f"{self.seq}.{self.event_index}"


BEFORE_ALL: Final = Position(0, 0)
_EXEC_ID: Final = re.compile(r"(\d{1,18})\.(\d{1,9})", re.ASCII)


def parse_exec_id(text: str) -> Position | None:
    """Return the place that an ExecID(17) names, None for what names no event of the engine's."""
    matched = _EXEC_ID.fullmatch(text)
    return None if matched is None else Position(int(matched[1]), int(matched[2]))


class SessionEvent(NamedTuple):
    """An event that a FIX session is told of. With `is_copy` it is addressed to others.

    `command_bytes` is what has caused it, for `codec.decode_command`.
    """

    session_id: SessionId
    position: Position
    happened_at_ns: int
    event: Event
    is_copy: bool = False
    command_bytes: bytes = b""


def find_trade(record: Record, trade_id: TradeId) -> BookedTrade | None:
    """Return what a record tells of a trade, None when there is no such trade in it."""
    sides = [
        (index, event)
        for index, event in enumerate(record.events())
        if isinstance(event, Trade) and event.trade_id == trade_id
    ]
    if not sides:
        return None
    aggressor, resting = (TradeSide(event.order, index, event.fee) for index, event in sides)
    event = sides[0][1]
    return BookedTrade(
        trade_id=trade_id,
        trade_seq=record.seq,
        instrument_id=event.order.instrument_id,
        qty=event.qty,
        price=event.price,
        aggressor=aggressor,
        resting=resting,
    )


class AccountEvent(NamedTuple):
    """An event of an order of an account that is told by ExecutionReport(8).

    `command_bytes` is what has caused it where that is asked for, as in `SessionEvent`.
    """

    position: Position
    happened_at_ns: int
    event: ExecutionEvent
    command_bytes: bytes = b""


class AccountPage(NamedTuple):
    """A part of an account's events. The next part begins after `reached`.

    With `has_more` there may be a next part already, also when this one is empty: looking further
    would have been too much work at once.
    """

    events: list[AccountEvent]
    reached: Position
    has_more: bool


class SegmentIndex(msgspec.Struct, frozen=True, array_like=True):
    """The last record of a segment that concerns a session or an account.

    It holds for a segment of `byte_count`. One that was taken for sealed is appended to again when
    the start of its successor was cut off by a crash.
    """

    byte_count: int
    session_seqs: dict[SessionId, int]
    account_seqs: dict[AccountId, int]


_index_decoder = msgspec.msgpack.Decoder(SegmentIndex)


class _Stretch(NamedTuple):
    """Records of one segment that are due. `records_read` were read to make its index."""

    after_seq: int
    last_seq: int
    is_concerned: bool
    records_read: int


def read_session_events(
    directory: Path,
    positions: Mapping[SessionId, Position],
    *,
    until_seq: int,
    copied: Mapping[SessionId, AbstractSet[AccountId]] | None = None,
) -> Iterator[SessionEvent]:
    """Yield what the sessions were told after their positions, up to and including `until_seq`.

    In order; an event for two of the sessions comes twice. Sessions in `copied` are told, too, of
    what happens to the orders of these accounts. `until_seq` must be durable. Raises
    RecordsGoneError when the journal begins later, JournalDamagedError.
    """
    copied = copied or {}

    def concerns(index: SegmentIndex) -> bool:
        last_seqs = index.session_seqs
        return any(
            last_seqs.get(key, -1) >= after.seq
            or any(
                index.account_seqs.get(account_id, -1) >= after.seq
                for account_id in copied.get(key, ())
            )
            for key, after in positions.items()
        )

    lowest_seq = min((position.seq for position in positions.values()), default=until_seq)
    for stretch in _stretches(directory, lowest_seq, until_seq, concerns):
        if not stretch.is_concerned:
            continue
        for record in _read_stretch(directory, stretch):
            for event_index, event in enumerate(record.events()):
                position = Position(record.seq, event_index)
                takers = [(session_id, False) for session_id in recipients(event)]
                takers += [(session_id, True) for session_id in _copy_takers(event, copied)]
                for session_id, is_copy in takers:
                    after = positions.get(session_id)
                    if after is not None and position > after:
                        yield SessionEvent(
                            session_id,
                            position,
                            record.now_ns,
                            event,
                            is_copy=is_copy,
                            command_bytes=record.command_bytes,
                        )


def is_copied(event: Event) -> TypeGuard[ExecutionEvent]:
    """Whether those are told of the event who listen to an account: it happened to an order.

    Nothing has happened when somebody has asked how an order stands.
    """
    return isinstance(event, ExecutionEvent) and not isinstance(event, OrderStatusReported)


def _copy_takers(
    event: Event, copied: Mapping[SessionId, AbstractSet[AccountId]]
) -> list[SessionId]:
    if not copied or not is_copied(event):
        return []
    told = recipients(event)
    return [
        session_id
        for session_id, account_ids in copied.items()
        if event.order.account_id in account_ids and session_id not in told
    ]


def follow_accounts(
    directory: Path, account_ids: AbstractSet[AccountId], after: Position, *, until_seq: int
) -> Iterator[AccountEvent | None]:
    """Yield what has happened to the orders of the accounts after `after`, in order.

    Not beyond `until_seq`, which must be durable. Yields None now and then when it has read for a
    while and found nothing: a caller may rest then. Raises RecordsGoneError when the journal begins
    later, JournalDamagedError.
    """

    def concerns(index: SegmentIndex) -> bool:
        return any(index.account_seqs.get(key, -1) >= after.seq for key in account_ids)

    barren = 0
    for stretch in _stretches(directory, after.seq, until_seq, concerns):
        if not stretch.is_concerned:
            continue
        for record in _read_stretch(directory, stretch):
            barren += 1
            for event_index, event in enumerate(record.events()):
                position = Position(record.seq, event_index)
                if position > after and is_copied(event) and event.order.account_id in account_ids:
                    yield AccountEvent(position, record.now_ns, event, record.command_bytes)
                    barren = 0
            if barren >= BARREN_RECORDS_MAX:
                yield None
                barren = 0


class FirstUnread(NamedTuple):
    """The first record that a FIX session may still ask for. `session_id` is 0 for nobody."""

    seq: int
    session_id: SessionId


def find_first_unread(
    directory: Path,
    positions: Mapping[SessionId, Position],
    heard: Mapping[SessionId, AbstractSet[AccountId]],
) -> FirstUnread:
    """Return how far the journal is of no more use to any FIX session.

    A session without a position has read nothing. Those in `heard` need, too, what happened to the
    orders of these accounts. Archived segments and the last one, which is still written, are not
    looked at: the answer is at most the beginning of the last one, 1 for a journal that is empty.
    Raises JournalDamagedError.
    """
    segments = [segment for segment in list_segments(directory) if not segment.is_archived]
    for segment in segments[:-1]:
        index = _load_index(directory, segment)[0]
        needed_seqs = list(index.session_seqs.items())
        needed_seqs += [
            (who, index.account_seqs.get(account_id, -1))
            for who, account_ids in heard.items()
            for account_id in account_ids
        ]
        if all(positions.get(who, BEFORE_ALL).seq > seq for who, seq in needed_seqs):
            continue
        for record in read_segment(segment):
            for event_index, event in enumerate(record.events()):
                position = Position(record.seq, event_index)
                for session_id in [*recipients(event), *_copy_takers(event, heard)]:
                    if position > positions.get(session_id, BEFORE_ALL):
                        return FirstUnread(record.seq, session_id)
    return FirstUnread(segments[-1].first_seq if segments else 1, SessionId(0))


def read_account_events(
    directory: Path,
    account_id: AccountId,
    after: Position,
    *,
    until_seq: int,
    events_max: int,
    records_max: int,
) -> AccountPage:
    """Return at most `events_max` events of the account's orders after `after`, in order.

    Not beyond `until_seq`, which must be durable. Stops early once more than `records_max` records
    were read, but never without having come further. Raises RecordsGoneError when the journal
    begins later, JournalDamagedError.
    """

    def concerns(index: SegmentIndex) -> bool:
        return index.account_seqs.get(account_id, -1) >= after.seq

    found: list[AccountEvent] = []
    reached = after
    budget = records_max
    for stretch in _stretches(directory, after.seq, until_seq, concerns):
        budget -= stretch.records_read
        records = _read_stretch(directory, stretch) if stretch.is_concerned else ()
        for record in records:
            for event in _account_events(record, account_id, after):
                if len(found) == events_max:
                    return AccountPage(found, found[-1].position, has_more=True)
                found.append(event)
            reached = max(reached, Position(record.seq, 0))
            if found:
                reached = max(reached, found[-1].position)
            budget -= 1
            if budget < 0 and reached > after:
                return AccountPage(found, reached, has_more=record.seq < until_seq)
        reached = max(reached, Position(stretch.last_seq, 0))
        if budget < 0 and reached > after:
            return AccountPage(found, reached, has_more=stretch.last_seq < until_seq)
    return AccountPage(found, reached, has_more=False)


def _account_events(
    record: Record, account_id: AccountId, after: Position
) -> Iterator[AccountEvent]:
    for event_index, event in enumerate(record.events()):
        position = Position(record.seq, event_index)
        if (
            position > after
            and isinstance(event, ExecutionEvent)
            and event.order.account_id == account_id
        ):
            yield AccountEvent(position, record.now_ns, event)


def _stretches(
    directory: Path,
    lowest_seq: int,
    until_seq: int,
    concerns: Callable[[SegmentIndex], bool],
) -> Iterator[_Stretch]:
    """Yield what is there from the record `lowest_seq` on, a segment at a time.

    The record itself is part of it: an event of it may be due. The newest segment grows still, so
    it has no index and is always of concern.
    """
    segments = list_segments(directory)
    check_reaches_back(segments, lowest_seq + 1)
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if segment.first_seq > until_seq:
            return
        last_seq = until_seq if following is None else min(until_seq, following.first_seq - 1)
        if last_seq < lowest_seq:
            continue
        after_seq = max(lowest_seq, segment.first_seq) - 1
        if following is None:
            yield _Stretch(after_seq, last_seq, is_concerned=True, records_read=0)
            continue
        index, records_read = _load_index(directory, segment)
        yield _Stretch(after_seq, last_seq, concerns(index), records_read)


def _read_stretch(directory: Path, stretch: _Stretch) -> Iterator[Record]:
    return read_records(directory, after_seq=stretch.after_seq, until_seq=stretch.last_seq)


def _load_index(directory: Path, segment: Segment) -> tuple[SegmentIndex, int]:
    """Return a sealed segment's index, and how many records were read to make it, 0 for none."""
    # It stays where it is when the segment is archived.
    path = directory / f"{segment.first_seq:020}{INDEX_SUFFIX}"
    try:
        index = _index_decoder.decode(path.read_bytes())
        if index.byte_count == segment.byte_count():
            return index, 0
    except (FileNotFoundError, msgspec.DecodeError):
        pass
    index, records_read = _build_index(segment)
    # Readers may race, on threads too: each writes the same content under a name of its own.
    draft = path.with_suffix(f"{INDEX_SUFFIX}.{os.getpid()}.{threading.get_ident()}")
    draft.write_bytes(msgspec.msgpack.encode(index))
    draft.replace(path)
    return index, records_read


def _build_index(segment: Segment) -> tuple[SegmentIndex, int]:
    byte_count = segment.byte_count()
    session_seqs: dict[SessionId, int] = {}
    account_seqs: dict[AccountId, int] = {}
    count = 0
    for record in read_segment(segment):
        count += 1
        for event in record.events():
            for session_id in recipients(event):
                session_seqs[session_id] = record.seq
            if isinstance(event, ExecutionEvent):
                account_seqs[event.order.account_id] = record.seq
    return SegmentIndex(byte_count, session_seqs, account_seqs), count
