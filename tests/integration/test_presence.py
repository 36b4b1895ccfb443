"""On a venue: clients that are gone, clients that send too much, and the emergency stop."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import connect as connect_to_database

from engine.session_events import SessionLoggedOff
from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag
from tests.integration.raw_client import RawClient
from tests.integration.since import Since
from tests.integration.venue_process import VenueProcess

RATE, BURST = 4, 6


@pytest.fixture(scope="module")
def venue(module_data_dir: Path) -> Iterator[VenueProcess]:
    """A venue with little patience; T01 and T02 lose their orders with their connection."""
    venue = VenueProcess(
        module_data_dir, WCX_FIX__ORDER_RATE=str(RATE), WCX_FIX__ORDER_BURST=str(BURST)
    ).start()
    url = venue.environment_of("gateway")["WCX_DATABASE_URL"]
    with connect_to_database(url) as database:
        database.execute(
            "UPDATE fix_sessions SET cancel_on_disconnect = 'session', cancel_grace_ms = 300,"
            " cancel_on_logout = false WHERE client_comp_id IN ('T01', 'T02')"
        )
    venue.kill("gateway")  # It reads the sessions when it starts.
    yield venue
    assert venue.stop() == 0, venue.log_text()


def log_on(venue: VenueProcess, comp_id: str, *, is_reset: bool = True, seq: int = 1) -> RawClient:
    """Log on as soon as the gateway is there and lets anybody in."""
    deadline_s = time.monotonic() + 30
    while True:
        client = None
        try:
            client = RawClient(venue.fix_port, comp_id)
            client.next_seq = seq
            client.log_on(is_reset=is_reset)
        except (OSError, EOFError):
            if client is not None:
                client.cut()
            assert time.monotonic() < deadline_s, venue.log_text()
            time.sleep(0.1)
        else:
            return client


def reports(client: RawClient, count: int) -> list[Fields]:
    return [client.receive_type("8") for _ in range(count)]


def test_orders_of_a_client_that_is_gone(venue: VenueProcess) -> None:
    """The gateway dies: the orders go, but for the one that may stay, and the next logon is told.

    A client that is back in time, or that logs out where that does not count, keeps its orders.
    """
    since = Since(venue)
    gone, back = log_on(venue, "T01"), log_on(venue, "T02")
    for client in (gone, back):
        client.send_bytes(client.order("stays", (Tag.CANCEL_ORDERS_ON_DISCONNECT, "N")))
        client.send_bytes(client.order("goes"))
        assert [item[Tag.EXEC_TYPE] for item in reports(client, 2)] == [ExecType.NEW] * 2
    back.send(MsgType.LOGOUT)
    back.receive_type(MsgType.LOGOUT)
    venue.wait_for(lambda: has_left_gracefully(since), 10)
    venue.kill("gateway")
    # A new gateway process counts on from the last order: the Logout's number is used again.
    with log_on(venue, "T02", is_reset=False, seq=gone.next_seq) as again:
        again.send("F", (Tag.CL_ORD_ID, "x1"), (Tag.ORIG_CL_ORD_ID, "goes"))
        (canceled,) = reports(again, 1)
        assert canceled[Tag.CL_ORD_ID] == "x1"
    gone.cut()
    back.cut()
    wait_for_open_orders(venue, {"T01": ["stays"], "T02": ["stays"]})
    with log_on(venue, "T01", is_reset=False, seq=gone.next_seq) as again:
        (canceled,) = reports(again, 1)
        assert (canceled[Tag.EXEC_TYPE], canceled[Tag.CL_ORD_ID]) == (ExecType.CANCELED, "goes")
        assert canceled[Tag.TEXT] == "DISCONNECTED: the session was disconnected"
        assert canceled[Tag.EXEC_RESTATEMENT_REASON] == "99"
        again.send("F", (Tag.CL_ORD_ID, "x2"), (Tag.ORIG_CL_ORD_ID, "stays"))
        assert reports(again, 1)[0][Tag.EXEC_TYPE] == ExecType.CANCELED


def has_left_gracefully(since: Since) -> bool:
    """Whether the engine knows of a client that has logged out."""
    return any(
        isinstance(event, SessionLoggedOff) and event.is_graceful for event in since.events()
    )


def wait_for_open_orders(venue: VenueProcess, expected: dict[str, list[str]]) -> None:
    """Wait until the accounts have these orders open, by ClOrdID."""

    def found() -> bool:
        printed = venue.wcx("replay", "--json").stdout
        rows = re.findall(r'"account": "(T0[12])".*?"cl_ord_id": "(\w+)"', printed, re.DOTALL)
        names: dict[str, list[str]] = {account: [] for account in expected}
        for account, name in rows:
            names[account].append(name)
        return names == expected

    venue.wait_for(found, 30)


def test_too_many_messages_and_the_emergency_stop(venue: VenueProcess) -> None:
    """Who waits as told is served; cancels get through; `wcx kill` needs the engine alone."""
    with log_on(venue, "T03") as client:
        client.send_bytes(b"".join(client.order(f"o{n}") for n in range(2 * BURST)))
        answers = {item[Tag.CL_ORD_ID]: item for item in reports(client, 2 * BURST)}
        refused = [item for item in answers.values() if item[Tag.EXEC_TYPE] == ExecType.REJECTED]
        assert refused
        assert refused[0][Tag.ORD_REJ_REASON] == "99"
        matched = re.fullmatch(
            rf"RATE_LIMIT: at most {RATE} order messages a second and {BURST} at once, "
            r"wait (\d+\.\d{3}) s",
            refused[-1][Tag.TEXT],
        )
        assert matched is not None
        client.send("F", (Tag.CL_ORD_ID, "x1"), (Tag.ORIG_CL_ORD_ID, "o0"))
        assert reports(client, 1)[0][Tag.EXEC_TYPE] == ExecType.CANCELED
        time.sleep(float(matched[1]))
        client.send_bytes(client.order("patient"))
        assert reports(client, 1)[0][Tag.EXEC_TYPE] == ExecType.NEW
        # The gateway hangs, the database and the admin API are gone: the engine still obeys.
        gateway = venue.running_pid("gateway")
        os.kill(gateway, signal.SIGSTOP)
        try:
            stopped = venue.wcx("kill", "--local", "--account", "T03", "--reason", "a test")
        finally:
            os.kill(gateway, signal.SIGCONT)
        assert stopped.returncode == 0, stopped.stderr
        assert re.fullmatch(
            r"account \d+: stopped, \d+ orders cancelled, by os:\w+\n", stopped.stdout
        )
        told = client.receive_type("8")
        assert told[Tag.TEXT] == "KILLED: trading was stopped by an operator"
        wait_s = 1 / RATE
        time.sleep(wait_s)
        client.send_bytes(client.order("killed"))
        while told[Tag.EXEC_TYPE] != ExecType.REJECTED:
            told = client.receive_type("8")
        assert told[Tag.TEXT] == "KILLED: trading of the account is stopped, cancels are taken"
        lifted = venue.wcx("revive", "--local", "--account", "T03", "--reason", "it is over")
        assert "takes new orders again" in lifted.stdout
        time.sleep(wait_s)
        client.send_bytes(client.order("revived"))
        assert reports(client, 1)[0][Tag.EXEC_TYPE] == ExecType.NEW
        client.send("F", (Tag.CL_ORD_ID, "x9"), (Tag.ORIG_CL_ORD_ID, "revived"))
        assert reports(client, 1)[0][Tag.EXEC_TYPE] == ExecType.CANCELED
