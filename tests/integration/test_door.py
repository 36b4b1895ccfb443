"""The door of a running venue: TLS, and secrets that a client changes itself."""

import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
import quickfix

from fix_gateway.fix.fields import ExecType, MsgType, Tag
from fix_gateway.tools.initiator import Initiator
from tests.integration.raw_client import PASSWORD, RawClient
from tests.integration.trader import BUY, cancel, enter, next_report
from tests.integration.venue_process import VenueProcess

NEXT_PASSWORD = "another demo password"


@pytest.fixture
def tls(shared_venue: VenueProcess) -> ssl.SSLContext:
    """A client's settings that trust the venue's own certificate, and no other."""
    return ssl.create_default_context(cafile=str(shared_venue.data_dir / "tls/self-signed.pem"))


def test_client_trades_over_tls(shared_venue: VenueProcess, tls: ssl.SSLContext) -> None:
    """Logon, an order and its cancel; the connection is TLS 1.3."""
    with RawClient(shared_venue.tls_port, "T10", tls=tls) as client:
        client.log_on()
        client.send_bytes(client.order(f"tls-{time.time_ns()}"))
        placed = client.receive_type("8")
        client.send("F", (11, f"x{time.time_ns()}"), (41, placed[Tag.CL_ORD_ID]))
        assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED
        assert isinstance(client._socket, ssl.SSLSocket)
        assert client._socket.version() == "TLSv1.3"


def test_quickfix_client_trades_over_tls(shared_venue: VenueProcess) -> None:
    """The client engine that most others are measured by, with the venue's certificate."""
    trusted = shared_venue.data_dir / "tls/self-signed.pem"
    there = replace(shared_venue.counterparty, port=shared_venue.tls_port, trusted=trusted)
    try:
        client = Initiator("T10", there)
        client.start()
    except quickfix.ConfigError:
        pytest.skip("this QuickFIX was compiled without TLS")
    assert client.logged_on.wait(20)
    cl_ord_id = enter(client, BUY, "0.001", "1.00")
    next_report(client, ExecType.NEW)
    cancel(client, cl_ord_id, BUY)
    next_report(client, ExecType.CANCELED)
    client.stop()


def test_large_bursts_cross_tls_whole(shared_venue: VenueProcess, tls: ssl.SSLContext) -> None:
    """Hundreds of messages in one write: every one is answered, in order."""
    with RawClient(shared_venue.tls_port, "T10", tls=tls) as client:
        client.log_on()
        client.send_bytes(
            b"".join(client.message("1", (Tag.TEST_REQ_ID, str(number))) for number in range(500))
        )
        answers = [client.receive_type("0")[Tag.TEST_REQ_ID] for _ in range(500)]
    assert answers == [str(number) for number in range(500)]


@pytest.mark.parametrize("first_bytes", [b"8=FIX.4.4\x019=5\x0135=A\x0110=000\x01", b""])
def test_plain_text_at_the_tls_port_is_cut_off(
    shared_venue: VenueProcess, first_bytes: bytes
) -> None:
    """Who does not shake hands, or not in time, is let go."""
    with RawClient(shared_venue.tls_port, "T10") as client:
        client.send_bytes(first_bytes)
        assert client.receive_all_until_closed() == []


def test_client_changes_its_password(shared_venue: VenueProcess) -> None:
    """By UserRequest in the session and by NewPassword at the Logon; no secret is kept in files."""
    with RawClient(shared_venue.fix_port, "T09") as client:
        client.log_on()

        def change(kind: str, old: str, new: str) -> tuple[str, str, str]:
            client.send("BE", (923, "r1"), (924, kind), (553, "T09"), (554, old), (925, new))
            answer = client.receive_type("BF")
            assert (answer[923], answer[553]) == ("r1", "T09")
            client.send("1", (Tag.TEST_REQ_ID, "still here"))
            assert client.receive_type("0")[Tag.TEST_REQ_ID] == "still here"
            return answer[926], answer[927], answer[34]

        assert change("3", "wrong", NEXT_PASSWORD)[:2] == ("4", "the password is not correct")
        assert change("1", PASSWORD, NEXT_PASSWORD)[0] == "6"
        assert change("3", PASSWORD, NEXT_PASSWORD)[:2] == ("5", "changed")
    with RawClient(shared_venue.fix_port, "T09") as client:
        client.log_on((Tag.NEW_PASSWORD, PASSWORD), password=NEXT_PASSWORD)
    with RawClient(shared_venue.fix_port, "T09") as client:
        client.log_on()
    assert NEXT_PASSWORD not in shared_venue.log_text()
    for path in files_below(shared_venue.data_dir / "fix"):
        assert NEXT_PASSWORD.encode() not in path.read_bytes(), path


def test_new_password_that_is_too_short_is_refused_with_the_reason(
    shared_venue: VenueProcess,
) -> None:
    """The client is authentic, so it may know; the old password stays."""
    with RawClient(shared_venue.fix_port, "T09") as client:
        client.send_bytes(client.logon_message((Tag.NEW_PASSWORD, "short")))
        (answer,) = client.receive_all_until_closed()
    text = "NewPassword(925) must have 12 to 128 ASCII characters"
    assert (answer[35], answer[Tag.TEXT]) == (MsgType.LOGOUT, text)
    with RawClient(shared_venue.fix_port, "T09") as client:
        client.log_on()


def test_clock_that_is_wrong_is_told_by_how_much(shared_venue: VenueProcess) -> None:
    """An authentic Logon with yesterday's SendingTime: the skew stands in the text."""
    with RawClient(shared_venue.fix_port, "T09") as client:
        old = client.logon_message().replace(b"\x0152=2026", b"\x0152=2025")
        body = old[old.index(b"35=") : old.rindex(b"10=")]
        head = b"8=FIX.4.4\x019=%d\x01%b" % (len(body), body)
        client.send_bytes(head + b"10=%03d\x01" % (sum(head) % 256))
        (answer,) = client.receive_all_until_closed()
    assert answer[Tag.TEXT].startswith("SendingTime(52) is -315")


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
