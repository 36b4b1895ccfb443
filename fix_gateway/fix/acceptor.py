"""QuickFIX for one FIX session: a polled acceptor that meets no stranger and opens no port.

QuickFIX would listen on every interface, and a stranger who drips bytes there would stall the whole
process. So right after the first poll its listening socket is replaced by a Unix socket in a
private directory. The edge connects to it once a client has been authenticated and hands over whole
frames.

Everything here happens on the gateway's one thread. Acceptors are never destroyed while the process
lives: that would leak descriptors. One whose session is given up is kept, and handed on to the
session's next owner in this process.
"""

import errno
import fcntl
import os
import socket
import stat
import termios
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, ParamSpec, Protocol

import quickfix
import structlog

from fix_gateway.fix.dialect import Dialect, find_dialect
from fix_gateway.fix.dictionary import TRANSPORT, dictionary_path
from fix_gateway.fix.fail_stop import fail_stop
from fix_gateway.fix.fields import SOH, MsgType, Tag
from fix_gateway.fix.message_store import SessionIdentity, SessionStore

POLLS_MAX: Final = 1000
NOTHING: Final = bytes(4)
RECEIVE_BYTES: Final = 1 << 16  # Larger buffers are mapped and unmapped for each read.
LISTEN_TRIES: Final = 20
LISTEN_RETRY_S: Final = 0.01
TYPES_WITH_GROUPS: Final = tuple(
    f"35={msg_type}{SOH}"
    for msg_type in (
        MsgType.ORDER_MASS_CANCEL_REPORT, MsgType.SECURITY_LIST, MsgType.POSITION_REPORT,
        MsgType.USER_RESPONSE, MsgType.MARKET_DATA_SNAPSHOT_FULL_REFRESH,
        MsgType.MARKET_DATA_INCREMENTAL_REFRESH,
    )
)  # fmt: skip
FEES: Final = f"{SOH}{Tag.NO_MISC_FEES}="  # The one group of a report.
UNVALIDATED: Final = False  # QuickFIX fills in length and checksum when it sends.
APPLICATION_VERSION: Final = "FIX.5.0SP2"  # What QuickFIX calls ApplVerID(1128) 9.
SETTINGS: Final = {
    "ConnectionType": "acceptor",
    # Schedules and resets are ours: QuickFIX must never end a session or wipe a store by the clock.
    "NonStopSession": "Y",
    "ResetOnLogon": "N",
    "ResetOnLogout": "N",
    "ResetOnDisconnect": "N",
    # After a rewind a session with this would wait for ever.
    "SendNextExpectedMsgSeqNum": "N",
    # Real clients put header fields into the body, and fields of their own anywhere.
    "ValidateFieldsOutOfOrder": "N",
    "ValidateUserDefinedFields": "N",
    "AllowUnknownMsgFields": "Y",
    "ValidateLengthAndChecksum": "Y",
    "UseDataDictionary": "Y",
    "SocketNodelay": "Y",
}

log = structlog.get_logger("fix.acceptor")

P = ParamSpec("P")
FAILED: Final = object()


class SessionHandler(Protocol):
    """Who is told what QuickFIX makes of a session's messages. Texts are whole messages."""

    def may_log_on(self) -> bool:
        """Whether the edge has just authenticated the client whose Logon QuickFIX now reads."""

    def on_logon(self) -> None:
        """The session is logged on."""

    def on_logout(self) -> None:
        """The session is logged off, or its connection is gone."""

    def on_session_message(self, text: str) -> None:
        """A session-level message came that QuickFIX accepts."""

    def on_application_message(self, text: str) -> None:
        """An application message came, in sequence and well-formed."""

    def on_unprocessed_message(self, text: str) -> None:
        """`on_application_message` failed on it: the client must not wait for ever."""


