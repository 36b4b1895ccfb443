"""A whole venue in a temporary directory, run as a user would run it: `wcx up --demo`."""

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
from pathlib import Path
from typing import Any, Final

from fix_gateway.tools.initiator import Counterparty

WCX: Final = Path(sys.executable).with_name("wcx")
READY_WAIT_S: Final = 60.0
STOP_WAIT_S: Final = 40.0
POLL_S: Final = 0.02
PASSWORD: Final = "demo-password"


def free_port() -> int:
    """Return a port that nobody has, below those that the system gives away by itself."""
    while True:
        port = random.SystemRandom().randint(15_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class VenueProcess:
    """`wcx up --demo` on ports and directories of its own."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.fix_port = free_port()
        self.rest_port = free_port()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("WCX_")},
            "WCX_DATA_DIR": str(data_dir),
            "WCX_FIX__PORT": str(self.fix_port),
            "WCX_REST__PORT": str(self.rest_port),
            "WCX_FIX__METRICS_PORT": "0",
            "WCX_ENGINE__METRICS_PORT": "0",
            **settings,
        }
        self.printed: list[str] = []
        self.logged: list[str] = []
        self._process: subprocess.Popen[str] | None = None
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

    def start(self, *options: str) -> "VenueProcess":
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
            threading.Thread(target=self._read, args=arguments, daemon=True)
            for arguments in (
                (self._process.stdout, self.printed),
                (self._process.stderr, self.logged),
            )
        ]
        for reader in self._readers:
            reader.start()
        self.wait_for(lambda: "ready" in self.printed or self._process_ended())
        assert "ready" in self.printed, self.log_text()
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
        self._process.stdout.close()  # type: ignore[union-attr]  # It was piped.
        self._process.stderr.close()  # type: ignore[union-attr]
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
        """Return the process id of a part, 0 while it does not run."""
        for service in self.status()["services"]:
            if service["name"] == name:
                return int(service["pid"])
        return 0

    def kill(self, name: str) -> None:
        """SIGKILL a part; return once it is back and a new process."""
        before = self.pid_of(name)
        assert before
        os.kill(before, signal.SIGKILL)
        self.wait_for(lambda: self.pid_of(name) not in (0, before))

    def wcx(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `wcx` command against this venue."""
        return subprocess.run(
            [str(WCX), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def get(self, path: str, *, token: str | None = None) -> tuple[int, str]:
        """Ask the REST API. Returns status and body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest_port}{path}")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def wait_for(self, condition: Any, timeout_s: float = READY_WAIT_S) -> None:
        """Wait until the condition holds; fail with the venue's log when it does not."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, self.log_text()
            time.sleep(POLL_S)

    def _process_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        lines.extend(line.rstrip("\n") for line in stream)
