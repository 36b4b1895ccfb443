"""What the projector's process tells Prometheus."""

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from engine.units import Seq
from store.projector.rows import BEFORE_ALL, Position

BATCH_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
NS_PER_S: Final = 1_000_000_000


class ProjectorMetrics:
    """The projector's figures, in a registry of their own.

    How far it is behind is found out when somebody asks: also while PostgreSQL does not answer.
    """

    def __init__(
        self,
        find_durable_seq: Callable[[], Seq | None],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._find_durable_seq = find_durable_seq
        self._clock_ns = clock_ns
        self._position = BEFORE_ALL
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.position = Gauge(
            "fixgw_projector_seq",
            "Journal record up to which the read model is true",
            registry=self.registry,
        )
        self.lag_records = Gauge(
            "fixgw_projector_lag_records",
            "Durable records that the read model does not know of",
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            "fixgw_projector_lag_seconds",
            "Age of the last record that the read model knows of, 0 while it knows all",
            registry=self.registry,
        )
        self.lag_records.set_function(self._lag_records)
        self.lag_seconds.set_function(self._lag_s)
        self.batch_seconds = Histogram(
            "fixgw_projector_batch_seconds",
            "Time to write a batch of records, to its commit",
            buckets=BATCH_SECONDS,
            registry=self.registry,
        )
        self.records = Counter(
            "fixgw_projector_records_total", "Records written", registry=self.registry
        )
        self.rebuilds = Counter(
            "fixgw_projector_rebuilds_total",
            "Read models that were built anew by this process",
            registry=self.registry,
        )
        self.failures = Counter(
            "fixgw_projector_failures_total",
            "Times that the projector could not go on and tried again, by cause",
            ["cause"],
            registry=self.registry,
        )

    def note_position(self, position: Position) -> None:
        """Take in how far the read model is."""
        self._position = position
        self.position.set(position.seq)

    def _lag_records(self) -> int:
        durable_seq = self._find_durable_seq() or 0
        return max(0, durable_seq - self._position.seq)

    def _lag_s(self) -> float:
        if self._lag_records() == 0:
            return 0.0
        return max(0, self._clock_ns() - self._position.happened_at_ns) / NS_PER_S
