"""What the admin API's process tells Prometheus."""

import json
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class AdminMetrics:
    """The admin API's figures, in a registry of their own.

    `status_file` is what `wcx up` keeps about the venue's parts: one that has died cannot tell of
    it itself. Without the file there are no figures about parts.
    """

    def __init__(self, status_file: Path) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_PartsCollector(status_file))
        self.requests = Counter(
            "fixgw_http_requests_total",
            "Requests by class of status",
            ["status"],
            registry=self.registry,
        )
        self.store_available = Gauge(
            "fixgw_admin_store_available",
            "1 when the store answered as these figures were asked for",
            ["store"],
            registry=self.registry,
        )
        self.login_refusals = Counter(
            "fixgw_login_refusals_total",
            "Logins of operators that were refused, by their true cause",
            ["cause"],
            registry=self.registry,
        )


class _PartsCollector(Collector):
    """Reads the figures of the venue's parts when it is asked for them."""

    def __init__(self, status_file: Path) -> None:
        self._status_file = status_file

    def collect(self) -> Iterator[CounterMetricFamily]:
        restarts = CounterMetricFamily(
            "fixgw_part_restarts", "How often a part was started again", labels=["part"]
        )
        disk_failures = CounterMetricFamily(
            "fixgw_part_disk_failures",
            "How often a part ended because its disk had failed",
            labels=["part"],
        )
        try:
            services = json.loads(self._status_file.read_text())["services"]
        except (OSError, ValueError):
            return
        for service in services:
            restarts.add_metric([service["name"]], service["restart_count"])
            disk_failures.add_metric([service["name"]], service["disk_failure_count"])
        yield restarts
        yield disk_failures
