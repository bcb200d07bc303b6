"""Every module can be imported: names that a version of Python or a package lacks are found here."""

import subprocess
import sys

IMPORT_ALL = """
from importlib import import_module
from pkgutil import walk_packages
import onnuri

names = [module.name for module in walk_packages(onnuri.__path__, "onnuri.")]
names = [name for name in names if not name.endswith(("._bpe", "._kernels"))]  # loaded by ctypes
for name in names:
    import_module(name)
print(len(names))
"""


def test_every_module_can_be_imported() -> None:
    """In a process of its own, where no other test has imported anything."""
    result = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) > 150
