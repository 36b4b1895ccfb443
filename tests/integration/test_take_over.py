"""One session, two who would speak for it: one at a time does, and nothing is lost in between."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.commands import NewOrder
from engine.events import CommandRefused, OrderAccepted
from engine.order import OrdType, Side, TimeInForce
from engine.reasons import RejectReason
from engine.runtime.client import EngineLink, Outcome
from engine.session_commands import OpenSession
from engine.session_events import SessionOpened
from engine.units import AccountId, ClOrdId, InstrumentId, Price, Qty, SessionId
from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag
from tests.integration.raw_client import RawClient
from tests.integration.since import Since
from tests.integration.venue_process import VenueProcess

SESSION = "T01"


@pytest.fixture
def workers(data_dir: Path) -> Iterator[VenueProcess]:
    """A venue of two gateway processes."""
    venue = VenueProcess(data_dir, WCX_FIX__WORKERS="2").start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def ids_of_session(venue: VenueProcess) -> tuple[SessionId, AccountId]:
    items = venue.call("GET", "/v1/sessions")[1]["items"]
    (found,) = [item for item in items if item["client_comp_id"] == SESSION]
    return SessionId(found["session_id"]), AccountId(found["account_id"])


def enter(client: RawClient, cl_ord_id: str) -> Fields:
    client.send_bytes(client.order(cl_ord_id))
    report = client.receive_type("8")
    assert report[Tag.EXEC_TYPE] == ExecType.NEW, report
    return report


def test_stopped_gateway_wakes_up_and_goes_on(workers: VenueProcess) -> None:
    """It holds the store while it is stopped, so nobody can take over; its orders count once."""
    since = Since(workers)
    venue = workers
    client = RawClient(venue.fix_port, SESSION)
    client.log_on()
    enter(client, "before")
    gateway = venue.running_pid(f"gateway-{ids_of_session(venue)[0] % 2}")
    os.kill(gateway, signal.SIGSTOP)
    client.send_bytes(client.order("meanwhile"))
    venue.kill("engine")
    venue.wait_for(lambda: venue.count_logged("event=engine_unavailable"))
    os.kill(gateway, signal.SIGCONT)
    answer = client.receive()
    if answer[Tag.MSG_TYPE] == MsgType.BUSINESS_MESSAGE_REJECT:
        # It woke up to the order before it woke up to the engine's absence, or after.
        assert (answer[379], answer[380]) == ("meanwhile", "4")
    else:
        assert (answer[Tag.MSG_TYPE], answer[Tag.CL_ORD_ID]) == ("8", "meanwhile")
    venue.wait_for(lambda: '"status":"ready"' in venue.get("/readyz")[1])
    venue.wait_for(lambda: enter_or_refused(client) == "8")
    entered = since.accepted()
    assert ("meanwhile" in entered) == (answer[Tag.MSG_TYPE] == "8")
    assert len(set(entered)) == len(entered)
    with client:
        pass


def enter_or_refused(client: RawClient) -> str:
    client.send_bytes(client.order(f"after{client.next_seq}"))
    while (msg_type := client.receive()[Tag.MSG_TYPE]) not in ("8", "j"):
        pass
    return msg_type


class Rival:
    """Somebody on another machine who opens the session while its owner sleeps."""

    def __init__(self, venue: VenueProcess, session_id: SessionId) -> None:
        socket = Path(venue.environment_of("admin_api")["WCX_RUNTIME_DIR"]) / "engine.sock"
        self._session_id = session_id
        self._runner = asyncio.Runner()
        self._link = self._runner.run(
            EngineLink.connect(socket, "rival", on_records=lambda _: None, on_closed=lambda _: None)
        )

    def submit(self, command: NewOrder | OpenSession) -> Outcome:
        return self._runner.run(self._link.submit(command))

    def open(self) -> SessionOpened | CommandRefused:
        (event,) = self.submit(OpenSession(self._session_id, 0, reset=False)).events
        assert isinstance(event, SessionOpened | CommandRefused)
        return event

    def close(self) -> None:
        self._link.close()
        self._runner.close()


def test_owner_that_wakes_up_late_finds_the_session_taken(venue: VenueProcess) -> None:
    """Its orders are refused, its client is logged out; later it goes on where the other ended."""
    since = Since(venue)
    session_id, account_id = ids_of_session(venue)
    client = RawClient(venue.fix_port, SESSION)
    client.log_on()
    enter(client, "mine")
    gateway = venue.running_pid("gateway")
    os.kill(gateway, signal.SIGSTOP)
    rival = Rival(venue, session_id)
    refused = rival.open()
    assert isinstance(refused, CommandRefused)
    assert refused.reason is RejectReason.SESSION_HELD
    rival.close()
    venue.kill("engine")
    venue.wait_for(lambda: '"engine":"ok"' in venue.get("/readyz")[1])
    rival = Rival(venue, session_id)
    opened = rival.open()
    assert isinstance(opened, SessionOpened)
    assert opened.watermark == 2
    outcome = rival.submit(
        NewOrder(
            session_id, opened.generation, opened.epoch, 10, account_id, InstrumentId(1),
            ClOrdId("rival"), Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Qty(1), Price(100),
        )
    )  # fmt: skip
    assert isinstance(outcome.events[0], OrderAccepted), outcome
    os.kill(gateway, signal.SIGCONT)
    client.send_bytes(client.order("meanwhile"))
    received = client.receive_all_until_closed()
    client.cut()
    assert (received[-1][Tag.MSG_TYPE], received[-1][Tag.TEXT]) == (
        MsgType.LOGOUT, "the session is served elsewhere, connect again",
    )  # fmt: skip
    assert [fields for fields in received if fields[Tag.MSG_TYPE] == "8"] == []
    rival.close()
    venue.wait_for(lambda: venue.count_logged("event=session_was_held_elsewhere") == 1)
    with RawClient(venue.fix_port, SESSION) as again:
        again.next_seq = 11
        again.log_on(is_reset=False)
        assert again.receive_type("8")[Tag.CL_ORD_ID] == "rival"
        enter(again, "mine-again")
    assert since.accepted() == ["mine", "rival", "mine-again"]


def test_operator_resets_a_session(venue: VenueProcess) -> None:
    """The client is logged out; numbers begin at 1 on both sides, and no order counts twice."""
    since = Since(venue)
    session_id, _ = ids_of_session(venue)
    client = RawClient(venue.fix_port, SESSION)
    client.log_on()
    before = enter(client, "before")
    status, body = venue.call("POST", f"/v1/sessions/{session_id}/reset")
    assert (status, body) == (200, {"session_id": session_id, "epoch": 3})
    logout = client.receive_type(MsgType.LOGOUT)
    assert logout[Tag.TEXT] == "the sequence numbers have been reset by the operator"
    client.receive_all_until_closed()
    client.cut()
    with RawClient(venue.fix_port, SESSION) as again:
        logon = again.log_on(is_reset=False)
        assert logon[Tag.MSG_SEQ_NUM] == "1"
        repeated = again.receive_type("8")
        assert (repeated[Tag.EXEC_ID], repeated[Tag.POSS_RESEND]) == (before[Tag.EXEC_ID], "Y")
        again.send_bytes(again.order("before"))
        assert again.receive_type("8")[Tag.EXEC_TYPE] == ExecType.REJECTED
        enter(again, "after")
    assert since.accepted() == ["before", "after"]
    assert venue.call("POST", "/v1/sessions/999/reset")[0] == 404
