"""Second half of install.sh, which has checked every file and the version of Python: from wheels to .venv.

It runs where nothing is installed yet, so it imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

BUNDLE = Path(__file__).resolve().parent
WHEELS = BUNDLE / "wheels"
MARKER = ".onnuri-bundle"
"""In the target: "unfinished" or "installed", and the hash of SHA256SUMS."""


def main() -> None:
    """Install into the folder that the first word names."""
    facts = json.loads((BUNDLE / "bundle.json").read_text(encoding="utf-8"))
    check_machine(facts)
    check_compiled_code()
    target = Path(os.path.abspath(sys.argv[1] or BUNDLE.parent / f"onnuri-{facts['version']}"))  # noqa: PTH100
    identity = hashlib.sha256((BUNDLE / "SHA256SUMS").read_bytes()).hexdigest()
    if is_installed(target, identity):
        print(f"{target} is up to date")
        return
    started = time.monotonic()
    print(f"installing into {target}", flush=True)
    try:
        unpack(target, identity, facts["version"])
        install(target)
        (target / MARKER).write_text(f"installed {identity}")
    except OSError as error:
        fail(f"{error.filename or target}: {error.strerror or error}")
    print(f"{len(wheels()) + 1} packages installed in {time.monotonic() - started:.0f} s")
    print(f"next: cd '{target}' && make pretrain")


def check_machine(facts: Mapping[str, Any]) -> None:
    """Fail if the processor or the C library is another one than the bundle is for."""
    here = f"{platform.system()} on {platform.machine()}"
    if here != f"Linux on {facts['machine']}":
        fail(f"this bundle is for Linux on {facts['machine']}, and this machine is {here}")
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or "no glibc"
    except ValueError:
        libc = "no glibc"
    name, _, version = libc.partition(" ")
    if name != "glibc" or [int(part) for part in version.split(".")[:2]] < [2, facts["glibc"]]:
        fail(f"this bundle needs glibc 2.{facts['glibc']} or later, and this machine has {libc}")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        fail(f"{sys.executable} has no module {error.name}; install it (python3-venv on Debian)")


def check_compiled_code() -> None:
    """Fail if the tokenizer's library does not load here; it is loaded from memory, nothing is written."""
    for wheel in WHEELS.glob("onnuri-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith("onnuri/tokenizer/native/_bpe."):
                    load(archive.read(name))


def load(library: bytes) -> None:
    """Load a shared library that is no file."""
    descriptor = os.memfd_create("onnuri")
    try:
        os.write(descriptor, library)
        ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    except OSError as error:
        fail(f"Onnuri's compiled code does not load here: {error}; make the bundle on an older system")
    finally:
        os.close(descriptor)


def is_installed(target: Path, identity: str) -> bool:
    """Whether this bundle is installed there. Fails if the folder holds anything else."""
    if target.resolve().is_relative_to(BUNDLE):
        fail(f"{target} lies in the bundle; name a folder outside of it: sh install.sh TARGET")
    if not target.exists() and not target.is_symlink():
        return False
    if not target.is_dir():
        fail(f"{target} is no folder; name another one: sh install.sh TARGET")
    marker = target / MARKER
    state, _, bundle = marker.read_text().partition(" ") if marker.is_file() else ("", "", "")
    if bundle == identity:
        return state == "installed"
    if state:
        fail(f"{target} was installed from another bundle; remove it or name another folder")
    if any(target.iterdir()):
        fail(f"{target} has other files; name a folder that is new or empty: sh install.sh TARGET")
    return False


def unpack(target: Path, identity: str, version: str) -> None:
    """The source tree."""
    target.mkdir(parents=True, exist_ok=True)
    (target / MARKER).write_text(f"unfinished {identity}")
    with tarfile.open(BUNDLE / f"onnuri-{version}.tar.gz") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(target)


def install(target: Path) -> None:
    """.venv with every wheel and the tree, editable; pip in it looks in the bundle, never in a network."""
    environment = target / ".venv"
    run(sys.executable, "-m", "venv", "--clear", str(environment))
    config = f"[global]\nno-index = true\nfind-links = {WHEELS.as_uri()}\n"
    (environment / "pip.conf").write_text(config, encoding="utf-8")
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-cache-dir"]
    run(*pip, *(f"./{name}" for name in wheels()), folder=WHEELS)
    run(*pip, "--no-build-isolation", "-e", ".", folder=target)
    run(str(environment / "bin" / "onnuri"), "--version")
    (environment / ".installed").touch()  # what make looks at


def wheels() -> list[str]:
    """Every wheel but Onnuri's own, which is for other environments."""
    return sorted(path.name for path in WHEELS.glob("*.whl") if not path.name.startswith("onnuri-"))


def run(*command: str, folder: Path | None = None) -> None:
    """Run a command with no settings of the user's; fail with the last line that it prints."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    ours |= {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONNOUSERSITE": "1",
    }
    done = subprocess.run(command, cwd=folder, env=ours, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR: ")]
        fail(f"{Path(command[0]).name}: {(errors or lines)[-1]}")


def fail(text: str) -> NoReturn:
    """One line, and exit status 1."""
    print(f"error: {text}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
