"""House rules that no linter knows, checked on the syntax tree of every source file."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("admin_api", "config", "engine", "fix_gateway", "risk", "store")
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70  # Without the docstring.
VAGUE_NAMES = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
PURE_IMPORTS = {
    "__future__", "bisect", "collections", "dataclasses", "engine", "enum", "heapq",
    "itertools", "msgspec", "operator", "risk", "sortedcontainers", "types", "typing",
}  # fmt: skip

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PURE_FILES = [
    path
    for path in FILES
    if path.relative_to(ROOT).parts[0] in {"engine", "risk"}
    and "runtime" not in path.parts
    and path.stem != "__main__"
]
NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
PROSE_FILES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_file = pytest.mark.parametrize("path", FILES, ids=name_of)
every_pure_file = pytest.mark.parametrize("path", PURE_FILES, ids=name_of)


def imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


@every_file
def test_name_says_what_lives_there(path: Path) -> None:
    """A file named `utils` tells the reader nothing."""
    assert path.stem.strip("_") not in VAGUE_NAMES


@every_file
def test_fits_the_limits(path: Path) -> None:
    """Files and functions stay short enough to be read in one go."""
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert code_lines(node) <= FUNCTION_LINES_MAX, node.name


@every_file
def test_public_names_have_docstrings(path: Path) -> None:
    """What others may call says what it does for them."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "module"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    bodies = [tree.body, *(node.body for node in classes if not node.name.startswith("_"))]
    for node in itertools.chain.from_iterable(bodies):
        if isinstance(node, NAMED) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@every_pure_file
def test_pure_code_imports_only_what_is_allowed(path: Path) -> None:
    """The engine and the risk checks see no clock, disk, network, log or random number."""
    imported = {name.split(".")[0] for name in imported_modules(ast.parse(path.read_text()))}
    assert imported <= PURE_IMPORTS


@every_pure_file
def test_pure_code_has_no_floats(path: Path) -> None:
    """Money, prices and quantities are integers in a declared scale."""
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.Name) and node.id == "float")
        assert not (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))


@every_file
def test_package_init_holds_only_a_docstring(path: Path) -> None:
    """Importing one module of a package never runs another."""
    if path.name == "__init__.py":
        assert all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text()).body)


@pytest.mark.parametrize("path", PROSE_FILES, ids=name_of)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """A reader who follows a relative link finds a file."""
    for piece in path.read_text().split("](")[1:]:
        target = piece.split(")")[0].split("#")[0]
        if target and "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), target
