"""Which code is running, on what: version, commit, what the tree differs by, and the environment."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from importlib.metadata import version
from typing import Any

from onnuri import __version__
from onnuri.location import PACKAGE, checkout

BUILD_FILE = "build.json"
"""In an installed wheel: the code version of the checkout that it was built from."""


def code_version() -> dict[str, Any]:
    """{"version", "commit", "modified"}; commit is "" where the code came without its repository.

    "modified" is the sha256 of what tracked files differ by from the commit, "" where they do not. A wheel
    has all three from its build; the repository around a virtual environment is somebody else's.
    """
    root = checkout()
    if root is None:
        return json.loads((PACKAGE / BUILD_FILE).read_text(encoding="utf-8"))

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    if git("rev-parse", "--show-toplevel") != str(root):
        return {"version": __version__, "commit": "", "modified": ""}
    changes = git("diff", "HEAD")
    return {
        "version": __version__,
        "commit": git("rev-parse", "HEAD"),
        "modified": hashlib.sha256(changes.encode()).hexdigest() if changes else "",
    }


def environment() -> dict[str, Any]:
    """Versions and machine that numbers may depend on."""
    import torch

    packages = ("torch", "deepspeed", "numpy", "transformers", "tokenizers")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
        "processor": gpu or torch.backends.cpu.get_cpu_capability(),
    }
