"""FIX sessions that belong to a user: what stops the user stops them, and nothing else."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag
from store.users import Role
from tests.integration.command_line import wcx
from tests.integration.people import ALPHA, BETA, People, code_of
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

WHAT_IF = "/v1/accounts/1/what-if"
BEGIN_STRINGS = ("FIX.4.2", "FIX.4.4", "FIXT.1.1")


@pytest.fixture(scope="module")
def people(shared_venue: VenueProcess) -> People:
    return People(shared_venue)


@pytest.fixture
def trader(people: People) -> tuple[str, int]:
    """Name and identity of a trader of the firm ALPHA."""
    name, _, user_id = people.add(Role.TRADER, ALPHA)
    return name, user_id


@pytest.fixture
def sessions(people: People, trader: tuple[str, int]) -> Iterator[dict[str, dict[str, Any]]]:
    """A session of the trader in each version of FIX, by BeginString, with its password."""
    made = {}
    for begin_string in BEGIN_STRINGS:
        body = {
            "firm_id": ALPHA, "account_id": 1, "user_id": trader[1], "begin_string": begin_string,
            "client_comp_id": f"OWNED-{secrets.token_hex(4)}",
        }  # fmt: skip
        session = people.admin.order("POST", "/v1/sessions", body)
        path = f"/v1/sessions/{session['session_id']}"
        credential = people.admin.order("POST", f"{path}/credentials", {})
        made[begin_string] = {**session, "path": path, "password": credential["password"]}
    yield made
    for session in made.values():
        people.admin.order("POST", f"{session['path']}/disable")


def connect(people: People, session: dict[str, Any]) -> RawClient:
    client = RawClient(
        people.venue.fix_port, session["client_comp_id"], begin_string=session["begin_string"]
    )
    client.log_on(password=session["password"])
    return client


def report_of(client: RawClient) -> Fields:
    return client.receive_type(MsgType.EXECUTION_REPORT)


def enter(client: RawClient, cl_ord_id: str) -> Fields:
    client.send_bytes(client.order(cl_ord_id))
    return report_of(client)


@pytest.fixture
def clients(people: People, sessions: dict[str, dict[str, Any]]) -> Iterator[list[RawClient]]:
    """A client of each of the trader's sessions."""
    with ExitStack() as stack:
        yield [stack.enter_context(connect(people, session)) for session in sessions.values()]


@pytest.fixture
def bystander(people: People) -> Iterator[RawClient]:
    """A client of a session that is nobody's."""
    with RawClient(people.venue.fix_port, "T13") as client:
        client.log_on()
        yield client


def test_kill_switch_of_a_user_stops_the_users_sessions(
    people: People,
    trader: tuple[str, int],
    sessions: dict[str, dict[str, Any]],
    clients: list[RawClient],
    bystander: RawClient,
) -> None:
    """Their orders go, their new ones are refused, until another lifts it; others trade on."""
    name, user_id = trader
    for client in clients:
        assert enter(client, f"before-{client.comp_id}")[Tag.EXEC_TYPE] == ExecType.NEW

    pulled = wcx(people.venue, "kill", "--user", name, "--reason", "a drill")
    assert (pulled.code, pulled.stderr) == (0, "")
    assert pulled.stdout.startswith(f"user {user_id}: stopped, by operator:admin os:")
    words = "KILLED: trading of the user is stopped, cancels are taken"
    for client in clients:
        assert client.receive_type(MsgType.NEWS)[Tag.HEADLINE] == "KILL_SWITCH PULLED"
        canceled = report_of(client)
        assert canceled[Tag.EXEC_TYPE] == ExecType.CANCELED
        assert canceled[Tag.CL_ORD_ID] == f"before-{client.comp_id}"
        refused = enter(client, f"killed-{client.comp_id}")
        assert (refused[Tag.EXEC_TYPE], refused[Tag.TEXT]) == (ExecType.REJECTED, words)
    assert enter(bystander, f"b-{user_id}")[Tag.EXEC_TYPE] == ExecType.NEW
    asked = {"symbol": "BTC-USD", "side": "BUY", "ord_type": "LIMIT", "order_qty": "1",
             "price": "1.00"}  # fmt: skip
    for session_id, is_good in ((sessions["FIX.4.4"]["session_id"], False), (1, True)):
        seen = people.admin.order("POST", WHAT_IF, {**asked, "session_id": session_id})
        assert seen["would_be_accepted"] is is_good

    def told() -> list[dict[str, Any]]:
        items = people.admin.get(f"/v1/audit?subject=user:{user_id}")["items"]
        return [item["detail"] for item in items if item["action"] == "kill_switch_pulled"]

    people.venue.wait_for(told)
    completed = {"action": "kill_completed", "subject": f"user:{user_id}"}
    assert told() == [{"others": [{**completed, "canceled_count": len(BEGIN_STRINGS)}]}]

    kill = {"scope": "user", "scope_id": user_id, "reason": "it was a drill"}
    assert code_of(people.admin.call("POST", "/v1/kill-switches/lift", kill)) == "same_operator"
    people.client(Role.RISK_OFFICER).order("POST", "/v1/kill-switches/lift", kill)
    for client in clients:
        assert enter(client, f"after-{client.comp_id}")[Tag.EXEC_TYPE] == ExecType.NEW


