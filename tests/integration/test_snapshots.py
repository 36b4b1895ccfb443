"""Snapshots of a running venue: made beside it, used at the next start, and never in its way."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.runtime.snapshot import list_snapshots
from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, enter
from tests.integration.venue_process import VenueProcess

StartVenue = Callable[..., VenueProcess]

REPLAYED = re.compile(r"event=journal_replayed .*snapshot_seq=(\d+) record_count=(\d+)")


def replayed(venue: VenueProcess) -> list[tuple[int, int]]:
    """Return, for every start of the engine, after which record it began and how many it took."""
    found = [REPLAYED.search(line) for line in list(venue.logged)]
    return [(int(match[1]), int(match[2])) for match in found if match]


def snapshot_seqs(data_dir: Path) -> list[int]:
    return [file.seq for file in list_snapshots(data_dir / "snapshots")]


@pytest.fixture
def start_venue(data_dir: Path) -> Iterator[StartVenue]:
    """Start a demo venue with such `[snapshot]`; it is stopped when the test is over."""
    venues: list[VenueProcess] = []

    def start(**settings: str) -> VenueProcess:
        environment = {f"WCX_SNAPSHOT__{name.upper()}": value for name, value in settings.items()}
        venues.append(VenueProcess(data_dir, **environment).start())
        return venues[-1]

    yield start
    for venue in venues:
        assert venue.stop() == 0, venue.log_text()


def test_engine_starts_from_the_snapshot_made_beside_it(
    data_dir: Path, start_venue: StartVenue, connect: ConnectClient
) -> None:
    """`wcx up` makes snapshots while clients trade; a killed engine replays only what is newer."""
    venue = start_venue(interval_s="0.2", records_min="40")
    alpha, beta = connect(venue, "DEMO1"), connect(venue, "DEMO2")
    venue.wait_for(lambda: len(snapshot_seqs(data_dir)) == 1)
    for number in range(40):
        enter(alpha, BUY, "0.01", f"{100 + number}.00")
        enter(beta, SELL, "0.01", f"{120 + number}.00")
    venue.wait_for(lambda: len(snapshot_seqs(data_dir)) > 1)
    (_, without) = replayed(venue)[0]
    venue.kill("engine")
    snapshot_seq, count = replayed(venue)[-1]
    assert snapshot_seq in snapshot_seqs(data_dir)
    assert count < without
    verified = venue.wcx("journal", "verify", "--all")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "running engine same state" in verified.stdout
    assert f"snapshot       after record {snapshot_seq}, same state" in verified.stdout


def test_snapshots_that_fail_do_not_hurt_the_venue(data_dir: Path, start_venue: StartVenue) -> None:
    """A directory that cannot be written is a log line; orders go on."""
    (data_dir / "snapshots").write_text("in the way")
    venue = start_venue(interval_s="0.1", records_min="1")
    venue.wait_for(lambda: venue.count_logged("no snapshot could be made") > 0)
    assert venue.get("/readyz")[0] == 200


def test_damaged_snapshot_is_passed_over(data_dir: Path, start_venue: StartVenue) -> None:
    """Cut off or changed in one bit: the engine says so and starts from the journal."""
    venue = start_venue(interval_s="0")
    assert venue.engine("snapshot").returncode == 0
    (file,) = list_snapshots(data_dir / "snapshots")
    whole = file.path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for count, damaged in enumerate((whole[:-1], flipped), start=1):
        file.path.write_bytes(damaged)
        venue.kill("engine")
        assert replayed(venue)[-1][0] == 0
        assert venue.count_logged("event=snapshot_skipped") == count
    assert venue.wcx("journal", "verify").returncode == 0
