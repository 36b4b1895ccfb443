"""What the engine process tells Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

COMMIT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
BATCH_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class EngineMetrics:
    """The engine's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.last_seq = Gauge(
            "fixgw_engine_last_seq", "Last durable journal record", registry=self.registry
        )
        self.links = Gauge("fixgw_links", "Doors linked to the engine", registry=self.registry)
        self.commit_seconds = Histogram(
            "fixgw_journal_commit_seconds",
            "Time from the first command of a batch to the batch being durable",
            buckets=COMMIT_SECONDS,
            registry=self.registry,
        )
        self.batch_records = Histogram(
            "fixgw_journal_batch_records",
            "Records made durable by one group commit",
            buckets=BATCH_RECORDS,
            registry=self.registry,
        )
        self.journal_fsync = Gauge(
            "fixgw_journal_fsync",
            "1 when every batch is flushed to the disk, 0 when that is left to the system",
            registry=self.registry,
        )
        self.journal_free_bytes = Gauge(
            "fixgw_journal_free_bytes",
            "Free space on the disk that holds the journal",
            registry=self.registry,
        )
        self.storage_low = Gauge(
            "fixgw_storage_low",
            "1 while new orders are refused because the journal's disk is nearly full",
            registry=self.registry,
        )
        self.cl_ord_id_reach_seconds = Gauge(
            "fixgw_cl_ord_id_reach_seconds",
            "How long ClOrdIDs of ended orders are known at least: a day, less where an account "
            "has had more than engine.cl_ord_ids_max",
            registry=self.registry,
        )
        self.clock_steps_back = Counter(
            "fixgw_clock_steps_back_total",
            "Times at which the system clock was behind the last record",
            registry=self.registry,
        )
