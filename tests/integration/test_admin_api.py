"""The REST door of a running venue."""

import json

import pytest

from fix_gateway.supervisor.demo import SESSIONS
from tests.integration.venue_process import VenueProcess


def test_health_readiness_and_metrics_are_open(shared_venue: VenueProcess) -> None:
    """Probes need no token; every part is named."""
    assert shared_venue.get("/healthz") == (200, '{"status":"ok"}')
    # The projector is not waited for, neither by the venue nor by whoever asks.
    shared_venue.wait_for(lambda: '"projector":"ok"' in shared_venue.get("/readyz")[1])
    status, body = shared_venue.get("/readyz")
    parts = ("database", "engine", "gateway", "storage", "projector", "redis")
    assert (status, json.loads(body)) == (
        200,
        {"status": "ready", "checks": dict.fromkeys(parts, "ok")},
    )
    status, body = shared_venue.get("/metrics")
    assert status == 200
    assert 'fixgw_http_requests_total{status="2xx"}' in body


def test_database_and_engine_know_the_same_at_the_start(shared_venue: VenueProcess) -> None:
    """They are compared once, and agree."""
    shared_venue.wait_for(lambda: shared_venue.count_logged("event=reconciled "))
    assert shared_venue.count_logged("reconciliation_difference") == 0


def test_operators_see_all_sessions(shared_venue: VenueProcess) -> None:
    """Each with its set-up and its present owner."""
    status, body = shared_venue.call("GET", "/v1/sessions")
    assert status == 200
    items = body["items"]
    names = [item["client_comp_id"] for item in items]
    # Behind them are those that other tests have added.
    assert names[: len(SESSIONS)] == [session.client_comp_id for session in SESSIONS]
    assert all(item["is_enabled"] for item in items[: len(SESSIONS)])
    # Nobody waits for the process that has those for market data.
    assert all(item["is_held"] for item in items[: len(SESSIONS)] if not item["is_market_data"])
    assert items[0] == {
        "session_id": 1,
        "firm_id": 1,
        "account_id": 1,
        "user_id": None,
        "begin_string": "FIX.4.4",
        "client_comp_id": "DEMO1",
        "is_enabled": True,
        "heart_bt_int_min_s": None,
        "heart_bt_int_max_s": None,
        "can_enter": True,
        "can_cancel": True,
        "is_drop_copy": False,
        "is_market_data": False,
        "copied_account_ids": [],
        "timestamp_precision": None,
        "tells_timing": False,
        "tells_error_codes": False,
        "allowed_networks": [],
        "client_cert_sha256": [],
        "order_rate": None,
        "order_burst": None,
        "cancel_rate": None,
        "cancel_burst": None,
        "throttle_policy": "reject",
        "cancel_on_disconnect": "off",
        "cancel_grace_ms": 0,
        "cancel_on_logout": True,
        "cancel_on_internal_loss": False,
        "schedule_days": [1, 2, 3, 4, 5, 6, 7],
        "schedule_start": None,
        "schedule_end": None,
        "schedule_reset": None,
        "is_held": True,
        "epoch": items[0]["epoch"],
        "generation": items[0]["generation"],
    }


@pytest.mark.parametrize("token", [None, "", "wrong", "\xe9"])
def test_nobody_else_sees_anything(shared_venue: VenueProcess, token: str | None) -> None:
    """401 in the form of problem+json."""
    status, body = shared_venue.get("/v1/sessions", token=token)
    detail = "an access token is needed: POST /v1/login gives one"
    if token:
        detail = "the token is not valid: it may have run out or been revoked"
    assert (status, json.loads(body)) == (
        401,
        {
            "type": "about:blank",
            "title": "Unauthorized",
            "status": 401,
            "detail": detail,
            "code": "unauthenticated",
        },
    )


def test_unknown_path_is_a_problem_too(shared_venue: VenueProcess) -> None:
    """One way to fail."""
    status, body = shared_venue.get("/v1/nothing")
    assert (status, json.loads(body)["detail"]) == (404, "Not Found")


def test_documentation_needs_no_network(shared_venue: VenueProcess) -> None:
    """Swagger UI comes from the venue itself."""
    status, page = shared_venue.get("/docs")
    assert status == 200
    assert "https://" not in page
    assert "/static-offline-docs/swagger-ui-bundle.js" in page


@pytest.mark.embedded("PostgreSQL is killed")
def test_readiness_names_the_part_that_is_away(venue: VenueProcess) -> None:
    """503 while the database is away, 200 again when it is back."""
    venue.kill("postgres")
    venue.wait_for(lambda: venue.get("/readyz")[0] == 200)
    assert venue.call("GET", "/v1/sessions")[0] == 200
