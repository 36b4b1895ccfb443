"""What containers run, without containers: each service's command, environment and health check."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fix_gateway.supervisor.child import Child
from fix_gateway.supervisor.mqtt import EmbeddedBroker, find_nats_server
from fix_gateway.supervisor.valkey import EmbeddedValkey, find_valkey
from fix_gateway.tools.chaos.venue import free_ports
from tests.deploy.test_compose import OURS, SERVICES
from tests.integration.outside_servers import SERVERS, make_database

ENDED_WAIT_S = 60.0
HEALTHY_WAIT_S = 60.0
RUNNING = ("engine", "gateway", "gateway_market_data", "admin_api", "projector", "publisher")
BIN = Path(sys.executable).parent


class Outside:
    """The servers that the services find by URL, and the directory of their secrets."""

    def __init__(self, directory: Path, postgres_url: str) -> None:
        self.directory = directory
        self.secrets = directory / "secrets"
        self.run_dir = directory / "run"
        for path in (self.secrets, self.run_dir, directory / "servers"):
            path.mkdir(mode=0o700)
        self.loop = asyncio.new_event_loop()
        self.children: list[Child] = []
        if SERVERS is None:
            urls = self.start(postgres_url)
        else:
            urls = SERVERS.settings_for(directory, has_market_data=True)
        for name, value in urls.items():
            (self.secrets / name.lower()).write_text(f"{value}\n")

    def start(self, postgres_url: str) -> dict[str, str]:
        """Start the servers and return their URLs, under the names of the settings."""
        directory = self.directory / "servers"
        valkey = EmbeddedValkey(directory, directory, find_valkey())
        broker = EmbeddedBroker(directory, find_nats_server(), 0)
        valkey.prepare()
        broker.prepare("demo-password", [])
        for server in (valkey, broker):
            child = Child(server.server_spec(), lambda _name, _line: None)
            self.loop.run_until_complete(child.start())
            self.children.append(child)
            self.loop.run_until_complete(asyncio.wait_for(server.wait_until_ready(), 30))
        url = self.loop.run_until_complete(make_database(postgres_url, "containers"))
        return {
            "WCX_DATABASE_URL": url, "WCX_REDIS_URL": valkey.url, "WCX_MQTT_URL": broker.url,
        }  # fmt: skip

    def stop(self) -> None:
        for child in self.children:
            self.loop.run_until_complete(child.stop())
        self.loop.close()


@pytest.fixture
def outside(tmp_path: Path, postgres_url: str) -> Iterator[Outside]:
    """PostgreSQL, Valkey and a broker, and nothing of the venue itself."""
    outside = Outside(tmp_path, postgres_url)
    yield outside
    outside.stop()


def environment_of(service: dict[str, Any], outside: Outside, ports: dict[str, str]) -> Any:
    """Return a service's environment, on directories and ports of this test."""
    here = {name: value for name, value in os.environ.items() if not name.startswith("WCX_")}
    paths = {
        "WCX_DATA_DIR": str(outside.directory / "data"),
        "WCX_RUNTIME_DIR": str(outside.run_dir),
        "WCX_SECRETS_DIR": str(outside.secrets),
        "WCX_FIX__HOST": "127.0.0.1",
        "WCX_FIX__TLS_HOST": "127.0.0.1",
        "WCX_REST__HOST": "127.0.0.1",
    }
    assert {"WCX_DATA_DIR", "WCX_RUNTIME_DIR", "WCX_SECRETS_DIR"} <= set(service["environment"])
    return {**here, **service["environment"], **paths, **ports, "PATH": f"{BIN}:{here['PATH']}"}


def test_every_service_runs_and_is_healthy(outside: Outside) -> None:
    """One after the other as they depend on each other; each ends in good order when asked to."""
    assert set(RUNNING) | {"migrate", "snapshots"} == set(OURS)
    names = (
        "WCX_FIX__PORT", "WCX_FIX__TLS_PORT", "WCX_REST__PORT", "WCX_ENGINE__METRICS_PORT",
        "WCX_FIX__METRICS_PORT", "WCX_MARKET_DATA__METRICS_PORT", "WCX_PROJECTOR__METRICS_PORT",
        "WCX_MARKET_DATA__FIX_PORT", "WCX_MARKET_DATA__FIX_TLS_PORT",
        "WCX_MARKET_DATA__FIX_METRICS_PORT",
    )  # fmt: skip
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    environments = {name: environment_of(SERVICES[name], outside, ports) for name in OURS}
    (outside.directory / "data").mkdir(mode=0o700)
    migrated = subprocess.run(
        SERVICES["migrate"]["command"], env=environments["migrate"], check=False, timeout=60
    )
    assert migrated.returncode == 0
    started: dict[str, subprocess.Popen[bytes]] = {}
    log = (outside.directory / "log").open("wb")
    try:
        for name in RUNNING:
            service = SERVICES[name]
            check = service["healthcheck"]["test"][1:]
            assert subprocess.run(check, env=environments[name], check=False).returncode == 1
            started[name] = subprocess.Popen(
                service["command"], env=environments[name], stdout=log, stderr=log
            )
            deadline_s = time.monotonic() + HEALTHY_WAIT_S
            while subprocess.run(check, env=environments[name], check=False).returncode:
                assert started[name].poll() is None, (outside.directory / "log").read_text()
                assert time.monotonic() < deadline_s, (outside.directory / "log").read_text()
        # The loop of the snapshots' service, once.
        words = SERVICES["snapshots"]["command"][2]
        once = words.removeprefix("while sleep 60; do ").removesuffix("; done")
        done = subprocess.run(["sh", "-c", once], env=environments["snapshots"], check=False)
        assert done.returncode == 0
    finally:
        codes = {}
        for name, process in reversed(started.items()):
            process.send_signal(signal.SIGTERM)
            codes[name] = process.wait(ENDED_WAIT_S)
        log.close()
    text = (outside.directory / "log").read_text()
    assert codes == dict.fromkeys(reversed(RUNNING), 0), text
    for path in outside.secrets.iterdir():
        password = path.read_text().partition("://")[2].partition("@")[0].rpartition(":")[2]
        assert not password or password not in text
