"""Frames are cut strictly, whatever the bytes and however they arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix_gateway.fix.framing import (
    FRAME_BYTES_MAX,
    FrameReader,
    build_frame,
    split_fields,
    sum_bytes,
)

HEARTBEAT = build_frame("FIX.4.4", b"35=0\x0134=2\x01")
ORDER = build_frame("FIXT.1.1", b"35=D\x0134=3\x0111=abc\x01")


def frames_of(*pieces: bytes) -> list[bytes]:
    reader = FrameReader()
    return [frame.raw for piece in pieces for frame in reader.feed(piece)]


def test_frame_says_what_it_begins_with() -> None:
    """Version and message type are read off the start."""
    (frame,) = FrameReader().feed(ORDER)
    assert (frame.raw, frame.begin_string, frame.msg_type) == (ORDER, "FIXT.1.1", "D")


@pytest.mark.parametrize("cut", range(1, len(HEARTBEAT + ORDER)))
def test_any_cut_of_the_stream_gives_the_same_frames(cut: int) -> None:
    """One test per cut point of two messages."""
    stream = HEARTBEAT + ORDER
    assert frames_of(stream[:cut], stream[cut:]) == [HEARTBEAT, ORDER]


def test_zero_padded_body_length_is_taken() -> None:
    """Some client engines write 9=0000089."""
    body = b"35=0\x0134=2\x01"
    head = b"8=FIX.4.4\x019=00000%d\x01" % len(body) + body
    padded = head + b"10=%03d\x01" % (sum(head) & 0xFF)
    assert frames_of(padded) == [padded]


GARBLED = [
    pytest.param(HEARTBEAT[:-4] + b"000\x01", id="checksum"),
    pytest.param(HEARTBEAT.replace(b"9=10", b"9=11"), id="length too high"),
    pytest.param(HEARTBEAT.replace(b"9=10", b"9=9"), id="length too low"),
    pytest.param(b"8=FIX.4.4\x0135=0\x0134=2\x0110=000\x01", id="no length"),
    pytest.param(build_frame("FIX.4.4", b"34=2\x0135=0\x01"), id="type not third"),
    pytest.param(b"8=FIX.4.4\x019=99999999\x0135=0\x01", id="huge length"),
    pytest.param(b"8=FIX", id="start only"),
    pytest.param(b"\x00\xff garbage \x01", id="garbage"),
    pytest.param(b"", id="nothing"),
]


@pytest.mark.parametrize("garbled", GARBLED)
def test_garbled_message_is_dropped_and_the_next_one_taken(garbled: bytes) -> None:
    """What is not a frame is counted; a frame behind it is found."""
    reader = FrameReader()
    frames = reader.feed(garbled + ORDER + ORDER)
    # A wrong length may swallow the message behind it, never more than that.
    assert [frame.raw for frame in frames] in ([ORDER, ORDER], [ORDER])
    assert reader.discarded_bytes == len(garbled) + (2 - len(frames)) * len(ORDER)


def test_frame_of_the_largest_size_is_taken_and_a_larger_one_is_not() -> None:
    """The bound counts the whole frame."""

    def frame_of(size: int) -> bytes:
        overhead = len(build_frame("FIX.4.4", b"35=0\x0158=\x01" + b"x" * 50_000)) - 50_000
        return build_frame("FIX.4.4", b"35=0\x0158=" + b"x" * (size - overhead) + b"\x01")

    largest = frame_of(FRAME_BYTES_MAX)
    assert len(largest) == FRAME_BYTES_MAX
    assert frames_of(largest) == [largest]
    assert frames_of(frame_of(FRAME_BYTES_MAX + 1), HEARTBEAT) == [HEARTBEAT]


@given(st.lists(st.one_of(st.just(HEARTBEAT), st.just(ORDER), st.binary(max_size=40))))
def test_random_bytes_never_raise_and_never_stay(pieces: list[bytes]) -> None:
    """Every byte is part of a frame, counted as garbage, or still waited on."""
    reader = FrameReader()
    taken = sum(len(frame.raw) for piece in pieces for frame in reader.feed(piece))
    total = sum(len(piece) for piece in pieces)
    assert taken + reader.discarded_bytes + reader.pending_bytes == total


def test_fields_are_split_in_order() -> None:
    """Tags and values, the checksum included."""
    assert split_fields(HEARTBEAT) == [
        (8, b"FIX.4.4"), (9, b"10"), (35, b"0"), (34, b"2"), (10, HEARTBEAT[-4:-1]),
    ]  # fmt: skip


def test_data_field_may_hold_what_looks_like_fields() -> None:
    """RawData(96) ends where RawDataLength(95) says, not at the first SOH."""
    assert split_fields(b"95=9\x0196=a\x01554=b\x00c\x0198=0\x01") == [
        (95, b"9"), (96, b"a\x01554=b\x00c"), (98, b"0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        b"no field",
        b"=x\x01",
        b"a=x\x01",
        b"-1=x\x01",
        b"58=x",
        b"95=9\x0196=ab\x01",
        b"1=a\x01\x01",
    ],
)
def test_what_is_not_made_of_fields_is_refused(raw: bytes) -> None:
    """No tag, no SOH, a data field that is too short."""
    assert split_fields(raw) is None


@given(st.binary(max_size=200))
def test_splitting_never_raises(raw: bytes) -> None:
    """Whatever the bytes, the answer is fields or None."""
    fields = split_fields(raw)
    assert fields is None or b"".join(b"%d=%b\x01" % pair for pair in fields) is not None


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 1000])
def test_bytes_are_summed_at_any_length(length: int) -> None:
    """Also where all of them are as large as a byte can be."""
    assert sum_bytes(b"\xff" * length) == 255 * length
    assert sum_bytes(bytes(number % 251 for number in range(length))) == sum(
        number % 251 for number in range(length)
    )
