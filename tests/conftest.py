"""What holds for all tests."""

import importlib
import os
import tomllib
from pathlib import Path

from hypothesis import settings

# A busy machine is slow for a moment: no example fails for the time that it takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_sessionstart() -> None:
    """`make test-compiled` means the compiled modules: each of them is one."""
    if os.environ.get("WCX_TEST_COMPILED") is None:
        return
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    for path in project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]:
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert str(module.__file__).endswith(".so"), module
