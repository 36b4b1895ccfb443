"""After a full run that logs everything: no secret is anywhere, and every order can be followed."""

import json
import shutil
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyotp
import pytest

from fix_gateway.fix.fields import MsgType
from fix_gateway.tools.rest import RestClient
from store.users import Role
from tests.integration.outside_servers import SERVERS
from tests.integration.people import ALPHA, People
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

OURS = ("engine", "gateway", "admin_api", "projector", "publisher")
RECEIVERS = {"engine", "gateway", "projector", "publisher"}
WRONG = "not-the-password-of-anybody-7193"
NEW = "an-entirely-new-password-5508"
# Where a secret is at home, below the data directory.
HOMES = {
    "the admin's password": {"admin-password"},
    "the key of tokens": {"token-key.pem"},
}
if SERVERS is None:  # Those of outside servers are not the venue's.
    HOMES |= {
        "PostgreSQL's password": {"postgres-password"},
        "the publisher's password": {"mqtt/publisher-password", "mqtt/nats.conf"},
    }


class Run(NamedTuple):
    """A venue that has ended in good order, and what was used and done while it ran."""

    venue: VenueProcess
    secrets: dict[str, str]
    request_id: str


@pytest.fixture(scope="module")
def run(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A venue with all its parts, which logs JSON and all that there is to log."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("full") / "var"))
    venue = VenueProcess(
        data_dir,
        WCX_MARKET_DATA__ENABLED="true",
        WCX_PROJECTOR__ENABLED="true",
        WCX_LOG__FORMAT="json",
        WCX_LOG__LEVEL="debug",
    ).start()
    try:
        venue.wait_for(lambda: venue.pid_of("publisher") and venue.pid_of("projector"))
        secrets = use_secrets(venue)
        more, request_id = use_rest(venue)
        secrets |= more
        venue.wait_for(lambda: venue.count_logged('"event": "logon_refused"'))
        venue.wait_for(lambda: processes_that_know(venue, "rest-followed") == RECEIVERS)
        venue.wait_for(lambda: processes_that_know(venue, "secretive-1") == RECEIVERS)
    finally:
        code = venue.stop()
    assert code == 0, venue.log_text()
    return Run(venue, secrets, request_id)


def use_rest(venue: VenueProcess) -> tuple[dict[str, str], str]:
    """Be a trader with all kinds of secrets, and place an order.

    Returns the secrets, and the name of the order's request.
    """
    people = People(venue)
    name, password, _ = people.add(Role.TRADER, ALPHA)
    trader = RestClient(people.url, name, password)
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    wish = {"name": "dashboard", "scopes": ["orders:read"], "expires_at": later}
    key = trader.order("POST", "/v1/me/api-keys", wish)["key"]
    assert people.with_token(key).call("GET", "/v1/orders").status == 200
    factor = trader.order("POST", "/v1/me/mfa")["secret"]
    code = pyotp.TOTP(factor).now()
    assert trader.call("POST", "/v1/me/mfa/confirm", {"code": code}).status == 200
    invited = people.admin.order("POST", "/v1/invitations", {"role": "support"})["token"]
    path = "/v1/sessions/1/credentials"
    pair = people.admin.order("POST", path, {"kind": "ed25519"})["private_key"]
    body = {
        "symbol": "BTC-USD", "side": "buy", "order_qty": "0.1", "price": "2.00",
        "cl_ord_id": "rest-followed",
    }  # fmt: skip
    answer = trader.call("POST", "/v1/accounts/1/orders", body)
    assert answer.status == 201, answer.body
    used = {
        "trader's password": password, "API key": key, "second factor": factor,
        "invitation": invited, "FIX private key": body_of_pem(pair),
    }  # fmt: skip
    return used, answer.headers["x-request-id"]


def body_of_pem(text: str) -> str:
    """Return the last line of what a PEM file holds: the one that no two keys share."""
    return text.strip().splitlines()[-2]


def lines_with(venue: VenueProcess, text: str) -> list[dict[str, Any]]:
    """Return what `grep TEXT` finds in the logs of our own processes."""
    found = []
    for line in list(venue.logged):
        part, _, logged = line.partition("|")
        if part.strip() in OURS and text in logged:
            found.append(json.loads(logged))
    return found


def processes_that_know(venue: VenueProcess, text: str) -> set[str]:
    return {line["process"] for line in lines_with(venue, text)} - {"admin_api"}


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
    read = {"the admin's password": "admin-password"}
    if SERVERS is None:
        read |= {
            "PostgreSQL's password": "postgres-password",
            "the publisher's password": "mqtt/publisher-password",
        }
    return {
        "access token": admin.token,
        "refresh token": admin.refresh_token,
        "first FIX password": made["password"],
        "new FIX password": NEW,
        "wrong password": WRONG,
        "the key of tokens": body_of_pem((venue.data_dir / "token-key.pem").read_text()),
        **{name: (venue.data_dir / file).read_text().strip() for name, file in read.items()},
    }


def test_no_secret_is_found_anywhere(run: Run) -> None:
    """In no log, no FIX store, no journal, no snapshot, no table: but for the file it lives in."""
    venue, secrets, _ = run
    assert all(len(secret) >= 16 for secret in secrets.values()), "too short to be looked for"
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


def test_order_over_fix_can_be_followed(run: Run) -> None:
    """Its ClOrdID is in the log of every process; they agree on record, OrderID and request."""
    lines = lines_with(run.venue, "secretive-1")
    assert {(line["process"], line["event"]) for line in lines} == {
        ("gateway", "message_received"), ("engine", "record_committed"),
        ("gateway", "record_received"), ("gateway", "report_sent"),
        ("projector", "record_projected"), ("publisher", "record_received"),
    }  # fmt: skip
    (request,) = {line["request"] for line in lines if "request" in line}
    (seq,) = {line["seq"] for line in lines if "seq" in line}
    assert {line["order_id"] for line in lines if "order_id" in line} == {seq}
    (sent,) = [line for line in lines if line["event"] == "report_sent"]
    assert sent["exec_id"] == f"{seq}.0"
    # The request's name finds them, too.
    named = [line for line in lines_with(run.venue, request) if line.get("request") == request]
    assert {line["process"] for line in named} == RECEIVERS


def test_order_over_rest_can_be_followed(run: Run) -> None:
    """The request's own line names the record and the order; from there on it is as over FIX."""
    lines = lines_with(run.venue, run.request_id)
    (request,) = [line for line in lines if line["event"] == "request"]
    assert (request["path"], request["status"]) == ("/v1/accounts/1/orders", 201)
    lines = lines_with(run.venue, request["cl_ord_id"])
    assert {(line["process"], line["event"]) for line in lines} == {
        ("admin_api", "request"), ("admin_api", "audit"), ("engine", "record_committed"),
        ("gateway", "record_received"), ("projector", "record_projected"),
        ("publisher", "record_received"),
    }  # fmt: skip
    assert {line["seq"] for line in lines if "seq" in line} == {request["engine_seq"]}


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
