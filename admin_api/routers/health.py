"""Is the process alive, is the venue ready, and its figures."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from admin_api.schemas.health import Health, Readiness
from admin_api.services import ServicesOf
from engine.runtime.codec import Status
from engine.units import Seq
from store.postgres import StoreError
from store.searches import find_read_model_seq

GATEWAY: Final = "gateway"
PROJECTOR: Final = "projector"
BEHIND_RECORDS: Final = 10_000

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def is_alive() -> Health:
    """Answer whenever the process can answer at all."""
    return Health(status="ok")


@router.get("/readyz", responses={HTTPStatus.SERVICE_UNAVAILABLE: {"model": Readiness}})
async def is_ready(services: ServicesOf, response: Response) -> Readiness:
    """Answer 200 when PostgreSQL, the engine and a gateway all do their work, else 503.

    `storage` is `low` while new orders are refused because the journal's disk is nearly full. That
    is no 503: cancels and this API are needed then more than ever. Nor is it one when `projector`
    is `away` or `behind`: searches tell up to which record they are true. While `redis` is away
    nobody logs in, and all else goes on.
    """
    checks = {"database": "ok", "engine": "ok", "gateway": "ok"}
    projected_seq = None
    try:
        async with services.database.transaction() as connection:
            projected_seq = await find_read_model_seq(connection)
    except StoreError:
        checks["database"] = "away"
    status = await services.engine.status()
    if status is None:
        checks["engine"] = "away"
    if status is None or GATEWAY not in status.links:
        checks["gateway"] = "away"
    is_everything_there = set(checks.values()) == {"ok"}
    if status is not None:
        checks["storage"] = "low" if status.is_storage_low else "ok"
        checks["projector"] = _judge_projector(status, projected_seq)
    checks["redis"] = "ok" if await services.logins.is_lockout_shared() else "away"
    if not is_everything_there:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Readiness(status="ready" if is_everything_there else "not ready", checks=checks)


def _judge_projector(status: Status, projected_seq: Seq | None) -> str:
    if PROJECTOR not in status.links:
        return "away"
    is_behind = projected_seq is None or status.last_seq - projected_seq > BEHIND_RECORDS
    return "behind" if is_behind else "ok"


@router.get("/metrics", include_in_schema=False)
async def metrics(services: ServicesOf) -> Response:
    """Return this process's figures for Prometheus, and whether the stores answer."""
    is_there = True
    try:
        await services.database.ping()
    except StoreError:
        is_there = False
    available = services.metrics.store_available
    available.labels("postgresql").set(is_there)
    available.labels("redis").set(await services.logins.is_lockout_shared())
    text = generate_latest(services.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
