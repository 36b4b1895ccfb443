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

SLOT: Final = struct.Struct("<QQQqQQqQqI")
SLOT_BYTES: Final = 128
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
        self.poss_resend = max(self.poss_resend, self.sent)
        self.sent = self.proven
        self.sender_msg_seq_num = 0


class PositionFile:
    """The mapped file. One process at a time, which holds the store's lock."""

    def __init__(self, path: Path) -> None:
        self.is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, 2 * SLOT_BYTES)
            self._map = mmap.mmap(descriptor, 2 * SLOT_BYTES)
        finally:
            os.close(descriptor)
        self._counter = 0
        self.marks = self._load()

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

    def _load(self) -> Marks:
        newest = Marks()
        for offset in (0, SLOT_BYTES):
            *values, checksum = SLOT.unpack_from(self._map, offset)
            counter, epoch, sent_seq, sent_index, number, *rest = values
            if counter <= self._counter or checksum != zlib.crc32(SLOT.pack(*values, 0)):
                continue
            proven_seq, proven_index, resend_seq, resend_index = rest
            self._counter = counter
            newest = Marks(
                epoch=epoch,
                sent=Position(sent_seq, sent_index),
                sender_msg_seq_num=number,
                proven=Position(proven_seq, proven_index),
                poss_resend=Position(resend_seq, resend_index),
            )
        return newest
