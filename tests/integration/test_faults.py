"""Failures at the worst moment: a disk that fails, and deaths between two writes."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runtime.faults import FaultOrder, give_order
from engine.session_events import SessionReleased
from fix_gateway.fix.fields import ExecType, Tag
from tests.integration.conftest import ConnectClient
from tests.integration.raw_client import RawClient
from tests.integration.since import Since
from tests.integration.trader import BUY, assert_silent, enter, next_message, next_report
from tests.integration.venue_process import VenueProcess

LOGON_WAIT_S = 2.0


@pytest.fixture(scope="module")
def fault_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a test orders faults."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def venue(module_data_dir: Path, fault_dir: Path) -> Iterator[VenueProcess]:
    """A venue whose processes fail on command. Each test has sessions of its own."""
    venue = VenueProcess(
        module_data_dir, WCX_FAULT_DIR=str(fault_dir), WCX_FIX__LOGON_WAIT_S=str(LOGON_WAIT_S)
    ).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def limit_files(pid: int, byte_count: int) -> None:
    """Let a process write no file beyond this size, as on a disk without room."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (byte_count, hard))


def disk_failures(venue: VenueProcess) -> float:
    """Return how often the engine ended because of its disk."""
    (line,) = (
        line
        for line in venue.get("/metrics")[1].splitlines()
        if line.startswith('fixgw_part_disk_failures_total{part="engine"}')
    )
    return float(line.split()[1])


def fail_the_disk(venue: VenueProcess, fault_dir: Path, way: str) -> None:
    if way == "full":
        (segment,) = (venue.data_dir / "journal").glob("*.wcj")
        # Not enough for any record: it will be torn.
        limit_files(venue.running_pid("engine"), segment.stat().st_size + 10)
    elif way == "flush":
        give_order(fault_dir, "journal.before_fsync", FaultOrder(1, "EIO"))
    else:
        give_order(fault_dir, "journal.torn_write", FaultOrder(1, "ENOSPC"))


@pytest.mark.parametrize(("comp_id", "way"), [("T11", "full"), ("T12", "write"), ("T13", "flush")])
def test_failing_disk_stops_the_engine_before_it_answers(
    venue: VenueProcess, fault_dir: Path, connect: ConnectClient, comp_id: str, way: str
) -> None:
    """What could not be written is acknowledged by nobody, and entered once by the next engine."""
    since, failed_before = Since(venue), disk_failures(venue)
    client = connect(venue, comp_id, reset_on_logon=False)
    enter(client, BUY, "1", "1.00", cl_ord_id="before")
    next_report(client, ExecType.NEW)
    # The next engine has to wait for this, and until then the disk fails.
    give_order(fault_dir, "recovery.replayed", FaultOrder(1, "delay", 2.0))
    fail_the_disk(venue, fault_dir, way)
    enter(client, BUY, "1", "1.00", cl_ord_id="in-doubt")
    venue.wait_for(lambda: since.count_logged("event=journal_not_written") == 1)
    venue.wait_for(lambda: since.count_logged("engine ended with exit code 74, a disk that") == 1)
    assert_silent(client)
    report = next_report(client, ExecType.NEW)
    assert (report[Tag.CL_ORD_ID], report.get(Tag.POSS_DUP_FLAG)) == ("in-doubt", None)
    assert_silent(client)
    assert since.accepted() == ["before", "in-doubt"]
    assert since.count_logged("event=commands_sent_again") == 1
    assert since.count_logged("event=session_logged_on") == 1
    venue.wait_for(lambda: venue.pid_of("engine"))
    assert "last ended with exit code 74, a disk that failed" in venue.wcx("status").stdout
    assert disk_failures(venue) == failed_before + 1
    assert venue.wcx("journal", "verify").returncode == 0


def test_door_opens_although_the_engine_died_as_the_gateway_started(
    venue: VenueProcess, fault_dir: Path, connect: ConnectClient
) -> None:
    """The engine dies while it grants the sessions to a new gateway, which then asks the next."""
    since = Since(venue)
    # The first batch ends the grants of the gateway that dies.
    give_order(fault_dir, "journal.before_write", FaultOrder(2, "kill"))
    venue.kill("gateway")
    assert any(isinstance(event, SessionReleased) for event in since.events())
    assert since.count_logged("event=fault_injected point=journal.before_write") == 1
    enter(connect(venue, "DEMO1"), BUY, "1", "1.00", cl_ord_id="in")
    venue.wait_for(lambda: since.accepted() == ["in"])


