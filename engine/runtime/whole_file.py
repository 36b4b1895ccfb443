"""Files that are whole and durable under their name, or not there at all."""

import errno
import os
from pathlib import Path
from typing import Final

from engine.runtime.journal import sync_directory

DRAFT_SUFFIX: Final = ".draft"


def write_whole_file(path: Path, data: bytes) -> None:
    """Write the bytes to a draft, flush it, read it back, and only then give it its name.

    One process at a time. Raises OSError, also when something else comes back than was written;
    the draft is removed then, so that a full disk does not stay full for it.
    """
    draft = path.with_name(path.name + DRAFT_SUFFIX)
    try:
        _write_draft(draft, data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove_drafts(directory: Path) -> None:
    """Remove what writers that were killed have left unfinished."""
    for path in directory.glob(f"*{DRAFT_SUFFIX}"):
        path.unlink()


def _write_draft(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if path.read_bytes() != data:
        raise OSError(errno.EIO, "other bytes come back than were written", str(path))
