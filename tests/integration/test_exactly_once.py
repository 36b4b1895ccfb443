"""Reports arrive, once or marked as repeats; orders count once, and a refused one never."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.commands import NewOrder
from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag, UtcTimestamps
from tests.integration.conftest import ConnectClient
from tests.integration.raw_client import RawClient
from tests.integration.since import Since
from tests.integration.trader import BUY, enter, next_message, next_report
from tests.integration.venue_process import VenueProcess

PROOF_WAIT_S = 1.0


@pytest.fixture(scope="module")
def venue(module_data_dir: Path) -> Iterator[VenueProcess]:
    """A venue that soon asks whether its reports have arrived. Each test has its own sessions."""
    settings = {
        "WCX_FIX__PROOF_WAIT_S": str(PROOF_WAIT_S),
        # On a busy machine a client may take longer than usual to be back with its orders.
        "WCX_FIX__RESEND_ORDER_AGE_MAX_S": "30",
    }
    venue = VenueProcess(module_data_dir, **settings).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def exec_ids(reports: list[Fields]) -> list[str]:
    return [report[Tag.EXEC_ID] for report in reports]


def test_unread_reports_come_again_after_a_reset(venue: VenueProcess) -> None:
    """Ten reports were sent, the link was cut, the numbers are reset: all ten come, with 97=Y."""
    since = Since(venue)
    client = RawClient(venue.fix_port, "T01")
    client.log_on()
    client.send_bytes(b"".join(client.order(f"o{number}") for number in range(10)))
    since.wait_for_orders(10)
    client.cut()
    with RawClient(venue.fix_port, "T01") as again:
        again.log_on()
        reports = [again.receive_type("8") for _ in range(10)]
        assert [report[Tag.CL_ORD_ID] for report in reports] == [f"o{n}" for n in range(10)]
        assert all(report[Tag.POSS_RESEND] == "Y" for report in reports)
        assert len(set(exec_ids(reports))) == 10
        assert [report[Tag.MSG_SEQ_NUM] for report in reports] == [str(n) for n in range(2, 12)]
        again.send_bytes(again.order("fresh"))
        fresh = again.receive_type("8")
        assert (fresh[Tag.CL_ORD_ID], fresh.get(Tag.POSS_RESEND)) == ("fresh", None)


@pytest.mark.parametrize(("comp_id", "way"), [("T02", "Logout"), ("T08", "TestRequest")])
def test_proven_reports_do_not_come_again(venue: VenueProcess, comp_id: str, way: str) -> None:
    """A Logout, or the answer to the gateway's TestRequest, proves that reports have arrived."""
    since = Since(venue)
    client = RawClient(venue.fix_port, comp_id)
    client.log_on()
    client.send_bytes(client.order("o1"))
    client.receive_type("8")
    if way == "Logout":
        client.send(MsgType.LOGOUT)
        client.receive_type(MsgType.LOGOUT)
    else:
        question = client.receive_type("1", PROOF_WAIT_S + 5)
        client.send("0", (Tag.TEST_REQ_ID, question[Tag.TEST_REQ_ID]))
        client.send_bytes(client.order("o2"))  # Sent after the proof.
        since.wait_for_orders(2)
    client.cut()
    with RawClient(venue.fix_port, comp_id) as again:
        again.log_on()
        again.send_bytes(again.order("o3"))
        expected = ["o3"] if way == "Logout" else ["o2", "o3"]
        assert [again.receive_type("8")[Tag.CL_ORD_ID] for _ in expected] == expected


def test_unread_reports_are_resent_on_request(venue: VenueProcess) -> None:
    """Without a reset the client asks for what it misses and gets it with PossDupFlag(43)=Y."""
    since = Since(venue)
    client = RawClient(venue.fix_port, "T03")
    client.log_on()
    client.send_bytes(b"".join(client.order(f"o{number}") for number in range(3)))
    since.wait_for_orders(3)
    client.cut()
    with RawClient(venue.fix_port, "T03") as again:
        again.next_seq = client.next_seq
        assert again.log_on(is_reset=False)[Tag.MSG_SEQ_NUM] == "5"
        again.send(MsgType.RESEND_REQUEST, (7, "2"), (16, "0"))
        reports = [again.receive_type("8") for _ in range(3)]
        assert [report[Tag.CL_ORD_ID] for report in reports] == ["o0", "o1", "o2"]
        assert all(report[Tag.POSS_DUP_FLAG] == "Y" for report in reports)
        assert [report[Tag.MSG_SEQ_NUM] for report in reports] == ["2", "3", "4"]


def test_unread_reports_survive_the_death_of_the_gateway(venue: VenueProcess) -> None:
    """A new gateway process knows from its files what the client may have missed."""
    since = Since(venue)
    client = RawClient(venue.fix_port, "T04")
    client.log_on()
    client.send_bytes(b"".join(client.order(f"o{number}") for number in range(3)))
    since.wait_for_orders(3)
    venue.kill("gateway")
    client.cut()
    with RawClient(venue.fix_port, "T04") as again:
        again.log_on()
        reports = [again.receive_type("8") for _ in range(3)]
        assert [report[Tag.CL_ORD_ID] for report in reports] == ["o0", "o1", "o2"]
        assert len(set(exec_ids(reports))) == 3


