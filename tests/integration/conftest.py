"""Venues for the tests of this folder. The first start makes a template; the others copy it."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fix_gateway.supervisor.child import Child
from fix_gateway.supervisor.postgres import find_binaries, place
from fix_gateway.tools.chaos.venue import PORTS_VARIABLE
from fix_gateway.tools.initiator import Initiator
from store.migrate import migrate
from store.postgres import wait_until_reachable
from tests.integration.outside_servers import SERVERS, make_database
from tests.integration.venue_process import VenueProcess

PORTS_PER_WORKER = 4000
LOG_CHARS_MAX = 20_000


# Each of several test processes looks for free ports in a range of its own.
worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
first_port = 15_000 + PORTS_PER_WORKER * (worker % 3)
os.environ[PORTS_VARIABLE] = f"{first_port}-{first_port + PORTS_PER_WORKER - 1}"


# These need outside servers; without them there is nothing to say.
collect_ignore = [] if SERVERS else ["test_outside_servers.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts real servers and processes; against outside ones not all can run."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.integration)
        embedded = item.get_closest_marker("embedded")
        if SERVERS is not None and embedded is not None:
            item.add_marker(pytest.mark.skip(reason=f"embedded servers: {embedded.args[0]}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the venues of a test that failed have logged last."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, VenueProcess):
                report.sections.append((f"log of {name}", value.log_text()[-LOG_CHARS_MAX:]))
    return report


@pytest.fixture(scope="session", autouse=True)
def outside_servers() -> Iterator[None]:
    """In the end nothing of ours is left on outside servers."""
    if SERVERS is not None:
        SERVERS.open()
    yield
    if SERVERS is not None:
        SERVERS.close()


@pytest.fixture(scope="module", autouse=True)
def shares_of_the_module() -> Iterator[None]:
    """What its venues had of outside servers is there for the next module's."""
    with SERVERS.scope() if SERVERS is not None else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def shares_of_the_test() -> Iterator[None]:
    """What its venues had of outside servers is there for the next test's."""
    with SERVERS.scope() if SERVERS is not None else contextlib.nullcontext():
        yield


Scenario = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def running_postgres(directory: Path, sockets: Path) -> AsyncIterator[str]:
    """Run a server of its own in the directory."""
    postgres = await place(directory, sockets, "auto", find_binaries())
    await postgres.prepare()
    server = Child(postgres.server_spec(), lambda _name, _line: None)
    await server.start()
    try:
        await wait_until_reachable(postgres.url, timeout_s=30)
        yield postgres.url
    finally:
        assert await server.stop() == 0


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running PostgreSQL without a venue."""
    if SERVERS is not None:
        yield SERVERS.database_url
        return
    loop = asyncio.new_event_loop()
    running = running_postgres(tmp_path_factory.mktemp("pg"), tmp_path_factory.mktemp("s"))
    yield loop.run_until_complete(running.__aenter__())
    loop.run_until_complete(running.__aexit__(None, None, None))
    loop.close()


@pytest.fixture(scope="module")
def on_postgres(
    postgres_url: str, request: pytest.FixtureRequest
) -> Iterator[Callable[[Scenario], None]]:
    """Run scenarios, each given the URL of a migrated database that is this module's own."""
    loop = asyncio.new_event_loop()
    name = request.module.__name__.rpartition(".")[2]
    url = loop.run_until_complete(make_database(postgres_url, name))
    migrate(url)

    def run(scenario: Scenario) -> None:
        loop.run_until_complete(scenario(url))

    yield run
    loop.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a demo venue that was started once and stopped."""
    data_dir = tmp_path_factory.mktemp("template") / "var"
    venue = VenueProcess(data_dir).start()
    assert venue.stop() == 0, venue.log_text()
    if SERVERS is not None:
        SERVERS.keep(data_dir, is_template=True)
    return data_dir


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    """A fresh copy of the template."""
    return Path(shutil.copytree(template, tmp_path / "var"))


@pytest.fixture(scope="module")
def module_data_dir(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh copy of the template, for the tests of a module together."""
    return Path(shutil.copytree(template, tmp_path_factory.mktemp("module") / "var"))


@pytest.fixture
def venue(data_dir: Path) -> Iterator[VenueProcess]:
    """A running demo venue with empty books, for one test alone."""
    # On a busy machine a client may take longer than usual to be back with its orders.
    venue = VenueProcess(data_dir, WCX_FIX__RESEND_ORDER_AGE_MAX_S="30").start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


@pytest.fixture(scope="session")
def shared_venue(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VenueProcess]:
    """A running demo venue for tests that leave nothing behind in the books."""
    data_dir = Path(shutil.copytree(template, tmp_path_factory.mktemp("shared") / "var"))
    venue = VenueProcess(
        data_dir, WCX_PROJECTOR__ENABLED="true", WCX_MARKET_DATA__FIX_ENABLED="true"
    ).start()
    if SERVERS is not None:
        SERVERS.keep(data_dir)
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
        begin_string: str = "FIX.4.4",
        reset_on_logon: bool = True,
        on_message: Callable[[str, str], None] | None = None,
    ) -> Initiator:
        client = Initiator(
            comp_id,
            replace(venue.counterparty, begin_string=begin_string),
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
