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
QUICKFIX = "quickfix"  # It calls back on classes of ours, which may not be compiled.


def test_each_is_named_once_and_in_order() -> None:
    """And a plain build compiles none: no compiler is needed to develop."""
    assert sorted(set(MODULES)) == MODULES
    assert HOOKS["custom"]["enable-by-default"] is False


@pytest.mark.parametrize("path", MODULES)
def test_module_can_be_compiled(path: str) -> None:
    """It is there, defines no class that QuickFIX calls back on, and none that msgspec decodes.

    mypyc erases annotations and drops the class's keywords: such a struct has another encoding.
    """
    tree = ast.parse((ROOT / path).read_text())
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert QUICKFIX not in imported
    bases = {
        ast.unparse(base)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    assert "msgspec.Struct" not in bases
