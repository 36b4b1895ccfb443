"""A disk that is nearly full: new orders stop, cancels go on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_gateway.fix.fields import ExecType, Tag
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, body, cancel, enter, next_report
from tests.integration.venue_process import VenueProcess

ABSURDLY_MUCH = str(1 << 60)


@pytest.fixture
def venues(data_dir: Path) -> Iterator[tuple[VenueProcess, VenueProcess]]:
    """A venue, not started, and the same one with a disk that is always too full."""
    pair = (VenueProcess(data_dir), VenueProcess(data_dir))
    pair[1].environment["WCX_JOURNAL__FREE_BYTES_MIN"] = ABSURDLY_MUCH
    yield pair
    for venue in pair:
        if venue.printed:
            assert venue.stop() == 0, venue.log_text()


def test_new_orders_stop_and_cancels_go_on(
    venues: tuple[VenueProcess, VenueProcess], connect: ConnectClient
) -> None:
    """From the first order after the start, and until there is room again."""
    normal, full = venues
    normal.start()
    client = connect(normal, "DEMO1")
    resting = enter(client, BUY, "0.5", "100.00")
    entered = next_report(client, ExecType.NEW)
    assert "orders     taken" in normal.wcx("status").stdout
    client.stop()
    assert normal.stop() == 0

    full.start()
    client = connect(full, "DEMO1")
    refused = enter(client, SELL, "0.25", "60000.00")
    report = body(next_report(client, ExecType.REJECTED))
    assert "." in report.pop(Tag.EXEC_ID)
    assert report == {
        Tag.ORDER_ID: "NONE",
        Tag.CL_ORD_ID: refused,
        Tag.EXEC_TYPE: "8",
        Tag.ORD_STATUS: "8",
        Tag.ORD_REJ_REASON: "2",
        Tag.TEXT: "STORAGE_LOW: the venue is short of storage: new orders are not taken for now, "
        "cancels are",
        Tag.ACCOUNT: "DEMO1",
        Tag.SYMBOL: "BTC-USD",
        Tag.SIDE: SELL,
        Tag.ORD_TYPE: "2",
        Tag.TIME_IN_FORCE: "1",
        Tag.ORDER_QTY: "0.2500",
        Tag.PRICE: "60000.00",
        Tag.LEAVES_QTY: "0.0000",
        Tag.CUM_QTY: "0.0000",
        Tag.AVG_PX: "0",
    }
    cancel(client, resting, BUY)
    canceled = next_report(client, ExecType.CANCELED)
    assert canceled[Tag.ORDER_ID] == entered[Tag.ORDER_ID]
    assert canceled[Tag.ORD_STATUS] == "4"
    status, text = full.get("/readyz")
    assert (status, json.loads(text)["checks"]["storage"]) == (200, "low")
    assert "orders     not taken: the journal's disk is nearly full; cancels are" in (
        full.wcx("status").stdout
    )
    assert full.count_logged("event=storage_low") == 1
    client.stop()
    assert full.stop() == 0

    normal.start()
    client = connect(normal, "DEMO1")
    enter(client, BUY, "0.5", "100.00")
    next_report(client, ExecType.NEW)
    verified = normal.wcx("journal", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
