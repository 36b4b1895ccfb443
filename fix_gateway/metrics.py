"""What the gateway process tells Prometheus. Label values come from closed sets only."""

from collections.abc import Mapping
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

MSG_TYPES: Final = (
    "0", "1", "2", "3", "4", "5", "8", "9", "A", "B", "D", "F", "G", "H", "q", "r", "AF", "AN",
    "AP", "BE", "BF", "V", "W", "X", "Y", "j",
)  # fmt: skip
OTHER: Final = "other"
MESSAGE: Final = b"\x0135="
# The most frequent first: the search ends when all messages are found.
MESSAGES_SENT: Final = {
    name: MESSAGE + name.encode() + b"\x01" for name in ("8", "9", "0", *MSG_TYPES)
}
STAGE_SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
TO_ENGINE, ENGINE, REPORT, ALL = "to_engine", "engine", "report", "all"
STAGES: Final = (TO_ENGINE, ENGINE, REPORT, ALL)


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
        self.store_available = Gauge(
            "fixgw_store_available",
            "1 while PostgreSQL answers the gateway's look at its sessions",
            registry=self.registry,
        )
        self.market_data_enabled = Gauge(
            "fixgw_market_data_enabled",
            "1 where a publisher sends market data over MQTT",
            registry=self.registry,
        )
        self.market_data_fix_enabled = Gauge(
            "fixgw_market_data_fix_enabled",
            "1 where a gateway process of its own has the market data sessions",
            registry=self.registry,
        )
        self.subscriptions = Gauge(
            "fixgw_market_data_subscriptions",
            "Instruments that market data sessions are told of",
            registry=self.registry,
        )
        self.updates_skipped = Counter(
            "fixgw_market_data_skipped_total",
            "Times that a client read too slowly for an update and was sent the whole instead",
            registry=self.registry,
        )
        self._add_message_figures()
        self._add_stage_figures()

    def _add_message_figures(self) -> None:
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
        sent = Counter(
            "fixgw_messages_sent_total",
            "Messages to clients by MsgType(35)",
            ["msg_type"],
            registry=self.registry,
        )
        self._sent = {name: sent.labels(name) for name in (*MSG_TYPES, OTHER)}

    def _add_stage_figures(self) -> None:
        stages = Histogram(
            "fixgw_order_stage_seconds",
            "Of every sixteenth command: from the door to the engine, in the engine until durable "
            "and told, until its reports are handed to the connection, and all of it",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=self.registry,
        )
        self.stages = {name: stages.labels(name) for name in STAGES}

    def count_sent(self, data: bytes) -> None:
        """Count the messages that bytes for a client hold."""
        left = data.count(MESSAGE)
        for name, token in MESSAGES_SENT.items():
            if not left:
                return
            if found := data.count(token):
                self._sent[name].inc(found)
                left -= found
        self._sent[OTHER].inc(left)

    def count_received(self, counts: Mapping[str, int]) -> None:
        """Count messages of a client, by MsgType(35)."""
        for msg_type, count in counts.items():
            self._received.get(msg_type, self._received[OTHER]).inc(count)
