"""The load generator: one FIX session, its orders built before the clock runs.

Raw sockets; a report is found by its MsgType(35) and the ClOrdID(11) in it, nothing else of it is
parsed. What the generator itself costs is stated with every figure.
"""

import gc
import random
import re
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fix_gateway.fix.fields import UtcTimestamps
from fix_gateway.fix.framing import build_frame

REPORT: Final = b"\x0135=8\x01"
NUMBER: Final = re.compile(rb"\x0111=[^\x01]*-(\d+)\x01")
NUMBER_BYTES_MAX: Final = 64
PASSWORD: Final = "demo-password"
WAIT_S: Final = 60
TIMEVAL: Final = struct.Struct("@ll")
HEART_BT_INT_S: Final = 30
RECEIVE_BYTES: Final = 1 << 20
CHUNK: Final = 32
TRADE_EVERY: Final = 5
SYMBOL: Final = "SOL-USD"
GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL = "1", "3"
TRADE: Final = b"\x0159=3\x01"
IDLE_WAIT_S: Final = 0.5
MAKER_PRICE: Final = "200.00"
RESTING_PRICE_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Saturation:
    """Orders as fast as they are answered: how long it took, and the generator's own share."""

    order_count: int
    report_count: int
    wall_s: float
    own_cpu_s: float


