"""One chaos run: a venue, clients that trade on it, faults, and at the end the reckoning."""

import functools
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fix_gateway.fix.fields import SOH, MsgType
from fix_gateway.tools.chaos.client import ChaosClient, read_numbers
from fix_gateway.tools.chaos.injector import GATEWAY, PARTS, Injector
from fix_gateway.tools.chaos.journal_truth import JournalTruth
from fix_gateway.tools.chaos.market_data import MarketDataWatch
from fix_gateway.tools.chaos.proxy import ProxyThread
from fix_gateway.tools.chaos.read_model import (
    ReadModel,
    read_read_model,
    reconcile_read_model,
)
from fix_gateway.tools.chaos.reconcile import Finding, Kind, reconcile
from fix_gateway.tools.chaos.truth import TruthLog
from fix_gateway.tools.chaos.venue import PASSWORD, VenueProcess
from fix_gateway.tools.rest import RestError

COMP_IDS: Final = ("DEMO1", "DEMO2", *(f"T{number:02}" for number in range(1, 21)))
GATEWAY_COMP_ID: Final = "WCX"
BEGIN_STRING: Final = "FIX.4.4"
PAUSE_S: Final = (0.4, 1.4)
CALM_SHARE: Final = 0.7
CALM_WAIT_S: Final = 4.0
"""Before so many faults a run waits, so long at most, for half of the clients to be back."""
SEGMENT_BYTES_MAX: Final = 64 << 10
SETTLE_WAIT_S: Final = 90.0
QUIET_S: Final = 1.5
POLL_S: Final = 0.1
FINDINGS_SHOWN_MAX: Final = 10
"""Of each kind: where one promise is broken, many are."""
VENUE: Final = "venue"


@dataclass(frozen=True)
class ChaosConfig:
    """What the command line says. `rate` is messages in a second of each client."""

    fault_count: int
    seed: int
    client_count: int
    rate: float
    gateway_count: int = 1
    keeps_data: bool = False


@dataclass
class ChaosResult:
    """What a run has found. `data_dir` is None when it was taken away."""

    seed: int
    faults: Counter[str]
    order_count: int = 0
    trade_count: int = 0
    message_count: int = 0
    database_order_count: int = 0
    database_execution_count: int = 0
    findings: list[Finding] = field(default_factory=list)
    data_dir: Path | None = None

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.findings

    def table(self) -> Iterator[str]:
        """Yield the lines of the report."""
        for kind, count in sorted(self.faults.items()):
            yield f"{kind:<40} {count:>8}"
        yield f"{'faults in all':<40} {self.faults.total():>8}"
        yield f"{'orders':<40} {self.order_count:>8}"
        yield f"{'trades':<40} {self.trade_count:>8}"
        yield f"{'messages that clients sent or read':<40} {self.message_count:>8}"
        yield f"{'orders found in the database':<40} {self.database_order_count:>8}"
        yield f"{'executions found in the database':<40} {self.database_execution_count:>8}"
        found = Counter(finding.kind for finding in self.findings)
        for finding_kind in Kind:
            yield f"{finding_kind.value:<40} {found[finding_kind]:>8}"
        shown: Counter[Kind] = Counter()
        for finding in self.findings:
            shown[finding.kind] += 1
            if shown[finding.kind] <= FINDINGS_SHOWN_MAX:
                yield f"{finding.kind.value}: {finding.comp_id}: {finding.text}"
        yield f"seed {self.seed}"
        if self.data_dir is not None:
            yield f"data kept in {self.data_dir}"


def run_chaos(config: ChaosConfig, say: Callable[[str], None]) -> ChaosResult:
    """Run a venue under faults and return what was found. `say` is told how it goes.

    Raises TimeoutError when the venue does not start at all.
    """
    directory = Path(tempfile.mkdtemp(prefix="wcx-chaos-"))
    run = _Run(config, directory, say)
    try:
        result = run.perform()
    except BaseException:
        run.keep_logs()
        say(f"broken off, data kept in {directory}")
        raise
    if result.is_clean and not config.keeps_data:
        shutil.rmtree(directory)
    else:
        run.keep_logs()
        result.data_dir = directory
    return result


