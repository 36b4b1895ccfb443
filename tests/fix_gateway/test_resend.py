"""Resends read from QuickFIX's own files, with QuickFIX's own answers as the measure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_gateway.fix.fields import Fields, Tag, parse_message
from fix_gateway.fix.framing import FrameReader, build_frame
from fix_gateway.fix.message_store import (
    UNKNOWN_MESSAGES_MAX,
    SessionIdentity,
    SessionStore,
    StoredMessage,
)
from fix_gateway.fix.resend import Resend, build_refusal, parse_resend_request
from tests.fix_gateway.test_acceptor import Conversation, answers

COUNT = 3000  # So many that finding one means halving the file.


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    """A session that has sent reports, with session-level messages among them."""
    conversation = Conversation(tmp_path_factory.mktemp("resend"), "RESEND")
    conversation.log_on()
    for number in range(2, COUNT):
        if number % 50 in (0, 1):
            conversation.say("1", f"112=t{number}\x01")
        else:
            poss_resend = "97=Y\x01" if number % 7 == 0 else ""
            conversation.acceptor.send(
                f"35=8\x01{poss_resend}37=1\x0117={number}.0\x01150=0\x0139=0\x0158=x\x01"
            )
            conversation.acceptor.drain()
    yield conversation
    conversation.end()


def identity() -> SessionIdentity:
    return SessionIdentity("FIX.4.4", "WCX", "RESEND")


def resent(talk: Conversation, begin: int, end: int) -> list[Fields]:
    resend = Resend(talk.store, identity(), begin, end)
    pieces = []
    while resend.position <= end:
        pieces.append(resend.next_slice())
    return answers(b"".join(pieces))


def timeless(messages: list[Fields]) -> list[Fields]:
    """Leave out the moments of sending, and with them length and checksum."""
    kept = []
    for message in messages:
        left_out = {9, 10, 52} | ({122} if message[35] == "4" else set())
        kept.append({tag: value for tag, value in message.items() if tag not in left_out})
    return kept


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (1, COUNT - 1), (1, 1), (2, 2), (1, 49), (49, 52), (50, 51), (50, 50), (51, 2600),
        (1499, 1700), (2990, COUNT - 1),
    ],
)  # fmt: skip
def test_answer_is_what_quickfix_would_answer(talk: Conversation, begin: int, end: int) -> None:
    """The same messages, gap fills, numbers and original times, whatever the range."""
    written = talk.exchange("2", f"7={begin}\x0116={end}\x01") + talk.exchange("1", "112=end\x01")
    while b"\x01112=end\x01" not in written:
        written += talk.acceptor.drain()
    assert timeless(resent(talk, begin, end)) == timeless(answers(written)[:-1])


def test_reject_is_sent_again(tmp_path: Path) -> None:
    """It tells the client that a message did not count, so it is no mere gap."""
    talk = Conversation(tmp_path, "RESEND2")
    talk.log_on()
    talk.say("D", "55=BTC-USD\x01")
    talk.end()
    store_identity = SessionIdentity("FIX.4.4", "WCX", "RESEND2")
    (gap, reject) = answers(Resend(talk.store, store_identity, 1, 2).next_slice())
    assert (gap[35], gap[34], gap[36]) == ("4", "1", "2")
    assert (reject[35], reject[34], reject[43], reject[45]) == ("3", "2", "Y", "2")


def write_store(directory: Path, header: bytes, body: bytes) -> SessionStore:
    store = SessionStore(directory, SessionIdentity("FIX.4.4", "WCX", "C"))
    (directory / "FIX.4.4-WCX-C.header").write_bytes(header)
    (directory / "FIX.4.4-WCX-C.body").write_bytes(body)
    return store


def message(number: int, text: str) -> bytes:
    body = f"35=8\x0134={number}\x0149=WCX\x0152=20260101-00:00:00\x0156=C\x0158={text}\x01"
    return build_frame("FIX.4.4", body.encode())


def test_of_a_number_stored_twice_the_last_counts(tmp_path: Path) -> None:
    """After a crash between the message and the next number QuickFIX uses the number again."""
    first, torn, second, third = (message(1, "a"), message(2, "b"), message(2, "c"), message(3, ""))
    body = first + torn + second + third
    offsets = [0, len(first), len(first + torn), len(first + torn + second)]
    sizes = map(len, (first, torn, second, third))
    header = b"".join(
        b"%d,%d,%d " % entry for entry in zip((1, 2, 2, 3), offsets, sizes, strict=True)
    )
    store = write_store(tmp_path / "s", header, body)
    assert store.read(1, 3, count_max=10) == [
        StoredMessage(1, first), StoredMessage(2, second), StoredMessage(3, third),
    ]  # fmt: skip
    assert store.read(2, 9, count_max=1) == [StoredMessage(2, second)]


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"1,0,9999 ", message(1, "a")),
        (b"1,0,60", message(1, "a")),
        (b"1,0 ", message(1, "a")),
        (b"\0\0\0\0 ", message(1, "a")),
        (b"1,0,20 ", b"\0" * 20),
        (b"", b""),
    ],
)
def test_what_a_crash_has_torn_is_a_gap(tmp_path: Path, header: bytes, body: bytes) -> None:
    """No torn message is ever sent; the number is filled."""
    store = write_store(tmp_path / "s", header, body)
    assert store.read(1, 1, count_max=10) == []
    (gap,) = answers(Resend(store, SessionIdentity("FIX.4.4", "WCX", "C"), 1, 1).next_slice())
    assert (gap[35], gap[34], gap[43], gap[36], gap[123]) == ("4", "1", "Y", "2", "Y")


def test_store_without_files_is_a_gap(tmp_path: Path) -> None:
    """Nothing was ever stored: nothing is found."""
    store = SessionStore(tmp_path / "s", identity())
    assert store.read(1, 100, count_max=10) == []


def test_numbers_that_were_skipped_to_are_skipped_over_the_next_time(tmp_path: Path) -> None:
    """Two power losses in a row: what was used between them is not used again."""
    store = write_store(tmp_path / "s", b"1,0,60 ", message(1, "a"))
    first = store.skip_ahead(5)
    assert first == 5 + UNKNOWN_MESSAGES_MAX
    assert store.skip_ahead(0) == first + UNKNOWN_MESSAGES_MAX
    assert sorted(path.name for path in store.directory.iterdir()) == [
        "FIX.4.4-WCX-C.seqnums", "lock",
    ]  # fmt: skip


def request(fields: str) -> bytes:
    head = "35=2\x0134=7\x0149=C\x0152=20260101-00:00:00\x0156=WCX\x01"
    return build_frame("FIX.4.4", (head + fields).encode())


def test_heartbeat_stands_in_for_the_request() -> None:
    """QuickFIX is given a whole message with the same number and header."""
    parsed = parse_resend_request(request("43=N\x017=5\x0116=0\x01"))
    assert parsed is not None
    assert parsed[:3] == (7, 5, 0)
    (frame,) = FrameReader().feed(parsed.heartbeat)
    fields = parse_message(frame.raw.decode())
    assert {tag: value for tag, value in fields.items() if tag not in (9, 10)} == {
        8: "FIX.4.4", 35: "0", 34: "7", 49: "C", 52: "20260101-00:00:00", 56: "WCX", 43: "N",
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        "", "7=1\x01", "16=1\x01", "7=-1\x0116=0\x01", "7=a\x0116=0\x01", "7=1.0\x0116=0\x01",
        f"7={'9' * 30}\x0116=0\x01", "7=\x0116=0\x01", "7=1\x0116=+5\x01", "7=1\x0116=0\x01\x01",
    ],
)  # fmt: skip
def test_malformed_request_is_left_to_quickfix(fields: str) -> None:
    """It names the tag that is wrong."""
    assert parse_resend_request(request(fields)) is None


@pytest.mark.parametrize(
    ("begin", "end", "tag", "text"),
    [
        (1, 0, None, None),
        (0, 0, None, None),
        (5, 5, None, None),
        (6, 0, None, None),
        (1, 999_999_999, None, None),
        (7, 0, 7, "BeginSeqNo(7)=7 is above 5, the last sent"),
        (999_999_999, 0, 7, "BeginSeqNo(7)=999999999 is above 5, the last sent"),
        (4, 3, 16, "EndSeqNo(16)=3 is below BeginSeqNo(7)"),
    ],
)
def test_range_without_sense_is_rejected(
    begin: int, end: int, tag: int | None, text: str | None
) -> None:
    """Reject(3) names the tag and says what would have made sense."""
    parsed = parse_resend_request(request(f"7={begin}\x0116={end}\x01"))
    assert parsed is not None
    refusal = build_refusal(parsed, last=5)
    if tag is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert parse_message(refusal) == {
            Tag.MSG_TYPE: "3", Tag.REF_SEQ_NUM: "7", Tag.REF_TAG_ID: str(tag),
            Tag.REF_MSG_TYPE: "2", Tag.SESSION_REJECT_REASON: "5", Tag.TEXT: text,
        }  # fmt: skip
