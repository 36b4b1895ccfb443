"""Which messages of a FIX session were refused at the door, and so never reached the engine.

A refusal is written here before its reply is sent, with the MsgSeqNum(34) that the reply will bear.
When after a crash the client resends what the engine has not seen, these messages are consumed
silently: an order that was refused is never executed later. A refusal counts only if the store's
next number is above that of its reply; otherwise the client was told nothing, and is answered anew.
"""

import os
import struct
from pathlib import Path
from typing import Final

from engine.runtime import faults
from fix_gateway.fix.fail_stop import fail_stop

ENTRY: Final = struct.Struct("<QQQ")


class RefusalLog:
    """The refused MsgSeqNums of the session's present epoch. One process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._epoch = 0
        self._numbers: set[int] = set()

    def load(self, epoch: int, *, watermark: int, next_sender_msg_seq_num: int) -> None:
        """Keep what matters still: refusals of this epoch above what the engine has seen.

        A refusal counts only if its reply has got into the message store, whose next number is
        `next_sender_msg_seq_num`.
        """
        data = self._path.read_bytes()
        whole = len(data) - len(data) % ENTRY.size
        self._epoch = epoch
        entries = [
            ENTRY.pack(entry_epoch, number, reply_number)
            for entry_epoch, number, reply_number in ENTRY.iter_unpack(data[:whole])
            if entry_epoch == epoch
            and number > watermark
            and reply_number < next_sender_msg_seq_num
        ]
        kept = b"".join(entries)
        self._numbers = {number for _, number, _ in ENTRY.iter_unpack(kept)}
        draft = self._path.with_suffix(".new")
        draft.write_bytes(kept)
        draft.replace(self._path)
        os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def add(self, msg_seq_num: int, *, reply_msg_seq_num: int) -> None:
        """Note a refusal, before its reply. Ends the process when it cannot be written."""
        try:
            faults.reach("refusal.before_write")
            os.write(self._file, ENTRY.pack(self._epoch, msg_seq_num, reply_msg_seq_num))
        except OSError as error:
            fail_stop(self._path, str(error))
        faults.reach("refusal.after_write")
        self._numbers.add(msg_seq_num)

    def __contains__(self, msg_seq_num: int) -> bool:
        """Whether the message was refused before."""
        return msg_seq_num in self._numbers

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
