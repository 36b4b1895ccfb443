"""Two versions of different rules, each run from a source tree of its own, on the same data."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.commands import Command
from engine.events import Event, Trade
from engine.order import Side
from engine.runtime.client import EngineLink, LinkClosedError
from engine.runtime.journal import inspect_tail, read_records
from engine.runtime.snapshot import list_snapshots
from engine.session_commands import OpenSession
from engine.session_events import SessionOpened
from engine.units import SessionId
from fix_gateway.tools.chaos.venue import WCX
from tests.exchange_desk import ALICE, BOB, new_order
from tests.venue_files import SET_UP

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("admin_api", "config", "engine", "fix_gateway", "risk", "store")
START_WAIT_S = 60.0
pytestmark = pytest.mark.timeout(300)  # A process is started for each step.
# What another version might change: who trades at whose price.
OLD_RULE = "price = market.opening_price or resting.price\n"
NEW_RULE = "price = aggressor.price or resting.price\n"


@dataclass
class Installation:
    """One version's source tree, and the data that it works on."""

    tree: Path
    data_dir: Path
    sockets_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("WCX_")},
            "PYTHONPATH": str(self.tree),
            "PYTHONSAFEPATH": "1",
            "WCX_DATA_DIR": str(self.data_dir),
            "WCX_RUNTIME_DIR": str(self.sockets_dir),
            "WCX_ENGINE__METRICS_PORT": "0",
            "WCX_PROJECTOR__METRICS_PORT": "0",
        }

    def wcx(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run this version's `wcx`."""
        return self._run(str(WCX), *arguments)

    def engine(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run this version's engine to its end."""
        return self._run(sys.executable, "-m", "engine", *arguments)

    def replay(self, *arguments: str) -> dict[str, Any]:
        """Return the state as this version prints it."""
        done = self.engine("replay", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run this version's engine until the block ends."""
        process = subprocess.Popen(
            [sys.executable, "-m", "engine"],
            env=self.environment,
            cwd=self.data_dir.parent,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            asyncio.run(self._wait_until_ready(process))
            yield
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=START_WAIT_S)
        assert process.returncode == 0, errors

    def submit(self, commands: Sequence[Command]) -> list[Event]:
        """Send commands to the running engine and return what happened."""

        async def send() -> list[Event]:
            link = await self._connect()
            happened: list[Event] = []
            for command in commands:
                happened += (await link.submit(command)).events
            link.close()
            await asyncio.sleep(0)
            return happened

        return asyncio.run(send())

    async def _connect(self) -> EngineLink:
        return await EngineLink.connect(
            self.sockets_dir / "engine.sock",
            "test",
            on_records=lambda _records: None,
            on_closed=lambda _in_doubt: None,
        )

    async def _wait_until_ready(self, process: subprocess.Popen[str]) -> None:
        deadline_s = time.monotonic() + START_WAIT_S
        while True:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline_s
            try:
                (await self._connect()).close()
            except (OSError, LinkClosedError, TimeoutError):
                await asyncio.sleep(0.05)
                continue
            await asyncio.sleep(0)
            return

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            env=self.environment,
            cwd=self.data_dir.parent,
            capture_output=True,
            text=True,
            timeout=START_WAIT_S,
            check=False,
        )


def copy_tree(target: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return target


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new))


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Installation]:
    """The version as it is, on data of its own."""
    with tempfile.TemporaryDirectory(prefix="wcx-test-") as sockets_dir:
        tree = copy_tree(tmp_path / "old")
        yield Installation(tree, tmp_path / "var", Path(sockets_dir))


@pytest.fixture
def new(old: Installation, tmp_path: Path) -> Installation:
    """The next version: other rules, the same data."""
    tree = copy_tree(tmp_path / "new")
    change(
        tree / "engine" / "exchange.py", "RULES_VERSION: Final = 1\n", "RULES_VERSION: Final = 2\n"
    )
    change(tree / "engine" / "execution.py", OLD_RULE, NEW_RULE)
    return Installation(tree, old.data_dir, old.sockets_dir)


