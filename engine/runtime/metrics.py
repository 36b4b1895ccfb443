"""What the engine process tells Prometheus. Label values come from closed sets only.

What happens to each command is counted in plain dictionaries and made into figures when they are
asked for: the engine's thread has better things to do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from engine.commands import Command
from engine.events import CancelRejected, CommandRefused, Event, OrderRejected
from engine.reasons import RejectReason

COMMIT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
BATCH_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
REFUSALS: Final[dict[type, str]] = {
    OrderRejected: "order",
    CancelRejected: "cancel",
    CommandRefused: "command",
}
Refused = OrderRejected | CancelRejected | CommandRefused


class Tally(Collector):
    """How many commands of each kind there were, what happened, and why something was refused."""

    def __init__(self) -> None:
        self._commands: dict[type, int] = dict.fromkeys(get_args(Command), 0)
        self._events: dict[type, int] = dict.fromkeys(get_args(Event), 0)
        self._refusals: dict[tuple[str, RejectReason], int] = {}

    def add(self, command: Command, events: Sequence[Event]) -> None:
        """Count a command and what followed."""
        self._commands[command.__class__] += 1
        for event in events:
            self._events[event.__class__] += 1
            kind = REFUSALS.get(event.__class__)
            if kind is not None and isinstance(event, Refused):
                key = kind, event.reason
                self._refusals[key] = self._refusals.get(key, 0) + 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Called when Prometheus asks."""
        yield _by_name("fixgw_commands", "Commands by kind", "command", self._commands)
        yield _by_name("fixgw_events", "What happened, by kind", "event", self._events)
        refusals = CounterMetricFamily(
            "fixgw_refusals", "Refusals of the engine by reason", labels=["kind", "reason"]
        )
        for (kind, reason), count in self._refusals.items():
            refusals.add_metric([kind, reason.name], count)
        yield refusals


class LimitsUsed(Collector):
    """Of how many limits how many percent are used, by control."""

    def __init__(self, count: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        self._count = count

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called when Prometheus asks."""
        family = GaugeMetricFamily(
            "fixgw_limits_used",
            "Limits of which so many percent or more are used",
            labels=["control", "percent"],
        )
        for (control, percent), count in self._count().items():
            family.add_metric([control, str(percent)], count)
        yield family


class EngineMetrics:
    """The engine's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.tally = Tally()
        self.registry.register(self.tally)
        self._add_journal_figures()
        self.last_seq = Gauge(
            "fixgw_engine_last_seq", "Last durable journal record", registry=self.registry
        )
        self.links = Gauge("fixgw_links", "Doors linked to the engine", registry=self.registry)
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

    def _add_journal_figures(self) -> None:
        self.commit_seconds = Histogram(
            "fixgw_journal_commit_seconds",
            "Time from the first command of a batch to the batch being durable",
            buckets=COMMIT_SECONDS,
            registry=self.registry,
        )
        self.append_seconds = Histogram(
            "fixgw_journal_append_seconds",
            "Of that, the time to write a batch and make it durable",
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

    def watch(
        self,
        figures: Mapping[str, Callable[[], float]],
        count_limits_used: Callable[[], Mapping[tuple[str, int], int]],
    ) -> None:
        """Show how things are whenever somebody asks: each of `WATCHED` as its function says."""
        self.registry.register(LimitsUsed(count_limits_used))
        for name, text in WATCHED.items():
            Gauge(name, text, registry=self.registry).set_function(figures[name])


QUEUED = "fixgw_engine_queued_commands"
FEED_BYTES = "fixgw_feed_buffer_bytes_max"
OPEN_ORDERS = "fixgw_open_orders"
FUNDS_80 = "fixgw_funds_80_percent_used"
FUNDS_95 = "fixgw_funds_95_percent_used"
WATCHED: Final = {
    QUEUED: "Commands that wait for the next batch",
    FEED_BYTES: "Bytes of the feed that the slowest door has not read yet",
    OPEN_ORDERS: "Open orders",
    FUNDS_80: "Balances of which 80 percent or more of what may be reserved is, credit included",
    FUNDS_95: "Balances of which 95 percent or more of what may be reserved is, credit included",
}


def _by_name(name: str, text: str, label: str, counts: Mapping[type, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for kind, count in counts.items():
        family.add_metric([kind.__name__], count)
    return family
