"""`wcx client`: from a script, and at a terminal."""

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fix_gateway.tools.chaos.venue import WCX
from tests.integration.venue_process import VenueProcess

WAIT_S = 30.0
SCRIPT = """\
# Rests, is amended, trades in part with itself, is cancelled.
buy 0.5 BTC-USD 61000
replace 1 0.7 61001
sell 0.2 BTC-USD 61001 ioc
orders
cancel 1
orders
"""


def run_script(
    venue: VenueProcess, comp_id: str, script: str, *options: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(WCX), "client", "--session", comp_id, *options],
        env=venue.environment,
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _shown(printed: str, way: str) -> list[str]:
    """Return the titles of the messages that went one way."""
    return re.findall(rf"^T14 {way} (\S+(?: [A-Z][a-z]+(?: fill)?)?) #", printed, re.MULTILINE)


def test_script_trades(shared_venue: VenueProcess) -> None:
    """Each line is answered before the next is read; every message is shown, no password is."""
    done = run_script(shared_venue, "T14", SCRIPT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _shown(done.stdout, ">") == [
        "Logon", "NewOrderSingle", "OrderCancelReplaceRequest", "NewOrderSingle",
        "OrderCancelRequest", "Logout",
    ]  # fmt: skip
    assert _shown(done.stdout, "<") == [
        "Logon", "ExecutionReport New", "ExecutionReport Replaced", "ExecutionReport New",
        "ExecutionReport Fill", "ExecutionReport Partial fill", "ExecutionReport Canceled",
        "Logout",
    ]  # fmt: skip
    assert "#1  buy  0.7000  BTC-USD  at 61001.00  " in done.stdout
    assert done.stdout.count("\nno orders\n") == 1
    assert "demo-password" not in done.stdout + done.stderr


@pytest.mark.parametrize(("comp_id", "version"), [("U03", "4.2"), ("V03", "5.0sp2")])
def test_other_versions_are_spoken(shared_venue: VenueProcess, comp_id: str, version: str) -> None:
    """The same lines in every version."""
    script = "buy 0.1 SOL-USD 77\nstatus 1\ncancel 1\norders\n"
    done = run_script(shared_venue, comp_id, script, "--version", version)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nno orders\n") == 1


def test_script_with_a_mistake_fails(shared_venue: VenueProcess) -> None:
    """What was not understood is said, the rest is carried out."""
    script = "buy 1\nbuy 'x\nwait\nwait forever\norders\n"
    done = run_script(shared_venue, "T14", script)
    assert done.returncode == 1
    assert "No closing quotation" in done.stdout
    assert done.stdout.count("like this: wait SECONDS") == 2
    assert "like this: buy QTY SYMBOL" in done.stdout
    assert "no orders" in done.stdout


def test_without_a_venue_it_says_so(tmp_path: Path) -> None:
    """Nobody listens, and the password stays secret."""
    venue = VenueProcess(tmp_path)
    done = run_script(venue, "T14", "orders\n")
    assert (done.returncode, done.stdout) == (
        1,
        f"nobody listens at 127.0.0.1:{venue.fix_port}: does the venue run?\n",
    )


class Terminal:
    """The client at a terminal of its own."""

    def __init__(self, venue: VenueProcess) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [str(WCX), "client", "--session", "T15"],
            env=venue.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._seen = ""

    def wait_for(self, text: str) -> None:
        """Read until the text has appeared."""
        deadline_s = time.monotonic() + WAIT_S
        while text not in self._seen:
            assert time.monotonic() < deadline_s, self._seen
            try:
                self._seen += os.read(self._master, 65536).decode()
            except (BlockingIOError, OSError):
                time.sleep(0.02)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def close(self) -> None:
        """Let go of the terminal."""
        self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self._master)


def test_terminal_ends_on_ctrl_d_and_on_ctrl_c(shared_venue: VenueProcess) -> None:
    """There is help at once and a prompt; both ways out log out first."""
    for leave in ("\x04", None):
        terminal = Terminal(shared_venue)
        try:
            terminal.wait_for("cancel an order: its number here")
            terminal.wait_for("T15> ")
            terminal.type("orders\n")
            terminal.wait_for("no orders")
            if leave is None:
                terminal.process.send_signal(signal.SIGINT)
            else:
                terminal.type(leave)
            terminal.wait_for("T15 < Logout")
            assert terminal.process.wait(WAIT_S) == 0
        finally:
            terminal.close()