class SessionAcceptor:
    """QuickFIX's end of one session.

    One that does not `keeps_messages` stores none that it sends: when the client asks for them
    again, their numbers are passed over.
    """

    def __init__(
        self,
        identity: SessionIdentity,
        store: SessionStore,
        socket_path: Path,
        handler: SessionHandler,
        *,
        keeps_messages: bool = True,
    ) -> None:
        self._session_id = quickfix.SessionID(
            identity.begin_string, identity.gateway_comp_id, identity.client_comp_id
        )
        self._begin_string = identity.begin_string
        self._dictionaries = _load_dictionaries(identity.begin_string)
        self._store_dir = store.directory
        self._socket_path = socket_path
        self._connection: socket.socket | None = None
        self._unfed = b""
        # QuickFIX keeps bare pointers to these: they live as long as the acceptor.
        self._application = _Application(handler)
        store.open()
        self._make_acceptor(identity, store, {"PersistMessages": "Y" if keeps_messages else "N"})
        self._session = quickfix.Session.lookupSession(self._session_id)

    @property
    def is_logged_on(self) -> bool:
        """Whether reports can go out now."""
        return bool(self._session.isLoggedOn())

    @property
    def is_connected(self) -> bool:
        """Whether the edge is connected to QuickFIX."""
        return self._connection is not None

    @property
    def next_sender_msg_seq_num(self) -> int:
        """The MsgSeqNum(34) that the next message sent will bear."""
        return int(self._session.getExpectedSenderNum())

    @property
    def next_target_msg_seq_num(self) -> int:
        """The MsgSeqNum(34) that is expected of the client next."""
        return int(self._session.getExpectedTargetNum())

    def expect(self, msg_seq_num: int) -> None:
        """Expect this number of the client next. Only while logged off."""
        self._session.setNextTargetMsgSeqNum(msg_seq_num)

    def pass_over(self, count: int) -> None:
        """Leave out so many numbers of ours. Only while logged off."""
        self._session.setNextSenderMsgSeqNum(self.next_sender_msg_seq_num + count)

    def refresh(self) -> None:
        """Read numbers and messages from the store's files again. Only while logged off."""
        self._session.refresh()

    def reset(self) -> None:
        """Start both numbers at 1 again and forget all messages. Only while logged off."""
        self._session.reset()

    def hand_on(self, store: SessionStore, handler: SessionHandler) -> None:
        """Serve the session again after a while in which the store was somebody else's."""
        store.open()
        self._application.handler = handler
        self._session.refresh()

    def tell_times(self, digits: int) -> None:
        """Let SendingTime(52) have so many digits of a second."""
        self._session.setTimestampPrecision(digits)

    def connect(self) -> None:
        """Connect the edge, for one client's connection."""
        assert self._connection is None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.connect(str(self._socket_path))
        connection.settimeout(0)
        self._connection = connection
        self._session.logon()  # Enables the session: `log_out` has switched it off for good.
        self._acceptor.poll()

    def disconnect(self) -> None:
        """Hang up on QuickFIX, whose session is logged off then. Harmless when not connected."""
        if self._connection is None:
            return
        self._connection.close()
        self._connection = None
        self._unfed = b""
        self.poll_timers()

    def feed(self, data: bytes) -> bytes:
        """Hand whole frames to QuickFIX, and return all that it writes to the client."""
        assert self._connection is not None
        self._unfed += data
        written = b""
        while self._unfed and self._connection is not None:
            self._offer()
            self._poll_until_read()
            written += self.drain()
        return written

    def drain(self) -> bytes:
        """Let QuickFIX write what it has queued, and return it. The connection may end by this."""
        pieces: list[bytes] = []
        while self._connection is not None:
            piece = self._receive()
            if piece is None:
                # QuickFIX writes one message per poll when its socket was full.
                self._acceptor.poll()
                piece = self._receive()
                if piece is None:
                    break
            if piece:
                pieces.append(piece)
            else:
                self._connection.close()
                self._connection = None
        return b"".join(pieces)

    def poll_timers(self) -> None:
        """Let QuickFIX look at the clock: heartbeats, test requests, timeouts. Once a second."""
        # The first poll may find something to read; timers run only when there is nothing.
        self._acceptor.poll()
        self._acceptor.poll()

    def send(self, body: str) -> None:
        """Send a message, given as fields from 35= on. QuickFIX adds header and trailer.

        Ends the process when the message cannot be stored: QuickFIX would drop it without a word.
        """
        text = f"8={self._begin_string}{SOH}9=0{SOH}{body}10=000{SOH}"
        if body.startswith(TYPES_WITH_GROUPS) or FEES in body:
            # Without a dictionary QuickFIX would put the fields of groups into another order.
            message = quickfix.Message(text, *self._dictionaries, UNVALIDATED)
        else:
            message = quickfix.Message(text, UNVALIDATED)
        number = self.next_sender_msg_seq_num
        quickfix.Session.sendToTarget(message, self._session_id)
        if self.next_sender_msg_seq_num == number:
            fail_stop(self._store_dir, "QuickFIX did not store a message")

    def log_out(self, reason: str) -> None:
        """Ask the client to log out. `on_logout` follows, or the caller's patience ends."""
        self._session.logout(reason)

    def _offer(self) -> None:
        assert self._connection is not None
        try:
            fed = self._connection.send(self._unfed)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            # QuickFIX has hung up: what it wrote before is still to be read, the rest is void.
            self._unfed = b""
            return
        self._unfed = self._unfed[fed:]

    def _poll_until_read(self) -> None:
        """Poll until QuickFIX has read, and so handled, all that was offered.

        One poll reads at most 8 KiB, and after a new connection a poll may do other things first;
        how much is left, only the socket knows.
        """
        assert self._connection is not None
        for _ in range(POLLS_MAX):
            self._acceptor.poll()
            if fcntl.ioctl(self._connection, termios.TIOCOUTQ, NOTHING) == NOTHING:
                return
        log.error("quickfix_does_not_read")

    def _receive(self) -> bytes | None:
        assert self._connection is not None
        try:
            return self._connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def _make_acceptor(
        self, identity: SessionIdentity, store: SessionStore, own: dict[str, str]
    ) -> None:
        values = own | {
            "FileStorePath": str(store.directory), "SocketAcceptPort": str(_free_port()),
        }  # fmt: skip
        settings = _settings(identity, values, self._session_id)
        stores = quickfix.FileStoreFactory(settings)
        self._acceptor = quickfix.SocketAcceptor(self._application, stores, settings)
        self._kept = (settings, stores)
        before = _listeners()
        self._listen()
        (descriptor,) = _listeners() - before
        self._replace_listener(descriptor)

    def _listen(self) -> None:
        for attempt in range(1, LISTEN_TRIES + 1):
            try:
                self._acceptor.poll()
            except quickfix.RuntimeError as error:
                # Somebody else got the port, most likely for a short connection of its own. Another
                # acceptor for another port would take this session down with the first one.
                if attempt == LISTEN_TRIES:
                    raise OSError(errno.EADDRINUSE, str(error)) from error
                time.sleep(LISTEN_RETRY_S)
            else:
                return

    def _replace_listener(self, descriptor: int) -> None:
        self._socket_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
            listener.bind(str(self._socket_path))
            listener.listen(1)
            os.dup2(listener.fileno(), descriptor, inheritable=False)


