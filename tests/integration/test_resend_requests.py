"""A client gets again what it asks for, whole and in order, and costs its neighbours nothing."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_gateway.fix.fields import Fields, MsgType, Tag
from tests.integration.conftest import ConnectClient
from tests.integration.raw_client import RawClient
from tests.integration.test_hostile_input import round_trip_s
from tests.integration.venue_process import VenueProcess

ORDERS = 4000
REPORTS = 2 * ORDERS
# With QuickFIX's own way of resending, one such request stops all sessions for some 40 ms, and a
# hundred of them, sent at once, for seconds.
REQUESTS = 100
SLOWDOWN_MAX = 100
RANGES = [("1", "0"), ("2", "999999999"), ("1", "5000"), ("999999", "0"), ("9", "3")]
WITHOUT_SENSE = 2
SESSIONS = iter(("T11", "T13", "T14"))


def immediate_orders(client: RawClient, count: int) -> bytes:
    """Return orders that are accepted and canceled at once: two reports each, and no trace."""
    return b"".join(
        client.message(
            MsgType.NEW_ORDER_SINGLE,
            (Tag.CL_ORD_ID, f"i{number}-{time.time_ns()}"), (Tag.SYMBOL, "BTC-USD"),
            (Tag.SIDE, "1"), (Tag.ORDER_QTY, "1"), (Tag.ORD_TYPE, "2"), (Tag.PRICE, "1.00"),
            (Tag.TIME_IN_FORCE, "3"),
        )
        for number in range(count)
    )  # fmt: skip


@pytest.fixture(scope="module")
def own_venue(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A venue of this file's own: thousands of unproven reports would come again to others."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("resend") / "var"))
    venue = VenueProcess(data_dir, WCX_FIX__ORDER_RATE="100000").start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


@pytest.fixture
def client(own_venue: VenueProcess) -> Iterator[RawClient]:
    """A client that has just received thousands of reports."""
    # A session for each test: what one leaves unproven would come again in the next.
    with RawClient(own_venue.fix_port, next(SESSIONS)) as client:
        client.log_on()
        for _ in range(10):
            client.send_bytes(immediate_orders(client, ORDERS // 10))
            for _ in range(REPORTS // 10):
                client.receive_type("8")
        yield client


def receive_answer(client: RawClient, end: int) -> list[Fields]:
    """Return what comes with PossDupFlag(43)=Y, up to the number `end`."""
    received = []
    next_seq = 0
    while next_seq <= end:
        fields = client.receive(30)
        if fields.get(Tag.POSS_DUP_FLAG) != "Y":
            assert fields[Tag.MSG_TYPE] in (MsgType.TEST_REQUEST, MsgType.HEARTBEAT), fields
            continue
        seq = int(fields[Tag.MSG_SEQ_NUM])
        assert next_seq in (0, seq), fields
        next_seq = int(fields[36]) if fields[Tag.MSG_TYPE] == "4" else seq + 1
        received.append(fields)
    return received


def test_answer_is_whole_and_what_is_newer_follows_it(client: RawClient) -> None:
    """Every report once, in order, with its original time; then the answer to a later order."""
    client.send_bytes(client.order("early"))
    last = int(client.receive_type("8")[Tag.MSG_SEQ_NUM])
    client.send_bytes(
        client.message(MsgType.RESEND_REQUEST, (7, "1"), (16, "0")) + client.order("late")
    )
    received = receive_answer(client, last)
    reports = [fields for fields in received if fields[Tag.MSG_TYPE] == "8"]
    assert len(reports) == REPORTS + 1
    assert len({report[Tag.EXEC_ID] for report in reports}) == len(reports)
    assert all(Tag.ORIG_SENDING_TIME in report for report in reports)
    late = client.receive_type("8")
    assert (late[Tag.CL_ORD_ID], late.get(Tag.POSS_DUP_FLAG)) == ("late", None)
    for cl_ord_id in ("early", "late"):
        client.send(MsgType.ORDER_CANCEL_REQUEST, (11, f"{cl_ord_id}-x"), (41, cl_ord_id))
        assert client.receive_type("8")[Tag.ORD_STATUS] == "4"


def test_logout_during_a_resend_ends_after_it(client: RawClient) -> None:
    """What was asked for before the Logout comes before its answer."""
    client.send(MsgType.RESEND_REQUEST, (7, "1"), (16, "0"))
    client.send(MsgType.LOGOUT)
    received = client.receive_all_until_closed()
    assert received[-1][Tag.MSG_TYPE] == MsgType.LOGOUT
    assert sum(fields.get(Tag.POSS_DUP_FLAG) == "Y" for fields in received) > REPORTS


@pytest.mark.alone
def test_repeated_and_absurd_requests_delay_nobody(
    own_venue: VenueProcess, connect: ConnectClient, client: RawClient
) -> None:
    """A neighbour's slowest order takes less than so many times an undisturbed one."""
    neighbour = connect(own_venue, "T12")
    calm_s = sorted(round_trip_s(neighbour) for _ in range(50))[25]
    requests = b"".join(
        client.message(MsgType.RESEND_REQUEST, (7, begin), (16, end))
        for begin, end in RANGES * (REQUESTS // len(RANGES))
    )
    answers: list[Fields] = []

    def read() -> None:
        rejects = 0
        while rejects < WITHOUT_SENSE * REQUESTS // len(RANGES):
            answers.append(client.receive(60))
            rejects += answers[-1][Tag.MSG_TYPE] == MsgType.REJECT

    reader = threading.Thread(target=read)
    reader.start()
    client.send_bytes(requests)
    times_s = []
    while reader.is_alive():
        times_s.append(round_trip_s(neighbour))
    reader.join()
    assert len(times_s) > 10
    assert max(times_s) < SLOWDOWN_MAX * calm_s, (calm_s, sorted(times_s)[-5:])
    resent = sum(fields.get(Tag.POSS_DUP_FLAG) == "Y" for fields in answers)
    assert resent >= REPORTS
