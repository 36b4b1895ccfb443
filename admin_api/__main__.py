"""The admin API's process: `python -m admin_api`. The composition root."""

import argparse
import asyncio
import sys

import structlog
import uvloop

from admin_api.app import make_app
from admin_api.audit_follower import AuditFollower
from admin_api.audit_later import AuditLater
from admin_api.auth.api_keys import ApiKeys
from admin_api.auth.logins import Logins
from admin_api.auth.policy import LoginPolicy
from admin_api.auth.second_factor import SecondFactor
from admin_api.auth.tokens import LIFETIME_S, Tokens, load_key
from admin_api.auth.totp import load_box
from admin_api.call_budgets import CallBudgets, Rates
from admin_api.changes import Changes
from admin_api.engine_link import EngineWatch
from admin_api.gateway_control import GatewayControl
from admin_api.metrics import AdminMetrics
from admin_api.reconciliation import reconcile
from admin_api.reports import ReportReader
from admin_api.services import Services
from config.lifecycle import notify_ready, start_server, stop_on_signals
from config.logs import set_up_logs
from config.settings import Settings
from store.budgets import Budgets
from store.lockout import Lockout
from store.postgres import Database, StoreError
from store.revocations import Revocations
from store.users import Role

STORE_RETRY_S = 0.5
# Longer than any token lives, with room for clocks that differ.
REVOCATIONS_S = LIFETIME_S + 60

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
    redis_url = None if settings.redis_url is None else settings.redis_url.get_secret_value()
    services = _make_services(settings, database, follower, redis_url)
    serving = asyncio.ensure_future(_serve(settings, services, follower))
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    (fault,) = await asyncio.gather(serving, return_exceptions=True)
    services.reports.close()
    await services.logins.close()
    await services.revocations.close()
    await services.budgets.close()
    await services.database.close()
    if isinstance(fault, Exception):
        raise fault
    log.info("admin_api_stopped")
    return 0


def _make_services(
    settings: Settings, database: Database, follower: AuditFollower, redis_url: str | None
) -> Services:
    metrics = AdminMetrics(settings.status_file)
    tokens = Tokens(load_key(settings.token_key_file))
    revocations = Revocations(database, redis_url, memory_s=REVOCATIONS_S)
    policy = LoginPolicy(
        registration=settings.rest.registration,
        mfa_roles=frozenset(Role(role) for role in settings.rest.mfa_roles),
        step_up_s=settings.rest.step_up_s,
        login_lifetime_s=settings.rest.login_lifetime_s,
    )
    rates = Rates(
        user_rate=settings.rest.user_rate,
        user_burst=settings.rest.user_burst,
        login_rate=settings.rest.login_rate,
        login_burst=settings.rest.login_burst,
        order_rate=settings.rest.order_rate,
        order_burst=settings.rest.order_burst,
    )
    second_factor = SecondFactor(load_box(settings.mfa_key_file), Lockout(redis_url))
    engine = EngineWatch(settings.engine_socket, follower)
    return Services(
        database=database,
        engine=engine,
        gateways=GatewayControl(settings.sockets_dir),
        reports=ReportReader(settings.journal_dir),
        metrics=metrics,
        tokens=tokens,
        logins=Logins(
            database=database,
            tokens=tokens,
            metrics=metrics,
            second_factor=second_factor,
            revocations=revocations,
            policy=policy,
        ),
        api_keys=ApiKeys(database, revocations),
        revocations=revocations,
        budgets=CallBudgets(None if redis_url is None else Budgets(redis_url), rates),
        changes=Changes(database, engine, four_eyes=settings.rest.four_eyes),
        audit_later=AuditLater(database),
    )


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
        await services.revocations.read()
        group.create_task(services.revocations.run())
        group.create_task(services.changes.run())
        group.create_task(reconcile(services.database, services.engine))
        group.create_task(services.audit_later.run())
        server = await start_server(
            make_app(services, cors_origins=settings.rest.cors_origins),
            settings.rest.host,
            settings.rest.port,
        )
        log.info("rest_opened", host=settings.rest.host, port=settings.rest.port)
        notify_ready()
        await server.until_closed()


if __name__ == "__main__":
    sys.exit(main())