class Client:
    """One session of the load generator. `answers_twice`: a trade has a report of its own."""

    def __init__(
        self, port: int, comp_id: str, *, answers_twice: bool, heart_bt_int_s: int = HEART_BT_INT_S
    ) -> None:
        self.comp_id = comp_id
        self._answers_twice = answers_twice
        self._timestamps = UtcTimestamps()
        self._seq = 0
        self._run = time.time_ns()
        self._order_count = 0
        self._rng = random.Random(comp_id)
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Python's own timeout would have every read wait in `poll` first.
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEVAL.pack(WAIT_S, 0))
        logon = f"98=0\x01108={heart_bt_int_s}\x01141=Y\x01553={comp_id}\x01554={PASSWORD}\x01"
        self.socket.sendall(self._message("A", logon))

    def await_logon(self) -> None:
        """Return once the session is logged on. Raises ConnectionError when it is refused."""
        if b"\x0135=A\x01" not in self._receive():
            raise ConnectionError(f"{self.comp_id} was not let in")

    def resting_orders(self, count: int) -> list[bytes]:
        """Return limit orders that rest: one report each."""
        return [self._order(is_trade=False) for _ in range(count)]

    def mixed_orders(self, count: int) -> list[bytes]:
        """Return orders of which every fifth trades with what a maker has entered."""
        return [self._order(is_trade=not number % TRADE_EVERY) for number in range(count)]

    def make_market(self) -> None:
        """Enter what the trades of another session trade with."""
        self._order_count += 1
        order = self._new_order("2", "5000", MAKER_PRICE, GOOD_TILL_CANCEL)
        self.socket.sendall(order)
        self._await_reports(1)

    def ping(self, orders: Sequence[bytes]) -> list[float]:
        """Return the seconds that each of the orders took, one after the other."""
        taken = []
        for order in orders:
            started_s = time.perf_counter()
            self.socket.sendall(order)
            self._await_reports(1)
            taken.append(time.perf_counter() - started_s)
        return taken

    def saturate(
        self, orders: Sequence[bytes], in_flight: int, maker: "Client | None" = None
    ) -> Saturation:
        """Send the orders so that `in_flight` of them, no more, wait for their reports.

        With a `maker` they are mixed orders, and what it is told of its fills is taken in.
        """
        trades = sum(TRADE in order for order in orders)
        expected = len(orders) + (trades if self._answers_twice else 0)
        per_order = expected / len(orders)
        sent = received = 0
        tail = b""
        gc.disable()
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        while received < expected:
            while sent < len(orders) and sent - received / per_order < in_flight:
                self.socket.sendall(b"".join(orders[sent : sent + CHUNK]))
                sent = min(sent + CHUNK, len(orders))
            data = tail + self._receive()
            received += data.count(REPORT)
            # The start of a report may have come without the rest, but none is counted twice.
            tail = data[-len(REPORT) + 1 :]
            if maker is not None:
                maker.take_in()
        wall_s = time.perf_counter() - started_s
        own_cpu_s = time.process_time() - cpu_started_s
        gc.enable()
        return Saturation(len(orders), received, wall_s, own_cpu_s)

    def open_loop(
        self, orders: Sequence[bytes], rate: int, crowd: "Crowd | None" = None
    ) -> list[float]:
        """Send the orders at a fixed rate, whatever becomes of them.

        Returns the seconds from when each was due to its first report, so that a stall counts for
        all that it held up. A `crowd` of idle sessions is kept alive meanwhile.
        """
        first = int(NUMBER.search(orders[0])[1])  # type: ignore[index]  # Ours always have one.
        latencies = [0.0] * len(orders)
        left = len(orders)
        sent = 0
        tail = b""
        gc.disable()
        started_s = time.perf_counter()
        while left:
            now_s = time.perf_counter()
            due = min(len(orders), int((now_s - started_s) * rate) + 1)
            if due > sent:
                self.socket.sendall(b"".join(orders[sent:due]))
                sent = due
            if crowd is not None:
                crowd.tend(now_s)
            wait_s = started_s + sent / rate - now_s if sent < len(orders) else IDLE_WAIT_S
            if not select.select([self.socket], [], [], max(0.0, min(wait_s, IDLE_WAIT_S)))[0]:
                continue
            data = tail + self._receive()
            now_s = time.perf_counter()
            end = 0
            for found in NUMBER.finditer(data):
                end = found.end() - 1
                index = int(found[1]) - first
                if 0 <= index < len(orders) and not latencies[index]:
                    latencies[index] = now_s - (started_s + index / rate)
                    left -= 1
            tail = data[max(end, len(data) - NUMBER_BYTES_MAX) :]
        gc.enable()
        return latencies

    def send_heartbeat(self) -> None:
        """Say that the session is alive, and take in what has come."""
        self.socket.sendall(self._message("0", ""))
        self.take_in()

    def take_in(self) -> None:
        """Read and forget what has come."""
        try:
            while self.socket.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            return
        raise ConnectionError(f"{self.comp_id} was hung up on")

    def close(self) -> None:
        """Say goodbye."""
        self.socket.sendall(self._message("5", ""))
        self.socket.close()

    def _await_reports(self, count: int) -> None:
        data = b""
        while data.count(REPORT) < count or not data.endswith(b"\x01"):
            data += self._receive()

    def _receive(self) -> bytes:
        piece = self.socket.recv(RECEIVE_BYTES)
        if not piece:
            raise ConnectionError(f"{self.comp_id} was hung up on")
        return piece

    def _order(self, *, is_trade: bool) -> bytes:
        if is_trade:
            return self._new_order("1", "0.0001", MAKER_PRICE, IMMEDIATE_OR_CANCEL)
        price = f"{self._rng.randint(1, RESTING_PRICE_MAX)}.00"
        return self._new_order("1", "0.0001", price, GOOD_TILL_CANCEL)

    def _new_order(self, side: str, qty: str, price: str, time_in_force: str) -> bytes:
        self._order_count += 1
        now = self._timestamps.format(time.time_ns())
        return self._message(
            "D",
            f"11={self._run}-{self._order_count}\x0155={SYMBOL}\x0154={side}\x0138={qty}\x01"
            f"40=2\x0144={price}\x0159={time_in_force}\x0160={now}\x01",
        )

    def _message(self, msg_type: str, fields: str) -> bytes:
        self._seq += 1
        now = self._timestamps.format(time.time_ns())
        head = f"35={msg_type}\x0134={self._seq}\x0149={self.comp_id}\x0152={now}\x0156=WCX\x01"
        return build_frame("FIX.4.4", (head + fields).encode())


class Crowd:
    """Sessions that are logged on and say so now and then, and nothing else."""

    def __init__(self, clients: Sequence[Client], interval_s: float) -> None:
        self._interval_s = interval_s
        now_s = time.perf_counter()
        # Spread over the interval: the sessions of a venue do not beat in time.
        self._due: deque[tuple[float, Client]] = deque(
            (now_s + interval_s * number / len(clients), client)
            for number, client in enumerate(clients)
        )

    def tend(self, now_s: float) -> None:
        """Let one session send its heartbeat, if one is due."""
        due_s, client = self._due[0]
        if due_s <= now_s:
            client.send_heartbeat()
            self._due.popleft()
            self._due.append((due_s + self._interval_s, client))
