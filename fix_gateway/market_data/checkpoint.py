"""Where the publisher goes on after a restart: a file with the market after a record.

It is written only when everything up to that record has been published, so nothing is left out.
What came after is published again; subscribers know it by its numbers. Without the file the market
is rebuilt from the journal, under a new name of the stream.
"""

from pathlib import Path
from typing import Final

import msgspec
import structlog
from crc32c import crc32c

from engine.runtime.journal import read_records
from engine.runtime.whole_file import write_whole_file
from fix_gateway.market_data.books import Books
from fix_gateway.market_data.market import SavedMarket

MAGIC: Final = b"WCXM0001"
CHECKSUM_BYTES: Final = 4
NAME: Final = "checkpoint"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SavedMarket)
log = structlog.get_logger("market_data.checkpoint")


def write_checkpoint(directory: Path, saved: SavedMarket) -> None:
    """Replace the checkpoint. Raises OSError."""
    body = _encoder.encode(saved)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    checksum = crc32c(body).to_bytes(CHECKSUM_BYTES, "little")
    write_whole_file(directory / NAME, MAGIC + checksum + body)


def read_checkpoint(directory: Path, *, durable_seq: int) -> SavedMarket | None:
    """Return the market as it was written down last, None when there is nothing to go on from.

    One that knows of records that the journal does not have belongs to another journal.
    """
    try:
        data = (directory / NAME).read_bytes()
    except FileNotFoundError:
        return None
    saved = _decode(data)
    if saved is not None and saved.seq <= durable_seq:
        return saved
    reason = "damaged, or of another version"
    if saved is not None:
        reason = f"of record {saved.seq}, the journal ends with {durable_seq}"
    log.warning("checkpoint_not_used", file=str(directory / NAME), reason=reason)
    return None


def bring_up(books: Books, directory: Path, journal_dir: Path, *, until_seq: int) -> None:
    """Let empty books know everything up to a durable record, from the checkpoint on if possible.

    Blocks on the disk; on any thread. Raises JournalDamagedError.
    """
    saved = read_checkpoint(directory, durable_seq=until_seq)
    if saved is not None:
        books.go_on_from(saved)
    for record in read_records(journal_dir, after_seq=books.seq, until_seq=until_seq):
        books.apply(record.seq, record.now_ns, record.events())


def _decode(data: bytes) -> SavedMarket | None:
    body = data[len(MAGIC) + CHECKSUM_BYTES :]
    checksum = data[len(MAGIC) : len(MAGIC) + CHECKSUM_BYTES]
    if not data.startswith(MAGIC) or int.from_bytes(checksum, "little") != crc32c(body):
        return None
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return None
