"""Keys in files of the data directory: made once, for nobody else to read."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path


def load_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return what the file holds; if it is not there, it is made of what `make` returns.

    Raises PermissionError when others may read it.
    """
    if not path.exists():
        _make(path, make())
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others: chmod 600, or remove it")
    return path.read_bytes()


def _make(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    # Whoever comes first has made it: a second process takes that one.
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
