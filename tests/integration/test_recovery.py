"""SIGKILL in mid-flow: nothing acknowledged is lost, nothing is done twice, all is reported."""

import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.events import CancelRejected, OrderAccepted, OrderEvent, Trade, recipients
from engine.order import OrderView
from engine.runtime.journal import inspect_tail, read_records
from fix_gateway.fix.fields import ExecType, Fields, MsgType, Tag
from fix_gateway.tools.initiator import Initiator
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, cancel, enter
from tests.integration.venue import VenueProcess

ORDERS_PER_CLIENT = 250
PAUSE_S = 0.015
QUIET_S = 2.5
SETTLE_WAIT_S = 60.0


@dataclass
class TruthLog:
    """What one client sent and what came back, as it happened."""

    client: Initiator
    sent: list[str] = field(default_factory=list)
    received: list[Fields] = field(default_factory=list)

    def trade(self, seed: int, side: str) -> None:
        """Enter orders round one price at a steady rate while logged on, and cancel some."""
        rng = random.Random(seed)
        for number in range(ORDERS_PER_CLIENT):
            time.sleep(PAUSE_S)
            if not self.client.logged_on.wait(20):
                return
            price = f"{60_000 + rng.randint(-3, 3)}.00"
            self.sent.append(enter(self.client, side, f"0.00{rng.randint(1, 9)}", price))
            if number % 5 == 4:
                cancel(self.client, rng.choice(self.sent), side)

    def collect(self) -> None:
        """Take in what has come so far."""
        while not self.client.received.empty():
            fields = self.client.received.get()
            if fields[Tag.MSG_TYPE] in (MsgType.EXECUTION_REPORT, MsgType.BUSINESS_MESSAGE_REJECT):
                self.received.append(fields)

    def reports(self, exec_type: ExecType) -> list[Fields]:
        return [fields for fields in self.received if fields.get(Tag.EXEC_TYPE) == exec_type]

    def refused_at_the_door(self) -> set[str]:
        """ClOrdIDs of orders that were told to be not entered."""
        return {
            fields[Tag.BUSINESS_REJECT_REF_ID]
            for fields in self.received
            if fields[Tag.MSG_TYPE] == MsgType.BUSINESS_MESSAGE_REJECT
        } | {
            fields[Tag.CL_ORD_ID]
            for fields in self.reports(ExecType.REJECTED)
            if fields[Tag.EXEC_ID].startswith("D")
        }


@dataclass
class JournalTruth:
    """What the engine's journal says has happened."""

    events: list[tuple[str, OrderEvent]]  # ExecID and event, in order.

    @classmethod
    def read(cls, data_dir: Path) -> "JournalTruth":
        directory = data_dir / "journal"
        last_seq = inspect_tail(directory).last_seq
        return cls(
            [
                (f"{record.seq}.{index}", event)
                for record in read_records(directory, until_seq=last_seq)
                for index, event in enumerate(record.events())
                if isinstance(event, OrderEvent)
            ]
        )

    def accepted(self) -> Counter[str]:
        return Counter(
            event.order.cl_ord_id for _, event in self.events if isinstance(event, OrderAccepted)
        )

    def reports_of(self, session_id: int) -> set[str]:
        """ExecIDs of all execution reports that the session must have been sent."""
        return {
            exec_id
            for exec_id, event in self.events
            if session_id in recipients(event) and not isinstance(event, CancelRejected)
        }

    def last_state(self) -> dict[str, OrderView]:
        """The last state of each order, by ClOrdID."""
        return {
            event.order.cl_ord_id: event.order
            for _, event in self.events
            if isinstance(event, OrderAccepted | Trade)
        }


def settle(logs: list[TruthLog]) -> None:
    """Wait until nothing more comes."""
    deadline_s = time.monotonic() + SETTLE_WAIT_S
    counts = [-1]
    while time.monotonic() < deadline_s:
        for log in logs:
            log.collect()
        now = [len(log.received) for log in logs]
        if now == counts and all(log.client.logged_on.is_set() for log in logs):
            return
        counts = now
        time.sleep(QUIET_S)
    raise AssertionError("reports never stopped coming")


def reconcile(log: TruthLog, truth: JournalTruth, session_id: int, *, is_reset: bool) -> None:
    """Compare one client's log with the journal."""
    accepted = truth.accepted()
    assert max(accepted.values()) == 1, "an order was entered twice"
    confirmed = {fields[Tag.CL_ORD_ID] for fields in log.reports(ExecType.NEW)}
    entered = {cl_ord_id for cl_ord_id in log.sent if cl_ord_id in accepted}
    assert confirmed == entered, "an order exists without its report, or the other way round"
    refused = log.refused_at_the_door()
    assert not refused & set(accepted), "a refused order was executed"
    unanswered = set(log.sent) - confirmed - refused
    unanswered -= {fields[Tag.CL_ORD_ID] for fields in log.reports(ExecType.REJECTED)}
    assert not unanswered & set(accepted)
    if not is_reset:
        assert not unanswered, "an order was never answered"

    originals = Counter(
        fields[Tag.EXEC_ID]
        for fields in log.received
        if Tag.EXEC_ID in fields
        and fields.get(Tag.POSS_RESEND) != "Y"
        and fields.get(Tag.POSS_DUP_FLAG) != "Y"
    )
    assert max(originals.values()) == 1, "a report came twice without being marked"
    seen = {fields[Tag.EXEC_ID] for fields in log.received if Tag.EXEC_ID in fields}
    of_engine = {exec_id for exec_id in seen if not exec_id.startswith("D")}
    assert of_engine == truth.reports_of(session_id)

    filled: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for fields in log.reports(ExecType.TRADE):
        qty = int(fields[Tag.LAST_QTY].replace(".", ""))
        filled[fields[Tag.ORDER_ID]][fields[Tag.EXEC_ID]] = qty
    for cl_ord_id, order in truth.last_state().items():
        if cl_ord_id in log.sent:
            assert sum(filled[str(order.order_id)].values()) == order.cum_qty


@pytest.mark.parametrize("is_reset", [True, False], ids=["141=Y", "141=N"])
@pytest.mark.parametrize("victim", ["engine", "gateway"])
def test_killed_part_comes_back_and_nothing_is_lost(
    venue: VenueProcess, connect: ConnectClient, victim: str, *, is_reset: bool
) -> None:
    """Two clients trade with each other while a part is killed twice; then all books agree."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails.
    logs = [TruthLog(connect(venue, name, reset_on_logon=is_reset)) for name in ("DEMO1", "DEMO2")]
    threads = [
        threading.Thread(target=log.trade, args=(seed + place, side), daemon=True)
        for place, (log, side) in enumerate(zip(logs, (BUY, SELL), strict=True))
    ]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(1.2)
        venue.kill(victim)
    for thread in threads:
        thread.join(120)
    settle(logs)
    verified = venue.wcx("journal", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "running engine same state" in verified.stdout
    truth = JournalTruth.read(venue.data_dir)
    assert sum(isinstance(event, Trade) for _, event in truth.events) > 50
    for session_id, log in enumerate(logs, start=1):
        reconcile(log, truth, session_id, is_reset=is_reset)
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