MANY = 1500  # More than the gateway keeps in memory for a session.


@pytest.mark.parametrize(
    ("bidder", "asker", "victim"), [("T05", "T06", None), ("T09", "T10", "gateway")]
)
def test_many_reports_wait_for_their_client(
    venue: VenueProcess, bidder: str, asker: str, victim: str | None
) -> None:
    """However long a client was away, it is told of everything, once and in order."""
    with RawClient(venue.fix_port, bidder) as buyer, RawClient(venue.fix_port, asker) as seller:
        buyer.log_on()
        buyer.send_bytes(buyer.order("big", price="5000.00"))
        assert buyer.receive_type("8")[Tag.EXEC_TYPE] == ExecType.NEW
        buyer.send(MsgType.LOGOUT)
        buyer.receive_type(MsgType.LOGOUT)
        seller.log_on()
        for start in range(0, MANY, 100):
            seller.send_bytes(
                b"".join(
                    seller.message(
                        "D", (11, f"s{number}"), (55, "BTC-USD"), (54, "2"), (38, "0.0001"),
                        (40, "2"), (44, "5000.00"), (59, "1"),
                    )
                    for number in range(start, start + 100)
                )
            )  # fmt: skip
            for _ in range(200):
                seller.receive_type("8")
    if victim is not None:
        venue.kill(victim)
    with RawClient(venue.fix_port, bidder) as again:
        again.log_on()
        fills = [again.receive_type("8") for _ in range(MANY)]
        assert [fill[Tag.CUM_QTY] for fill in fills] == [
            f"0.{number:04}" for number in range(1, MANY + 1)
        ]
        assert len(set(exec_ids(fills))) == MANY
        assert not any(Tag.POSS_RESEND in fill for fill in fills)
        again.send("1", (Tag.TEST_REQ_ID, "all"))
        assert again.receive()[Tag.TEST_REQ_ID] == "all"
        again.send("F", (Tag.CL_ORD_ID, "rest"), (Tag.ORIG_CL_ORD_ID, "big"))
        assert again.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED


def test_many_unread_reports_come_again_after_a_reset(venue: VenueProcess) -> None:
    """What is no longer in memory is read again from the journal, and marked as a repeat."""
    client = RawClient(venue.fix_port, "T07")
    client.log_on()
    for start in range(0, MANY, 100):
        client.send_bytes(b"".join(client.order(f"o{start + n}", price="0.01") for n in range(100)))
        for _ in range(100):
            client.receive_type("8")
    client.cut()
    with RawClient(venue.fix_port, "T07") as again:
        again.log_on()
        reports = [again.receive_type("8") for _ in range(MANY)]
        assert [report[Tag.CL_ORD_ID] for report in reports] == [f"o{n}" for n in range(MANY)]
        assert all(report[Tag.POSS_RESEND] == "Y" for report in reports)


@pytest.mark.parametrize(
    ("age_s", "exec_type"), [(1, ExecType.NEW), (60, ExecType.REJECTED)], ids=["fresh", "stale"]
)
def test_resent_order_is_entered_only_while_it_is_fresh(
    shared_venue: VenueProcess, age_s: int, exec_type: ExecType
) -> None:
    """A new order with 43=Y whose OrigSendingTime(122) is too old is refused as stale."""
    with RawClient(shared_venue.fix_port, "T18") as client:
        client.log_on()
        sent = UtcTimestamps().format(time.time_ns() - age_s * 1_000_000_000)
        cl_ord_id = f"r{time.time_ns()}"
        client.send_bytes(client.order(cl_ord_id, (43, "Y"), (122, sent)))
        report = client.receive_type("8")
        assert (report[Tag.CL_ORD_ID], report[Tag.EXEC_TYPE]) == (cl_ord_id, exec_type)
        if exec_type == ExecType.REJECTED:
            assert report[Tag.ORD_REJ_REASON] == "8"
            assert report[Tag.TEXT].startswith("STALE: resent 60.")
        else:
            client.send("F", (11, f"x{cl_ord_id[1:]}"), (41, cl_ord_id))
            assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED


def test_resent_cancel_always_runs(shared_venue: VenueProcess) -> None:
    """However old a cancel is, less risk is never stale."""
    with RawClient(shared_venue.fix_port, "T18") as client:
        client.log_on()
        cl_ord_id = f"c{time.time_ns()}"
        client.send_bytes(client.order(cl_ord_id))
        assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.NEW
        old = UtcTimestamps().format(time.time_ns() - 3600 * 1_000_000_000)
        client.send("F", (11, f"x{cl_ord_id[1:]}"), (41, cl_ord_id), (43, "Y"), (122, old))
        assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED


