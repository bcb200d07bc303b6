"""Which code is running, on what: version, commit, what the tree differs by, and the environment."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from onnuri import __version__
from onnuri.base.location import PACKAGE, checkout

BUILD_FILE = "build.json"
"""In an installed wheel, or at the root of a tree from a bundle: the code version that it was made of."""
CPUINFO = Path("/proc/cpuinfo")


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
        return _version_without_repository(root)
    changes = git("diff", "HEAD")
    return {
        "version": __version__,
        "commit": git("rev-parse", "HEAD"),
        "modified": hashlib.sha256(changes.encode()).hexdigest() if changes else "",
    }


def _version_without_repository(root: Path) -> dict[str, Any]:
    """Of a tree that a bundle has brought, what the bundle says; of another, nothing but the version."""
    build = root / BUILD_FILE
    if not build.is_file():
        return {"version": __version__, "commit": "", "modified": ""}
    code = json.loads(build.read_text(encoding="utf-8"))
    now = hash_source(root)
    changed = code.pop("source") != now
    return {**code, "modified": now if changed else code["modified"]}


def hash_source(root: Path) -> str:
    """sha256 over the code and configs of a tree."""
    digest = hashlib.sha256()
    for folder in ("src", "configs", "data_recipes"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".cpp", ".h", ".yaml", ".json") and path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def environment() -> dict[str, Any]:
    """Versions and machine that numbers may depend on."""
    import torch

    packages = ("torch", "deepspeed", "numpy", "transformers", "tokenizers")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
        "processor": gpu or cpu_name(torch.backends.cpu.get_cpu_capability()),
    }


def cpu_name(instructions: str) -> str:
    """Such as "AMD EPYC (25, 17; AVX512, avx512_bf16)": name, family and model, and what it computes with.

    Numerical libraries choose their code by these, and with it the order in which sums are added up. In
    virtual machines the name is often no more than the vendor's.

    Args:
        instructions: torch's word for the vectors that it uses.
    """
    try:
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        first = ""
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    facts = {name.strip(): " ".join(value.split()) for name, value in pairs}
    name = facts.get("model name") or platform.processor() or platform.machine()
    kind = [facts[key] for key in ("cpu family", "model", "CPU implementer", "CPU part") if key in facts]
    flags = facts.get("flags", "").split()
    units = [instructions, *(flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags)]
    return f"{name} ({'; '.join(filter(None, (', '.join(kind), ', '.join(units))))})"
