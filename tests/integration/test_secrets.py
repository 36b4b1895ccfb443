"""After a full run: no log line, store, journal or database holds a secret that was used in it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fix_gateway.fix.fields import MsgType
from fix_gateway.tools.chaos.venue import VenueProcess
from tests.integration.raw_client import RawClient

OURS = ("engine", "gateway", "admin_api", "projector", "publisher")
WRONG = "not-the-password-of-anybody-7193"
NEW = "an-entirely-new-password-5508"
# Where a secret is at home, below the data directory.
HOMES = {
    "the admin's password": {"admin-password"},
    "PostgreSQL's password": {"postgres-password"},
    "the publisher's password": {"mqtt/publisher-password", "mqtt/nats.conf"},
}


@pytest.fixture
def venue(data_dir: Path) -> Iterator[VenueProcess]:
    """A venue with all its parts, which logs JSON and all that there is to log."""
    venue = VenueProcess(
        data_dir,
        WCX_MARKET_DATA__ENABLED="true",
        WCX_PROJECTOR__ENABLED="true",
        WCX_LOG__FORMAT="json",
        WCX_LOG__LEVEL="debug",
    ).start()
    venue.wait_for(lambda: venue.pid_of("publisher") and venue.pid_of("projector"))
    yield venue
    venue.stop()


def use_secrets(venue: VenueProcess) -> dict[str, str]:
    """Log in and on, rightly and wrongly, by every door; return the secrets by name."""
    admin = venue.log_in()
    assert admin.call("GET", "/v1/sessions").status == 200
    assert admin.token is not None
    assert admin.refresh_token is not None
    session = {"firm_id": 1, "account_id": 1, "client_comp_id": "SECRETIVE"}
    path = f"/v1/sessions/{admin.call('POST', '/v1/sessions', session).body['session_id']}"
    made: Any = admin.call("POST", f"{path}/credentials", {}).body
    with RawClient(venue.fix_port, "SECRETIVE") as client:
        client.log_on(password=made["password"])
        client.send_bytes(client.order("secretive-1"))
        client.receive_type(MsgType.EXECUTION_REPORT)
        client.send(
            MsgType.USER_REQUEST,
            (923, "change-1"), (924, "3"), (553, "SECRETIVE"), (554, made["password"]), (925, NEW),
        )  # fmt: skip
        assert client.receive_type(MsgType.USER_RESPONSE)[926] == "5"
    with RawClient(venue.fix_port, "SECRETIVE") as client:
        client.send_bytes(client.logon_message(password=WRONG))
        client.receive_all_until_closed()
    body = json.dumps({"name": "admin", "password": WRONG}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{venue.rest_port}/v1/login", body)
    request.add_header("Content-Type", "application/json")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    refused.value.close()
    read = {
        "the admin's password": "admin-password",
        "PostgreSQL's password": "postgres-password",
        "the publisher's password": "mqtt/publisher-password",
    }
    return {
        "access token": admin.token,
        "refresh token": admin.refresh_token,
        "first FIX password": made["password"],
        "new FIX password": NEW,
        "wrong password": WRONG,
        **{name: (venue.data_dir / file).read_text().strip() for name, file in read.items()},
    }


def test_no_secret_is_found_anywhere(venue: VenueProcess) -> None:
    """In no log, no FIX store, no journal, no snapshot, no table: but for the file it lives in."""
    secrets = use_secrets(venue)
    assert all(len(secret) >= 16 for secret in secrets.values()), "too short to be looked for"
    venue.wait_for(lambda: venue.count_logged('"event": "logon_refused"'))
    assert venue.stop() == 0, venue.log_text()
    logged = [line for line in venue.logged if any(text in line for text in secrets.values())]
    assert logged == []
    found: dict[str, set[str]] = {}
    read_count = 0
    for path in venue.data_dir.rglob("*"):
        if not path.is_file():
            continue
        read_count += 1
        content = path.read_bytes()
        relative = str(path.relative_to(venue.data_dir))
        for name, secret in secrets.items():
            if secret.encode() in content:
                found.setdefault(name, set()).add(relative)
    assert found == HOMES
    assert read_count > 100
    check_lines(venue.logged)


def check_lines(lines: list[str]) -> None:
    """Each line of a process of ours is one event: JSON with a time, a level and a name."""
    events: dict[str, int] = dict.fromkeys(OURS, 0)
    for line in lines:
        part, _, text = line.partition("|")
        if part.strip() in OURS:
            event = json.loads(text)
            assert {"timestamp", "level", "process", "event"} <= set(event), line
            events[part.strip()] += 1
    assert all(events.values()), events
