"""Bytes: journal records, and the frames of the link between the engine and the doors.

A journal record is 36 bytes of header and two msgpack arrays, the command and its events:

    magic "WCXR" | body length u32 | CRC-32C of the body u32 |
    body: rules version u16, batch index u16, command length u32, seq u64, now_ns i64,
          command, events

all little-endian. The same bytes are appended to the file and sent to whoever follows the feed. The
batch index is the record's place in its group commit, from 0: it tells a batch that was never
finished from damage to one that was.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec
from crc32c import crc32c

from engine.book import DepthLevel
from engine.commands import Command, NewOrder
from engine.controls import RefusalDetail
from engine.events import Event
from engine.reasons import RejectReason
from engine.request_events import BalanceLine
from engine.scope import Scope
from engine.trading_state import MarketState
from engine.units import AccountId, InstrumentId, Seq

MAGIC: Final = b"WCXR"
PREFIX: Final = struct.Struct("<4sII")
PREFIX_BYTES: Final = PREFIX.size
BODY_HEADER: Final = struct.Struct("<HHIQq")
RECORD_HEADER: Final = struct.Struct(PREFIX.format + BODY_HEADER.format.removeprefix("<"))
RECORD_HEADER_BYTES: Final = RECORD_HEADER.size
BATCH_RECORDS_MAX: Final = 4096
RECORD_BYTES_MAX: Final = 1 << 30

LINK_PROTOCOL: Final = 1
FRAME_HEADER: Final = struct.Struct("<IB")
COMMAND_FRAME_BYTES_MAX: Final = 1 << 20

_encoder = msgspec.msgpack.Encoder()
_command_decoder = msgspec.msgpack.Decoder(Command)
_commands_decoder = msgspec.msgpack.Decoder(list[Command])
_events_decoder = msgspec.msgpack.Decoder(list[Event])


class Record(NamedTuple):
    """One journal record. Command and events are decoded only when asked for."""

    seq: Seq
    now_ns: int
    rules_version: int
    batch_index: int
    command_bytes: bytes
    events_bytes: bytes

    def command(self) -> Command:
        """Return what was asked."""
        return decode_command(self.command_bytes)

    def events(self) -> list[Event]:
        """Return what happened."""
        return _events_decoder.decode(self.events_bytes)

    @property
    def batch_first_seq(self) -> int:
        """The seq of the first record that was committed together with this one."""
        return self.seq - self.batch_index


def decode_command(command_bytes: bytes) -> Command:
    """Return the command of a record. Raises msgspec.DecodeError."""
    command: Command = _command_decoder.decode(command_bytes)
    return command


def encode_record(
    seq: Seq,
    now_ns: int,
    command: Command,
    events: list[Event],
    *,
    rules_version: int,
    batch_index: int,
) -> bytes:
    """Return the record's bytes, as they stand in the journal and on the feed."""
    command_bytes = _encoder.encode(command)
    body = (
        BODY_HEADER.pack(rules_version, batch_index, len(command_bytes), seq, now_ns)
        + command_bytes
        + _encoder.encode(events)
    )
    return PREFIX.pack(MAGIC, len(body), crc32c(body)) + body


def encode_events(events: list[Event]) -> bytes:
    """Return events as a record holds them, for comparison."""
    return _encoder.encode(events)


def read_record(data: memoryview, offset: int) -> tuple[Record, int] | None:
    """Return the record at `offset` and where the next one begins.

    Returns None when no whole, undamaged record stands there.
    """
    command_offset = offset + RECORD_HEADER_BYTES
    if command_offset > len(data):
        return None
    magic, length, checksum, rules_version, batch_index, command_length, seq, now_ns = (
        RECORD_HEADER.unpack_from(data, offset)
    )
    body_offset = offset + PREFIX_BYTES
    end = body_offset + length
    events_offset = command_offset + command_length
    if magic != MAGIC or length > RECORD_BYTES_MAX or not events_offset <= end <= len(data):
        return None
    if crc32c(data[body_offset:end]) != checksum:
        return None
    command_bytes = bytes(data[command_offset:events_offset])
    events_bytes = bytes(data[events_offset:end])
    return Record(seq, now_ns, rules_version, batch_index, command_bytes, events_bytes), end


