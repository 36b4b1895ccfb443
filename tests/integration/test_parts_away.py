"""PostgreSQL, Redis and the engine go away under the REST door: it says so, and comes back."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from fix_gateway.tools.rest import Answer
from store.users import Role
from tests.integration.people import People, code_of
from tests.integration.venue_process import VenueProcess

FIRM = {"name": "GAMMA"}
CANCEL = "/v1/accounts/1/mass-cancel"
ORDER = {"symbol": "BTC-USD", "side": "buy", "order_qty": "1", "price": "1"}


@pytest.fixture(scope="module")
def people(shared_venue: VenueProcess) -> People:
    return People(shared_venue)


@contextmanager
def away(venue: VenueProcess, *parts: str) -> Iterator[None]:
    """Kill parts, and let nobody start them again until the end. All is well again afterwards."""
    pids = [venue.running_pid(part) for part in parts]
    os.kill(venue.pid, signal.SIGSTOP)
    try:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(venue.pid, signal.SIGCONT)
    venue.wait_for(lambda: {0, *pids}.isdisjoint(venue.pid_of(part) for part in parts))
    venue.wait_for(lambda: venue.get("/readyz")[0] == 200)


def all_at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """Make calls that each wait for something to come back."""
    with ThreadPoolExecutor(len(calls)) as workers:
        return [future.result() for future in [workers.submit(call) for call in calls]]


def is_temporary(answer: Answer) -> bool:
    """Whether it is a problem that says when to try again."""
    return (answer.status, answer.headers["content-type"], answer.headers["retry-after"]) == (
        503, "application/problem+json", "1",
    )  # fmt: skip


@pytest.mark.embedded("Valkey is killed")
def test_redis_is_away(people: People) -> None:
    """Nobody logs in, for guesses would be free; who is in already goes on."""
    reader = people.client(Role.RISK_OFFICER)
    reader.get("/v1/me")
    name, password, _ = people.add(Role.SUPPORT)
    login = {"name": name, "password": password}
    with away(people.venue, "valkey"):
        refused = people.with_token("").call("POST", "/v1/login", login)
        assert (code_of(refused), is_temporary(refused)) == ("budget_unknown", True)
        status, body = people.venue.get("/readyz")
        assert (status, '"redis":"away"' in body) == (200, True)
        assert reader.call("GET", "/v1/firms").status == 200
        assert reader.call("POST", CANCEL).status == 200
    # For a second after it has failed it is not asked.
    people.venue.wait_for(lambda: people.with_token("").call("POST", "/v1/login", login).is_good)


@pytest.mark.embedded("PostgreSQL and Valkey are killed")
def test_database_is_away(people: People) -> None:
    """What needs it is told to come again; orders are cancelled without it, until nobody knows any
    more whose token was revoked.
    """
    admin = people.admin
    admin.get("/v1/me")
    with away(people.venue, "postgres", "valkey"):
        assert admin.call("POST", CANCEL).status == 200
        found = all_at_once(
            lambda: admin.call("GET", "/v1/firms"),
            lambda: admin.call("POST", "/v1/firms", FIRM),
            lambda: admin.call("GET", "/v1/orders"),
        )
        assert [(code_of(answer), is_temporary(answer)) for answer in found] == [
            ("store_away", True)
        ] * 3
        assert people.venue.get("/healthz")[0] == 200
        people.venue.wait_for(
            lambda: code_of(admin.call("POST", CANCEL)) == "revocations_unknown", 10
        )
        status, body = people.venue.get("/readyz")
        assert (status, '"database":"away"' in body) == (503, True)
    # The parts are back; the admin API takes a moment to connect to them again.
    people.venue.wait_for(lambda: admin.call("GET", "/v1/firms").status == 200)
    assert FIRM["name"] not in [firm["name"] for firm in admin.get_all("/v1/firms")]


def test_engine_is_away(people: People) -> None:
    """What it alone can do is not done; what PostgreSQL knows is shown."""
    trader = people.client(Role.TRADER)
    trader.get("/v1/me")
    with away(people.venue, "engine"):
        people.venue.wait_for(lambda: '"engine":"away"' in people.venue.get("/readyz")[1])
        found = [
            trader.call("POST", "/v1/accounts/1/orders", ORDER),
            trader.call("POST", CANCEL),
            trader.call("GET", "/v1/accounts/1/limits"),
            people.admin.call(
                "PUT", "/v1/accounts/1/throttle", {"order_rate": 1, "order_burst": 1}
            ),
        ]
        assert [(code_of(answer), is_temporary(answer)) for answer in found] == [
            ("engine_away", True)
        ] * 4
        assert trader.get("/v1/accounts/1/balances")["source"] == "read_model"
    placed = trader.order("POST", "/v1/accounts/1/orders", ORDER)
    trader.order("DELETE", f"/v1/accounts/1/orders/{placed['order_id']}")
