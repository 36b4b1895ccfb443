"""What processes cost: processor time and memory, each of a process and all that it has started."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
UTIME_FIELD: Final = 11  # Behind the command's name, from 0: utime, then stime.

Costs = dict[str, float]
"""By part of a counterparty, in the unit that the function names."""


def cpu_s(parts: Mapping[str, int]) -> Costs:
    """Return the seconds of processor time that each part has used so far, threads included."""
    return {name: sum(_cpu_s(pid) for pid in _tree(pid)) for name, pid in parts.items()}


def memory_mib(parts: Mapping[str, int]) -> Costs:
    """Return the memory of each part: pages that processes share are counted once among them."""
    return {name: sum(_pss_mib(pid) for pid in _tree(pid)) for name, pid in parts.items()}


def difference(after: Costs, before: Costs) -> Costs:
    """Return what was added to each part's cost."""
    return {name: value - before[name] for name, value in after.items()}


def _tree(pid: int) -> list[int]:
    """Return the process and its descendants: PostgreSQL has one for each connection."""
    found = [pid]
    for each in found:
        try:
            tasks = list(Path(f"/proc/{each}/task").iterdir())
            children = [task.joinpath("children").read_text().split() for task in tasks]
        except OSError:  # It has ended meanwhile.
            continue
        found += [int(child) for started in children for child in started]
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[UTIME_FIELD]) + int(fields[UTIME_FIELD + 1])) / TICKS_PER_S


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