def test_refusal_that_was_never_replied_is_replied_by_the_next_gateway(
    venue: VenueProcess, fault_dir: Path, connect: ConnectClient
) -> None:
    """The gateway dies between writing down a refusal and sending it."""
    since = Since(venue)
    client = connect(venue, "DEMO2", reset_on_logon=False)
    give_order(fault_dir, "refusal.after_write", FaultOrder(1, "kill"))
    enter(client, BUY, "1", "1.00", cl_ord_id="nonsense", symbol="NO-SUCH")
    refused = next_message(client)
    assert (refused[Tag.CL_ORD_ID], refused[Tag.EXEC_TYPE]) == ("nonsense", ExecType.REJECTED)
    assert since.count_logged("event=fault_injected") == 1
    assert_silent(client)
    assert since.accepted() == []


def test_refusal_that_was_replied_is_not_replied_again(
    venue: VenueProcess, fault_dir: Path, connect: ConnectClient
) -> None:
    """The gateway dies right after the reply: the client gets that one, resent, and no other."""
    client = connect(venue, "T14", reset_on_logon=False)
    give_order(fault_dir, "refusal.after_reply", FaultOrder(1, "kill"))
    enter(client, BUY, "1", "1.00", cl_ord_id="nonsense", symbol="NO-SUCH")
    refused = next_message(client)
    assert (refused[Tag.CL_ORD_ID], refused[Tag.POSS_DUP_FLAG]) == ("nonsense", "Y")
    assert_silent(client)


def test_gateway_that_cannot_store_a_report_stops_and_its_successor_sends_it(
    venue: VenueProcess, connect: ConnectClient
) -> None:
    """QuickFIX would drop the message and go on: the client would never be told."""
    since = Since(venue)
    client = connect(venue, "T15", reset_on_logon=False)
    (body,) = (venue.data_dir / "fix" / "FIX.4.4-T15").glob("*.body")
    limit_files(venue.running_pid("gateway"), body.stat().st_size + 100)
    sent = [enter(client, BUY, "1", "1.00", cl_ord_id=f"o{number}") for number in range(5)]
    assert [next_report(client, ExecType.NEW)[Tag.CL_ORD_ID] for _ in sent] == sent
    assert_silent(client)
    assert since.count_logged("event=session_store_not_written") == 1
    assert since.count_logged("gateway ended with exit code 74, a disk that failed") == 1


@pytest.mark.parametrize(("comp_id", "is_reset"), [("T01", True), ("T03", False)])
def test_logon_that_takes_too_long_does_not_cost_the_session(
    venue: VenueProcess, fault_dir: Path, comp_id: str, *, is_reset: bool
) -> None:
    """The gateway gives up a connection while the engine resets the numbers; the next one is in."""
    since = Since(venue)
    with RawClient(venue.fix_port, comp_id) as client:
        client.log_on()
        client.send_bytes(client.order("before"))
        client.receive_type("8")
    order = give_order(fault_dir, "journal.before_fsync", FaultOrder(1, "delay", 2 * LOGON_WAIT_S))
    late = RawClient(venue.fix_port, comp_id)
    late.send_bytes(late.logon_message())
    venue.wait_for(lambda: not order.exists())
    assert late.receive_all_until_closed() == []
    late.cut()
    assert venue.wcx("journal", "verify").returncode == 0  # The engine answers again.
    with RawClient(venue.fix_port, comp_id) as again:
        again.next_seq = 1 if is_reset else late.next_seq
        assert again.log_on(is_reset=is_reset)[Tag.MSG_SEQ_NUM] == "1"
        if not is_reset:
            # The first message of this epoch, a Logon, is missing.
            assert again.receive_type("2")[7] == "1"
            again.send("4", (43, "Y"), (122, "20260101-00:00:00"), (123, "Y"), (36, "2"), seq=1)
            again.send("4", (43, "Y"), (122, "20260101-00:00:00"), (123, "Y"), (36, "3"), seq=2)
        again.send_bytes(again.order("after"))
        assert again.receive_type("8")[Tag.CL_ORD_ID] == "after"
    assert since.accepted() == ["before", "after"]


def test_logon_that_cannot_be_served_now_gets_no_logout(
    venue: VenueProcess, fault_dir: Path
) -> None:
    """QuickFIX would count it, whatever its number, and pass over a message it has not received."""
    since = Since(venue)
    delay = give_order(fault_dir, "recovery.replayed", FaultOrder(1, "delay", 2 * LOGON_WAIT_S))
    os.kill(venue.running_pid("engine"), signal.SIGKILL)
    venue.wait_for(lambda: not delay.exists())
    client = RawClient(venue.fix_port, "T02")
    client.send_bytes(client.logon_message())
    assert client.receive_all_until_closed() == []
    client.cut()
    venue.wait_for(lambda: since.count_logged("event=engine_ready") == 1)
    with RawClient(venue.fix_port, "T02") as again:
        again.log_on()
