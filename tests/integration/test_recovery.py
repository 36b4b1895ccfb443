"""SIGKILL in mid-flow: nothing acknowledged is lost, nothing is done twice, all is reported."""

import random
import threading
import time

import pytest

from fix_gateway.fix.fields import Tag
from fix_gateway.tools.chaos.journal_truth import JournalTruth
from fix_gateway.tools.chaos.reconcile import reconcile
from fix_gateway.tools.chaos.truth import TruthLog
from fix_gateway.tools.initiator import Initiator
from tests.integration.conftest import ConnectClient
from tests.integration.test_reports import ACCOUNTS, follow
from tests.integration.trader import BUY, SELL, cancel, enter
from tests.integration.venue_process import VenueProcess

ORDERS_PER_CLIENT = 250
PAUSE_S = 0.015
QUIET_S = 2.5
SETTLE_WAIT_S = 60.0


def trade(client: Initiator, seed: int, side: str) -> None:
    """Enter orders round one price at a steady rate while logged on, and cancel some."""
    rng = random.Random(seed)
    sent: list[str] = []
    for number in range(ORDERS_PER_CLIENT):
        time.sleep(PAUSE_S)
        if not client.logged_on.wait(20):
            return
        price = f"{60_000 + rng.randint(-3, 3)}.00"
        sent.append(enter(client, side, f"0.00{rng.randint(1, 9)}", price))
        if number % 5 == 4:
            cancel(client, rng.choice(sent), side)


def settle(clients: list[Initiator], logs: list[TruthLog]) -> None:
    """Wait until nothing more comes."""
    deadline_s = time.monotonic() + SETTLE_WAIT_S
    counts = [-1]
    while time.monotonic() < deadline_s:
        now = [len(log.received("8", "9")) for log in logs]
        if now == counts and all(client.logged_on.is_set() for client in clients):
            return
        counts = now
        time.sleep(QUIET_S)
    raise AssertionError("reports never stopped coming")


@pytest.mark.parametrize("victim", ["engine", "gateway"])
def test_killed_part_comes_back_and_nothing_is_lost(
    venue: VenueProcess, connect: ConnectClient, victim: str
) -> None:
    """Two clients trade while a part is killed twice: FIX, REST, the journal and both agree.

    One of them resets its sequence numbers at every Logon, the other at none.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails.
    logs = [TruthLog("DEMO1", is_reset=True), TruthLog("DEMO2", is_reset=False)]
    clients = [
        connect(venue, log.comp_id, reset_on_logon=log.is_reset, on_message=log.note)
        for log in logs
    ]
    threads = [
        threading.Thread(target=trade, args=(client, seed + place, side), daemon=True)
        for place, (client, side) in enumerate(zip(clients, (BUY, SELL), strict=True))
    ]
    for thread in threads:
        thread.start()
    followed: dict[str, list[str]] = {name: [] for name in ACCOUNTS}
    for _ in range(2):
        time.sleep(1.2)
        venue.kill(victim)
        follow(venue, followed)
    for thread in threads:
        thread.join(120)
    settle(clients, logs)
    follow(venue, followed)
    verified = venue.wcx("journal", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "running engine same state" in verified.stdout
    truth = JournalTruth(venue.data_dir / "journal")
    assert truth.trade_count > 25
    assert [finding for log in logs for finding in reconcile(log, truth)] == []
    for log in logs:
        expected = list(truth.clients[log.comp_id].reports)
        assert followed[log.comp_id] == expected
        assert {fields[Tag.EXEC_ID] for fields in log.reports()} == set(expected)
    if victim == "engine":
        # The FIX sessions stayed up all the while.
        assert venue.count_logged("event=session_logged_on") == 2


def test_state_before_a_kill_is_the_state_after_it(
    venue: VenueProcess, connect: ConnectClient
) -> None:
    """Balances, open orders and all the rest are what they were, to the last bit."""
    alpha, beta = connect(venue, "DEMO1"), connect(venue, "DEMO2")
    for number in range(20):
        enter(alpha, BUY, "0.01", f"{100 + number}.00")
        enter(beta, SELL, "0.01", f"{110 + number}.00")
    time.sleep(0.5)
    before = venue.wcx("journal", "verify").stdout.splitlines()
    records = next(line for line in before if line.startswith("records")).split()[1].strip(",")
    venue.kill("engine")
    after = venue.wcx("journal", "verify", "--until", records).stdout.splitlines()
    assert [line for line in before if "hash" in line] == [line for line in after if "hash" in line]
