"""`wcx journal compact` beside a running venue: clients get all that is theirs, also from there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runtime.journal import list_segments
from fix_gateway.fix.fields import ExecType, Tag
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, enter, next_report
from tests.integration.venue_process import VenueProcess


def archived(data_dir: Path) -> list[int]:
    segments = list_segments(data_dir / "journal")
    return [segment.first_seq for segment in segments if segment.is_archived]


@pytest.fixture
def small_segments(data_dir: Path) -> Iterator[VenueProcess]:
    """A running demo venue whose journal soon has something to archive, for one test alone."""
    venue = VenueProcess(
        data_dir,
        WCX_JOURNAL__SEGMENT_BYTES_MAX="4096",
        WCX_SNAPSHOT__INTERVAL_S="0",
        WCX_FIX__PROOF_WAIT_S="0.2",
    ).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def unread_by(venue: VenueProcess, session_id: int) -> bool:
    """Say whether what is not confirmed yet was first meant for this session."""
    asked = venue.wcx("journal", "compact", "--dry-run")
    assert asked.returncode == 0, asked.stderr
    return f"session {session_id} has not confirmed to have record" in asked.stdout


def test_compaction_stops_before_what_a_client_has_not_confirmed(
    small_segments: VenueProcess, connect: ConnectClient
) -> None:
    """A client that was away gets its fill; once all have confirmed, the files are archived."""
    venue, data_dir = small_segments, small_segments.data_dir
    alpha = connect(venue, "DEMO1")
    bid = enter(alpha, BUY, "0.5", "100.00")
    next_report(alpha, ExecType.NEW)
    alpha.stop()
    beta = connect(venue, "DEMO2", reset_on_logon=False)
    enter(beta, SELL, "0.5", "100.00")
    next_report(beta, ExecType.NEW)
    next_report(beta, ExecType.TRADE)
    for number in range(60):
        enter(beta, SELL, "0.01", f"{200 + number}.00")
    for _ in range(60):
        next_report(beta, ExecType.NEW)
    assert venue.engine("snapshot").returncode == 0

    # The trade is of one record for both, and until beta has confirmed it beta is named.
    venue.wait_for(lambda: unread_by(venue, 1))
    held_back = venue.wcx("journal", "compact")
    assert held_back.returncode == 0, held_back.stderr
    assert "session 1 has not confirmed to have record" in held_back.stdout
    segments = list_segments(data_dir / "journal")
    first_compaction = archived(data_dir)
    venue.kill("gateway")
    again = connect(venue, "DEMO1", reset_on_logon=False)
    assert next_report(again, ExecType.TRADE)[Tag.CL_ORD_ID] == bid

    def is_all_archived() -> bool:
        """Both clients have answered the gateway's TestRequests."""
        assert venue.engine("snapshot").returncode == 0
        assert venue.wcx("journal", "compact").returncode == 0
        return len(archived(data_dir)) >= len(segments) - 1

    venue.wait_for(is_all_archived)
    assert len(archived(data_dir)) > len(first_compaction)
    for part in ("engine", "gateway"):
        venue.kill(part)
    venue.wait_for(lambda: venue.get("/readyz")[0] == 200)
    verified = venue.wcx("journal", "verify", "--all")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "running engine same state" in verified.stdout
    shown = venue.wcx("journal", "show", "--until", "3")
    assert [line.split()[0] for line in shown.stdout.splitlines()] == [
        "1", "2", "2.0", "3", "3.0"
    ]  # fmt: skip


def test_dry_run_changes_nothing(venue: VenueProcess) -> None:
    """It says what would be done; a small journal has nothing to archive."""
    done = venue.wcx("journal", "compact", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "nothing to archive: the newest snapshot is of record 0" in done.stdout
    assert archived(venue.data_dir) == []
