"""A backup that was taken while the venue traded becomes a venue that goes on."""

import shutil
from pathlib import Path

from tests.integration.conftest import ConnectClient
from tests.integration.trader import BUY, SELL, enter, next_message
from tests.integration.venue_process import VenueProcess


def test_backup_becomes_a_venue_that_goes_on(
    venue: VenueProcess, connect: ConnectClient, tmp_path: Path
) -> None:
    """Same orders, same users, every event as it was; a file that was changed is refused."""
    maker, taker = connect(venue, "DEMO2"), connect(venue, "DEMO1")
    enter(maker, SELL, "0.5", "100.00")
    next_message(maker)
    enter(taker, BUY, "0.2", "100.00")
    next_message(taker)
    saved = tmp_path / "saved"
    result = venue.wcx("backup", str(saved))
    assert result.returncode == 0, result.stderr
    again = venue.wcx("backup", str(saved))
    assert (again.returncode, again.stderr) == (1, f"wcx: {saved} exists already\n")

    other = VenueProcess(tmp_path / "restored" / "var")
    damaged = Path(shutil.copytree(saved, tmp_path / "damaged"))
    segment = next((damaged / "journal").glob("*.wcj"))
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")
    refused = other.wcx("restore", str(damaged))
    assert (refused.returncode, refused.stderr) == (1, f"wcx: {segment} is not as it was saved\n")
    assert not other.data_dir.exists()
    assert other.wcx("restore", str(tmp_path)).returncode == 1

    restored = other.wcx("restore", str(saved))
    assert restored.returncode == 0, restored.stderr
    verified = other.wcx("journal", "verify")
    assert verified.returncode == 0, verified.stdout
    assert "open orders    1" in verified.stdout
    other.start()
    try:
        assert other.get("/readyz")[0] == 200
        status, sessions = other.call("GET", "/v1/sessions")
        assert status == 200
        assert "DEMO1" in str(sessions)
        client = connect(other, "DEMO1")
        enter(client, BUY, "0.3", "100.00")
        reports = [next_message(client)[150] for _ in range(2)]
        assert reports == ["0", "F"]
    finally:
        assert other.stop() == 0, other.log_text()
