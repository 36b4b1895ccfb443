"""Snapshots: the exchange's state after one record, so that nobody replays what came before it.

One file per snapshot, named by its record: a header and the state in msgpack, all little-endian.

    magic "WCXSNAP1" | rules version u32 | seq u64 | now_ns i64 | state length u64 |
    SHA-256 of the state | CRC-32C of the header so far u32 | state

A snapshot is written under another name, flushed and renamed: under its own name it is whole.
"""

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from crc32c import crc32c

from engine.exchange import RULES_VERSION
from engine.runtime.whole_file import remove_drafts, write_whole_file
from engine.state import ExchangeState
from engine.units import Seq

SNAPSHOT_SUFFIX: Final = ".wcs"
MAGIC: Final = b"WCXSNAP1"
HEADER: Final = struct.Struct("<8sIQqQ32s")
CHECKSUM: Final = struct.Struct("<I")
HEADER_BYTES: Final = HEADER.size + CHECKSUM.size

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ExchangeState)


class SnapshotDamagedError(Exception):
    """The file is no whole snapshot, or its state cannot be read. An older one has to do."""


class SnapshotInUseError(Exception):
    """Another process makes a snapshot at this moment."""


class SnapshotFile(NamedTuple):
    """A file that is named like a snapshot after the record `seq`."""

    path: Path
    seq: Seq


class Snapshot(NamedTuple):
    """The state after one record. `rules_version` is that of the engine that wrote it."""

    seq: Seq
    now_ns: int
    rules_version: int
    state_bytes: bytes

    @classmethod
    def take(cls, state: ExchangeState, *, seq: Seq, now_ns: int) -> "Snapshot":
        """Return the snapshot of a state that this version's rules have led to."""
        return cls(seq, now_ns, RULES_VERSION, _encoder.encode(state))

    def state(self) -> ExchangeState:
        """Return the state. Raises SnapshotDamagedError for one that this version cannot read."""
        if self.rules_version > RULES_VERSION:
            # It would be read without what its version has added.
            raise SnapshotDamagedError(f"written under rules version {self.rules_version}")
        try:
            return _decoder.decode(self.state_bytes)
        except msgspec.DecodeError as error:
            raise SnapshotDamagedError(f"state is not readable: {error}") from None

    @property
    def state_hash(self) -> str:
        """The state's fingerprint, as `hash_state` makes it."""
        return hashlib.sha256(self.state_bytes).hexdigest()


def list_snapshots(directory: Path) -> list[SnapshotFile]:
    """Return what is named like a snapshot, the oldest first. None of it has been verified."""
    return [
        SnapshotFile(path, Seq(int(path.stem)))
        for path in sorted(directory.glob(f"*{SNAPSHOT_SUFFIX}"))
    ]


def save_snapshot(directory: Path, snapshot: Snapshot) -> Path:
    """Write the snapshot and return its file once it is durable. The caller holds the lock.

    Raises OSError when the disk fails; no file of the snapshot's name is left then.
    """
    remove_drafts(directory)
    path = directory / f"{snapshot.seq:020}{SNAPSHOT_SUFFIX}"
    write_whole_file(path, _encode_header(snapshot) + snapshot.state_bytes)
    return path


def load_snapshot(path: Path) -> Snapshot:
    """Return the snapshot of a file. Raises SnapshotDamagedError when the file does not verify."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SnapshotDamagedError(str(error)) from None
    rules_version, seq, now_ns, length, digest = _decode_header(data)
    state_bytes = data[HEADER_BYTES:]
    if len(state_bytes) != length or hashlib.sha256(state_bytes).digest() != digest:
        raise SnapshotDamagedError("the state is not what was written")
    if f"{seq:020}" != path.name.split(".")[0]:
        raise SnapshotDamagedError(f"the file holds the snapshot after record {seq}")
    return Snapshot(Seq(seq), now_ns, rules_version, state_bytes)


def prune_snapshots(directory: Path, kept_max: int) -> None:
    """Remove all but the newest `kept_max` snapshots.

    The last one of each older rules version stays: what was journaled after an upgrade can be
    replayed from there only. The caller holds the lock.
    """
    files = list_snapshots(directory)
    last_of_rules = {_rules_version(file.path): file for file in files}
    last_of_rules.pop(RULES_VERSION, None)
    kept = {*files[-kept_max:], *last_of_rules.values()}
    for file in files:
        if file not in kept:
            file.path.unlink()


@contextmanager
def lock_snapshots(directory: Path) -> Iterator[None]:
    """Make this process the only one that writes or removes snapshots. Creates the directory.

    Raises SnapshotInUseError when another process has the lock.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SnapshotInUseError(f"another process writes {directory}") from None
        yield
    finally:
        os.close(descriptor)


def _encode_header(snapshot: Snapshot) -> bytes:
    header = HEADER.pack(
        MAGIC,
        snapshot.rules_version,
        snapshot.seq,
        snapshot.now_ns,
        len(snapshot.state_bytes),
        hashlib.sha256(snapshot.state_bytes).digest(),
    )
    return header + CHECKSUM.pack(crc32c(header))


def _decode_header(data: bytes) -> tuple[int, int, int, int, bytes]:
    """Return rules version, seq, time, and length and digest of the state."""
    if len(data) < HEADER_BYTES:
        raise SnapshotDamagedError("the file ends within its header")
    header = data[: HEADER.size]
    (checksum,) = CHECKSUM.unpack_from(data, HEADER.size)
    magic, rules_version, seq, now_ns, length, digest = HEADER.unpack(header)
    if magic != MAGIC or crc32c(header) != checksum:
        raise SnapshotDamagedError("the header is not that of a snapshot")
    return rules_version, seq, now_ns, length, digest


def _rules_version(path: Path) -> int:
    """Return the version in a file's header, this one's for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return _decode_header(file.read(HEADER_BYTES))[0]
    except (OSError, SnapshotDamagedError):
        return RULES_VERSION
