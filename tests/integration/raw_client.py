"""A FIX client without an engine: it sends the bytes that a test wants, right or wrong."""

import base64
import contextlib
import socket
import ssl
import struct
import time
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fix_gateway.fix.fields import Fields, MsgType, Tag, UtcTimestamps, join_fields, parse_message
from fix_gateway.fix.framing import FrameReader, build_frame

WAIT_S: Final = 10.0
PASSWORD: Final = "demo-password"


class RawClient:
    """One TCP connection. MsgSeqNums count up by themselves unless a test says otherwise."""

    def __init__(
        self,
        port: int,
        comp_id: str,
        *,
        tls: ssl.SSLContext | None = None,
        begin_string: str = "FIX.4.4",
        source: str = "127.0.0.1",
    ) -> None:
        self.comp_id = comp_id
        self.begin_string = begin_string
        self.next_seq = 1
        self._socket = socket.create_connection(
            ("127.0.0.1", port), WAIT_S, source_address=(source, 0)
        )
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
        self._reader = FrameReader()
        self._frames: list[bytes] = []
        self._is_logged_on = False
        self.last_raw = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Say goodbye, so that nothing of this test is told again to the next."""
        if self._is_logged_on:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                self.send(MsgType.LOGOUT)
                self.receive_type(MsgType.LOGOUT, 2.0)
        self._socket.close()

    def cut(self) -> None:
        """Tear the connection down: what is on its way to this client is lost."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def message(
        self,
        msg_type: str,
        *fields: tuple[int, str],
        seq: int | None = None,
        sending_time: str | None = None,
    ) -> bytes:
        """Return a well-formed message with the next number and the time, or with those given."""
        if seq is None:
            seq = self.next_seq
            self.next_seq += 1
        body = join_fields(
            [
                (Tag.MSG_TYPE, msg_type),
                (Tag.MSG_SEQ_NUM, str(seq)),
                (Tag.SENDER_COMP_ID, self.comp_id),
                (Tag.SENDING_TIME, sending_time or UtcTimestamps().format(time.time_ns())),
                (Tag.TARGET_COMP_ID, "WCX"),
                *fields,
            ]
        )
        return build_frame(self.begin_string, body.encode("latin-1"))

    def logon_message(
        self,
        *extra: tuple[int, str],
        password: str = PASSWORD,
        is_reset: bool = True,
        heart_bt_int: str = "30",
    ) -> bytes:
        """Return a Logon."""
        return self.message(
            MsgType.LOGON,
            (Tag.ENCRYPT_METHOD, "0"),
            (Tag.HEART_BT_INT, heart_bt_int),
            *self._version(),
            *([(int(Tag.RESET_SEQ_NUM_FLAG), "Y")] if is_reset else []),
            (Tag.USERNAME, self.comp_id),
            (Tag.PASSWORD, password),
            *extra,
        )

    def signed_logon_message(self, key: Ed25519PrivateKey, username: str) -> bytes:
        """Return a Logon that is signed in the place of a password."""
        now = UtcTimestamps().format(time.time_ns())
        payload = "\x01".join(("A", self.comp_id, "WCX", str(self.next_seq), now))
        signature = base64.b64encode(key.sign(payload.encode())).decode()
        return self.message(
            MsgType.LOGON,
            (Tag.ENCRYPT_METHOD, "0"),
            (Tag.HEART_BT_INT, "30"),
            *self._version(),
            (Tag.RESET_SEQ_NUM_FLAG, "Y"),
            (Tag.USERNAME, username),
            (Tag.RAW_DATA_LENGTH, str(len(signature))),
            (Tag.RAW_DATA, signature),
            sending_time=now,
        )

    def _version(self) -> list[tuple[int, str]]:
        return [(Tag.DEFAULT_APPL_VER_ID, "9")] if self.begin_string == "FIXT.1.1" else []

    def log_on(
        self,
        *extra: tuple[int, str],
        password: str = PASSWORD,
        is_reset: bool = True,
        heart_bt_int: str = "30",
    ) -> Fields:
        """Log on and return the answer, which must be a Logon."""
        self.send_bytes(
            self.logon_message(
                *extra, password=password, is_reset=is_reset, heart_bt_int=heart_bt_int
            )
        )
        answer = self.receive()
        assert answer[Tag.MSG_TYPE] == MsgType.LOGON, answer
        self._is_logged_on = True
        return answer

    def send(self, msg_type: str, *fields: tuple[int, str], seq: int | None = None) -> None:
        """Send a well-formed message."""
        self.send_bytes(self.message(msg_type, *fields, seq=seq))

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        self._socket.sendall(data)

    def receive(self, wait_s: float = WAIT_S) -> Fields:
        """Return the next message. Raises EOFError when the gateway has hung up."""
        deadline_s = time.monotonic() + wait_s
        while not self._frames:
            self._socket.settimeout(max(0.001, deadline_s - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self._frames += [frame.raw for frame in self._reader.feed(data)]
        self.last_raw = self._frames.pop(0).decode("latin-1")
        return parse_message(self.last_raw)

    def receive_bytes(self, wait_s: float = WAIT_S) -> bytes:
        """Return what comes next as it comes, b"" once the gateway has hung up."""
        self._socket.settimeout(wait_s)
        return self._socket.recv(1 << 20)

    def receive_type(self, msg_type: str, wait_s: float = WAIT_S) -> Fields:
        """Return the next message of the type; others before it are passed over."""
        deadline_s = time.monotonic() + wait_s
        while True:
            fields = self.receive(deadline_s - time.monotonic())
            if fields[Tag.MSG_TYPE] == msg_type:
                return fields

    def receive_all_until_closed(self, wait_s: float = WAIT_S) -> list[Fields]:
        """Return what still comes before the gateway hangs up, which it must do in time."""
        received = []
        try:
            while True:
                received.append(self.receive(wait_s))
        except EOFError:
            return received

    def order(self, cl_ord_id: str, *extra: tuple[int, str], price: str = "1.00") -> bytes:
        """Return a GTC buy order of 1 BTC far below the market, with the next number."""
        return self.message(
            MsgType.NEW_ORDER_SINGLE,
            (Tag.CL_ORD_ID, cl_ord_id),
            (Tag.SYMBOL, "BTC-USD"),
            (Tag.SIDE, "1"),
            (Tag.ORDER_QTY, "1"),
            (Tag.ORD_TYPE, "2"),
            (Tag.PRICE, price),
            (Tag.TIME_IN_FORCE, "1"),
            *extra,
        )