class _Run:
    def __init__(self, config: ChaosConfig, directory: Path, say: Callable[[str], None]) -> None:
        self._config = config
        self._directory = directory
        self._say = say
        self._rng = random.Random(config.seed)
        fault_dir = directory / "faults"
        fault_dir.mkdir()
        self.venue = VenueProcess(
            directory / "var",
            WCX_FAULT_DIR=str(fault_dir),
            WCX_JOURNAL__SEGMENT_BYTES_MAX=str(SEGMENT_BYTES_MAX),
            WCX_FIX__PROOF_WAIT_S="1",
            WCX_FIX__WORKERS=str(config.gateway_count),
            WCX_PROJECTOR__ENABLED="true",
            WCX_MARKET_DATA__ENABLED="true",
        )
        self._parts = _names_of_parts(config.gateway_count)
        self._market_data: MarketDataWatch | None = None
        self._proxies = ProxyThread()
        self._clients = [
            self._make_client(number, comp_id)
            for number, comp_id in enumerate(COMP_IDS[: config.client_count])
        ]
        self._injector = Injector(self.venue, fault_dir, self._clients, self._rng)

    def perform(self) -> ChaosResult:
        """Start, trade under faults, settle, reconcile, stop."""
        result = ChaosResult(self._config.seed, self._injector.counts)
        self._say(f"seed {self._config.seed}, data in {self._directory}")
        self.venue.start()
        try:
            self._market_data = MarketDataWatch(self.venue.status()["mqtt_port"])
            self._trade_under_faults()
            result.findings += self._settle()
            result.findings += self._verify()
            found = self._read_read_model()
            result.findings += self._compare_market_data(self._market_data)
        finally:
            if self._market_data is not None:
                self._market_data.stop()
            for client in self._clients:
                client.log_out()
            self._proxies.stop()
            code = self.venue.stop()
        if code != 0:
            result.findings.append(_unverified(f"the venue ended with exit code {code}"))
        journal_dir = self.venue.data_dir / "journal"
        truth = JournalTruth(journal_dir)
        for client in self._clients:
            result.findings += reconcile(client.log, truth)
        if found is None:
            result.findings.append(_unverified("the read model was never where the engine was"))
        else:
            until = JournalTruth(journal_dir, found.seq)
            result.findings += reconcile_read_model(found, until)
            result.database_order_count = len(found.orders)
            result.database_execution_count = len(found.executions)
        result.order_count, result.trade_count = truth.order_count, truth.trade_count
        result.message_count = sum(len(client.log.messages) for client in self._clients)
        return result

    def keep_logs(self) -> None:
        """Write down what the venue logged and what every client sent and read."""
        (self._directory / "venue.log").write_text(self.venue.log_text() + "\n")
        for client in self._clients:
            lines = [f"{way} {text}" for way, text in client.log.messages]
            text = "\n".join(lines).replace(SOH, "|") + "\n"
            (self._directory / "clients" / f"{client.log.comp_id}.log").write_text(text)

    def _make_client(self, number: int, comp_id: str) -> ChaosClient:
        # Seeded one by one, so that what one draws does not depend on when the others do.
        proxy = self._proxies.open(self.venue.fix_port, random.Random(self._rng.random()))
        store_dir = self._directory / "clients" / comp_id
        store_dir.mkdir(parents=True)
        log = TruthLog(comp_id, is_reset=number % 2 == 1, wire=proxy.connections)
        rng = random.Random(self._rng.random())
        return ChaosClient(log, proxy, store_dir, rng, self._config.rate)

    def _trade_under_faults(self) -> None:
        for client in self._clients:
            client.log_on(PASSWORD, GATEWAY_COMP_ID)
        self._wait_until(self._is_everybody_logged_on)
        for client in self._clients:
            client.start_trading()
        counts, said = self._injector.counts, 0
        while counts.total() < self._config.fault_count:
            if self._rng.random() < CALM_SHARE:
                self._wait_until(self._is_half_logged_on, CALM_WAIT_S)
            time.sleep(self._rng.uniform(*PAUSE_S))
            self._injector.inject()
            if counts.total() >= said + 20:
                said = counts.total()
                self._say(
                    f"{said} faults, {sum(len(c.log.messages) for c in self._clients)} messages"
                )
        self._injector.heal()
        for client in self._clients:
            client.stop_trading()

    def _settle(self) -> list[Finding]:
        """Let everything come to rest, log everyone on once more, and look for open gaps."""
        findings = self._wait_for_rest("after the last fault")
        for client in self._clients:
            client.log_out()
            client.log_on(PASSWORD, GATEWAY_COMP_ID)
        findings += self._wait_for_rest("after the last Logon")
        for client in self._clients:
            if not self._wait_until(functools.partial(self._numbers_agree, client)):
                text = f"numbers: client {client.numbers()}, gateway {self._numbers_of(client)}"
                findings.append(Finding(Kind.GAP, client.log.comp_id, text))
        return findings

    def _wait_for_rest(self, when: str) -> list[Finding]:
        """Wait until all parts run, all clients are logged on and in step, and nothing comes."""
        findings = []
        if not self._wait_until(self._is_whole):
            findings.append(_unverified(f"{when} not all parts came back: {self.venue.status()}"))
        if not self._wait_until(self._is_everybody_logged_on):
            absent = [c.log.comp_id for c in self._clients if not c.is_logged_on]
            findings.append(_unverified(f"{when} not logged on: {absent}"))
            return findings
        pings = {client: client.ping() for client in self._clients}
        for client, ping in pings.items():
            if not self._wait_until(functools.partial(client.has_answer, ping)):
                text = f"{when} a TestRequest was not answered in sequence"
                findings.append(Finding(Kind.GAP, client.log.comp_id, text))
        if not self._wait_until(self._is_quiet):
            findings.append(_unverified(f"{when} reports never stopped coming"))
        return findings

    def _verify(self) -> list[Finding]:
        findings = []
        done = self.venue.wcx("journal", "verify")
        if done.returncode or "running engine same state" not in done.stdout:
            findings.append(_unverified(f"wcx journal verify: {done.stdout}{done.stderr}"))
        done = self.venue.wcx("audit", "verify")
        if done.returncode:
            findings.append(_unverified(f"wcx audit verify: {done.stdout}{done.stderr}"))
        return findings

    def _read_read_model(self) -> ReadModel | None:
        """Return what REST finds in the database once that knows all, None if it never does."""
        rest = self.venue.log_in()
        found: list[ReadModel] = []

        def look() -> bool:
            try:
                read = read_read_model(rest)
            except (RestError, OSError):
                return False
            found.extend([] if read is None else [read])
            return bool(found)

        self._wait_until(look)
        return found[0] if found else None

    def _compare_market_data(self, watch: MarketDataWatch) -> list[Finding]:
        """Return where the books of a subscriber never become the engine's."""
        rest = self.venue.log_in()
        findings: list[Finding] = []

        def look() -> bool:
            findings[:] = watch.compare(rest)
            return not findings

        self._wait_until(look)
        return findings

    def _is_whole(self) -> bool:
        try:
            return self.venue.part_pids().keys() == self._parts and (
                self.venue.get("/readyz")[0] == 200  # noqa: PLR2004 - HTTP's OK.
            )
        except OSError:
            return False

    def _is_everybody_logged_on(self) -> bool:
        return all(client.is_logged_on for client in self._clients)

    def _is_half_logged_on(self) -> bool:
        return 2 * sum(client.is_logged_on for client in self._clients) >= len(self._clients)

    def _is_quiet(self) -> bool:
        before = self._told_count()
        time.sleep(QUIET_S)
        return self._told_count() == before

    def _told_count(self) -> int:
        types = MsgType.EXECUTION_REPORT, MsgType.ORDER_CANCEL_REJECT
        return sum(len(client.log.received(*types)) for client in self._clients)

    def _numbers_agree(self, client: ChaosClient) -> bool:
        sends, expects = client.numbers()
        return self._numbers_of(client) == (expects, sends)

    def _numbers_of(self, client: ChaosClient) -> tuple[int, int]:
        comp_id = client.log.comp_id
        directory = self.venue.data_dir / "fix" / f"{BEGIN_STRING}-{comp_id}"
        return read_numbers(directory / f"{BEGIN_STRING}-{GATEWAY_COMP_ID}-{comp_id}.seqnums")

    def _wait_until(self, condition: Callable[[], bool], wait_s: float = SETTLE_WAIT_S) -> bool:
        deadline_s = time.monotonic() + wait_s
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(POLL_S)
        return True


def _names_of_parts(gateway_count: int) -> set[str]:
    """Return the processes of a venue that is whole."""
    if gateway_count == 1:
        return set(PARTS)
    return {*PARTS} - {GATEWAY} | {f"{GATEWAY}-{number}" for number in range(gateway_count)}


def _unverified(text: str) -> Finding:
    return Finding(Kind.UNVERIFIED, VENUE, text)
