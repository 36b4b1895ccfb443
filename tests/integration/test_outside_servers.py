"""A venue on outside PostgreSQL, Redis and MQTT does what one on its own servers does."""

import secrets
import subprocess
from collections.abc import Iterator

import pytest

from fix_gateway.fix.fields import MsgType, Tag
from fix_gateway.tools.chaos.venue import WCX
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

CHECK_WAIT_S = 240.0


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A demo venue that starts no server of its own, in a database that was empty."""
    venue = VenueProcess(
        tmp_path_factory.mktemp("outside") / "var",
        WCX_MARKET_DATA__ENABLED="true",
        WCX_PROJECTOR__ENABLED="true",
    ).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def test_nothing_of_its_own_is_started(venue: VenueProcess) -> None:
    """Only the venue's own processes run, and it is ready."""
    names = {service["name"] for service in venue.status()["services"]}
    assert names <= {"engine", "gateway", "admin_api", "projector", "publisher"}
    assert venue.get("/readyz")[0] == 200
    text = venue.get("/metrics")[1]
    for store in ("postgresql", "redis"):
        assert f'fixgw_admin_store_available{{store="{store}"}} 1.0' in text
    assert venue.call("GET", "/v1/sessions")[0] == 200


def test_order_is_found_in_the_database(venue: VenueProcess) -> None:
    """The projector writes it there, also where a database still has another venue's read model."""
    cl_ord_id = f"outside-{secrets.token_hex(8)}"
    with RawClient(venue.fix_port, "T15") as client:
        client.log_on()
        client.send_bytes(client.order(cl_ord_id))
        order_id = client.receive_type(MsgType.EXECUTION_REPORT)[Tag.ORDER_ID]

    def found() -> list[tuple[str, str]]:
        status, body = venue.call("GET", f"/v1/orders?cl_ord_id={cl_ord_id}")
        assert status == 200, body
        return [(str(item["order_id"]), item["ord_status"]) for item in body["items"]]

    venue.wait_for(found)
    assert found() == [(order_id, "0")]


def test_market_data_agrees_with_the_engine(venue: VenueProcess) -> None:
    """In MQTT 5 where the broker has it; updates are missed and connections lost."""
    venue.wait_for(lambda: venue.count_logged("event=broker_available"))
    arguments = ["--updates", "1000", "--gaps", "4", "--reconnections", "2", "--comparisons", "3"]
    check = subprocess.run(
        [str(WCX), "market-data", "check", *arguments],
        env=venue.environment,
        capture_output=True,
        text=True,
        timeout=CHECK_WAIT_S,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr + venue.log_text()
    assert "DIFFERENT" not in check.stdout
