"""Frames: where one FIX message ends and the next begins, strictly, before anybody interprets it.

A client's bytes are hostile until proven otherwise. A frame begins with BeginString(8),
BodyLength(9) and MsgType(35) in this order and ends with a CheckSum(10) that is right; what does
not is garbled, and garbled messages are ignored (FIX 4.4 vol. 2, "Message Validity").
"""

import re
from typing import Final, NamedTuple
from zlib import adler32

SOH: Final = b"\x01"
FRAME_BYTES_MAX: Final = 1 << 16
HEADER_BYTES_MAX: Final = 48
TRAILER_BYTES: Final = 7
ADLER_BYTES_MAX: Final = 256
TAG_DIGITS_MAX: Final = 9
LENGTH_DIGITS_MAX: Final = 6
START: Final = b"8=FIX"
HEADER: Final = re.compile(rb"8=(FIXT?\.\d\.\d)\x019=(\d{1,10})\x0135=([A-Za-z0-9]{1,4})\x01")
TRAILER: Final = re.compile(rb"10=(\d{3})\x01")
# Fields whose value may hold any byte, and the field in front that says how many.
DATA_TAGS: Final = {
    90: 91, 93: 89, 95: 96, 212: 213, 348: 349, 350: 351, 354: 355, 358: 359, 362: 363, 364: 365,
    445: 446, 618: 619, 621: 622, 1184: 1185, 1401: 1402, 1403: 1404, 1664: 1665, 2351: 2352,
}  # fmt: skip


class Frame(NamedTuple):
    """One well-framed message: its bytes as they came, and what could be told from its start."""

    raw: bytes
    begin_string: str
    msg_type: str


class FrameReader:
    """Cuts a client's byte stream into frames. Bytes that belong to none are counted, not kept."""

    def __init__(self) -> None:
        self.discarded_bytes = 0
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """How much of a frame that is not whole yet has come."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Take in bytes and return the frames that are whole now."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        position = 0
        while True:
            start = buffer.find(START, position)
            if start == -1:
                # The last bytes may be the first of a frame.
                start = max(position, len(buffer) - len(START) + 1)
                self.discarded_bytes += start - position
                position = start
                break
            self.discarded_bytes += start - position
            position = start
            end = self._find_end(start, frames)
            if end is None:
                break
            position = end
        del buffer[:position]
        return frames

    def _find_end(self, start: int, frames: list[Frame]) -> int | None:
        """Return where to go on, None when the frame is not whole yet."""
        buffer = self._buffer
        header = HEADER.match(buffer, start)
        if header is None:
            if len(buffer) - start < HEADER_BYTES_MAX:
                return None
            return self._skip(start)
        body_start = header.end(2) + 1
        end = body_start + int(header[2]) + TRAILER_BYTES
        if end - start > FRAME_BYTES_MAX:
            return self._skip(start)
        if len(buffer) < end:
            return None
        trailer = TRAILER.match(buffer, end - TRAILER_BYTES)
        if trailer is None or buffer[end - TRAILER_BYTES - 1 : end - TRAILER_BYTES] != SOH:
            return self._skip(start)
        raw = bytes(buffer[start:end])
        if sum_bytes(raw[:-TRAILER_BYTES]) & 0xFF != int(trailer[1]):
            # Well delimited, so only this message is lost: the gap in MsgSeqNum(34) will show.
            self.discarded_bytes += end - start
            return end
        frames.append(Frame(raw, header[1].decode(), header[3].decode()))
        return end

    def _skip(self, start: int) -> int:
        """Give up this beginning and look for the next one."""
        self.discarded_bytes += len(START)
        return start + len(START)


def split_fields(raw: bytes) -> list[tuple[int, bytes]] | None:
    """Return the fields of a frame in order, None when it is not made of fields throughout.

    Data fields may hold any byte, SOH too: their length field says where they end.
    """
    fields: list[tuple[int, bytes]] = []
    position = 0
    data_length: int | None = None
    while position < len(raw):
        equals = raw.find(b"=", position)
        tag_text = raw[position:equals]
        if equals == -1 or not tag_text.isdigit() or len(tag_text) > TAG_DIGITS_MAX:
            return None
        value_start = equals + 1
        end = raw.find(SOH, value_start) if data_length is None else value_start + data_length
        if end == -1 or raw[end : end + 1] != SOH:
            return None
        tag, value = int(tag_text), raw[value_start:end]
        fields.append((tag, value))
        data_length = None
        if tag in DATA_TAGS and value.isdigit() and len(value) <= LENGTH_DIGITS_MAX:
            following = b"%d=" % DATA_TAGS[tag]
            if raw.startswith(following, end + 1):
                data_length = int(value)
        position = end + 1
    return fields


def build_frame(begin_string: str, body: bytes) -> bytes:
    """Return a frame of `body`, which begins with 35= and ends with SOH."""
    head = b"8=%b\x019=%d\x01%b" % (begin_string.encode(), len(body), body)
    return b"%b10=%03d\x01" % (head, sum_bytes(head) & 0xFF)


def sum_bytes(data: bytes) -> int:
    """Return the sum of the bytes, of which CheckSum(10) is the rest modulo 256."""
    if len(data) > ADLER_BYTES_MAX:
        return sum(data)
    # The lower half of Adler-32 is one more, as long as that is below 65,521: four times as fast.
    return (adler32(data) & 0xFFFF) - 1
