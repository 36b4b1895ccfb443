"""What a client is told without asking, in every version: News(B), and why it is logged out."""

import time
from collections.abc import Iterator

import pytest

from fix_gateway.fix.fields import Fields, MsgType, Tag
from fix_gateway.tools.rest import RestClient
from store.users import Role
from tests.integration.gateway_control import ask
from tests.integration.people import People
from tests.integration.raw_client import RawClient
from tests.integration.test_session_changes import add_session, enable
from tests.integration.venue_process import VenueProcess
from tests.legal_messages import check_message

LIKE = {"FIX.4.2": "U04", "FIX.4.4": "T17", "FIXT.1.1": "V04"}


@pytest.fixture(params=list(LIKE))
def client(request: pytest.FixtureRequest, shared_venue: VenueProcess) -> Iterator[RawClient]:
    """A client of each version, logged on to a session of its own."""
    name = f"NOTE-{LIKE[request.param]}-{time.time_ns()}"
    session_id = add_session(shared_venue, name, LIKE[request.param])
    assert ask(shared_venue, "refresh")["ok"]
    with RawClient(shared_venue.fix_port, name, begin_string=request.param) as client:
        client.log_on()
        yield client
    enable(shared_venue, session_id, is_enabled=False)
    assert ask(shared_venue, "refresh")["ok"]


@pytest.fixture(scope="module")
def officer(shared_venue: VenueProcess) -> RestClient:
    """Who may lift what the operator has pulled."""
    return People(shared_venue).client(Role.RISK_OFFICER)


def order(venue: VenueProcess, method: str, path: str, body: object = None) -> None:
    status, answer = venue.call(method, path, body)
    assert status in (200, 202), answer


def receive(client: RawClient, msg_type: str) -> Fields:
    """Return the next message of the type without what every message has; it is legal."""
    fields = client.receive_type(msg_type)
    check_message(client.last_raw)
    return {tag: fields[tag] for tag in fields if tag not in {8, 9, 10, 34, 35, 49, 52, 56}}


def find_path(client: RawClient, venue: VenueProcess) -> str:
    """Return the path of the client's session."""
    _, page = venue.call("GET", "/v1/sessions?limit=500")
    (session_id,) = (
        item["session_id"] for item in page["items"] if item["client_comp_id"] == client.comp_id
    )
    return f"/v1/sessions/{session_id}"


def test_refusals_bear_their_code_as_a_number(
    shared_venue: VenueProcess, client: RawClient
) -> None:
    """From the next logon on, for a client that wants it: from the door and from the engine."""
    client.send_bytes(client.order("bad id"))
    assert Tag.ERROR_CODE not in receive(client, MsgType.EXECUTION_REPORT)
    order(shared_venue, "PATCH", find_path(client, shared_venue), {"tells_error_codes": True})
    client.__exit__()
    with RawClient(
        shared_venue.fix_port, client.comp_id, begin_string=client.begin_string
    ) as again:
        again.log_on()
        again.send_bytes(again.order("bad id"))
        refused = receive(again, MsgType.EXECUTION_REPORT)
        assert (refused[Tag.ERROR_CODE], refused[Tag.TEXT].split(":")[0]) == (
            "501", "CLORDID_INVALID",
        )  # fmt: skip
        again.send(MsgType.ORDER_CANCEL_REQUEST, (11, "x1"), (41, "nothing"), (55, "BTC-USD"),
                   (54, "1"))  # fmt: skip
        unknown = receive(again, MsgType.ORDER_CANCEL_REJECT)
        assert (unknown[Tag.ERROR_CODE], unknown[Tag.TEXT].split(":")[0]) == (
            "1001", "UNKNOWN_ORDER",
        )  # fmt: skip


def test_client_is_told_in_its_version(
    shared_venue: VenueProcess, client: RawClient, officer: RestClient
) -> None:
    """Of limits and kill switches that concern it, and why it is sent away."""
    venue = shared_venue
    path = find_path(client, venue)
    session_id = int(path.rpartition("/")[2])
    limit = {
        "level": "FIRM", "scope": "SESSION", "scope_id": session_id, "control": "ORDER_QTY",
        "value": "1000", "symbol": "BTC-USD",
    }  # fmt: skip
    order(venue, "PUT", "/v1/risk/controls", limit)
    assert receive(client, MsgType.NEWS) == {
        Tag.HEADLINE: "LIMITS CHANGED",
        Tag.LINES_OF_TEXT: "1",
        Tag.TEXT: "the limits of the session are others from now on",
    }
    kill = {"scope": "session", "scope_id": session_id, "reason": "a drill"}
    order(venue, "POST", "/v1/kill-switches/pull", kill)
    assert receive(client, MsgType.NEWS) == {
        Tag.HEADLINE: "KILL_SWITCH PULLED",
        Tag.LINES_OF_TEXT: "1",
        Tag.TEXT: "no new orders of the session, open ones are cancelled: a drill",
    }
    officer.order("POST", "/v1/kill-switches/lift", kill)
    assert receive(client, MsgType.NEWS)[Tag.HEADLINE] == "KILL_SWITCH LIFTED"

    order(venue, "POST", f"{path}/disconnect", {"text": "see you tomorrow"})
    assert receive(client, MsgType.LOGOUT) == {Tag.TEXT: "see you tomorrow"}
    with RawClient(venue.fix_port, client.comp_id, begin_string=client.begin_string) as again:
        again.log_on()
        _, page = venue.call("GET", f"{path}/credentials")
        (credential,) = page["items"]
        order(venue, "DELETE", f"{path}/credentials/{credential['credential_id']}")
        text = "the credential is not valid any more"
        assert receive(again, MsgType.LOGOUT) == {Tag.TEXT: text}
