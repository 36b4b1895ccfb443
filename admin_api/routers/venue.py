"""The venue as a whole: which version it is, and when its FIX clients are logged out."""

from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field

from admin_api.auth.gate import allow
from admin_api.auth.permissions import Permission
from admin_api.auth.user import User
from admin_api.errors import invalid
from admin_api.schemas.fields import GatewaysTold, RequestBody, Timestamp
from admin_api.schemas.problem import says
from admin_api.services import ServicesOf
from admin_api.session_views import told_fields
from engine.exchange import RULES_VERSION
from store.audit import add_audit_entries

DISTRIBUTION: Final = "worldclass-fix-gateway"

router = APIRouter(tags=["venue"])


class VersionView(BaseModel):
    """Which version answers."""

    version: str = Field(examples=["0.1.0"])
    rules_version: int = Field(description="Of the engine's rules: journals are replayed by it")


class MaintenanceBody(RequestBody):
    """When all FIX clients are logged out, and told so before; null: it is called off, or over."""

    at: Timestamp | None = Field(description="With its offset from UTC")
    text: str = Field(default="", max_length=128, pattern=r"^[ -~]*$")


class MaintenanceView(GatewaysTold):
    """What the gateways were told."""

    at: datetime | None
    text: str


@router.get("/v1/version")
async def show_version() -> VersionView:
    """Return which version answers. Needs no token."""
    return VersionView(version=version(DISTRIBUTION), rules_version=RULES_VERSION)


@router.put("/v1/maintenance", responses=says(HTTPStatus.UNPROCESSABLE_ENTITY, "It is over"))
async def plan_maintenance(
    services: ServicesOf,
    user: Annotated[User, allow(Permission.NOTICES_WRITE)],
    body: MaintenanceBody,
) -> MaintenanceView:
    """Announce a time to all FIX clients, log them out then, and let nobody in until it is over."""
    if body.at is not None and body.at < datetime.now(UTC):
        raise invalid("at: is in the past")
    async with services.database.transaction() as connection:
        entry = user.audit("maintenance_planned", "venue", body.model_dump(mode="json"))
        await add_audit_entries(connection, [entry])
    reached = await services.gateways.plan_maintenance(body.at, body.text)
    return MaintenanceView(at=body.at, text=body.text, **told_fields(reached))
