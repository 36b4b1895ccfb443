"""Build hook: the wheel's hot modules, which pyproject.toml lists, compiled by mypyc.

Their sources are in the wheel, too: they are what a traceback shows. Needs a C compiler, and is
asked for with HATCH_BUILD_HOOK_ENABLE_CUSTOM=true; without it the wheel is one of plain Python.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext


class CompiledWheel(BuildHookInterface[Any]):
    """Puts the compiled form of each module beside its source. Nothing is written into the tree."""

    _built: Path

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile. Raises when a module does not compile: a wheel has all of them or none."""
        self._built = Path(tempfile.mkdtemp())
        extensions = mypycify(
            self.config["modules"], opt_level="3", target_dir=str(self._built / "c")
        )
        command = build_ext(Distribution({"name": "compiled", "ext_modules": extensions}))
        command.build_lib = str(self._built / "lib")
        command.build_temp = str(self._built / "objects")
        command.ensure_finalized()
        command.run()
        for compiled in (self._built / "lib").rglob("*.so"):
            build_data["force_include"][str(compiled)] = str(
                compiled.relative_to(self._built / "lib")
            )
        build_data["infer_tag"] = True
        build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel by now."""
        shutil.rmtree(self._built)
