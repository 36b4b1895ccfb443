"""What the endpoints work with, made once per process and handed to them by FastAPI."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from admin_api.audit_later import AuditLater
from admin_api.auth.api_keys import ApiKeys
from admin_api.auth.logins import Logins
from admin_api.auth.tokens import Tokens
from admin_api.call_budgets import CallBudgets
from admin_api.changes import Changes
from admin_api.engine_link import EngineWatch
from admin_api.gateway_control import GatewayControl
from admin_api.metrics import AdminMetrics
from admin_api.reports import ReportReader
from store.postgres import Database
from store.revocations import Revocations


@dataclass(frozen=True)
class Services:
    """The store, the engine, the gateways, the journal, what access needs, changes on their way."""

    database: Database
    engine: EngineWatch
    gateways: GatewayControl
    reports: ReportReader
    metrics: AdminMetrics
    tokens: Tokens
    logins: Logins
    api_keys: ApiKeys
    revocations: Revocations
    budgets: CallBudgets
    changes: Changes
    audit_later: AuditLater


def get_services(request: Request) -> Services:
    """Return what the application was made with."""
    return cast("Services", request.app.state.services)


ServicesOf = Annotated[Services, Depends(get_services)]
