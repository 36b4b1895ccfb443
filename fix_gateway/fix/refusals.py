"""Which messages of a FIX session were refused at the door, and so never reached the engine.

A refusal is written here before its reply is sent. When after a crash the client resends what the
engine has not seen, these messages are consumed silently: an order that was refused is never
executed later.
"""

import os
import struct
from pathlib import Path
from typing import Final

ENTRY: Final = struct.Struct("<QQ")


class RefusalLog:
    """The refused MsgSeqNums of the session's present epoch. One process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._epoch = 0
        self._numbers: set[int] = set()

    def load(self, epoch: int, watermark: int) -> None:
        """Keep what matters still: refusals of this epoch above what the engine has seen."""
        data = self._path.read_bytes()
        whole = len(data) - len(data) % ENTRY.size
        self._epoch = epoch
        self._numbers = {
            msg_seq_num
            for entry_epoch, msg_seq_num in ENTRY.iter_unpack(data[:whole])
            if entry_epoch == epoch and msg_seq_num > watermark
        }
        kept = b"".join(ENTRY.pack(epoch, number) for number in sorted(self._numbers))
        draft = self._path.with_suffix(".new")
        draft.write_bytes(kept)
        draft.replace(self._path)
        os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def add(self, msg_seq_num: int) -> None:
        """Note a refusal. Raises OSError when it cannot be written: then nothing may be replied."""
        os.write(self._file, ENTRY.pack(self._epoch, msg_seq_num))
        self._numbers.add(msg_seq_num)

    def __contains__(self, msg_seq_num: int) -> bool:
        """Whether the message was refused before."""
        return msg_seq_num in self._numbers

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
