"""A FIX client on QuickFIX: logs on, sends, and hands over what it receives as dictionaries.

For demonstrations and tests. It meets the gateway over TCP like any other client.
"""

import contextlib
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import quickfix

from fix_gateway.fix.dictionary import BEGIN_STRINGS, TRANSPORT, dictionary_path
from fix_gateway.fix.fields import SOH, Fields, MsgType, Tag, join_fields, parse_message

POLL_S: Final = 0.001
LOGOUT_WAIT_S: Final = 3.0
RECONNECT_S: Final = 1
STUCK_S: Final = 6.0
CONNECT_WAIT_S: Final = 5.0
FIX_4_4: Final = "FIX.4.4"
FIXT: Final = "FIXT.1.1"
APPLICATION_VERSION: Final = "FIX.5.0SP2"
WITH_GROUPS: Final = frozenset({MsgType.MARKET_DATA_REQUEST})


@dataclass(frozen=True)
class Counterparty:
    """Where to log on, as whom to be addressed, the password, and the version to speak.

    With `trusted`, a PEM file of certificates, the connection is TLS. QuickFIX needs it to have
    been installed with TLS, as the extra `binary` is.
    """

    host: str
    port: int
    comp_id: str
    password: str = field(repr=False)
    trusted: Path | None = None
    begin_string: str = FIX_4_4

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def is_there(self) -> bool:
        """Whether anybody listens at the address. Waits for five seconds at most."""
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), CONNECT_WAIT_S).close()
            return True
        return False


class Initiator:
    """One FIX session of a client. Messages that come are put into `received`, in order.

    QuickFIX is polled on a thread of its own; `send` may be called on any thread. `on_message` is
    told of every message, direction first: "<" for one that came, ">" for one that goes out.
    """

    def __init__(
        self,
        comp_id: str,
        counterparty: Counterparty,
        *,
        store_dir: Path | None = None,
        reset_on_logon: bool = True,
        heart_bt_int_s: int = 30,
        on_message: Callable[[str, str], None] | None = None,
    ) -> None:
        self.comp_id = comp_id
        self.begin_string = counterparty.begin_string
        self.received: queue.SimpleQueue[Fields] = queue.SimpleQueue()
        self.logged_on = threading.Event()
        self.logged_off = threading.Event()
        self._counterparty = counterparty
        self._on_message = on_message
        self._stopped = threading.Event()
        self._own_dir = tempfile.TemporaryDirectory() if store_dir is None else None
        directory = Path(self._own_dir.name) if self._own_dir is not None else store_dir
        self._session_id = quickfix.SessionID(self.begin_string, comp_id, counterparty.comp_id)
        self._settings = self._make_settings(
            str(directory), reset_on_logon=reset_on_logon, heart_bt_int_s=heart_bt_int_s
        )
        self._application = _Application(self)
        self._stores = quickfix.FileStoreFactory(self._settings)
        self._initiator = self._make_initiator()
        self._lock = threading.Lock()
        self._is_leaving = False
        self._was_logged_out = threading.Event()
        self._thread = threading.Thread(target=self._poll, name=f"fix-{comp_id}", daemon=True)

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost."""
        self._thread.start()

    def send(self, msg_type: str, fields: list[tuple[int, str]]) -> None:
        """Send a message. QuickFIX adds header and trailer."""
        body = join_fields([(Tag.MSG_TYPE, msg_type), *fields])
        text = f"8={self.begin_string}{SOH}9=0{SOH}{body}10=000{SOH}"
        # Without a dictionary QuickFIX would put the fields of groups into another order.
        dictionaries = _load_dictionaries(self.begin_string) if msg_type in WITH_GROUPS else ()
        unvalidated = False
        message = quickfix.Message(text, *dictionaries, unvalidated)
        with self._lock:
            quickfix.Session.sendToTarget(message, self._session_id)

    def log_out(self) -> None:
        """Say goodbye and wait a little for the answer."""
        self._is_leaving = True
        self.logged_off.clear()
        with self._lock:
            quickfix.Session.lookupSession(self._session_id).logout()
        self.logged_off.wait(LOGOUT_WAIT_S)

    def stop(self) -> None:
        """Log out, if logged on, and end. Harmless the second time."""
        if self._stopped.is_set():
            return
        if self.logged_on.is_set():
            self.log_out()
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        # At once, not when the garbage collector comes by: QuickFIX keeps a table of all sessions
        # of the process, and a late destructor would strike out a successor of the same name.
        del self._initiator
        if self._own_dir is not None:
            self._own_dir.cleanup()

    def note(self, direction: str, text: str) -> None:
        """Pass a message on to whoever watches. Called by QuickFIX's callbacks."""
        if self._on_message is not None:
            self._on_message(direction, text)

    def credentials(self) -> list[tuple[int, str]]:
        """Return what a Logon must carry."""
        return [(Tag.USERNAME, self.comp_id), (Tag.PASSWORD, self._counterparty.password)]

    def note_logout(self) -> None:
        """The gateway has said Logout. Called by QuickFIX's callbacks."""
        self._was_logged_out.set()

    def _poll(self) -> None:
        alive_at_s = time.monotonic()
        while not self._stopped.is_set():
            self._initiator.poll()
            now_s = time.monotonic()
            if self.logged_on.is_set():
                alive_at_s = now_s
            # QuickFIX 1.16.0 may overlook that a connection was reset, and then sends its Logons
            # into nothing for ever (quickfix/quickfix, pull request 711).
            is_stuck = now_s - alive_at_s > STUCK_S
            if (self._was_logged_out.is_set() or is_stuck) and not self._is_leaving:
                self._renew()
                alive_at_s = time.monotonic()
            time.sleep(POLL_S)

    def _renew(self) -> None:
        """Begin anew after a Logout of the gateway's, or when QuickFIX is stuck.

        After a Logout QuickFIX of 2026 never connects again by itself (quickfix/quickfix, issue
        741). Its store stays, and the numbers with it.
        """
        self._stopped.wait(RECONNECT_S)
        with self._lock:
            del self._initiator
            self._was_logged_out.clear()
            self._initiator = self._make_initiator()

    def _make_initiator(self) -> "quickfix.Initiator":
        kind = quickfix.SocketInitiator
        if self._counterparty.trusted is not None:
            kind = quickfix.SSLSocketInitiator
        return kind(self._application, self._stores, self._settings)

    def _make_settings(
        self, store_dir: str, *, reset_on_logon: bool, heart_bt_int_s: int
    ) -> "quickfix.SessionSettings":
        values = {
            "ConnectionType": "initiator",
            "BeginString": self.begin_string,
            "SenderCompID": self.comp_id,
            "TargetCompID": self._counterparty.comp_id,
            "SocketConnectHost": self._counterparty.host,
            "SocketConnectPort": str(self._counterparty.port),
            "SocketNodelay": "Y",
            "ReconnectInterval": str(RECONNECT_S),
            "HeartBtInt": str(heart_bt_int_s),
            "NonStopSession": "Y",
            "ResetOnLogon": "Y" if reset_on_logon else "N",
            "FileStorePath": store_dir,
            "UseDataDictionary": "Y",
            "TimestampPrecision": "6" if self.begin_string == FIXT else "3",
            **_dictionaries(self.begin_string),
        }
        if self._counterparty.trusted is not None:
            values["CertificationAuthoritiesFile"] = str(self._counterparty.trusted)
            values["SSLProtocol"] = "+TLSv1_2 +TLSv1_3"
        dictionary = quickfix.Dictionary()
        for key, value in values.items():
            dictionary.setString(key, value)
        settings = quickfix.SessionSettings()
        settings.set(self._session_id, dictionary)
        return settings