class _Application(quickfix.Application):  # type: ignore[misc]  # Untyped bindings.
    """QuickFIX's callbacks. None may raise: an unknown exception ends the process at once."""

    def __init__(self, handler: SessionHandler) -> None:
        super().__init__()
        self.handler = handler

    def onCreate(self, session_id: Any) -> None:
        pass

    def onLogon(self, session_id: Any) -> None:
        _guarded(self.handler.on_logon)

    def onLogout(self, session_id: Any) -> None:
        _guarded(self.handler.on_logout)

    def toAdmin(self, message: Any, session_id: Any) -> None:
        pass

    def toApp(self, message: Any, session_id: Any) -> None:
        pass

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        text = message.toString()
        if f"{SOH}35=A{SOH}" in text and _guarded(self.handler.may_log_on) is not True:
            raise quickfix.RejectLogon("not authenticated")
        _guarded(self.handler.on_session_message, text)

    def fromApp(self, message: Any, session_id: Any) -> None:
        text = message.toString()
        if _guarded(self.handler.on_application_message, text) is FAILED:
            _guarded(self.handler.on_unprocessed_message, text)


def _guarded(callback: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> object:
    """Call back, and return what was returned, or FAILED after an exception was logged."""
    try:
        return callback(*args, **kwargs)
    except Exception:
        log.exception("callback_failed", callback=getattr(callback, "__qualname__", "?"))
        return FAILED


def _settings(
    identity: SessionIdentity, own: dict[str, str], session_id: Any
) -> "quickfix.SessionSettings":
    values = SETTINGS | {
        **own,
        "BeginString": identity.begin_string,
        "SenderCompID": identity.gateway_comp_id,
        "TargetCompID": identity.client_comp_id,
        **_dialect_settings(find_dialect(identity.begin_string)),
    }
    dictionary = quickfix.Dictionary()
    for key, value in values.items():
        dictionary.setString(key, value)
    settings = quickfix.SessionSettings()
    settings.set(session_id, dictionary)
    return settings


@cache
def _load_dictionaries(begin_string: str) -> "tuple[quickfix.DataDictionary, ...]":
    dialect = find_dialect(begin_string)
    versions = (TRANSPORT, dialect.version) if dialect.is_fixt else (dialect.version,)
    return tuple(quickfix.DataDictionary(str(dictionary_path(version))) for version in versions)


def _dialect_settings(dialect: Dialect) -> dict[str, str]:
    path = str(dictionary_path(dialect.version))
    if not dialect.is_fixt:
        return {"DataDictionary": path}
    return {
        "DefaultApplVerID": APPLICATION_VERSION,
        "TransportDataDictionary": str(dictionary_path(TRANSPORT)),
        "AppDataDictionary": path,
    }


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _listeners() -> set[int]:
    """Return the descriptors of this process that listen for TCP connections."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if _is_listener(descriptor):
            found.add(descriptor)
    return found


def _is_listener(descriptor: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        with socket.socket(fileno=os.dup(descriptor)) as probe:
            is_listening = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return probe.family == socket.AF_INET and bool(is_listening)
    except OSError:
        # The descriptor of the directory that is being listed, closed by now.
        return False