def test_order_refused_while_the_engine_was_away_is_never_executed(
    venue: VenueProcess, connect: ConnectClient
) -> None:
    """Refused with 380=4, then both parts restart: the client's resend of it is passed over."""
    since = Since(venue)
    client = connect(venue, "DEMO1", reset_on_logon=False)
    enter(client, BUY, "1", "1.00", cl_ord_id="before")
    next_report(client, ExecType.NEW)
    engine, gateway = venue.running_pid("engine"), venue.running_pid("gateway")
    os.kill(venue.pid, signal.SIGSTOP)  # The supervisor must not bring it back yet.
    os.kill(engine, signal.SIGKILL)
    venue.wait_for(lambda: '"engine":"away"' in venue.get("/readyz")[1])
    enter(client, BUY, "1", "1.00", cl_ord_id="refused")
    answer = next_message(client)
    assert (answer[35], answer[379], answer[380]) == ("j", "refused", "4")
    assert answer[Tag.TEXT].startswith("ENGINE_UNAVAILABLE")
    os.kill(gateway, signal.SIGKILL)
    os.kill(venue.pid, signal.SIGCONT)
    venue.wait_for(lambda: venue.pid_of("gateway") not in (0, gateway))
    venue.wait_for(client.logged_on.is_set)
    enter(client, BUY, "1", "1.00", cl_ord_id="after")
    assert next_report(client, ExecType.NEW)[Tag.CL_ORD_ID] == "after"
    assert since.accepted() == ["before", "after"]


def test_order_in_doubt_is_sent_again_and_counts_once(
    venue: VenueProcess, connect: ConnectClient
) -> None:
    """An order that reached the gateway while the engine hung is entered by the next engine."""
    since = Since(venue)
    client = connect(venue, "DEMO2")
    engine = venue.running_pid("engine")
    os.kill(engine, signal.SIGSTOP)
    enter(client, BUY, "1", "1.00", cl_ord_id="in-doubt")
    time.sleep(0.3)
    os.kill(engine, signal.SIGKILL)
    report = next_report(client, ExecType.NEW)
    assert report[Tag.CL_ORD_ID] == "in-doubt"
    assert since.accepted() == ["in-doubt"]
    assert since.count_logged("event=commands_sent_again") == 1
    assert since.count_logged("event=session_logged_on") == 1


def test_order_consumed_but_never_journaled_is_asked_for_again(
    venue: VenueProcess, connect: ConnectClient
) -> None:
    """The gateway dies with an order in hand that the engine never saw: the client resends it."""
    since = Since(venue)
    client = connect(venue, "T13", reset_on_logon=False)
    engine, gateway = venue.running_pid("engine"), venue.running_pid("gateway")
    os.kill(engine, signal.SIGSTOP)
    enter(client, BUY, "1", "1.00", cl_ord_id="lost-in-between")
    time.sleep(0.3)
    os.kill(gateway, signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)
    report = next_report(client, ExecType.NEW)
    assert report[Tag.CL_ORD_ID] == "lost-in-between"
    assert since.accepted() == ["lost-in-between"]
    assert sum(isinstance(command, NewOrder) for command in since.commands()) == 1


@pytest.mark.parametrize(("comp_id", "counted"), [("T11", 0), ("T12", 2)])
def test_refused_logons_cost_no_report(venue: VenueProcess, comp_id: str, counted: int) -> None:
    """QuickFIX counts every Logout, whatever its number: what it passes over so comes again."""
    since = Since(venue)
    client = RawClient(venue.fix_port, comp_id)
    client.log_on()
    client.send_bytes(b"".join(client.order(f"o{number}") for number in range(3)))
    since.wait_for_orders(3)
    client.cut()
    for _ in range(2):
        with RawClient(venue.fix_port, comp_id) as refused:
            refused.send_bytes(refused.logon_message(is_reset=False, password="wrong"))
            (answer,) = refused.receive_all_until_closed()
            assert answer[Tag.TEXT] == "logon refused"
    with RawClient(venue.fix_port, comp_id) as again:
        again.next_seq = client.next_seq
        logon = again.log_on(is_reset=False)
        # Reports 2 to 4 were lost with the connection, 5 and 6 are the two that some have counted.
        assert logon[Tag.MSG_SEQ_NUM] == "7"
        again.send("2", (Tag.BEGIN_SEQ_NO, str(2 + counted)), (Tag.END_SEQ_NO, "0"))
        told = [again.receive() for _ in range(7 - counted)]
    assert [(m[34], m.get(Tag.CL_ORD_ID), m.get(Tag.NEW_SEQ_NO)) for m in told] == [
        ("8", "o0", None),
        ("9", "o1", None),
        ("10", "o2", None),
        *[("2", "o0", None), ("3", "o1", None), ("4", "o2", None)][counted:],
        ("5", None, "8"),
    ]
    assert [(m.get(Tag.POSS_RESEND), m.get(Tag.POSS_DUP_FLAG)) for m in told] == [
        *[("Y", None)] * 3,
        *[(None, "Y")] * (4 - counted),
    ]
