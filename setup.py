"""Beyond pyproject.toml: what a wheel carries from outside of src/; compiled code for every Python."""

import json
import platform
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "src"))

from onnuri.base.provenance import BUILD_FILE, code_version  # noqa: E402


class BuildWithData(build_py):
    """Put configs/, data_recipes/ and the commit into the package of a wheel."""

    def run(self) -> None:
        """Copy them beside the modules; an editable install reads them from the checkout."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "onnuri"
        for folder in ("configs", "data_recipes"):
            shutil.rmtree(package / folder, ignore_errors=True)
            shutil.copytree(ROOT / folder, package / folder)
        (package / BUILD_FILE).write_text(json.dumps(code_version()), encoding="utf-8")


class BuildForCtypes(build_ext):
    """Compile libraries that ctypes loads: their names have the processor, and no version of Python."""

    def get_ext_filename(self, fullname: str) -> str:
        """`_bpe.x86_64.so` for `_bpe`."""
        return f"{fullname.replace('.', '/')}.{platform.machine()}.so"

    def build_extension(self, ext: Extension) -> None:
        """Take a library beside its sources that is newer than they are; a bundle brings such ones."""
        ready = ROOT / "src" / self.get_ext_filename(ext.name)
        sources = [ROOT / name for name in (*ext.sources, *ext.depends, "pyproject.toml", "setup.py")]
        if ready.is_file() and all(ready.stat().st_mtime > path.stat().st_mtime for path in sources):
            target = Path(self.get_ext_fullpath(ext.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ready, target)
        else:
            super().build_extension(ext)


class WheelForEveryPython(bdist_wheel):
    """A wheel whose compiled code calls nothing of Python's."""

    def get_tag(self) -> tuple[str, str, str]:
        """Any Python 3 on this platform."""
        return "py3", "none", super().get_tag()[2]


setup(cmdclass={"build_py": BuildWithData, "build_ext": BuildForCtypes, "bdist_wheel": WheelForEveryPython})