def _dictionaries(begin_string: str) -> dict[str, str]:
    path = str(dictionary_path(BEGIN_STRINGS[begin_string]))
    if begin_string != FIXT:
        return {"DataDictionary": path}
    return {
        "DefaultApplVerID": APPLICATION_VERSION,
        "TransportDataDictionary": str(dictionary_path(TRANSPORT)),
        "AppDataDictionary": path,
    }


@cache
def _load_dictionaries(begin_string: str) -> "tuple[quickfix.DataDictionary, ...]":
    version = BEGIN_STRINGS[begin_string]
    versions = (TRANSPORT, version) if begin_string == FIXT else (version,)
    return tuple(quickfix.DataDictionary(str(dictionary_path(each))) for each in versions)


class _Application(quickfix.Application):  # type: ignore[misc]  # Untyped bindings.
    def __init__(self, initiator: Initiator) -> None:
        super().__init__()
        self._initiator = initiator

    def onCreate(self, session_id: Any) -> None:
        pass

    def onLogon(self, session_id: Any) -> None:
        self._initiator.logged_off.clear()
        self._initiator.logged_on.set()

    def onLogout(self, session_id: Any) -> None:
        self._initiator.logged_on.clear()
        self._initiator.logged_off.set()

    def toAdmin(self, message: Any, session_id: Any) -> None:
        if f"{SOH}35={MsgType.LOGON}{SOH}" in message.toString():
            for tag, value in self._initiator.credentials():
                message.setField(int(tag), value)
        self._initiator.note(">", message.toString())

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        text = message.toString()
        if f"{SOH}35={MsgType.LOGOUT}{SOH}" in text:
            self._initiator.note_logout()
        self._take(text)

    def toApp(self, message: Any, session_id: Any) -> None:
        self._initiator.note(">", message.toString())

    def fromApp(self, message: Any, session_id: Any) -> None:
        self._take(message.toString())

    def _take(self, text: str) -> None:
        self._initiator.note("<", text)
        self._initiator.received.put(parse_message(text))
