"""The admin API's process: `python -m admin_api`. The composition root."""

import argparse
import asyncio
import sys

import structlog
import uvloop

from admin_api.app import make_app
from admin_api.audit_follower import AuditFollower
from admin_api.auth.logins import Logins
from admin_api.auth.tokens import Tokens, load_key
from admin_api.engine_link import EngineWatch
from admin_api.gateway_control import GatewayControl
from admin_api.metrics import AdminMetrics
from admin_api.reports import ReportReader
from admin_api.services import Services
from config.lifecycle import notify_ready, start_server, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
from store.lockout import Lockout
from store.postgres import Database, StoreError

STORE_RETRY_S = 0.5

log = structlog.get_logger("admin")


def main() -> int:
    """Run the admin API until a signal comes. Returns the exit code."""
    argparse.ArgumentParser(prog="python -m admin_api", description=__doc__).parse_args()
    settings = Settings()
    set_up_logs("admin_api", level=settings.log.level, log_format=settings.log.format)
    return uvloop.run(run(settings))


async def run(settings: Settings) -> int:
    """Serve REST clients until SIGTERM or SIGINT."""
    stopped = stop_on_signals()
    if settings.database_url is None:
        log.critical("no_database", error="WCX_DATABASE_URL is not set")
        return 1
    database = Database(settings.database_url.get_secret_value())
    follower = AuditFollower(database, settings.journal_dir)
    metrics = AdminMetrics(settings.status_file)
    tokens = Tokens(load_key(settings.token_key_file))
    redis_url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    services = Services(
        database=database,
        engine=EngineWatch(settings.engine_socket, follower),
        gateways=GatewayControl(settings.sockets_dir),
        reports=ReportReader(settings.journal_dir),
        metrics=metrics,
        tokens=tokens,
        logins=Logins(database, Lockout(redis_url), tokens, metrics),
    )
    serving = asyncio.ensure_future(_serve(settings, services, follower))
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    (fault,) = await asyncio.gather(serving, return_exceptions=True)
    services.reports.close()
    await services.logins.close()
    await services.database.close()
    if isinstance(fault, Exception):
        raise fault
    log.info("admin_api_stopped")
    return 0


async def _serve(settings: Settings, services: Services, follower: AuditFollower) -> None:
    while True:
        try:
            await services.database.open()
            break
        except StoreError as error:
            log.warning("store_away", error=str(error))
            await asyncio.sleep(STORE_RETRY_S)
    async with asyncio.TaskGroup() as group:
        group.create_task(services.engine.run())
        group.create_task(follower.run())
        server = await start_server(make_app(services), settings.rest.host, settings.rest.port)
        log.info("rest_opened", host=settings.rest.host, port=settings.rest.port)
        notify_ready()
        await server.until_closed()


if __name__ == "__main__":
    sys.exit(main())
