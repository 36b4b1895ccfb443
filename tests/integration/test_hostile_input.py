"""What strangers and broken clients send is refused or ignored, and costs nobody else anything."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fix_gateway.fix.fields import ExecType, MsgType, Tag
from fix_gateway.tools.initiator import Initiator
from tests.integration.conftest import ConnectClient
from tests.integration.raw_client import RawClient
from tests.integration.trader import BUY, cancel, enter, next_report
from tests.integration.venue_process import VenueProcess

# A neighbour's order is answered in about a millisecond. Under attack its median may be this many
# times that of the same run without one, and never more than the floor, which is scheduling noise.
SLOWDOWN_MAX = 20
NOISE_S = 0.05


def round_trip_s(client: Initiator) -> float:
    """Return how long an order and its cancel take together."""
    started_s = time.perf_counter()
    cl_ord_id = enter(client, BUY, "0.001", "1.00")
    next_report(client, ExecType.NEW)
    cancel(client, cl_ord_id, BUY)
    next_report(client, ExecType.CANCELED)
    return time.perf_counter() - started_s


def median_round_trip_s(client: Initiator, count: int = 25) -> float:
    return sorted(round_trip_s(client) for _ in range(count))[count // 2]


@contextmanager
def undisturbed(client: Initiator) -> Iterator[None]:
    """Check that the client trades as fast during the block as it did before it."""
    calm_s = median_round_trip_s(client)
    stop = threading.Event()
    medians: list[float] = []

    def trade() -> None:
        while not stop.is_set():
            medians.append(median_round_trip_s(client, 7))

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert medians
    assert max(medians) < max(SLOWDOWN_MAX * calm_s, NOISE_S), (calm_s, medians)


@pytest.mark.parametrize(
    ("comp_id", "password"),
    [("T05", "wrong"), ("T05", ""), ("NOBODY", "demo-password"), ("DEMO1", "demo-passwor")],
)
def test_wrong_name_or_secret_is_refused_alike(
    shared_venue: VenueProcess, comp_id: str, password: str
) -> None:
    """One and the same words for an unknown name and a wrong secret; then the gateway hangs up."""
    with RawClient(shared_venue.fix_port, comp_id) as client:
        client.send_bytes(client.logon_message(password=password))
        (answer,) = client.receive_all_until_closed()
    assert (answer[35], answer[Tag.TEXT]) == (MsgType.LOGOUT, "logon refused")
    shared_venue.wait_for(lambda: shared_venue.count_logged("event=logon_refused") > 0)


def test_refused_logon_does_not_touch_the_numbers(shared_venue: VenueProcess) -> None:
    """Whoever knows a CompID but not its secret can neither reset nor advance the session."""
    with RawClient(shared_venue.fix_port, "T06") as client:
        client.log_on()
        client.send("1", (Tag.TEST_REQ_ID, "a"))
        assert client.receive()[Tag.MSG_SEQ_NUM] == "2"
        client.send(MsgType.LOGOUT)
        assert client.receive()[Tag.MSG_SEQ_NUM] == "3"
    with RawClient(shared_venue.fix_port, "T06", source="127.0.0.2") as stranger:
        stranger.send_bytes(stranger.logon_message(password="guess"))
        stranger.receive_all_until_closed()
    with RawClient(shared_venue.fix_port, "T06") as client:
        client.next_seq = 4
        assert client.log_on(is_reset=False)[Tag.MSG_SEQ_NUM] == "4"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"heart_bt_int": "0"}, "HeartBtInt(108) 0 is outside 1 to 60"),
        ({"heart_bt_int": "61"}, "HeartBtInt(108) 61 is outside 1 to 60"),
    ],
)
def test_heartbeat_interval_out_of_bounds_is_refused(
    shared_venue: VenueProcess, fields: dict[str, str], text: str
) -> None:
    """The refusal names the bounds; the interval is never silently changed."""
    with RawClient(shared_venue.fix_port, "T07") as client:
        client.send_bytes(client.logon_message(**fields))  # type: ignore[arg-type]  # By name.
        (answer,) = client.receive_all_until_closed()
    assert answer[Tag.TEXT] == text


@pytest.mark.parametrize(
    "first_bytes",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), id="TLS"),
        pytest.param(b"\x00" * 20_000, id="zeros"),
        pytest.param(b"8=FIX.4.4\x019=99999\x0135=A\x01" + b"x" * 10_000, id="endless Logon"),
        pytest.param(b"8=FIX.4.4\x019=-5\x0135=A\x01" + b"x" * 100, id="negative length"),
    ],
)
def test_stranger_without_a_logon_is_cut_off(
    shared_venue: VenueProcess, first_bytes: bytes
) -> None:
    """Bytes that are no Logon end the connection at once, without a word."""
    with RawClient(shared_venue.fix_port, "X") as client:
        client.send_bytes(first_bytes)
        assert client.receive_all_until_closed(4.0) == []


def test_order_before_the_logon_is_cut_off(shared_venue: VenueProcess) -> None:
    """The first message must be a Logon."""
    with RawClient(shared_venue.fix_port, "T08") as client:
        client.send_bytes(client.order("early"))
        assert client.receive_all_until_closed() == []


@pytest.mark.alone
def test_logon_dripped_a_byte_a_second_delays_nobody(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """A connection without a whole Logon ends after five seconds; others trade undisturbed."""
    neighbour = connect(shared_venue, "T09")
    with undisturbed(neighbour), RawClient(shared_venue.fix_port, "T10") as client:
        started_s = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError, EOFError)):
            drip(client, client.logon_message())
        assert time.monotonic() - started_s < 20


def drip(client: RawClient, data: bytes) -> None:
    """Send a byte a second until the gateway hangs up."""
    for byte in data:
        client.send_bytes(bytes([byte]))
        with contextlib.suppress(TimeoutError):
            client.receive(1.0)


@pytest.mark.alone
def test_silent_connections_delay_nobody(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """Fifty connections that say nothing are let go; others trade undisturbed."""
    neighbour = connect(shared_venue, "T11")
    with undisturbed(neighbour):
        address = ("127.0.0.1", shared_venue.fix_port)
        sockets = [socket.create_connection(address) for _ in range(50)]
        for silent in sockets:
            silent.settimeout(20)
            with silent:
                assert silent.recv(1) == b""


@pytest.mark.alone
def test_megabyte_of_garbage_ends_the_session_that_sent_it(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """A logged-on client that sends garbage is logged out; others trade undisturbed."""
    neighbour = connect(shared_venue, "T12")
    with undisturbed(neighbour), RawClient(shared_venue.fix_port, "T13") as client:
        client.log_on()
        try:
            for _ in range(64):
                client.send_bytes(b"\x01garbage 8=FIX is no FIX \xff\x00" * 640)
        except (BrokenPipeError, ConnectionResetError):
            return  # It was cut off before it had sent all.
        (answer,) = client.receive_all_until_closed()
        assert answer[Tag.TEXT] == "too many bytes that are no FIX message"


def test_message_with_a_broken_checksum_is_ignored(shared_venue: VenueProcess) -> None:
    """It is as if it had never been sent: the gap is noticed, and its repeat is taken once."""
    with RawClient(shared_venue.fix_port, "T14") as client:
        client.log_on()
        order = client.order("intact")
        broken = order[:-4] + (b"000\x01" if order[-4:] != b"000\x01" else b"001\x01")
        client.send_bytes(broken)
        client.send("1", (Tag.TEST_REQ_ID, "after"))
        request = client.receive_type("2")
        assert request[7] == "2"
        client.send_bytes(order)
        assert client.receive_type("8")[Tag.CL_ORD_ID] == "intact"
        client.send("F", (11, "x"), (41, "intact"))
        assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED


def test_flood_behind_a_gap_ends_the_session(shared_venue: VenueProcess) -> None:
    """What comes behind a missing number has to wait in memory: megabytes of it are too much."""
    with RawClient(shared_venue.fix_port, "T17") as client:
        client.log_on()
        client.next_seq += 1
        flood = b"".join(client.order(f"f{number}") for number in range(200))
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(250):
                client.send_bytes(flood)
        received = client.receive_all_until_closed()
    assert (received[0][Tag.MSG_TYPE], received[0][7]) == (MsgType.RESEND_REQUEST, "2")
    assert (received[-1][Tag.MSG_TYPE], received[-1][Tag.TEXT]) == (
        MsgType.LOGOUT,
        "too much was sent while MsgSeqNum(34)=2 is missing",
    )
    with RawClient(shared_venue.fix_port, "T17") as again:
        again.log_on()


def test_logon_inside_a_session_ends_it(shared_venue: VenueProcess) -> None:
    """A second Logon, which would reset the numbers, never reaches the session."""
    with RawClient(shared_venue.fix_port, "T15") as client:
        client.log_on()
        client.send_bytes(client.logon_message())
        (answer,) = client.receive_all_until_closed()
    assert (answer[35], answer[34]) == (MsgType.LOGOUT, "2")
    assert answer[Tag.TEXT] == "a Logon inside a session is not accepted"


def test_second_connection_of_a_session_is_dropped(shared_venue: VenueProcess) -> None:
    """The live session is not disturbed by a newcomer with the right secret."""
    with RawClient(shared_venue.fix_port, "T16") as client:
        client.log_on()
        with RawClient(shared_venue.fix_port, "T16") as second:
            second.send_bytes(second.logon_message())
            client.send("0", (Tag.TEST_REQ_ID, client.receive_type("1")[Tag.TEST_REQ_ID]))
            assert second.receive_all_until_closed() == []
        client.send("1", (Tag.TEST_REQ_ID, "still here"))
        assert client.receive()[Tag.TEST_REQ_ID] == "still here"


def test_client_that_gives_no_sign_of_life_makes_room(shared_venue: VenueProcess) -> None:
    """Its connection may have been cut without a word: it is asked, and let go when it is silent.

    Its orders stay, and the numbers go on.
    """
    with RawClient(shared_venue.fix_port, "T16") as client:
        client.log_on()
        client.send_bytes(client.order(f"half-{time.time_ns()}"))
        placed = client.receive_type("8")
        with RawClient(shared_venue.fix_port, "T16") as second:
            second.next_seq = client.next_seq
            second.send_bytes(second.logon_message(is_reset=False))
            answers = [fields[35] for fields in client.receive_all_until_closed()]
            assert answers == [MsgType.TEST_REQUEST]
            assert second.receive()[Tag.MSG_TYPE] == MsgType.LOGON
            second.send("F", (11, f"x{time.time_ns()}"), (41, placed[Tag.CL_ORD_ID]))
            assert second.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED


@pytest.mark.alone
def test_flood_of_session_messages_ends_the_session(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """Each TestRequest must be answered: thousands at once are no conversation any more."""
    neighbour = connect(shared_venue, "T12")
    with undisturbed(neighbour), RawClient(shared_venue.fix_port, "T18") as client:
        client.log_on()
        flood = b"".join(client.message("1", (Tag.TEST_REQ_ID, "x")) for _ in range(5000))
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.send_bytes(flood)
        *answers, last = client.receive_all_until_closed()
    assert {fields[35] for fields in answers} == {MsgType.HEARTBEAT}
    assert (last[35], last[Tag.TEXT]) == (MsgType.LOGOUT, "too many session-level messages")


def test_sequence_reset_beyond_all_bounds_ends_the_session(shared_venue: VenueProcess) -> None:
    """The number after it could never be sent; a smaller jump is taken."""
    with RawClient(shared_venue.fix_port, "T18") as client:
        client.log_on()
        client.send("4", (36, "1000"), (123, "N"))
        client.next_seq = 1000
        client.send("1", (Tag.TEST_REQ_ID, "on"))
        assert client.receive_type("0")[Tag.TEST_REQ_ID] == "on"
        client.send("4", (36, "1000000001"), (123, "N"))
        (answer,) = client.receive_all_until_closed()
    assert answer[Tag.TEXT] == "NewSeqNo(36) is above 1000000000"


def reconnect(port: int, stop: threading.Event) -> None:
    """Log on and off in a loop."""
    while not stop.is_set():
        with contextlib.suppress(OSError, EOFError), RawClient(port, "T13") as client:
            client.log_on()


def guess(port: int, stop: threading.Event) -> None:
    """Try wrong passwords in a loop."""
    while not stop.is_set():
        with contextlib.suppress(OSError, EOFError), RawClient(port, "T14") as client:
            client.send_bytes(client.logon_message(password="guess"))
            client.receive(2.0)


def spit(port: int, stop: threading.Event) -> None:
    """Send garbage in a loop."""
    while not stop.is_set():
        with contextlib.suppress(OSError), RawClient(port, "X") as client:
            client.send_bytes(b"\x00\x01garbage" * 3000)


def stall(port: int, stop: threading.Event) -> None:
    """Ask for a lot of answers and read none of them."""
    with contextlib.suppress(OSError, EOFError), RawClient(port, "T15") as client:
        client.log_on()
        orders = b"".join(client.message("D") for _ in range(300))
        while not stop.wait(0.2):
            client.send_bytes(orders)


@pytest.mark.alone
def test_everybody_at_once_delays_nobody(
    shared_venue: VenueProcess, connect: ConnectClient
) -> None:
    """Reconnecting in a loop, garbage, a client that reads nothing, guesses: the rest trades on."""
    neighbour = connect(shared_venue, "T11")
    stop = threading.Event()
    attackers = [
        threading.Thread(target=attack, args=(shared_venue.fix_port, stop))
        for attack in (reconnect, guess, spit, stall)
    ]
    with undisturbed(neighbour):
        for attacker in attackers:
            attacker.start()
        time.sleep(4)
        stop.set()
        for attacker in attackers:
            attacker.join(30)


HOSTILE_ORDERS = [
    ((58, "caf\xe9 \xff"), "8"),
    ((1, "\xe9"), "8"),
    ((11, "\xe9\xff"), "8"),
    ((38, "1e3"), "3"),
    ((38, "9" * 400), "8"),
    ((44, "0" * 5000 + "1"), "8"),
    ((44, "1.00"), "3"),  # A second time.
    ((54, "\x02"), "3"),
    ((60, "yesterday"), "3"),
    ((453, "99"), "3"),  # A group that is not as long as it says.
    ((99999999, "x"), "8"),
    ((0, "x"), "3"),
]


@pytest.mark.parametrize(("extra", "answer_type"), HOSTILE_ORDERS)
def test_every_order_is_answered_whatever_it_holds(
    shared_venue: VenueProcess, extra: tuple[int, str], answer_type: str
) -> None:
    """Strange bytes get a clear answer; the session and the process live on."""
    tag, value = extra
    with RawClient(shared_venue.fix_port, "T17") as client:
        client.log_on()
        fields = {11: f"h{time.time_ns()}", 55: "BTC-USD", 54: "1", 38: "1", 40: "2", 44: "1.00"}
        pairs = list(fields.items())
        if tag in fields and extra != (44, "1.00"):
            pairs = [(known, value if known == tag else text) for known, text in pairs]
        else:
            pairs.append(extra)
        client.send("D", *pairs)
        answer = client.receive_type(answer_type)
        if answer.get(Tag.EXEC_TYPE) == ExecType.NEW:
            client.send("F", (11, f"x{time.time_ns()}"), (41, str(fields[11])))
            assert client.receive_type("8")[Tag.EXEC_TYPE] == ExecType.CANCELED
        client.send("1", (Tag.TEST_REQ_ID, "alive"))
        assert client.receive_type("0")[Tag.TEST_REQ_ID] == "alive"
