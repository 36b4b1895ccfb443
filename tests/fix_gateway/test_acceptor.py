"""QuickFIX behind its Unix socket: whole conversations, and callbacks that fail."""

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_gateway.fix import acceptor
from fix_gateway.fix.acceptor import SessionAcceptor
from fix_gateway.fix.fields import UtcTimestamps, parse_message
from fix_gateway.fix.framing import FrameReader, build_frame
from fix_gateway.fix.message_store import SessionIdentity, SessionStore, StoreInUseError

YESTERDAY_S = 24 * 3600
_numbers = itertools.count(1)


class Handler:
    """Records what it is told; where it is to fail, it fails."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.failing: set[str] = set()
        self.is_authenticated = True

    def _tell(self, name: str) -> None:
        self.told.append(name)
        if name in self.failing:
            raise RuntimeError(name)

    def may_log_on(self) -> bool:
        self._tell("may_log_on")
        return self.is_authenticated

    def on_logon(self) -> None:
        self._tell("on_logon")

    def on_logout(self) -> None:
        self._tell("on_logout")

    def on_session_message(self, text: str) -> None:
        del text
        self._tell("on_session_message")

    def on_application_message(self, text: str) -> None:
        self._tell(f"application {parse_message(text)[11]}")

    def on_unprocessed_message(self, text: str) -> None:
        self._tell(f"unprocessed {parse_message(text)[11]}")


class Conversation:
    """An acceptor, and a client's half of the session."""

    def __init__(self, directory: Path, comp_id: str) -> None:
        self.comp_id = comp_id
        self.handler = Handler()
        identity = SessionIdentity("FIX.4.4", "WCX", comp_id)
        self.store = SessionStore(directory / comp_id, identity)
        self.acceptor = SessionAcceptor(
            identity, self.store, directory / f"{comp_id}.sock", self.handler
        )
        self.seq = 0

    def say(self, msg_type: str, fields: str = "", seq: int | None = None) -> list[dict[int, str]]:
        """Send a message and return the answers."""
        return answers(self.exchange(msg_type, fields, seq))

    def exchange(self, msg_type: str, fields: str, seq: int | None = None) -> bytes:
        """Send a message and return the answers as bytes."""
        self.seq = seq if seq is not None else self.seq + 1
        now = UtcTimestamps().format(time.time_ns())
        head = f"35={msg_type}\x0134={self.seq}\x0149={self.comp_id}\x0152={now}\x0156=WCX\x01"
        return self.acceptor.feed(build_frame("FIX.4.4", (head + fields).encode()))

    def log_on(self, reset: str = "141=Y\x01") -> list[dict[int, str]]:
        self.acceptor.connect()
        return self.say("A", f"98=0\x01108=30\x01{reset}")

    def end(self) -> None:
        """Hang up and let go of the store. QuickFIX keeps the session until the process ends."""
        self.acceptor.disconnect()
        self.store.release()


def answers(written: bytes) -> list[dict[int, str]]:
    frames = FrameReader().feed(written)
    assert sum(len(frame.raw) for frame in frames) == len(written)
    return [parse_message(frame.raw.decode()) for frame in frames]


ORDER = "55=BTC-USD\x0154=1\x0138=1\x0140=2\x0144=1\x01"


@pytest.fixture
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    conversation = Conversation(tmp_path_factory.mktemp("a"), f"C{next(_numbers)}")
    yield conversation
    conversation.end()


def test_messages_go_through_in_order(talk: Conversation) -> None:
    """Logon, orders, a report, Logout: numbers and callbacks as they should be."""
    (logon,) = talk.log_on()
    assert (logon[35], logon[34]) == ("A", "1")
    for number in range(3):
        assert talk.say("D", f"11=o{number}\x01{ORDER}") == []
    talk.acceptor.send("35=8\x0137=1\x0117=1.0\x01150=0\x0139=0\x01")
    (report,) = answers(talk.acceptor.drain())
    assert (report[34], report[17]) == ("2", "1.0")
    (logout,) = talk.say("5")
    assert (logout[35], talk.acceptor.is_connected, talk.acceptor.is_logged_on) == (
        "5", False, False,
    )  # fmt: skip
    assert talk.handler.told == [
        "may_log_on", "on_session_message", "on_logon",
        "application o0", "application o1", "application o2",
        "on_session_message", "on_logout",
    ]  # fmt: skip


def test_stranger_is_refused_by_quickfix_too(talk: Conversation) -> None:
    """Without the edge's word no Logon is accepted."""
    talk.handler.is_authenticated = False
    (answer,) = talk.log_on()
    assert (answer[35], talk.acceptor.is_logged_on) == ("5", False)