def skip_record(data: memoryview, offset: int) -> int | None:
    """Return where the record at `offset` ends by its own account, unread and unverified.

    Returns None when no whole record can stand there.
    """
    body_offset = offset + PREFIX.size
    if body_offset > len(data):
        return None
    magic, length, _ = PREFIX.unpack_from(data, offset)
    end: int = body_offset + length
    return end if magic == MAGIC and end <= len(data) else None


class FrameKind(IntEnum):
    """What a frame of the link carries."""

    # From a door to the engine.
    HELLO = 1
    COMMANDS = 2
    STATUS_QUERY = 3
    BALANCES_QUERY = 4
    WHAT_IF_QUERY = 5
    BOOK_QUERY = 6
    # From the engine to a door.
    WELCOME = 16
    RECORDS = 17
    ACK = 18
    STATUS = 19
    BALANCES = 20
    WHAT_IF = 21
    BOOK = 22


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """A door introduces itself. With `wants_feed` every record is sent to it from then on."""

    protocol: int
    name: str
    wants_feed: bool


class Welcome(msgspec.Struct, frozen=True, array_like=True):
    """The engine's answer: where the live feed begins, and what exists so far.

    Records before `next_seq` are durable and stand in the journal files. `events` say which assets,
    instruments and accounts there are, who owns which session and which limits hold.
    """

    protocol: int
    rules_version: int
    next_seq: Seq
    events: list[Event]


class StatusQuery(msgspec.Struct, frozen=True, array_like=True):
    """Ask how the engine is. The state hash takes time in proportion to the orders known."""

    with_state_hash: bool = False


class Status(msgspec.Struct, frozen=True, array_like=True):
    """How the engine is after the record `last_seq`. `state_hash` is "" when it was not asked.

    With `is_storage_low` the journal's disk is nearly full and new orders are refused.
    """

    last_seq: Seq
    rules_version: int
    durability: str
    links: list[str]
    open_order_count: int
    state_hash: str = ""
    is_storage_low: bool = False


class BalancesQuery(msgspec.Struct, frozen=True, array_like=True):
    """Ask what an account has. It changes nothing, so nothing of it is journaled."""

    account_id: AccountId


class Balances(msgspec.Struct, frozen=True, array_like=True):
    """What an account has after the record `last_seq`: nothing, if there is no such account."""

    last_seq: Seq
    lines: list[BalanceLine]


class WhatIf(msgspec.Struct, frozen=True, array_like=True):
    """What would become of an order that is not entered: `reason` None if it would be let in.

    As things stand after the record `last_seq`. The rest is as in `OrderRejected`.
    """

    last_seq: Seq
    reason: RejectReason | None = None
    limit: int = 0
    actual: int = 0
    scope: Scope = Scope.ACCOUNT
    detail: RefusalDetail | None = None


class BookQuery(msgspec.Struct, frozen=True, array_like=True):
    """Ask what stands in a book: so many price levels of each side at most, the best first."""

    instrument_id: InstrumentId
    level_count_max: int


class Book(msgspec.Struct, frozen=True, array_like=True):
    """What the world may see of a book after the record `last_seq`.

    Quantities are what is shown: what icebergs hide, and orders that wait for their stop price, are
    not in it. `market` is None, and the book empty, when there is no such instrument.
    """

    last_seq: Seq
    market: MarketState | None
    bids: list[DepthLevel] = []
    asks: list[DepthLevel] = []


_hello_decoder = msgspec.msgpack.Decoder(Hello)
_welcome_decoder = msgspec.msgpack.Decoder(Welcome)
_status_query_decoder = msgspec.msgpack.Decoder(StatusQuery)
_status_decoder = msgspec.msgpack.Decoder(Status)
_balances_query_decoder = msgspec.msgpack.Decoder(BalancesQuery)
_balances_decoder = msgspec.msgpack.Decoder(Balances)
_book_query_decoder = msgspec.msgpack.Decoder(BookQuery)
_book_decoder = msgspec.msgpack.Decoder(Book)
_ack_decoder = msgspec.msgpack.Decoder(list[Seq])

