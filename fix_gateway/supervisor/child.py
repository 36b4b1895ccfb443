"""One process of the venue: started behind a reaper, its output forwarded, readiness awaited."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

REAPER: Final = Path(__file__).with_name("reaper.py")
LINE_BYTES_MAX: Final = 1 << 16
NOTIFICATION_BYTES_MAX: Final = 4096


class ChildEndedError(Exception):
    """The process ended before it was ready."""


@dataclass(frozen=True)
class ChildSpec:
    """What to run, and as whom.

    `namespace_uid` runs it in a user namespace of its own in which it seems to be that user; `uid`
    and `gid` run it as another user for good. `stop_signal` asks it to end, SIGKILL follows after
    `grace_s` seconds.
    """

    name: str
    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    directory: Path | None = None
    namespace_uid: int | None = None
    uid: int | None = None
    gid: int | None = None

    def with_environment(self, variables: dict[str, str]) -> "ChildSpec":
        """Return the same process with more environment variables."""
        return replace(self, environment=self.environment | variables)

    def encode(self) -> bytes:
        """Return the line that the reaper reads."""
        spec = {
            "argv": self.argv,
            "environment": os.environ | self.environment,
            "stop_signal": int(self.stop_signal),
            "grace_s": self.grace_s,
            "directory": None if self.directory is None else str(self.directory),
            "namespace_uid": self.namespace_uid,
            "uid": self.uid,
            "gid": self.gid,
        }
        return json.dumps(spec).encode() + b"\n"


class Child:
    """A running process. Lines that it prints go to `on_line`, without their line end."""

    def __init__(self, spec: ChildSpec, on_line: Callable[[str, str], None]) -> None:
        self.spec = spec
        self._on_line = on_line
        self._lifeline = -1
        self._process: asyncio.subprocess.Process
        self._forwarder: asyncio.Task[None]

    async def start(self) -> None:
        """Start it. Whether it comes up is another question: see `wait_until_ready`."""
        read_end, self._lifeline = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(REAPER),
                str(read_end),
                self.spec.name,
                pass_fds=(read_end,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # A Ctrl-C in the terminal must not reach it before our own orderly stop.
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
        finally:
            os.close(read_end)
        os.write(self._lifeline, self.spec.encode())
        self._forwarder = asyncio.create_task(self._forward())

    async def wait(self) -> int:
        """Return the exit code once the process has ended and all it printed was forwarded."""
        code = await self._process.wait()
        await asyncio.shield(self._forwarder)
        return code

    def request_stop(self) -> None:
        """Let it end: its stop signal, then SIGKILL after the grace time."""
        if self._lifeline != -1:
            os.close(self._lifeline)
            self._lifeline = -1

    async def stop(self) -> int:
        """End it and return its exit code."""
        self.request_stop()
        return await self.wait()

    async def _forward(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while True:
            try:
                line = await stdout.readline()
            except ValueError:
                # Longer than any line should be: its beginning is lost, the venue goes on.
                continue
            if not line:
                return
            self._on_line(self.spec.name, line.decode(errors="replace").rstrip("\n"))


class Readiness(Protocol):
    """How it is known that a process accepts work."""

    @property
    def environment(self) -> dict[str, str]:
        """What the process must find in its environment for that."""

    async def wait(self) -> int:
        """Return the process's id, 0 when it is not known, as soon as it accepts work."""

    def close(self) -> None:
        """Clean up."""


class Notified:
    """The process says so itself (the protocol of sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_UNIX, kind)
        self._socket.bind(str(path))

    @property
    def environment(self) -> dict[str, str]:
        """Where the process finds the socket."""
        return {"NOTIFY_SOCKET": str(self._path)}

    async def wait(self) -> int:
        """Return the process's id when it says that it is ready."""
        loop = asyncio.get_running_loop()
        while True:
            lines = (await loop.sock_recv(self._socket, NOTIFICATION_BYTES_MAX)).decode().split()
            if "READY=1" in lines:
                pids = [line.removeprefix("MAINPID=") for line in lines if "MAINPID=" in line]
                return int(pids[0]) if pids else 0

    def close(self) -> None:
        """Take the socket away."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Probed:
    """Asking it shows: `probe` returns the process's id once it answers."""

    def __init__(self, probe: Callable[[], Awaitable[int]]) -> None:
        self._probe = probe

    @property
    def environment(self) -> dict[str, str]:
        """Nothing."""
        return {}

    async def wait(self) -> int:
        """Return the process's id when it answers."""
        return await self._probe()

    def close(self) -> None:
        """Nothing is left behind."""


async def wait_until_ready(child: Child, readiness: Readiness, *, timeout_s: float) -> int:
    """Return the process's id when it accepts work.

    Raises ChildEndedError when it ends first and TimeoutError when it takes too long.
    """
    ready = asyncio.ensure_future(readiness.wait())
    ended = asyncio.ensure_future(child.wait())
    try:
        done, _ = await asyncio.wait(
            (ready, ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        ready.cancel()
        ended.cancel()
    if ready in done:
        return ready.result()
    if ended in done:
        raise ChildEndedError(f"{child.spec.name} ended with exit code {ended.result()}")
    raise TimeoutError(f"{child.spec.name} was not ready after {timeout_s:.0f} s")


async def run_to_end(spec: ChildSpec, *, timeout_s: float) -> tuple[int, str]:
    """Run a process that ends by itself. Returns its exit code and what it printed.

    Raises TimeoutError, after stopping it, when it takes too long.
    """
    lines: list[str] = []
    child = Child(spec, lambda _name, line: lines.append(line))
    await child.start()
    try:
        code = await asyncio.wait_for(child.wait(), timeout_s)
    finally:
        await child.stop()
    return code, "\n".join(lines)
