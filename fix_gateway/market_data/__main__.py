"""The publisher's process: `python -m fix_gateway.market_data`. The composition root."""

import argparse
import asyncio
import os
import sys

import structlog
import uvloop

from config.lifecycle import notify_ready, serve_metrics, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
from engine.runtime.journal import JournalDamagedError
from engine.runtime.record_source import RecordSource
from fix_gateway.market_data.broker import Broker, parse_broker_url
from fix_gateway.market_data.metrics import PublisherMetrics
from fix_gateway.market_data.publisher import LAST_WILL, Publisher, PublisherConfig

log = structlog.get_logger("market_data")


def main() -> int:
    """Run the publisher until a signal comes. Returns the exit code."""
    argparse.ArgumentParser(
        prog="python -m fix_gateway.market_data", description=__doc__
    ).parse_args()
    settings = Settings()
    set_up_logs("publisher", level=settings.log.level, log_format=settings.log.format)
    return uvloop.run(run(settings))


async def run(settings: Settings) -> int:
    """Publish until SIGTERM or SIGINT."""
    stopped = stop_on_signals()
    if settings.mqtt_url is None:
        log.critical("no_broker", error="WCX_MQTT_URL is not set")
        return 1
    try:
        address = parse_broker_url(settings.mqtt_url.get_secret_value())
    except ValueError as error:
        log.critical("no_broker", error=str(error))
        return 1
    metrics = PublisherMetrics()
    # One process publishes for a venue: a broker ends the connection of another of the same name.
    broker = Broker(address, f"wcx-publisher-{os.getpid()}", LAST_WILL)
    publisher = Publisher(
        PublisherConfig(
            directory=settings.market_data_dir,
            depth_intervals_ms=settings.market_data.depth_intervals_ms,
            snapshot_interval_s=settings.market_data.snapshot_interval_s,
            snapshot_levels_max=settings.market_data.snapshot_levels_max,
        ),
        RecordSource(settings.engine_socket, settings.journal_dir, "publisher"),
        broker,
        metrics,
    )
    endpoint = await serve_metrics(metrics.registry, settings.market_data.metrics_port)
    # Nobody waits for market data: the venue is open with or without.
    notify_ready()
    publishing = asyncio.ensure_future(publisher.run())
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((publishing, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    publishing.cancel()
    (fault,) = await asyncio.gather(publishing, return_exceptions=True)
    endpoint.should_exit = True
    if isinstance(fault, Exception):
        return _explain(fault)
    log.info("publisher_stopped")
    return 0


def _explain(fault: Exception) -> int:
    """Say why the publisher stops, and return the exit code."""
    if isinstance(fault, ExceptionGroup):
        damaged, _ = fault.split(JournalDamagedError)
        if damaged is not None:
            log.critical("journal_unreadable", error=str(damaged.exceptions[0]))
            return 1
    raise fault


if __name__ == "__main__":
    sys.exit(main())
