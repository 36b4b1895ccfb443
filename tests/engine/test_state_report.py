"""The state at any moment, in the words and decimals of those who ask."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fee_rates import FeeRates
from engine.ledger_commands import SetCreditLine, SetFees
from engine.order import Side, TimeInForce
from engine.runtime.journal import list_segments
from engine.runtime.recovery import find_seq_at
from engine.runtime.state_report import format_report, report_state
from engine.runtime.utc_time import format_time_ns, parse_time_ns
from engine.units import Money
from tests.exchange_desk import ALICE, BOB, BTC_USD, NS_PER_S, START_NS, USD, Desk, new_order
from tests.venue_files import FilesDesk


def traded(tmp_path: Path) -> FilesDesk:
    """Return a venue on which ALICE bought 4 of her 10, and both still have an order each."""
    desk = FilesDesk(tmp_path)
    desk.commit(
        [
            new_order(ALICE, Side.BUY, 10, 100, cl_ord_id="bid"),
            new_order(BOB, Side.SELL, 4, 100, cl_ord_id="hit"),
            new_order(BOB, Side.SELL, 100, 123456, TimeInForce.DAY, cl_ord_id="ask"),
        ]
    )
    desk.close()
    return desk


def engine(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb of the engine on a venue's files; no engine runs."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WCX_")}
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        env={**environment, "WCX_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_report_is_aligned_and_in_the_users_decimals(tmp_path: Path) -> None:
    """Symbols and names instead of numbers; every amount with the digits of its asset."""
    desk = traded(tmp_path)
    text = format_report(
        report_state(desk.sequencer.exchange.state(), seq=desk.last_seq, now_ns=START_NS)
    )
    assert text.split("\n\n")[1:] == [
        "BALANCES\n"
        "  account    firm  asset          balance        held      credit        available\n"
        "  (outside)     0  USD    -20000.00000000  0.00000000  0.00000000  -20000.00000000\n"
        "  (outside)     0  BTC      -200.00000000  0.00000000  0.00000000    -200.00000000\n"
        "  ALICE         1  USD      9999.99960000  0.00060000  0.00000000    9999.99900000\n"
        "  ALICE         1  BTC       100.00040000  0.00000000  0.00000000     100.00040000\n"
        "  BOB           2  USD     10000.00040000  0.00000000  0.00000000   10000.00040000\n"
        "  BOB           2  BTC        99.99960000  0.01000000  0.00000000      99.98960000",
        "OPEN ORDERS\n"
        "  OrderID  account  firm  ClOrdID  symbol   side  time in force    price  OrderQty"
        "  CumQty  LeavesQty\n"
        "       12  ALICE       1  bid      BTC-USD  BUY   GTC               1.00    0.0010"
        "  0.0004     0.0006\n"
        "       14  BOB         2  ask      BTC-USD  SELL  DAY            1234.56    0.0100"
        "  0.0000     0.0100",
        "BOOK BTC-USD\n"
        "  orders     qty   bid      ask     qty  orders\n"
        "       1  0.0006  1.00  1234.56  0.0100       1",
    ]


def test_report_has_fees_and_credit() -> None:
    """The venue's fees are nobody's; what may be used counts the credit."""
    desk = Desk()
    desk.apply(SetFees(BTC_USD, 0, FeeRates(0, 10_000)))
    desk.apply(SetCreditLine(BOB, USD, Money(5 * 10**8)))
    desk.sell(BOB, 10_000, 100_00)
    desk.buy(ALICE, 10_000, 100_00)
    report = report_state(desk.exchange.state(), seq=desk.seq, now_ns=desk.now_ns)
    lines = {(line.account, line.asset): line for line in report.balances}
    assert lines["(fees)", "USD"].balance == "1.00000000"
    assert lines["BOB", "USD"].credit == "5.00000000"
    assert lines["BOB", "USD"].available == "10105.00000000"


def test_every_moment_is_found_by_its_time(tmp_path: Path) -> None:
    """The last record at or before the time, whether a snapshot lies before it or not."""
    desk = FilesDesk(tmp_path)
    desk.trade(20)
    for _ in range(2):
        for seq in range(1, desk.last_seq + 1):
            at_ns = START_NS + seq * NS_PER_S
            found = [
                find_seq_at(desk.files, time_ns, last_seq=desk.last_seq)
                for time_ns in (at_ns - 1, at_ns, at_ns + 1)
            ]
            assert found == [seq - 1 or None, seq, seq]
        desk.snapshot()
        desk.trade(5)
    desk.close()


def test_replay_shows_the_state_as_it_was(tmp_path: Path) -> None:
    """By record and by time, for people and for programs; without --until as it is now."""
    desk = traded(tmp_path)
    before_ask = engine(tmp_path, "replay", "--until", str(desk.last_seq - 1), "--json")
    report = json.loads(before_ask.stdout)
    assert [order["cl_ord_id"] for order in report["open_orders"]] == ["bid"]
    assert report["state_hash"] == desk.state_hashes[desk.last_seq - 1]
    by_time = engine(tmp_path, "replay", "--until", report["time"], "--json")
    assert json.loads(by_time.stdout) == report
    now = engine(tmp_path, "replay")
    assert now.returncode == 0, now.stderr
    assert f"after record  {desk.last_seq}\n" in now.stdout
    assert desk.state_hashes[desk.last_seq] in now.stdout


@pytest.mark.parametrize(
    ("until", "complaint"),
    [
        ("yesterday", "neither the number of a record nor a time in UTC"),
        ("2026-11-23T05:06:16", "neither the number of a record nor a time in UTC"),
        ("-3", "neither the number of a record nor a time in UTC"),
        ("0", "there is no record 0: the last one is 14"),
        ("15", "there is no record 15: the last one is 14"),
        ("2999-01-01T00:00:00Z", "that is yet to come"),
        ("2000-01-01T00:00:00Z", "nothing had happened by then"),
    ],
)
def test_moment_that_never_was_is_named(tmp_path: Path, until: str, complaint: str) -> None:
    """Whoever mistypes is told what would have been understood."""
    traded(tmp_path)
    done = engine(tmp_path, "replay", f"--until={until}")
    assert done.returncode == 1
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_moment_out_of_reach_is_refused(tmp_path: Path) -> None:
    """When the files before it are gone, it is said which are needed; what came later is there."""
    desk = FilesDesk(tmp_path)
    desk.trade(30)
    desk.snapshot()
    desk.trade(10)
    desk.close()
    list_segments(desk.files.journal_dir)[0].path.unlink()
    done = engine(tmp_path, "replay", "--until", "3")
    assert done.returncode == 1
    assert "are not there any more" in done.stderr
    assert engine(tmp_path, "replay").returncode == 0


def test_time_is_read_to_the_nanosecond() -> None:
    """UTC only, said so; what is not a time is None."""
    assert parse_time_ns("1970-01-01T00:00:00Z") == 0
    assert parse_time_ns("2026-11-23T00:00Z") == START_NS
    assert parse_time_ns("2026-11-23T00:00:16.4Z") == START_NS + 16_400_000_000
    assert parse_time_ns("2026-11-23T00:00:00.000000001+00:00") == START_NS + 1
    for text in ("", "2026-11-23", "2026-02-30T00:00:00Z", "2026-11-23T00:00:00+01:00", "12"):
        assert parse_time_ns(text) is None


@given(st.integers(0, 4 * 10**18))
def test_time_survives_being_written(time_ns: int) -> None:
    """What is printed can be asked for."""
    assert parse_time_ns(format_time_ns(time_ns)) == time_ns


def test_replay_takes_every_record_of_the_set_up(tmp_path: Path) -> None:
    """Also the very first ones, when hardly anything exists yet."""
    traded(tmp_path)
    done = engine(tmp_path, "replay", "--until", "1")
    assert done.returncode == 0
    assert "BALANCES\n  none\n\nOPEN ORDERS\n  none" in done.stdout
