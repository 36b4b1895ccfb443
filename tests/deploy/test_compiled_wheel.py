"""What the wheel compiles: modules that can be, and that the order's way leads through."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["hooks"]
MODULES: list[str] = HOOKS["custom"]["modules"]
# Their own classes may not be compiled: they are called back from C++, or subclassed in tests.
CALLED_BACK = {"quickfix", "uvloop"}


def test_each_is_named_once_and_in_order() -> None:
    """And a plain build compiles none: no compiler is needed to develop."""
    assert sorted(set(MODULES)) == MODULES
    assert HOOKS["custom"]["enable-by-default"] is False


@pytest.mark.parametrize("path", MODULES)
def test_module_can_be_compiled(path: str) -> None:
    """It is there, and defines no class that QuickFIX calls back on."""
    tree = ast.parse((ROOT / path).read_text())
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert not imported & CALLED_BACK
