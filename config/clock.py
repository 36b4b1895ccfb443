"""How far the machine's clock may be off, as the kernel knows it from whoever disciplines it."""

import ctypes
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

TIME_ERROR: Final = 5
STA_UNSYNC: Final = 0x40
STA_NANO: Final = 0x2000
US_PER_S: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000


class _Timex(ctypes.Structure):
    """The beginning of `struct timex`, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


class ClockCollector(Collector):
    """Asks the kernel (adjtimex(2)) whenever it is asked itself. Without an answer: no figures."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called when Prometheus asks."""
        timex = _Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
        if state < 0:
            return
        per_s = NS_PER_S if timex.status & STA_NANO else US_PER_S
        is_synchronized = state != TIME_ERROR and not timex.status & STA_UNSYNC
        for name, text, value in (
            ("synchronized", "1 while the kernel's clock is disciplined", float(is_synchronized)),
            ("offset_seconds", "What is still to be corrected", timex.offset / per_s),
            ("error_seconds_max", "How far the clock may be off at most",
             timex.maxerror / US_PER_S),
        ):  # fmt: skip
            yield GaugeMetricFamily(f"fixgw_clock_{name}", text, value=value)
