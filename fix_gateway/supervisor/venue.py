"""`wcx up`: the parts of a venue in order, until it is told to stop."""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import stat
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar, cast

from engine.instrument import Account
from fix_gateway.supervisor.child import ChildSpec, Notified, Probed, Readiness
from fix_gateway.supervisor.demo import PASSWORD, ensure_admin, seed_database, seed_engine
from fix_gateway.supervisor.mqtt import EmbeddedBroker, find_nats_server, is_worth_telling
from fix_gateway.supervisor.postgres import EmbeddedPostgres, OtherUser, find_binaries, place
from fix_gateway.supervisor.service import Service, StartError
from fix_gateway.supervisor.snapshots import make_snapshots
from fix_gateway.supervisor.valkey import EmbeddedValkey, find_valkey
from store.migrate import migrate
from store.postgres import ensure_database, wait_until_reachable

DATABASE_NAME: Final = "wcx"
DATABASE_WAIT_S: Final = 30.0
STATUS_S: Final = 1.0
WATCHER_RETRY_S: Final = 5.0
T = TypeVar("T")


class VenueInUseError(Exception):
    """Another `wcx up` runs on the same data directory."""


@dataclass(frozen=True)
class VenueConfig:
    """What the command line and the settings say."""

    data_dir: Path
    sockets_dir: Path
    engine_socket: Path
    status_file: Path
    admin_password_file: Path
    database_url: str | None
    redis_url: str | None
    mqtt_url: str | None
    mqtt_port: int
    has_market_data: bool
    has_projector: bool
    fix_host: str
    fix_port: int
    fix_tls_host: str
    fix_tls_port: int
    fix_workers: int
    has_fix_market_data: bool
    other_user: OtherUser
    snapshot_interval_s: float
    snapshot_records_min: int
    is_demo: bool


@dataclass(frozen=True)
class Stores:
    """The servers that the doors need, and the accounts of the demo."""

    url: str
    redis_url: str
    demo_accounts: list[Account]


