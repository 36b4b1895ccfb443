"""What the load generator meets: our whole venue, and the baselines that only answer."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.controls import control_commands
from engine.events import AccountOpened, CommandRefused, InstrumentDefined
from engine.runtime.client import EngineLink
from fix_gateway.tools.chaos.venue import VenueProcess, free_ports

VENUE: Final = "venue"
NAIVE: Final = "naive QuickFIX acceptor"
FIXCORE: Final = "fixcore-engine acceptor"
BASELINES: Final = {NAIVE: "benchmarks.naive_acceptor", FIXCORE: "benchmarks.fixcore_acceptor"}
TAKER, MAKER = "T01", "T02"
SYMBOL: Final = "SOL-USD"
# What is measured is the way of an order, not a limit of rates.
WIDE_OPEN: Final = {
    "WCX_FIX__ORDER_RATE": "1000000",
    "WCX_FIX__ORDER_BURST": "1000000",
    "WCX_FIX__CONNECTIONS_PER_ADDRESS_MAX": "2000",
    "WCX_FIX__CONNECTION_BURST": "2000",
    "WCX_FIX__LOGON_WAIT_S": "60",
}
STOP_WAIT_S: Final = 20.0


@dataclass(frozen=True)
class Counterparty:
    """An acceptor under measurement. `parts` are its processes."""

    name: str
    port: int
    parts: dict[str, int] = field(default_factory=dict)
    venue: VenueProcess | None = None

    @property
    def answers_twice(self) -> bool:
        """Whether an order that trades at once has two reports."""
        return self.venue is not None


@contextmanager
def baseline(name: str) -> Iterator[Counterparty]:
    """Run one of `BASELINES`, with the sessions `TAKER` and `MAKER`."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", BASELINES[name], str(port), directory, TAKER, MAKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Counterparty(name, port, {name: process.pid})
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_venue(**settings: str) -> Iterator[Counterparty]:
    """Run a whole venue with its projector, and every control set for every account."""
    (metrics_port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as directory:
        venue = VenueProcess(
            Path(directory) / "var",
            **WIDE_OPEN,
            WCX_LOG__LEVEL="warning",
            WCX_PROJECTOR__ENABLED="true",
            WCX_PROJECTOR__METRICS_PORT=str(metrics_port),
            **settings,
        ).start()
        try:
            asyncio.run(_set_all_controls(venue))
            venue.wait_for(lambda: venue.pid_of("projector"))
            yield Counterparty(VENUE, venue.fix_port, venue.part_pids(), venue)
        finally:
            venue.stop()


def engine_socket(venue: VenueProcess) -> Path:
    """Return where the venue's engine is reached."""
    return Path(venue.environment_of("engine")["WCX_RUNTIME_DIR"]) / "engine.sock"


async def _set_all_controls(venue: VenueProcess) -> None:
    link = await EngineLink.connect(
        engine_socket(venue),
        "benchmark",
        on_records=lambda _records: None,
        on_closed=lambda _in_doubt: None,
    )
    accounts = sum(isinstance(event, AccountOpened) for event in link.welcome.events)
    instrument = next(
        event.instrument
        for event in link.welcome.events
        if isinstance(event, InstrumentDefined) and event.instrument.symbol == SYMBOL
    )
    for command in control_commands(
        accounts, instrument.instrument_id, instrument.base_asset_id, instrument.quote_asset_id
    ):
        for event in (await link.submit(command)).events:
            assert not isinstance(event, CommandRefused), event
    link.close()
