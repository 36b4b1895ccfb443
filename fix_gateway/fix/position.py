"""Where a FIX session stands in the stream of events: a small memory-mapped file beside its store.

Before a report is handed to QuickFIX, its event and the MsgSeqNum(34) that it will bear are written
here. After a crash the event counts as sent only if the store's next number is above that one. A
write to mapped memory survives the death of the process; two slots written in turn, each with a
checksum, survive a death in the middle of a write.
"""

import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.runtime.feed import BEFORE_ALL, Position
from engine.units import SessionId

SLOT: Final = struct.Struct("<QQQqQQqQqI")
OWNER: Final = struct.Struct("<QI")
SLOT_BYTES: Final = 128
FILE_BYTES: Final = 3 * SLOT_BYTES  # Two slots, then whose they are.
NO_EPOCH: Final = 0
"""The epoch of a store that is being reset: at a start such a store is wiped."""


@dataclass(slots=True)
class Marks:
    """What the file says.

    `epoch` is the one that the message store belongs to. `sent` is the last event handed to
    QuickFIX, `sender_msg_seq_num` the number it was to bear. `proven` is the last event that the
    client has proven to have received. Events up to `poss_resend` have been sent before, in an
    earlier epoch: they go out again with PossResend(97)=Y.
    """

    epoch: int = NO_EPOCH
    sent: Position = BEFORE_ALL
    sender_msg_seq_num: int = 0
    proven: Position = BEFORE_ALL
    poss_resend: Position = BEFORE_ALL

    def start_epoch(self) -> None:
        """Go back to what is proven: the client starts anew and may have missed the rest."""
        self.epoch = NO_EPOCH
        self.go_back()

    def go_back(self) -> None:
        """Go back to what is proven: what follows it goes out again with PossResend(97)=Y."""
        self.poss_resend = max(self.poss_resend, self.sent)
        self.sent = self.proven
        self.sender_msg_seq_num = 0


class PositionFile:
    """The mapped file. One process at a time, which holds the store's lock."""

    def __init__(self, path: Path, session_id: SessionId) -> None:
        self.is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, FILE_BYTES)
            self._map = mmap.mmap(descriptor, FILE_BYTES)
        finally:
            os.close(descriptor)
        self._counter, self.marks = _load(self._map)
        owner = OWNER.pack(session_id, 0)
        OWNER.pack_into(self._map, 2 * SLOT_BYTES, session_id, zlib.crc32(owner))

    def save(self) -> None:
        """Write the marks into the older of the two slots."""
        self._counter += 1
        marks = self.marks
        values = (
            self._counter,
            marks.epoch,
            *marks.sent,
            marks.sender_msg_seq_num,
            *marks.proven,
            *marks.poss_resend,
        )
        slot = SLOT.pack(*values, 0)
        offset = (self._counter & 1) * SLOT_BYTES
        SLOT.pack_into(self._map, offset, *values, zlib.crc32(slot))

    def close(self) -> None:
        """Let go of the file; what was saved stays."""
        self._map.close()


def read_proven(store_dir: Path) -> dict[SessionId, Position]:
    """Return the last event that each session's client has proven to have received.

    For other processes than the files' owner. Sessions whose file is not readable are left out.
    """
    proven = {}
    for path in sorted(store_dir.glob("*/position")):
        data = path.read_bytes()
        session_id = _owner(data)
        if session_id is not None:
            proven[session_id] = _load(data)[1].proven
    return proven


def read_owner(path: Path) -> SessionId | None:
    """Return whose file it is, None when there is none that says so."""
    try:
        return _owner(path.read_bytes())
    except FileNotFoundError:
        return None


def _owner(data: bytes) -> SessionId | None:
    if len(data) != FILE_BYTES:
        return None
    session_id, checksum = OWNER.unpack_from(data, 2 * SLOT_BYTES)
    return SessionId(session_id) if checksum == zlib.crc32(OWNER.pack(session_id, 0)) else None


def _load(data: bytes | mmap.mmap) -> tuple[int, Marks]:
    """Return the number of the newest save, and what it said."""
    last_counter, newest = 0, Marks()
    for offset in (0, SLOT_BYTES):
        *values, checksum = SLOT.unpack_from(data, offset)
        counter, epoch, sent_seq, sent_index, number, *rest = values
        if counter <= last_counter or checksum != zlib.crc32(SLOT.pack(*values, 0)):
            continue
        proven_seq, proven_index, resend_seq, resend_index = rest
        last_counter = counter
        newest = Marks(
            epoch=epoch,
            sent=Position(sent_seq, sent_index),
            sender_msg_seq_num=number,
            proven=Position(proven_seq, proven_index),
            poss_resend=Position(resend_seq, resend_index),
        )
    return last_counter, newest
