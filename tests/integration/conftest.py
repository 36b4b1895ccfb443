"""Venues for the tests of this folder. The first start makes a template; the others copy it."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fix_gateway.tools.chaos.venue import VenueProcess
from fix_gateway.tools.initiator import Initiator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts real servers and processes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a demo venue that was started once and stopped."""
    data_dir = tmp_path_factory.mktemp("template") / "var"
    venue = VenueProcess(data_dir).start()
    assert venue.stop() == 0, venue.log_text()
    return data_dir


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    """A fresh copy of the template."""
    return Path(shutil.copytree(template, tmp_path / "var"))


@pytest.fixture
def venue(data_dir: Path) -> Iterator[VenueProcess]:
    """A running demo venue with empty books, for one test alone."""
    venue = VenueProcess(data_dir).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


@pytest.fixture(scope="session")
def shared_venue(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VenueProcess]:
    """A running demo venue for tests that leave nothing behind in the books."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("shared") / "var"))
    venue = VenueProcess(data_dir).start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


ConnectClient = Callable[..., Initiator]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[ConnectClient]:
    """Log QuickFIX clients on; they log out when the test is over."""
    clients: list[Initiator] = []

    def log_on(
        venue: VenueProcess,
        comp_id: str,
        *,
        reset_on_logon: bool = True,
        on_message: Callable[[str, str], None] | None = None,
    ) -> Initiator:
        client = Initiator(
            comp_id,
            venue.counterparty,
            store_dir=tmp_path / f"client-{comp_id}",
            reset_on_logon=reset_on_logon,
            on_message=on_message,
        )
        clients.append(client)
        client.start()
        deadline_s = time.monotonic() + 20
        while not client.logged_on.wait(0.1):
            assert time.monotonic() < deadline_s, venue.log_text()
        return client

    yield log_on
    for client in clients:
        client.stop()
