"""Beyond pyproject.toml: what a wheel carries from outside of src/."""

import json
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "src"))

from onnuri.provenance import BUILD_FILE, code_version  # noqa: E402


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


setup(cmdclass={"build_py": BuildWithData})
