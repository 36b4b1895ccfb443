"""How far the projector has read the journal: a small file for whoever moves old segments away.

The place that counts is in PostgreSQL. The file is never ahead of it, and can be read without it.
"""

from pathlib import Path

from engine.runtime.whole_file import write_whole_file
from engine.units import Seq


def write_position_file(path: Path, seq: Seq) -> None:
    """Say that records up to `seq` are not needed any more. Raises OSError."""
    write_whole_file(path, b"%d\n" % seq)


def read_position_file(path: Path) -> Seq:
    """Return the last record that the projector needs no more, 0 when that is not known."""
    try:
        return Seq(int(path.read_bytes()))
    except (OSError, ValueError):
        return Seq(0)