def test_session_changes_hands_while_its_client_is_there(
    people: People, trader: tuple[str, int], sessions: dict[str, dict[str, Any]]
) -> None:
    """The next order is nobody's; the one before stays the user's."""
    _, user_id = trader
    session = sessions["FIX.4.4"]
    boss, second = (people.client(Role.FIRM_ADMIN, ALPHA) for _ in range(2))
    stranger = people.client(Role.FIRM_ADMIN, BETA)
    kill = {"scope": "user", "scope_id": user_id, "reason": "a drill"}
    with connect(people, session) as client:
        assert enter(client, f"his-{user_id}")[Tag.EXEC_TYPE] == ExecType.NEW
        changed = wcx(people.venue, "session", "set", session["client_comp_id"], "user_id=null")
        assert changed == (0, "user_id  -\n", "")
        assert enter(client, f"nobodys-{user_id}")[Tag.EXEC_TYPE] == ExecType.NEW
        assert code_of(stranger.call("POST", "/v1/kill-switches/pull", kill)) == "not_found"
        assert boss.order("POST", "/v1/kill-switches/pull", kill)["level"] == "firm"
        canceled = report_of(client)
        assert canceled[Tag.EXEC_TYPE] == ExecType.CANCELED
        assert canceled[Tag.CL_ORD_ID] == f"his-{user_id}"
        assert enter(client, f"more-{user_id}")[Tag.EXEC_TYPE] == ExecType.NEW
    second.order("POST", "/v1/kill-switches/lift", kill)


def test_session_has_a_user_of_its_firm(
    people: People, trader: tuple[str, int], sessions: dict[str, dict[str, Any]]
) -> None:
    """Another is refused, and the user does not leave the firm while sessions are his."""
    name, user_id = trader
    _, _, stranger_id = people.add(Role.TRADER, BETA)
    path = sessions["FIX.4.4"]["path"]
    assert people.admin.get(path)["user_id"] == user_id
    refused = people.admin.call("PATCH", path, {"user_id": stranger_id})
    assert refused.status == 422
    assert refused.body["detail"] == f"body.user_id: firm {ALPHA} has no user {stranger_id}"
    user_path = f"/v1/users/{user_id}"
    assert code_of(people.admin.call("PATCH", user_path, {"firm_id": BETA})) == "has_sessions"
    for session in sessions.values():
        people.admin.order("PATCH", session["path"], {"user_id": None})
    assert people.admin.order("PATCH", user_path, {"firm_id": BETA})["firm_id"] == BETA

    comp_id = f"ADDED-{secrets.token_hex(4)}"
    added = wcx(people.venue, "session", "add", comp_id, "--firm", "BETA", "--create",
                "--user", name)  # fmt: skip
    assert (added.code, added.stderr) == (0, "")
    found = [
        item["user_id"]
        for item in people.admin.get("/v1/sessions?limit=500")["items"]
        if item["client_comp_id"] == comp_id
    ]
    assert found == [user_id]