def trade_on(installation: Installation) -> None:
    """Leave an order filled in part, others open on both sides, and a session in use."""
    with installation.running():
        installation.submit(
            [
                *SET_UP,
                OpenSession(SessionId(1)),
                new_order(ALICE, Side.BUY, 10, 100, cl_ord_id="bid"),
                new_order(BOB, Side.SELL, 4, 99, cl_ord_id="hit"),
                new_order(BOB, Side.SELL, 7, 105, cl_ord_id="ask"),
            ]
        )


def rules_versions(installation: Installation) -> list[int]:
    directory = installation.data_dir / "journal"
    last_seq = inspect_tail(directory).last_seq
    return [record.rules_version for record in read_records(directory, until_seq=last_seq)]


def test_new_version_goes_on_from_where_the_old_one_wrote_its_end(
    old: Installation, new: Installation
) -> None:
    """`wcx upgrade` carries balances, orders and sessions over; old records are never replayed."""
    trade_on(old)
    last_seq = inspect_tail(old.data_dir / "journal").last_seq
    before = old.replay()
    upgraded = old.wcx("upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert f"the snapshot after record {last_seq}, the last one, is there" in upgraded.stdout
    assert new.replay("--until", str(last_seq)) == before

    with new.running():
        assert new.engine("upgrade").returncode == 1  # Its engine runs.
        after = new.replay()
        for part in ("balances", "open_orders", "books"):
            assert after[part] == before[part]
        events = new.submit(
            [
                OpenSession(SessionId(1)),
                new_order(BOB, Side.SELL, 1, 98, cl_ord_id="at-my-price"),
            ]
        )
        # The grant's generation goes on, and the new rule decides.
        assert events[0] == SessionOpened(SessionId(1), generation=2, epoch=1, watermark=0)
        assert {event.price for event in events if isinstance(event, Trade)} == {98}
        verified = new.engine("verify")
        assert verified.returncode == 0, verified.stderr
        assert "running engine same state" in verified.stdout
    versions = rules_versions(new)
    assert versions == [1] * last_seq + [2] * (len(versions) - last_seq)
    assert len(versions) > last_seq + 2
    with new.running():  # A start from the same snapshot and the records of its own rules.
        pass
    for option in ([], ["--all"]):
        verified = new.engine("verify", *option)
        assert verified.returncode == 0, verified.stderr
        assert f"since the snapshot after record {last_seq}" in verified.stdout
        assert f"not replayed   records up to {last_seq}, of rules version 1" in verified.stdout
    too_old = new.engine("replay", "--until", "3")
    assert too_old.returncode == 1
    assert "only that version can rebuild this moment" in too_old.stderr

    refused = old.engine()
    assert refused.returncode == 1
    assert (
        f"record {last_seq + 1} was written under rules version 2, this engine has 1; "
        "a later version wrote it: start that one"
    ) in refused.stderr


def test_new_version_refuses_records_that_no_snapshot_covers(
    old: Installation, new: Installation
) -> None:
    """It says what to do, whether there is no snapshot or one that is too old, and then works."""
    trade_on(old)
    refused = new.engine()
    assert refused.returncode == 1
    assert (
        "record 1 was written under rules version 1, this engine has 2; no snapshot covers it: "
        "with the engine stopped, run `wcx upgrade` of the version that wrote it"
    ) in refused.stderr
    assert old.engine("snapshot").returncode == 0
    (snapshot,) = list_snapshots(old.data_dir / "snapshots")
    with old.running():
        old.submit([new_order(ALICE, Side.BUY, 1, 50, cl_ord_id="later")])
        busy = old.engine("upgrade")
        assert busy.returncode == 1
        assert "another engine writes" in busy.stderr
    for attempt in (new.engine(), new.engine("upgrade"), new.engine("verify")):
        assert attempt.returncode == 1
        assert f"record {snapshot.seq + 1} was written under rules version 1" in attempt.stderr
    assert old.engine("upgrade").returncode == 0
    with new.running():
        assert "later" in {order["cl_ord_id"] for order in new.replay()["open_orders"]}
