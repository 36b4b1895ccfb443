"""Which form of our code is measured: compiled as in the wheel, or as the interpreter runs it.

`make bench` runs in a tree whose packages come from the compiled wheel and whose other parts are
links into the sources; there rows named "..., interpreted" stand beside the compiled ones.
"""

import sys
from pathlib import Path
from typing import Final, NamedTuple

from engine import matching

ROOT: Final = Path(__file__).parent.parent
INTERPRETED: Final = ", interpreted"
IS_COMPILED: Final = matching.__file__.endswith(".so")


class Build(NamedTuple):
    """How to start a process on a form of our code."""

    python: str
    directory: Path


MEASURED: Final = Build(sys.executable, ROOT)
_TREE: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = Build(str(_TREE / ".venv/bin/python"), _TREE) if IS_COMPILED else MEASURED
"""Where calls can be counted."""


def with_interpreted(*engines: str) -> tuple[str, ...]:
    """Return the engines, and each of them as the interpreter runs it, where that differs."""
    return (*engines, *(f"{engine}{INTERPRETED}" for engine in engines if IS_COMPILED))


def build_of(engine: str) -> Build:
    """Return the form of our code that a row is about."""
    return SOURCES if engine.endswith(INTERPRETED) else MEASURED


def is_counted(engine: str) -> bool:
    """Whether the interpreter sees the calls that are made."""
    return not IS_COMPILED or engine.endswith(INTERPRETED)