@pytest.mark.parametrize(
    "failing", ["on_logon", "on_logout", "on_session_message", "application bad"]
)
def test_failing_callback_ends_neither_process_nor_session(
    talk: Conversation, failing: str
) -> None:
    """QuickFIX would end the process at an exception that it does not know."""
    talk.handler.failing = {failing}
    talk.log_on()
    talk.say("D", f"11=bad\x01{ORDER}")
    (heartbeat,) = talk.say("1", "112=alive\x01")
    assert heartbeat[112] == "alive"
    assert ("unprocessed bad" in talk.handler.told) == (failing == "application bad")
    talk.say("5")
    assert not talk.acceptor.is_logged_on


def test_failing_permission_is_no_permission(talk: Conversation) -> None:
    """Fail closed."""
    talk.handler.failing = {"may_log_on"}
    talk.log_on()
    assert not talk.acceptor.is_logged_on


def test_many_reports_at_once_all_come_out(talk: Conversation) -> None:
    """More than the socket between QuickFIX and the edge can hold."""
    talk.log_on()
    written = b""
    for number in range(300):
        talk.acceptor.send(f"35=8\x0137=1\x0117={number}\x01150=0\x0139=0\x0158={'x' * 400}\x01")
        if number % 32 == 31:
            written += talk.acceptor.drain()
    written += talk.acceptor.drain()
    assert [answer[17] for answer in answers(written)] == [str(number) for number in range(300)]


def test_reconnection_goes_on_counting(talk: Conversation) -> None:
    """A lost connection, then a Logon without a reset: both numbers go on."""
    talk.log_on()
    talk.say("1", "112=a\x01")
    talk.acceptor.disconnect()
    assert talk.handler.told[-1] == "on_logout"
    (logon,) = talk.log_on(reset="")
    assert (logon[34], talk.acceptor.next_target_msg_seq_num) == ("3", 4)


def test_session_that_we_logged_out_can_log_on_again(talk: Conversation) -> None:
    """Whether or not the client has answered our Logout."""
    talk.log_on()
    for answers_logout in (False, True):
        talk.acceptor.log_out("until later")
        (logout,) = answers(talk.acceptor.drain())
        assert (logout[35], logout[58]) == ("5", "until later")
        if answers_logout:
            talk.say("5")
        talk.acceptor.disconnect()
        (logon,) = talk.log_on(reset="")
        assert logon[35] == "A"


def test_rewound_session_asks_for_what_is_missing(talk: Conversation) -> None:
    """After `expect` the Logon is followed by a ResendRequest from that number on."""
    talk.log_on()
    for number in range(3):
        talk.say("D", f"11=o{number}\x01{ORDER}")
    talk.acceptor.disconnect()
    talk.acceptor.expect(3)
    logon, request = talk.log_on(reset="")
    assert (logon[35], request[35], request[7], request[16]) == ("A", "2", "3", "0")


def test_store_of_an_earlier_day_keeps_its_numbers(tmp_path: Path) -> None:
    """QuickFIX would wipe a store that was created yesterday; it is dated anew before it looks."""
    talk = Conversation(tmp_path, "OLDSTORE")
    talk.log_on()
    talk.say("1", "112=a\x01")
    talk.say("5")
    talk.store.release()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (tmp_path / "OLDSTORE").glob("FIX*"):
        # Another session of the same store: the first one cannot be ended in this process.
        (copy / path.name.replace("OLDSTORE", "NEWSTORE")).write_bytes(path.read_bytes())
    (session_file,) = copy.glob("*.session")
    session_file.write_text(
        time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(time.time() - YESTERDAY_S))
    )
    identity = SessionIdentity("FIX.4.4", "WCX", "NEWSTORE")
    store = SessionStore(copy, identity)
    again = SessionAcceptor(identity, store, tmp_path / "n.sock", Handler())
    assert (again.next_sender_msg_seq_num, again.next_target_msg_seq_num) == (4, 4)
    store.release()


def test_no_tcp_port_stays_open(talk: Conversation) -> None:
    """QuickFIX's listener is replaced before anybody could find it."""
    assert talk.acceptor.is_connected is False
    assert acceptor._listeners() == set()


def test_looking_for_listeners_leaks_no_descriptor() -> None:
    """The search runs at every start of a session."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        acceptor._listeners()
    assert len(os.listdir("/proc/self/fd")) == before


def test_store_has_one_owner(talk: Conversation, tmp_path: Path) -> None:
    """A second process, here a second lock, is refused."""
    identity = SessionIdentity("FIX.4.4", "WCX", "LOCKED")
    first = SessionStore(tmp_path / "locked", identity)
    with pytest.raises(StoreInUseError):
        SessionStore(tmp_path / "locked", identity)
    first.release()
    SessionStore(tmp_path / "locked", identity).release()
    assert talk.seq == 0
