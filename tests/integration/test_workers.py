"""Several gateway processes behind one port: every session is reached, none dies with another's."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_gateway.fix.fields import ExecType, MsgType, Tag
from fix_gateway.supervisor.demo import SESSIONS
from tests.integration.conftest import ConnectClient
from tests.integration.gateway_control import ask
from tests.integration.raw_client import RawClient
from tests.integration.since import Since
from tests.integration.trader import BUY, enter, next_report
from tests.integration.venue_process import VenueProcess

ALL = sum(not session.is_market_data for session in SESSIONS)
NAMES = [f"T{number:02}" for number in range(1, 17)]


@pytest.fixture
def venue(data_dir: Path) -> Iterator[VenueProcess]:
    """A venue of two gateway processes."""
    venue = VenueProcess(
        data_dir,
        WCX_FIX__WORKERS="2",
        WCX_FIX__LOGON_WAIT_S="60",
        WCX_FIX__RESEND_ORDER_AGE_MAX_S="60",
    ).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def sessions_of(venue: VenueProcess, worker: int) -> dict[int, bool]:
    """Return the sessions that the process has, and whether each is logged on."""
    found = ask(venue, "status", worker)["sessions"]
    return {session["session_id"]: session["is_logged_on"] for session in found}


def trade(client: RawClient, cl_ord_id: str) -> str:
    client.send_bytes(client.order(cl_ord_id))
    assert client.receive_type("8")[Tag.CL_ORD_ID] == cl_ord_id
    return cl_ord_id


def is_cut(client: RawClient) -> bool:
    """Whether the client's connection went through the process that died a while ago."""
    try:
        client.receive(0.1)
    except EOFError:
        return True
    except TimeoutError:
        return False
    raise AssertionError("nothing was to be told")


def come_back(venue: VenueProcess, client: RawClient) -> RawClient:
    """Log on again with the numbers as they are, as soon as somebody serves the session."""
    logons = []

    def has_logged_on() -> bool:
        again = RawClient(venue.fix_port, client.comp_id)
        again.next_seq = client.next_seq
        try:
            again.log_on(is_reset=False)
        except (EOFError, OSError):
            again.cut()
            return False
        logons.append(again)
        return True

    client.cut()
    venue.wait_for(has_logged_on)
    return logons[0]


def restart_one(venue: VenueProcess) -> list[str]:
    """A session goes on when its process is back; strangers are refused by each process alike."""
    client = RawClient(venue.fix_port, "T18")
    client.log_on()
    ordered = [trade(client, "T18-1")]
    (worker,) = [number for number in (0, 1) if any(sessions_of(venue, number).values())]
    venue.kill(f"gateway-{worker}")
    with come_back(venue, client) as again:
        ordered.append(trade(again, "T18-2"))
    for number in range(4):
        with RawClient(venue.fix_port, f"STRANGER{number}") as stranger:
            stranger.send_bytes(stranger.logon_message())
            answer = stranger.receive()
            assert (answer[Tag.MSG_TYPE], answer[Tag.TEXT]) == (MsgType.LOGOUT, "logon refused")
    return ordered


def replace_one_after_the_other(venue: VenueProcess, connect: ConnectClient) -> list[str]:
    """A rolling restart: whoever trades meanwhile loses nothing and is told nothing twice.

    Returns the ClOrdIDs of what was entered, also while nobody was there to take it.
    """
    client = connect(venue, "T19", reset_on_logon=False)
    ordered: list[str] = []
    for name in ("gateway-0", "gateway-1"):
        before = venue.running_pid(name)
        os.kill(before, signal.SIGTERM)
        while venue.pid_of(name) in (0, before):
            ordered.append(enter(client, BUY, "0.1", "1.00"))
            time.sleep(0.1)
        assert client.logged_on.wait(30)
        ordered.append(enter(client, BUY, "0.1", "1.00"))
    reports = [next_report(client, ExecType.NEW) for _ in ordered]
    assert [report[Tag.CL_ORD_ID] for report in reports] == ordered
    client.stop()
    return ordered


def test_sessions_outlive_the_process_that_served_them(
    venue: VenueProcess, connect: ConnectClient
) -> None:
    """Any connection reaches any session; a dead process's sessions go on elsewhere, in order."""
    since = Since(venue)
    clients = [RawClient(venue.fix_port, name) for name in NAMES]
    for client in clients:
        client.log_on()
    ordered = [trade(client, f"{client.comp_id}-1") for client in clients]
    passed_on = venue.count_logged("event=connection_passed_on")
    assert 0 < passed_on < len(clients)
    owned = [sessions_of(venue, worker) for worker in (0, 1)]
    assert not owned[0].keys() & owned[1].keys()
    assert sum(map(sum, (found.values() for found in owned))) == len(clients)
    assert len(owned[0] | owned[1]) == ALL

    victim = venue.running_pid("gateway-1")
    os.kill(venue.pid, signal.SIGSTOP)  # Its supervisor must not bring it back.
    os.kill(victim, signal.SIGKILL)
    venue.wait_for(lambda: sessions_of(venue, 0).keys() == owned[0].keys() | owned[1].keys())
    living = [client for client in clients if not is_cut(client)]
    assert living  # Sessions of the one that lives, which had their connections there.
    ordered += [trade(client, f"{client.comp_id}-2") for client in living]
    back = [come_back(venue, client) for client in clients if client not in living]
    ordered += [trade(client, f"{client.comp_id}-2") for client in back]

    os.kill(venue.pid, signal.SIGCONT)
    venue.wait_for(lambda: venue.pid_of("gateway-1") not in (0, victim))
    # It has nothing to serve, and passes on what reaches it.
    assert sessions_of(venue, 1) == {}
    with RawClient(venue.fix_port, "T17") as late:
        late.log_on()
        ordered.append(trade(late, "T17-1"))
    ordered += [trade(client, f"{client.comp_id}-3") for client in (*living, *back)]
    for client in (*living, *back):
        with client:
            pass
    ordered += restart_one(venue)
    ordered += replace_one_after_the_other(venue, connect)
    assert since.accepted() == ordered
