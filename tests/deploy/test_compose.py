"""The Compose file and the units: well-formed, locked down, and about things that exist."""

import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import Settings
from config.sources import all_keys, env_name

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
KNOWN_VARIABLES = {env_name(key) for key in all_keys(Settings)} | {"WCX_SECRETS_DIR", "WCX_CONFIG"}
TOP_LEVEL = {"name", "services", "volumes", "secrets", "x-wcx", "x-sidecar"}
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image",
    "network_mode", "ports", "read_only", "restart", "secrets", "security_opt",
    "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_file_has_only_what_compose_knows() -> None:
    """All the parts of a venue, and nothing that Compose would refuse."""
    assert set(COMPOSE) == TOP_LEVEL
    assert set(SERVICES) == {
        "postgres", "redis", "mqtt", "migrate", "engine", "snapshots", "gateway", "admin_api",
        "gateway_market_data", "projector", "publisher", "prometheus", "grafana",
    }  # fmt: skip
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name


@every_service
def test_service_is_locked_down(name: str) -> None:
    """No root, no writable root file system, no capabilities, limits, an image of one version."""
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory"}
    assert re.search(r":[\w.-]*\d", service["image"]), "an image without a version"
    if name not in {"migrate", "snapshots"}:
        check = service["healthcheck"]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}
        assert {"interval", "timeout", "retries"} <= set(check)


@every_service
def test_what_a_service_names_is_there(name: str) -> None:
    """Volumes, secrets, services it waits for, files that are mounted, variables that are set."""
    service = SERVICES[name]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
    for other, condition in service.get("depends_on", {}).items():
        needs_health = condition["condition"] == "service_healthy"
        assert not needs_health or "healthcheck" in SERVICES[other]
    mode = service.get("network_mode", "")
    assert not mode or mode.removeprefix("service:") in SERVICES
    assert not (mode and "ports" in service)
    variables = {key for key in service.get("environment", {}) if key.startswith("WCX_")}
    assert variables <= KNOWN_VARIABLES


def test_only_tls_is_open_to_the_world() -> None:
    """Everything else is published on the loopback address of the host."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == [
        "9878:9878", "9879:9879",
    ]  # fmt: skip


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """Every secret of the Compose file, at random, readable through its directory's owner alone."""
    script = tmp_path / "deploy" / "make-secrets.sh"
    script.parent.mkdir()
    script.write_bytes((ROOT / "deploy/make-secrets.sh").read_bytes())

    def make() -> dict[str, bytes]:
        subprocess.run(["bash", str(script)], check=True, capture_output=True)
        directory = script.parent / "secrets"
        assert directory.stat().st_mode & 0o777 == 0o700
        return {path.name: path.read_bytes() for path in directory.iterdir()}

    first = make()
    wanted = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert wanted <= set(first)
    assert make() == first
    password = first["postgres_password"].strip()
    assert len(password) == 48
    assert password in first["wcx_database_url"]
    assert [line.split(b":")[0] for line in first["mqtt_passwords"].splitlines()] == [
        b"publisher",
        b"subscriber",
    ]
    assert password not in first["mqtt_passwords"]


def test_what_the_image_copies_is_there() -> None:
    """And it ends up as a user that is not root."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
    packages = {"admin_api", "config", "engine", "fix_gateway", "risk", "store"}
    assert packages <= set(" ".join(copied).split())
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["wcx"]
    assert "requirements/source.lock" in text
    assert "HATCH_BUILD_HOOK_ENABLE_CUSTOM=true" in text


@pytest.mark.parametrize("path", sorted((ROOT / "deploy/systemd").iterdir()), ids=lambda p: p.name)
def test_unit_starts_what_there_is(path: Path) -> None:
    """Known variables, known commands, no root."""
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(path.read_text())
    assert unit.has_option("Unit", "Description")
    if path.suffix == ".timer":
        assert (path.with_suffix(".service")).exists()
        return
    assert unit.get("Service", "User") == "wcx"
    variables = re.findall(r"^Environment=(\w+)=", path.read_text(), re.MULTILINE)
    assert set(variables) <= KNOWN_VARIABLES
    for command in re.findall(r"^ExecStart(?:Pre)?=(.*)$", path.read_text(), re.MULTILINE):
        words = command.split()
        assert words[0] == "/opt/wcx/.venv/bin/wcx"
        shown = subprocess.run(
            [str(ROOT / ".venv/bin/wcx"), *words[1:], "--help"],
            capture_output=True,
            check=False,
        )
        assert shown.returncode == 0, command