_what_if_query_decoder = msgspec.msgpack.Decoder(NewOrder)
_what_if_decoder = msgspec.msgpack.Decoder(WhatIf)

Query = StatusQuery | BalancesQuery | BookQuery | NewOrder
"""What a door may ask the engine without changing anything."""

Answer = Status | Balances | Book | WhatIf
"""What the engine says to that."""

Message = Hello | Welcome | Query | Answer | Sequence[Command] | Sequence[Seq]


def encode_frame(kind: FrameKind, message: Message) -> bytes:
    """Return a frame of the link: length, kind, msgpack."""
    body = _encoder.encode(message)
    return FRAME_HEADER.pack(len(body), kind) + body


def encode_records_frame(records: bytes) -> bytes:
    """Return a frame that carries journal records as they are."""
    return FRAME_HEADER.pack(len(records), FrameKind.RECORDS) + records


def decode_hello(body: bytes) -> Hello:
    """Return the greeting. Raises msgspec.DecodeError for anything else."""
    return _hello_decoder.decode(body)


def decode_welcome(body: bytes) -> Welcome:
    """Return the engine's answer to a greeting. Raises msgspec.DecodeError."""
    return _welcome_decoder.decode(body)


def decode_commands(body: bytes) -> list[Command]:
    """Return the commands of a frame. Raises msgspec.DecodeError."""
    return _commands_decoder.decode(body)


def decode_ack(body: bytes) -> list[Seq]:
    """Return the seqs that the sender's next commands were given. Raises msgspec.DecodeError."""
    return _ack_decoder.decode(body)


def decode_status_query(body: bytes) -> StatusQuery:
    """Return the question. Raises msgspec.DecodeError."""
    return _status_query_decoder.decode(body)


def decode_status(body: bytes) -> Status:
    """Return the engine's report of itself. Raises msgspec.DecodeError."""
    return _status_decoder.decode(body)


def decode_balances_query(body: bytes) -> BalancesQuery:
    """Return the question. Raises msgspec.DecodeError."""
    return _balances_query_decoder.decode(body)


def decode_what_if_query(body: bytes) -> NewOrder:
    """Return the order that is asked about. Raises msgspec.DecodeError."""
    return _what_if_query_decoder.decode(body)


def decode_what_if(body: bytes) -> WhatIf:
    """Return what would become of it. Raises msgspec.DecodeError."""
    return _what_if_decoder.decode(body)


def decode_balances(body: bytes) -> Balances:
    """Return what the engine says that an account has. Raises msgspec.DecodeError."""
    return _balances_decoder.decode(body)


def decode_book_query(body: bytes) -> BookQuery:
    """Return the question. Raises msgspec.DecodeError."""
    return _book_query_decoder.decode(body)


def decode_book(body: bytes) -> Book:
    """Return what the engine says that stands in a book. Raises msgspec.DecodeError."""
    return _book_decoder.decode(body)


def decode_records(body: bytes) -> list[Record]:
    """Return the records of a feed frame. Raises ValueError when one is damaged."""
    view = memoryview(body)
    records = []
    offset = 0
    while offset < len(view):
        found = read_record(view, offset)
        if found is None:
            raise ValueError(f"damaged record at byte {offset} of a feed frame")
        record, offset = found
        records.append(record)
    return records


class FrameReader:
    """Cuts a byte stream of the link into frames."""

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[FrameKind, bytes]]:
        """Take in bytes and return the frames that are whole now.

        Raises ValueError for a frame that is too long or of no known kind.
        """
        self._buffer += data
        frames = []
        offset = 0
        while len(self._buffer) - offset >= FRAME_HEADER.size:
            length, kind = FRAME_HEADER.unpack_from(self._buffer, offset)
            if length > self._body_bytes_max:
                raise ValueError(f"link frame of {length} bytes, at most {self._body_bytes_max}")
            start = offset + FRAME_HEADER.size
            if len(self._buffer) - start < length:
                break
            frames.append((FrameKind(kind), bytes(self._buffer[start : start + length])))
            offset = start + length
        del self._buffer[:offset]
        return frames
