"""What the publisher tells Prometheus. Label values come from closed sets only."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)

KINDS: Final = ("depth", "heartbeat", "must_arrive", "snapshot", "top", "trading")


class PublisherMetrics:
    """The publisher's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.last_seq = Gauge(
            "fixgw_market_data_last_seq",
            "Last journal record that the publisher has read",
            registry=self.registry,
        )
        self.feed_lag = Gauge(
            "fixgw_market_data_feed_lag_records",
            "Durable journal records that the publisher has not read yet",
            registry=self.registry,
        )
        self.engine_available = Gauge(
            "fixgw_market_data_engine_available",
            "1 while the publisher is linked to the engine",
            registry=self.registry,
        )
        self.broker_available = Gauge(
            "fixgw_market_data_broker_available",
            "1 while the publisher is connected to the MQTT broker",
            registry=self.registry,
        )
        self.outbox_messages = Gauge(
            "fixgw_market_data_outbox_messages",
            "Messages that must arrive and are not confirmed by the broker yet",
            registry=self.registry,
        )
        self.reconnects = Counter(
            "fixgw_market_data_broker_losses_total",
            "Times at which the broker was lost or could not be reached",
            registry=self.registry,
        )
        published = Counter(
            "fixgw_market_data_published_total",
            "Messages published by kind",
            ["kind"],
            registry=self.registry,
        )
        self.published = {kind: published.labels(kind) for kind in KINDS}
