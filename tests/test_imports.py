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

TORCH_ALLOWED = ("._bpe", ".loader")
"""Endings of modules that the test of torch leaves alone: loaded by ctypes; gives batches of tensors."""


def test_every_module_can_be_imported() -> None:
    """In a process of its own, where no other test has imported anything."""
    result = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert int(result.stdout) > 150


IMPORT_WITHOUT_TORCH = """
import sys
from importlib import import_module
from pkgutil import walk_packages

for package in sys.argv[1:]:
    for module in walk_packages(import_module(package).__path__, package + "."):
        if not module.name.endswith(ALLOWED):
            import_module(module.name)
            assert "torch" not in sys.modules, f"{module.name} imports torch"
"""


def test_text_and_tokens_do_without_torch() -> None:
    """Commands that prepare data start fast, and workers that clean text stay small."""
    script = f"ALLOWED = {TORCH_ALLOWED}" + IMPORT_WITHOUT_TORCH
    packages = ["onnuri.corpus", "onnuri.tokenizer", "onnuri.tokens"]
    result = subprocess.run(
        [sys.executable, "-c", script, *packages], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
