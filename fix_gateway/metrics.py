"""What the gateway process tells Prometheus. Label values come from closed sets only."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)

MSG_TYPES = ("0", "1", "2", "3", "4", "5", "8", "9", "A", "D", "F", "j")
OTHER = "other"


class GatewayMetrics:
    """The gateway's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.sessions_logged_on = Gauge(
            "fixgw_sessions_logged_on", "FIX sessions logged on", registry=self.registry
        )
        self.connections = Gauge(
            "fixgw_connections", "Open client connections", registry=self.registry
        )
        self.engine_available = Gauge(
            "fixgw_engine_available", "1 while the engine takes commands", registry=self.registry
        )
        self.link_depth = Gauge(
            "fixgw_link_depth", "Commands sent and not answered yet", registry=self.registry
        )
        self.discarded_bytes = Counter(
            "fixgw_discarded_bytes_total",
            "Bytes that were no part of a well-framed message",
            registry=self.registry,
        )
        self.logons = Counter(
            "fixgw_logons_total", "Logon attempts by outcome", ["outcome"], registry=self.registry
        )
        self.logon_refusals = Counter(
            "fixgw_logon_refusals_total",
            "Logons that were not authentic, by true cause",
            ["cause"],
            registry=self.registry,
        )
        self.evictions = Counter(
            "fixgw_half_open_evictions_total",
            "Clients that gave no sign of life and made room for one that logged on",
            registry=self.registry,
        )
        self.reports_sent = Counter(
            "fixgw_reports_sent_total", "Reports of events sent", registry=self.registry
        )
        self.resends = Counter(
            "fixgw_resends_total", "Ranges sent again on ResendRequest(2)", registry=self.registry
        )
        self.messages_resent = Counter(
            "fixgw_messages_resent_total",
            "Messages sent again on ResendRequest(2)",
            registry=self.registry,
        )
        self.refusals = Counter(
            "fixgw_door_refusals_total",
            "Messages refused at the door by reason",
            ["reason"],
            registry=self.registry,
        )
        throttled = Counter(
            "fixgw_throttled_total",
            "Messages refused for their rate by the budget that was used up",
            ["budget"],
            registry=self.registry,
        )
        self.throttled = {name: throttled.labels(name) for name in ("order", "cancel")}
        received = Counter(
            "fixgw_messages_received_total",
            "Well-framed messages by MsgType(35)",
            ["msg_type"],
            registry=self.registry,
        )
        self._received = {name: received.labels(name) for name in (*MSG_TYPES, OTHER)}

    def count_received(self, msg_type: str) -> None:
        """Count a message of a client."""
        self._received.get(msg_type, self._received[OTHER]).inc()
