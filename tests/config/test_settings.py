"""Settings that are wrong: the operator reads where, what, and what would be allowed."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from config.settings import SETTINGS_FILE, Settings
from config.sources import SettingsError, all_keys, key_lines
from fix_gateway.config_cli import app


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has set is none of these tests' business."""
    for name in [name for name in os.environ if name.startswith("WCX_")]:
        monkeypatch.delenv(name)


def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> Path:
    path = tmp_path / "wcx.toml"
    path.write_text(text)
    monkeypatch.setenv("WCX_CONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[fix]\n\nport = -1\n", ":3: [fix] port is -1, allowed is an integer from 0 to 65535"),
        (
            '[journal]\ndurability = "maybe"\n',
            ":2: [journal] durability is 'maybe', allowed is \"fsync\" or \"os\"",
        ),
        ("[fix]\nprot = 1\n", ":2: there is no setting [fix] prot: did you mean port?"),
        ("[fixx]\nport = 1\n", ":1: there is no setting fixx: did you mean fix?"),
        (
            "[market_data]\ndepth_intervals_ms = [20, 5]\n",
            ":2: [market_data] depth_intervals_ms is 5, allowed is a list of 1 to 8, each an "
            "integer from 10 to 60000",
        ),
        (
            '[fix]\nhost = "0.0.0.0"\n',
            ":1: fix: host 0.0.0.0 is not a loopback address: clients from outside connect to "
            "tls_port, or allow_plain_text_from_anywhere must be true",
        ),
        ("[snapshot]\ninterval_s = -1\n", ":2: [snapshot] interval_s is -1, allowed is a number "
         "from 0"),
        ("[fix]\nport = \n", ": Invalid value (at line 2, column 8)"),
        ("database_url = 17\n", ":1: database_url is ***, allowed is a secret"),
    ],
)  # fmt: skip
def test_error_names_line_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, complaint: str
) -> None:
    """One line for each value, without a traceback."""
    path = use(monkeypatch, tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        Settings()
    assert str(caught.value) == f"wcx: {path}{complaint}"


def test_variable_is_named_when_it_is_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file may be right; all that is wrong is told at once."""
    path = use(monkeypatch, tmp_path, "[rest]\nport = 99999\n[fix]\nport = 1\n")
    monkeypatch.setenv("WCX_FIX__PORT", "many")
    with pytest.raises(SettingsError) as caught:
        Settings()
    assert str(caught.value).splitlines() == [
        "wcx: WCX_FIX__PORT: [fix] port is 'many', allowed is an integer from 0 to 65535",
        f"wcx: {path}:2: [rest] port is 99999, allowed is an integer from 0 to 65535",
    ]


def test_named_file_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody runs on defaults because of a typing error."""
    monkeypatch.setenv("WCX_CONFIG", str(tmp_path / "nothing.toml"))
    with pytest.raises(SettingsError, match="there is no such file"):
        Settings()


def test_secret_comes_from_a_file_and_is_shown_to_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`wcx config show` says where it stands."""
    use(monkeypatch, tmp_path, '[fix]\ncomp_id = "ACME"\n')
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "wcx_database_url").write_text("postgresql://wcx:hush@db/wcx\n")
    monkeypatch.setenv("WCX_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("WCX_REST__PORT", "8181")
    url = Settings().database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql://wcx:hush@db/wcx"
    shown = CliRunner().invoke(app, ["show"]).output
    assert "hush" not in shown
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    assert lines["database_url"] == ["***", str(secrets / "wcx_database_url")]
    assert lines["fix.comp_id"] == ["ACME", f"{tmp_path / 'wcx.toml'}:2"]
    assert lines["rest.port"] == ["8181", "WCX_REST__PORT"]
    assert lines["fix.port"] == ["9876", "default"]


def test_check_says_which_file_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a setting names must be there, too."""
    text = '[fix]\ntls_certificate = "/nowhere/cert.pem"\ntls_key = "/nowhere/key.pem"\n'
    path = use(monkeypatch, tmp_path, text)
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"wcx: {path}:2: /nowhere/cert.pem cannot be read",
        f"wcx: {path}:3: /nowhere/key.pem cannot be read",
    ]


def test_shipped_file_has_every_setting_with_its_default() -> None:
    """What is written there is what holds without it; what has no default is a comment there."""
    shipped = tomllib.loads(SETTINGS_FILE.read_text())
    lines = key_lines(SETTINGS_FILE)
    text = SETTINGS_FILE.read_text()
    defaults = Settings.model_construct()
    for key in all_keys(Settings):
        if key in lines:
            value: Any = shipped
            default: Any = defaults
            for name in key:
                value, default = value[name], getattr(default, name)
            assert value == default or str(default) == value, key
        elif key not in {("runtime_dir",), ("fault_dir",)}:
            assert f"# {key[-1]} = " in text, key
