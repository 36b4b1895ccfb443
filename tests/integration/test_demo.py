"""`wcx demo` shows what a trade looks like, also in a book that is not empty."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_gateway.fix.fields import ExecType
from fix_gateway.tools.chaos.venue import WCX
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, enter, next_report
from tests.integration.venue_process import VenueProcess

TO_BE_SHOWN = ("New", "Partial fill", "Fill", "Canceled")


def test_demo_shows_a_whole_trade(venue: VenueProcess, connect: ConnectClient) -> None:
    """New, partial fill, fill and cancel, one readable line each, though others trade too."""
    other = connect(venue, "T01")
    for price in ("99999.99", "60000.00"):
        enter(other, BUY, "0.3", price)
        next_report(other, ExecType.NEW)
    done = venue.wcx("demo")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    for words in TO_BE_SHOWN:
        assert any(f"ExecutionReport {words} #" in line for line in lines), words
    assert all(line.startswith(("DEMO1 ", "DEMO2 ", "DEMO3 ", "DEMO4 ")) for line in lines)
    assert "demo-password" not in done.stdout


def test_demo_without_a_venue_says_so(tmp_path: Path) -> None:
    """Nobody listens: a sentence and exit code 1."""
    venue = VenueProcess(tmp_path)
    done = venue.wcx("demo")
    assert (done.returncode, done.stdout) == (
        1,
        f"demo failed: nobody listens at 127.0.0.1:{venue.fix_port}: does the venue run?\n",
    )


@pytest.fixture
def endless_demo(venue: VenueProcess) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`wcx demo --loop`, and the lines that it has printed so far."""
    with subprocess.Popen(
        [str(WCX), "demo", "--loop"], env=venue.environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        lines: list[str] = []

        def read() -> None:
            assert demo.stdout is not None
            lines.extend(line.rstrip("\n") for line in demo.stdout)

        reader = threading.Thread(target=read)
        reader.start()
        yield demo, lines
        demo.kill()
        reader.join(30)


def test_endless_demo_outlives_the_death_of_engine_and_gateway(
    venue: VenueProcess, endless_demo: tuple[subprocess.Popen[str], list[str]]
) -> None:
    """It goes on trading after each, and ends cleanly on Ctrl-C."""
    demo, lines = endless_demo

    def fills() -> int:
        return sum("ExecutionReport Fill" in line for line in list(lines))

    def wait_for_more_fills(count: int) -> None:
        wanted = fills() + count
        venue.wait_for(lambda: fills() >= wanted)

    for victim in ("engine", "gateway", "engine"):
        wait_for_more_fills(1)
        venue.kill(victim)
        venue.wait_for(lambda: '"status":"ready"' in venue.get("/readyz")[1])
    wait_for_more_fills(3)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 0
    verified = venue.wcx("journal", "verify")
    assert (verified.returncode, "same state" in verified.stdout) == (0, True)