class Venue:
    """All processes and servers of one venue. `say` is given a name and a line to print."""

    def __init__(self, config: VenueConfig, say: Callable[[str, str], None]) -> None:
        self._config = config
        self._say = say
        self._services: list[Service] = []
        self._postgres: EmbeddedPostgres | None = None
        self._valkey: EmbeddedValkey | None = None
        self._broker: EmbeddedBroker | None = None
        self._snapshots: asyncio.Task[None] | None = None
        self._watchers: list[asyncio.Task[None]] = []
        # Of the operator `admin`, if this start has made it: to be shown once.
        self.new_admin_password: str | None = None

    @property
    def mqtt_port(self) -> int | None:
        """Where the embedded broker listens, None without one."""
        return None if self._broker is None else self._broker.port

    async def run(self, stopped: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready`, and stop everything once `stopped` is set.

        Raises VenueInUseError, or what kept a part from starting; nothing is left running then.
        """
        prepare_directories(self._config)
        lock = _lock(self._config.data_dir)
        try:
            starting = asyncio.ensure_future(self._start())
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._write_status()  # Whoever reads `ready` may look there at once.
                on_ready()
                await self._report_until(stopping)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            stopping.cancel()
        finally:
            await self._stop()
            self._config.status_file.unlink(missing_ok=True)
            _remove_sockets(self._config.sockets_dir)
            os.close(lock)

    async def _start(self) -> None:
        config = self._config
        environment = {
            "WCX_DATA_DIR": str(config.data_dir),
            "WCX_RUNTIME_DIR": str(config.sockets_dir),
            # The directory that `wcx` was called in must not shadow our packages.
            "PYTHONSAFEPATH": "1",
            "PYTHONUNBUFFERED": "1",
        }
        if config.database_url is not None:
            # Before anything is started: a name that is wrong is all that shall be read.
            await wait_until_reachable(config.database_url, timeout_s=DATABASE_WAIT_S)
        # The engine needs none of the servers, the doors need all of them and the engine.
        stores, _ = await _all_of(
            self._start_stores(), self._start_module("engine", ["engine"], environment)
        )
        assert stores is not None
        environment |= {"WCX_DATABASE_URL": stores.url, "WCX_REDIS_URL": stores.redis_url}
        if config.is_demo:
            await seed_engine(config.engine_socket, stores.demo_accounts)
            # Passwords that everybody knows are for this machine alone.
            environment["WCX_FIX__TLS_HOST"] = os.environ.get("WCX_FIX__TLS_HOST", "127.0.0.1")
            # Whoever tries the demo has no authenticator at hand, and nobody to ask.
            environment["WCX_REST__FOUR_EYES"] = os.environ.get("WCX_REST__FOUR_EYES", "false")
            environment["WCX_REST__MFA_ROLES"] = os.environ.get("WCX_REST__MFA_ROLES", "[]")
        await _all_of(
            self._start_gateways(environment),
            self._start_module("admin_api", ["admin_api"], environment),
            self._start_market_data(environment, stores.demo_accounts),
        )
        if config.has_projector:
            self._watch("projector", ["store"], environment)
        if config.has_fix_market_data:
            self._watch("gateway-market-data", ["fix_gateway", "--market-data"], environment)
        if self._config.snapshot_interval_s:
            records_min = str(self._config.snapshot_records_min)
            argv = [sys.executable, "-m", "engine", "snapshot", "--records-min", records_min]
            spec = ChildSpec("snapshot", argv, environment)
            self._snapshots = asyncio.create_task(
                make_snapshots(spec, self._config.snapshot_interval_s, self._say)
            )

    async def _start_stores(self) -> Stores | None:
        """Start what is not named by URL, bring the database to its newest schema, and fill it."""
        url, redis_url = await _all_of(self._start_postgres(), self._start_valkey())
        await wait_until_reachable(url, timeout_s=DATABASE_WAIT_S)
        await asyncio.to_thread(migrate, url)
        accounts = []
        if self._config.is_demo:
            accounts = await seed_database(url)
            self.new_admin_password = await ensure_admin(url, self._config.admin_password_file)
        return Stores(url, redis_url, accounts)

    async def _start_gateways(self, environment: dict[str, str]) -> None:
        """Start all workers at once: whoever is not there after a while would be taken for dead."""
        config = self._config
        if config.fix_workers == 1:
            await self._start_module("gateway", ["fix_gateway"], environment)
            return
        tls_host = environment.get("WCX_FIX__TLS_HOST", config.fix_tls_host)
        _check_port_is_free(config.fix_host, config.fix_port)
        _check_port_is_free(tls_host, config.fix_tls_port)
        await _all_of(
            *(
                self._start_module(
                    f"gateway-{number}", ["fix_gateway", "--worker", str(number)], environment
                )
                for number in range(config.fix_workers)
            )
        )

    async def _start_valkey(self) -> str:
        config = self._config
        if config.redis_url is not None:
            return config.redis_url
        self._valkey = EmbeddedValkey(config.data_dir, config.sockets_dir, find_valkey())
        self._valkey.prepare()
        await self._start_service(self._valkey.server_spec(), Probed(self._valkey.wait_until_ready))
        return self._valkey.url

    async def _start_market_data(
        self, environment: dict[str, str], demo_accounts: list[Account]
    ) -> None:
        """Start a broker, if none is named; nobody waits for the publisher."""
        config = self._config
        if not config.has_market_data:
            return
        url = config.mqtt_url
        if url is None:
            broker = EmbeddedBroker(config.data_dir, find_nats_server(), config.mqtt_port)
            firms = dict.fromkeys(account.firm_id for account in demo_accounts)
            broker.prepare(PASSWORD if config.is_demo else None, firms)
            self._broker = broker
            await self._start_service(
                broker.server_spec(), Probed(broker.wait_until_ready), self._say_if_wrong
            )
            url = broker.url
        self._watch("publisher", ["fix_gateway.market_data"], environment | {"WCX_MQTT_URL": url})

    def _say_if_wrong(self, name: str, line: str) -> None:
        if is_worth_telling(line):
            self._say(name, line)

    async def _start_postgres(self) -> str:
        config = self._config
        if config.database_url is not None:
            return config.database_url
        postgres = await place(
            config.data_dir, config.sockets_dir, config.other_user, find_binaries()
        )
        await postgres.prepare()
        self._postgres = postgres

        async def probe() -> int:
            await wait_until_reachable(postgres.url, timeout_s=DATABASE_WAIT_S)
            return postgres.read_pid()

        await self._start_service(postgres.server_spec(), Probed(probe))
        return await ensure_database(postgres.url, DATABASE_NAME)

    async def _start_module(
        self, name: str, arguments: list[str], environment: dict[str, str]
    ) -> None:
        notified = Notified(self._config.sockets_dir / f"notify-{name}.sock")
        spec = ChildSpec(name, [sys.executable, "-m", *arguments], environment)
        await self._start_service(spec, notified)

    def _watch(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        starting = self._start_watcher(name, arguments, environment)
        self._watchers.append(asyncio.create_task(starting))

    async def _start_watcher(
        self, name: str, arguments: list[str], environment: dict[str, str]
    ) -> None:
        """Start a part that only watches: the venue neither waits for it nor fails with it."""
        while True:
            try:
                await self._start_module(name, arguments, environment)
            except StartError as error:
                self._say("wcx", f"{error}: the venue goes on without {name}")
                await asyncio.sleep(WATCHER_RETRY_S)
            else:
                return

    async def _start_service(
        self,
        spec: ChildSpec,
        readiness: Readiness,
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        service = Service(spec, readiness, on_line or self._say)
        self._services.append(service)
        try:
            await service.start()
        except StartError:
            self._services.remove(service)
            readiness.close()
            raise

    async def _stop(self) -> None:
        tasks = [task for task in (self._snapshots, *self._watchers) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for service in reversed(self._services):
            await service.stop()

    async def _report_until(self, stopping: asyncio.Task[Literal[True]]) -> None:
        """Keep the status file true until the venue is to stop."""
        while not stopping.done():
            self._write_status()
            await asyncio.wait((stopping,), timeout=STATUS_S)

    def _write_status(self) -> None:
        status = {
            "pid": os.getpid(),
            "services": [asdict(service.status()) for service in self._services],
            "postgres_data_dir": None
            if self._postgres is None
            else str(self._postgres.placement.data_dir),
            "postgres_socket_dir": None
            if self._postgres is None
            else str(self._postgres.placement.socket_dir),
            "valkey_data_dir": None if self._valkey is None else str(self._valkey.data_dir),
            "mqtt_port": None if self._broker is None else self._broker.port,
            "mqtt_data_dir": None if self._broker is None else str(self._broker.data_dir),
        }
        draft = self._config.status_file.with_suffix(".new")
        draft.write_text(json.dumps(status))
        draft.replace(self._config.status_file)


async def _all_of(*starts: Awaitable[T]) -> list[T]:
    """Return what all of them return, in order, or raise what one has raised once all have ended.

    None goes on in the background, where it would start what is being stopped.
    """
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("list[T]", outcomes)


def _check_port_is_free(host: str, port: int) -> None:
    """Raise StartError when somebody listens there: the workers would share the port with him."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise StartError(f"gateway: {host}:{port}: {error.strerror}") from None


def prepare_directories(config: VenueConfig) -> None:
    """Make the data directory and the directory of sockets.

    Raises PermissionError when the directory of sockets is somebody else's.
    """
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.sockets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = config.sockets_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{config.sockets_dir} is not a private directory of this user")


def _remove_sockets(sockets_dir: Path) -> None:
    for pattern in ("*.sock", ".s.PGSQL.*"):
        for path in sockets_dir.glob(pattern):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # Not empty: something else lives there.
        sockets_dir.rmdir()


def _lock(data_dir: Path) -> int:
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise VenueInUseError(f"another venue runs in {data_dir}") from None
    return descriptor
