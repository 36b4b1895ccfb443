"""Order to report over FIX: the venue beside the naive acceptor, in turn, with the same client.

The client is raw: messages are built before they are timed, answers are counted, not parsed.
"""

import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fix_gateway.fix.fields import UtcTimestamps
from fix_gateway.fix.framing import build_frame

WCX = Path(sys.executable).with_name("wcx")
REPORT = b"\x0135=8\x01"
PASSWORD = "demo-password"
WAIT_S = 60.0


@dataclass(frozen=True)
class Counterparty:
    """An acceptor under measurement."""

    name: str
    port: int
    comp_id: str


class Client:
    """One session: pings an order at a time, or sends many at once."""

    def __init__(self, counterparty: Counterparty) -> None:
        self._comp_id = counterparty.comp_id
        self._socket = socket.create_connection(("127.0.0.1", counterparty.port), WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._seq = 0
        self._run = time.time_ns()
        logon = f"98=0\x01108=60\x01141=Y\x01553={self._comp_id}\x01554={PASSWORD}\x01"
        self._socket.sendall(self._message("A", logon))
        self._socket.recv(65536)

    def ping(self, count: int) -> list[float]:
        """Return the seconds that each of `count` orders took, one after the other."""
        orders = self._orders(count)
        taken = []
        for order in orders:
            started_s = time.perf_counter()
            self._socket.sendall(order)
            self._await_reports(1)
            taken.append(time.perf_counter() - started_s)
        return taken

    def flood(self, count: int) -> float:
        """Return orders per second when `count` orders are sent as fast as they are taken."""
        orders = self._orders(count)
        started_s = time.perf_counter()
        chunk = 50
        for start in range(0, count, chunk):
            self._socket.sendall(b"".join(orders[start : start + chunk]))
            self._await_reports(min(chunk, count - start))
        return count / (time.perf_counter() - started_s)

    def close(self) -> None:
        """Say goodbye."""
        self._socket.sendall(self._message("5", ""))
        self._socket.close()

    def _await_reports(self, count: int) -> None:
        data = b""
        while data.count(REPORT) < count or not data.endswith(b"\x01"):
            piece = self._socket.recv(1 << 20)
            if not piece:
                raise ConnectionError(f"hung up after {data[-200:]!r}")
            data += piece

    def _orders(self, count: int) -> list[bytes]:
        rng = random.Random(self._seq)
        now = UtcTimestamps().format(time.time_ns())
        return [
            self._message(
                "D",
                f"11={self._run}-{self._seq}\x0155=SOL-USD\x0154=1\x0138=0.0001\x0140=2\x01"
                f"44={rng.randint(1, 100)}.00\x0159=1\x0160={now}\x01",
            )
            for _ in range(count)
        ]

    def _message(self, msg_type: str, fields: str) -> bytes:
        self._seq += 1
        now = UtcTimestamps().format(time.time_ns())
        head = f"35={msg_type}\x0134={self._seq}\x0149={self._comp_id}\x0152={now}\x0156=WCX\x01"
        return build_frame("FIX.4.4", (head + fields).encode())


@contextmanager
def naive_acceptor() -> Iterator[Counterparty]:
    """Run the baseline."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.naive_acceptor", str(port), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Counterparty("naive acceptor", port, "BENCH")
        finally:
            process.kill()
            process.wait()


@contextmanager
def venue() -> Iterator[Counterparty]:
    """Run a whole venue."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **os.environ,
            "WCX_DATA_DIR": f"{directory}/var",
            "WCX_FIX__PORT": str(port),
            "WCX_REST__PORT": str(_free_port()),
            "WCX_FIX__METRICS_PORT": "0",
            "WCX_ENGINE__METRICS_PORT": "0",
            "WCX_PROJECTOR__METRICS_PORT": "0",
            "WCX_LOG__LEVEL": "warning",
            # What is measured is the way of an order, not a limit.
            "WCX_FIX__ORDER_RATE": "1000000",
            "WCX_FIX__ORDER_BURST": "1000000",
        }
        process = subprocess.Popen(
            [str(WCX), "up", "--demo"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                break
        try:
            yield Counterparty("venue", port, "T01")
        finally:
            process.terminate()
            process.wait(WAIT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
