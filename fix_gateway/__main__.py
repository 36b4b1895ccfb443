"""The gateway process: `python -m fix_gateway`. The composition root."""

import argparse
import os
import resource
import sys

import structlog
import uvloop

from config.lifecycle import notify_ready, serve_metrics, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
from engine.runtime import faults
from fix_gateway.app import Gateway, GatewayConfig, MarketDataConfig
from fix_gateway.authentication import LogonWindow
from fix_gateway.fix.edge import EdgeLimits
from fix_gateway.fix.entrance import EntranceLimits
from fix_gateway.fix.logon import HeartBtIntBounds
from fix_gateway.fix.throttle import ThrottleDefaults
from fix_gateway.fix.tls import TlsFiles, ensure_self_signed
from fix_gateway.neighbours import Worker
from store.postgres import Database

NS_PER_S = 1_000_000_000

log = structlog.get_logger("gateway")


def main() -> int:
    """Run the gateway until a signal comes. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fix_gateway", description=__doc__)
    parser.add_argument(
        "--worker", type=int, default=0, help="which of [fix] workers processes, from 0"
    )
    parser.add_argument(
        "--market-data", action="store_true", help="have the market data sessions, and no others"
    )
    arguments = parser.parse_args()
    os.umask(0o077)  # QuickFIX creates its store's files as the mask allows.
    settings = Settings()
    worker = Worker(
        settings.fix.workers if arguments.market_data else arguments.worker,
        settings.fix.workers,
        has_market_data=settings.market_data.fix_enabled,
    )
    if not 0 <= worker.number < worker.total:
        parser.error(
            "[market_data] fix_enabled is false" if arguments.market_data
            else f"there are {worker.count} workers, counted from 0"
        )  # fmt: skip
    set_up_logs("gateway", level=settings.log.level, log_format=settings.log.format)
    faults.arm(settings.fault_dir)
    # A session needs some eight descriptors.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return uvloop.run(run(settings, worker))


async def run(settings: Settings, worker: Worker) -> int:
    """Serve FIX clients until SIGTERM or SIGINT."""
    stopped = stop_on_signals()
    if settings.database_url is None:
        log.critical("no_database", error="WCX_DATABASE_URL is not set")
        return 1
    gateway = Gateway(
        make_config(settings, worker), Database(settings.database_url.get_secret_value())
    )
    gateway.metrics.market_data_enabled.set(settings.market_data.enabled)
    gateway.metrics.market_data_fix_enabled.set(worker.has_market_data)
    port = settings.fix.metrics_port_of(worker.number)
    if worker.is_for_market_data:
        port = settings.market_data.fix_metrics_port
    endpoint = await serve_metrics(gateway.metrics.registry, port)
    await gateway.serve(stopped, notify_ready)
    endpoint.should_exit = True
    log.info("gateway_stopped")
    return 0


def make_config(settings: Settings, worker: Worker) -> GatewayConfig:
    """Return what the gateway needs to know of the settings."""
    fix = settings.fix
    market_data = None
    port, tls_port = fix.port, fix.tls_port
    if worker.is_for_market_data:
        own = settings.market_data
        port, tls_port = own.fix_port, own.fix_tls_port
        market_data = MarketDataConfig(own.fix_interval_ms / 1000, settings.market_data_dir)
    return GatewayConfig(
        worker=worker,
        host=fix.host,
        port=port,
        comp_id=fix.comp_id,
        journal_dir=settings.journal_dir,
        store_dir=settings.fix_store_dir,
        sockets_dir=settings.sockets_dir,
        engine_socket=settings.engine_socket,
        logout_wait_s=fix.logout_wait_s,
        proof_wait_s=fix.proof_wait_s,
        resend_order_age_max_ns=int(fix.resend_order_age_max_s * NS_PER_S),
        notices_s=fix.notices_s,
        limits=EdgeLimits(
            logon_wait_s=fix.logon_wait_s,
            connections_max=fix.connections_max,
            connections_per_address_max=fix.connections_per_address_max,
            connection_rate=fix.connection_rate,
            connection_burst=fix.connection_burst,
            session_message_rate=fix.session_message_rate,
            session_message_burst=fix.session_message_burst,
        ),
        entrance_limits=EntranceLimits(
            logon_wait_s=fix.logon_wait_s,
            refusal_delay_s=fix.refusal_delay_s,
            probe_wait_s=fix.probe_wait_s,
            heart_bt_int=HeartBtIntBounds(fix.heart_bt_int_min_s, fix.heart_bt_int_max_s),
        ),
        logon_window=LogonWindow(
            behind_ns=int(fix.sending_time_behind_max_s * NS_PER_S),
            ahead_ns=int(fix.sending_time_ahead_max_s * NS_PER_S),
        ),
        tls_host=fix.tls_host,
        tls_port=tls_port,
        market_data=market_data,
        tls_files=find_tls_files(settings),
        redis_url=None if settings.redis_url is None else settings.redis_url.get_secret_value(),
        throttle=ThrottleDefaults(
            order_rate=fix.order_rate,
            order_burst=fix.order_burst,
            cancel_rate=fix.cancel_rate,
            cancel_burst=fix.cancel_burst,
        ),
    )


def find_tls_files(settings: Settings) -> TlsFiles:
    """Return the certificate that is named, or one that is made for this machine alone."""
    fix = settings.fix
    if fix.tls_certificate is not None and fix.tls_key is not None:
        return TlsFiles(fix.tls_certificate, fix.tls_key, fix.tls_client_ca)
    path = ensure_self_signed(settings.self_signed_file)
    log.warning("certificate_self_signed", file=str(path))
    return TlsFiles(path, path, fix.tls_client_ca)


if __name__ == "__main__":
    sys.exit(main())
