"""The admin API's process: `python -m admin_api`. The composition root."""

import argparse
import asyncio
import sys

import structlog
import uvloop

from admin_api.app import make_app
from admin_api.engine_link import EngineWatch
from admin_api.metrics import AdminMetrics
from admin_api.reports import ReportReader
from admin_api.services import Services
from config.lifecycle import notify_ready, start_server, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
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
    services = Services(
        database=Database(settings.database_url.get_secret_value()),
        engine=EngineWatch(settings.engine_socket),
        reports=ReportReader(settings.journal_dir),
        metrics=AdminMetrics(settings.status_file),
        operator_token=settings.operator_token_file.read_text().strip(),
    )
    serving = asyncio.ensure_future(_serve(settings, services))
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    (fault,) = await asyncio.gather(serving, return_exceptions=True)
    services.reports.close()
    await services.database.close()
    if isinstance(fault, Exception):
        raise fault
    log.info("admin_api_stopped")
    return 0


async def _serve(settings: Settings, services: Services) -> None:
    while True:
        try:
            await services.database.open()
            break
        except StoreError as error:
            log.warning("store_away", error=str(error))
            await asyncio.sleep(STORE_RETRY_S)
    async with asyncio.TaskGroup() as group:
        group.create_task(services.engine.run())
        server = await start_server(make_app(services), settings.rest.host, settings.rest.port)
        log.info("rest_opened", host=settings.rest.host, port=settings.rest.port)
        notify_ready()
        await server.until_closed()


if __name__ == "__main__":
    sys.exit(main())
