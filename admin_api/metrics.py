"""What the admin API's process tells Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)


class AdminMetrics:
    """The admin API's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Counter(
            "fixgw_http_requests_total",
            "Requests by class of status",
            ["status"],
            registry=self.registry,
        )
