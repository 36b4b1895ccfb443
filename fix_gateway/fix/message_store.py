"""The files of QuickFIX's message store: whose they are, and what stands in them.

QuickFIX appends every message it sends to `.body`, its place in there to `.header` as
`MsgSeqNum,offset,size `, and keeps the next numbers in `.seqnums`. Nobody but QuickFIX writes a
store that it has open; reading beside it is safe, for the place is written after the message.
"""

import contextlib
import fcntl
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from engine.runtime.whole_file import write_whole_file

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
IN_ORDER: Final = "in order"
# More than a session can have sent since the kernel last wrote its files to the disk by itself,
# which it does after half a minute.
UNKNOWN_MESSAGES_MAX: Final = 1_000_000
ENTRY_BYTES_MAX: Final = 64  # Three numbers of up to 20 digits would do with 63.
READ_BYTES_MAX: Final = 16 << 10


class StoreInUseError(Exception):
    """Another process owns the session's store."""


@dataclass(frozen=True)
class SessionIdentity:
    """A session's three names, as they stand in its messages."""

    begin_string: str
    gateway_comp_id: str
    client_comp_id: str


class SessionStore:
    """The files of QuickFIX's message store, and the lock that says whose they are.

    `owner` is the number of this gateway process: others read it with `read_owner`. Raises
    StoreInUseError when another process has the store.
    """

    def __init__(self, directory: Path, identity: SessionIdentity, owner: int = 0) -> None:
        self.directory = directory
        self._prefix = "-".join(
            (identity.begin_string, identity.gateway_comp_id, identity.client_comp_id)
        )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mark = directory / "machine"
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StoreInUseError(f"another process owns {directory}") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(owner).encode(), 0)

    def wipe(self) -> None:
        """Forget all messages and numbers. Only before an acceptor has been made."""
        for path in self.directory.glob(f"{self._prefix}.*"):
            path.unlink()

    @property
    def has_survived(self) -> bool:
        """Whether all that was written is there: QuickFIX does not flush its files to the disk.

        False when the machine has stopped since, without a proper end of the store's use.
        """
        try:
            mark = self._mark.read_text()
        except FileNotFoundError:
            return True
        return mark in (IN_ORDER, BOOT_ID.read_text())

    def skip_ahead(self, last_sent: int) -> int:
        """Start anew behind every number that may have been used. Before an acceptor is made.

        `last_sent` is what the caller knows of. Returns the next MsgSeqNum(34) to be sent.
        """
        path = self._path(".seqnums")
        with contextlib.suppress(FileNotFoundError, ValueError):
            last_sent = max(last_sent, int(path.read_text().partition(":")[0]))
        next_sender_msg_seq_num = last_sent + UNKNOWN_MESSAGES_MAX
        # Durable before it is used, and never away: should the power go again, the next skip must
        # begin here.
        write_whole_file(path, f"{next_sender_msg_seq_num:020} : {1:020}".encode())
        for other in self.directory.glob(f"{self._prefix}.*"):
            if other != path:
                other.unlink()
        return next_sender_msg_seq_num

    def open(self) -> None:
        """Make the store ready for an acceptor. From now on it is in use."""
        # QuickFIX wipes a store that was created on an earlier day.
        self._path(".session").write_text(time.strftime("%Y%m%d-%H:%M:%S", time.gmtime()))
        write_whole_file(self._mark, BOOT_ID.read_bytes())

    def release(self, *, is_in_order: bool = False) -> None:
        """Give the lock back. `is_in_order` says that nothing more will be written."""
        if is_in_order:
            for path in self.directory.iterdir():
                _flush(path)
            write_whole_file(self._mark, IN_ORDER.encode())
        os.ftruncate(self._lock, 0)
        os.close(self._lock)

    def read(self, begin: int, end: int, *, count_max: int) -> list["StoredMessage"]:
        """Return the first messages from `begin` to `end` that are stored, `count_max` at most.

        Blocks on the disk; on any thread. Numbers that were never used, or whose message a crash
        has torn, are left out.
        """
        try:
            with self._open(".header") as header, self._open(".body") as body:
                places = _places(header.fileno(), begin, end, count_max)
                return [
                    StoredMessage(place.msg_seq_num, raw)
                    for place in places
                    if (raw := _read_message(body.fileno(), place)) is not None
                ]
        except FileNotFoundError:
            return []

    def _open(self, suffix: str) -> io.BufferedReader:
        return self._path(suffix).open("rb")

    def _path(self, suffix: str) -> Path:
        return self.directory / f"{self._prefix}{suffix}"


def store_directory(store_dir: Path, begin_string: str, client_comp_id: str) -> Path:
    """Return the directory of a session's store, below that of all stores."""
    return store_dir / f"{begin_string}-{client_comp_id}"


def read_owner(directory: Path) -> int | None:
    """Return the number of the gateway process that has the store, or had it when it died.

    None when the store has been given back, or was never used.
    """
    try:
        return int((directory / "lock").read_text())
    except (FileNotFoundError, ValueError):
        return None


class StoredMessage(NamedTuple):
    """A message as it was sent."""

    msg_seq_num: int
    raw: bytes


class _Place(NamedTuple):
    msg_seq_num: int
    offset: int
    size: int


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _places(header: int, begin: int, end: int, count_max: int) -> list[_Place]:
    """Return where messages stand. Of a number stored twice, around a crash, the last counts."""
    found: dict[int, _Place] = {}
    for place in _entries(header, _find_start(header, begin)):
        if place.msg_seq_num < begin:
            continue
        if place.msg_seq_num > end:
            break
        if len(found) == count_max and place.msg_seq_num not in found:
            break
        found[place.msg_seq_num] = place
    return list(found.values())


def _find_start(header: int, begin: int) -> int:
    """Return the offset of an entry at or somewhat before the first one from `begin` on.

    Numbers only grow in a store, so halving the file finds it without reading it all.
    """
    low, high = 0, os.fstat(header).st_size
    while high - low > READ_BYTES_MAX:
        middle = (low + high) // 2
        chunk = os.pread(header, 2 * ENTRY_BYTES_MAX, middle)
        start = chunk.find(b" ") + 1
        place = _parse_entry(chunk[start : chunk.find(b" ", start)])
        if place is not None and place.msg_seq_num < begin:
            low = middle + start
        else:
            high = middle
    return low


def _entries(header: int, offset: int) -> Iterator[_Place]:
    rest = b""
    while chunk := os.pread(header, READ_BYTES_MAX, offset):
        offset += len(chunk)
        *texts, rest = (rest + chunk).split(b" ")
        for text in texts:
            place = _parse_entry(text)
            if place is not None:
                yield place


def _parse_entry(text: bytes) -> _Place | None:
    numbers = text.split(b",")
    if len(numbers) != len(_Place._fields) or not all(number.isdigit() for number in numbers):
        return None
    return _Place(*map(int, numbers))


def _read_message(body: int, place: _Place) -> bytes | None:
    raw = os.pread(body, place.size, place.offset)
    is_whole = len(raw) == place.size and raw.startswith(b"8=") and raw.endswith(b"\x01")
    return raw if is_whole else None
