"""The space left for the journal: watched, so that new orders stop well before the disk is full.

An append that finds no space ends the engine, and with it the cancels. What still comes while
storage is low (cancels, expiries, refusals of orders) lives on what is left below the watermark.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from engine.runtime.metrics import EngineMetrics

CHECK_S: Final = 1.0
# Back to normal at a quarter more than the watermark, so that it does not flap around it.
RECOVERY_QUARTERS: Final = 5

log = structlog.get_logger("engine.storage")


def measure_free_bytes(directory: Path) -> int:
    """Return how much this user may still write to the directory's disk.

    0 when nobody can say: what cannot be measured counts as full.
    """
    try:
        found = os.statvfs(directory)
    except OSError as error:
        log.warning("free_space_unknown", directory=str(directory), error=str(error))
        return 0
    return found.f_bavail * found.f_frsize


class StorageWatch:
    """Says when storage becomes low and when it is not low any more. One event loop's own.

    Low is below `free_bytes_min`, until a quarter more than that is free again. `is_low` is how the
    exchange stands at the start; `on_change` is called with what it should become.
    """

    def __init__(
        self,
        measure: Callable[[], int],
        metrics: EngineMetrics,
        *,
        free_bytes_min: int,
        is_low: bool,
        on_change: Callable[[bool], None],
    ) -> None:
        self._measure = measure
        self._metrics = metrics
        self._free_bytes_min = free_bytes_min
        self._is_low = is_low
        self._on_change = on_change
        metrics.storage_low.set(is_low)

    def check(self) -> None:
        """Look once, and report a change."""
        free_bytes = self._measure()
        self._metrics.journal_free_bytes.set(free_bytes)
        if self._is_low:
            is_low = free_bytes * 4 < self._free_bytes_min * RECOVERY_QUARTERS
        else:
            is_low = free_bytes < self._free_bytes_min
        if is_low == self._is_low:
            return
        self._is_low = is_low
        self._metrics.storage_low.set(is_low)
        if is_low:
            log.critical("storage_low", free_bytes=free_bytes, free_bytes_min=self._free_bytes_min)
        else:
            log.warning("storage_normal", free_bytes=free_bytes)
        self._on_change(is_low)

    async def run(self) -> None:
        """Look about once a second until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            self.check()
