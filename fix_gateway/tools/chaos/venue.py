"""A whole venue as a child: `wcx up --demo` on free ports and a directory of its own."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, Self

from fix_gateway.tools.initiator import Counterparty
from fix_gateway.tools.rest import RestClient

WCX: Final = Path(sys.executable).with_name("wcx")
READY_WAIT_S: Final = 60.0
STOP_WAIT_S: Final = 40.0
COMMAND_WAIT_S: Final = 60.0
POLL_S: Final = 0.02
PASSWORD: Final = "demo-password"  # noqa: S105 - Everybody may know it.
PORTS: Final = "15000-30000"
PORTS_VARIABLE: Final = "WCX_TEST_PORTS"
REAPER: Final = "reaper.py"


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody has, below those that the system gives away by itself.

    Two who look for some at once may find the same: `WCX_TEST_PORTS` ("15000-20000") gives each a
    range of its own.
    """
    first, last = (int(port) for port in os.environ.get(PORTS_VARIABLE, PORTS).split("-"))
    found: dict[int, None] = {}
    while len(found) < count:
        port = random.SystemRandom().randint(first, last)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found[port] = None
    return list(found)


class VenueProcess:
    """`wcx up --demo` on ports and directories of its own.

    `settings` are environment variables for it. What waits raises TimeoutError, with all that the
    venue has logged.
    """

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.fix_port, self.tls_port, self.rest_port = free_ports(3)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("WCX_")},
            "WCX_DATA_DIR": str(data_dir),
            "WCX_FIX__PORT": str(self.fix_port),
            "WCX_FIX__TLS_PORT": str(self.tls_port),
            "WCX_FIX__TLS_HOST": "127.0.0.1",
            "WCX_REST__PORT": str(self.rest_port),
            "WCX_FIX__METRICS_PORT": "0",
            "WCX_ENGINE__METRICS_PORT": "0",
            "WCX_PROJECTOR__METRICS_PORT": "0",
            "WCX_MARKET_DATA__METRICS_PORT": "0",
            "WCX_MARKET_DATA__FIX_PORT": "0",
            "WCX_MARKET_DATA__FIX_TLS_PORT": "0",
            "WCX_MARKET_DATA__FIX_METRICS_PORT": "0",
            # Few tests need them, and they start four more processes.
            "WCX_MARKET_DATA__ENABLED": "false",
            "WCX_MARKET_DATA__FIX_ENABLED": "false",
            "WCX_PROJECTOR__ENABLED": "false",
            **settings,
        }
        self.printed: list[str] = []
        self.logged: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._rest: RestClient | None = None
        self._readers: list[threading.Thread] = []

    @property
    def counterparty(self) -> Counterparty:
        """Where and how demo clients log on."""
        return Counterparty("127.0.0.1", self.fix_port, "WCX", PASSWORD)

    @property
    def pid(self) -> int:
        """The supervisor's own process."""
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str) -> Self:
        """Start everything and return when it says `ready`."""
        self._process = subprocess.Popen(
            [str(WCX), "up", "--demo", *options],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=_read, args=arguments, daemon=True)
            for arguments in (
                (self._process.stdout, self.printed),
                (self._process.stderr, self.logged),
            )
        ]
        for reader in self._readers:
            reader.start()
        self.wait_for(lambda: "ready" in self.printed or self._process_ended())
        if "ready" not in self.printed:
            raise TimeoutError(self.log_text())
        return self

    def stop(self) -> int:
        """Stop it as Ctrl-C or a service manager would, and return the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)  # A test may have stopped it.
        code = self._process.wait(STOP_WAIT_S)
        for reader in self._readers:
            reader.join(STOP_WAIT_S)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        self.printed.clear()
        return code

    def log_text(self) -> str:
        """Return all that the venue has logged."""
        return "\n".join(self.logged)

    def count_logged(self, text: str) -> int:
        """Return in how many log lines the text stands."""
        return sum(text in line for line in list(self.logged))

    def status(self) -> dict[str, Any]:
        """Return what `wcx status` reads."""
        try:
            found: dict[str, Any] = json.loads((self.data_dir / "status.json").read_text())
        except FileNotFoundError:
            return {"services": []}
        return found

    def pid_of(self, name: str) -> int:
        """Return the process id of a part that accepts work, 0 while it does not."""
        for service in self.status()["services"]:
            if service["name"] == name:
                return int(service["pid"])
        return 0

    def running_pid(self, name: str) -> int:
        """Return the process id of a part; if it is being started again, once it accepts work.

        For whoever sends a signal or sets a limit: what is meant for process 0 reaches the caller.
        """
        pid = 0

        def is_running() -> bool:
            nonlocal pid
            pid = self.pid_of(name)
            # What the status says may be a second old.
            return pid != 0 and Path(f"/proc/{pid}").exists()

        self.wait_for(is_running)
        return pid

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the environment that a part was started with."""
        environment = Path(f"/proc/{self.running_pid(name)}/environ").read_bytes().decode()
        return dict(entry.split("=", 1) for entry in environment.split("\0") if entry)

    def part_pids(self) -> dict[str, int]:
        """Return the processes of the parts there are at this moment, starting ones too."""
        found: dict[str, int] = {}
        for reaper in _children(self.pid):
            with contextlib.suppress(OSError, IndexError):
                words = Path(f"/proc/{reaper}/cmdline").read_text().split("\0")[:-1]
                if any(word.endswith(REAPER) for word in words):
                    found[words[-1]] = _children(reaper)[0]
        return found

    def kill(self, name: str) -> None:
        """SIGKILL a part; return once it is back and a new process."""
        before = self.running_pid(name)
        os.kill(before, signal.SIGKILL)
        self.wait_for(lambda: self.pid_of(name) not in (0, before))

    def wcx(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `wcx` command against this venue."""
        return self._run(str(WCX), *arguments)

    def engine(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a verb of the engine's own against this venue."""
        return self._run(sys.executable, "-m", "engine", *arguments)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_WAIT_S,
            check=False,
        )

    def get(self, path: str, *, token: str | None = None) -> tuple[int, str]:
        """Ask the REST API as anybody. Returns status and text. Raises OSError."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest_port}{path}")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def log_in(self) -> RestClient:
        """Return a client of the REST API that is the operator `admin`."""
        password = (self.data_dir / "admin-password").read_text().strip()
        return RestClient(f"http://127.0.0.1:{self.rest_port}", "admin", password)

    def call(self, method: str, path: str, body: object | None = None) -> tuple[int, Any]:
        """Ask the REST API as the operator `admin`. Returns status and JSON. Raises OSError."""
        if self._rest is None:
            self._rest = self.log_in()
        answer = self._rest.call(method, path, body)
        return answer.status, answer.body

    def wait_for(self, condition: Callable[[], object], timeout_s: float = READY_WAIT_S) -> None:
        """Wait until the condition holds."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise TimeoutError(self.log_text())
            time.sleep(POLL_S)

    def _process_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _read(stream: IO[str], lines: list[str]) -> None:
    lines.extend(line.rstrip("\n") for line in stream)
