"""pip in a process of its own, and what its failures mean."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import environ
from pathlib import Path
from urllib.parse import unquote

from onnuri.base.errors import UserError

NO_NETWORK = re.compile(
    r"Retrying \(|NewConnectionError|Failed to establish a new connection|NameResolutionError|ProxyError"
    r"|ConnectTimeout|ReadTimeoutError|Network is unreachable"
)


class NoWheel(UserError):
    """No index has the package as a wheel for the target."""


@dataclass(frozen=True)
class Wheel:
    """One file of a package index, or of this disk."""

    name: str
    version: str
    url: str
    sha256: str

    @property
    def file(self) -> str:
        """The name of the file."""
        return unquote(self.url.rpartition("/")[2])


def resolve(requirements: Sequence[str], options: Sequence[str], what: str) -> list[Wheel]:
    """Which wheels these requirements take, with their hashes; metadata alone is fetched.

    Args:
        options: of pip: target machine, constraints, folders with more wheels.
        what: "Python 3.11 on manylinux_2_28_x86_64", for errors.

    Raises UserError if a package has no such wheel, or there is no network.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        words = [
            "install",
            "--dry-run",
            "--ignore-installed",
            f"--target={scratch}/site",
            f"--report={report}",
        ]
        run_pip([*words, *options, *requirements], what)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [
        Wheel(
            entry["metadata"]["name"],
            entry["metadata"]["version"],
            entry["download_info"]["url"],
            entry["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for entry in found
    ]


def run_pip(words: Sequence[str], what: str, variables: Mapping[str, str] | None = None) -> None:
    """Run pip and wait. Raises UserError, in one line, if it fails."""
    flags = ["--progress-bar=off", "--disable-pip-version-check", "--retries=2"]
    command = [sys.executable, "-m", "pip", words[0], *flags, *words[1:]]
    env = {**environ, **(variables or {})}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=env)
    if done.returncode:
        raise explain(done.stdout + done.stderr, what)


def explain(output: str, what: str) -> UserError:
    """The cause of a failure of pip, in one line."""
    if "No module named pip" in output:
        return UserError(f"{sys.executable} has no pip; make the environment again with python -m venv")
    if NO_NETWORK.search(output):
        return UserError(
            "the package index cannot be reached; with a network, the same command resumes; PIP_INDEX_URL "
            "names another index"
        )
    if match := re.search(r"No matching distribution found for (\S+)", output):
        return NoWheel(f"{match[1]} has no wheel for {what}")
    if match := re.search(r"The user requested \(constraint\) (\S+)", output):
        return NoWheel(f"{match[1]} has no wheel for {what}, or a package needs another version of it")
    if "No space left on device" in output:
        return UserError(
            "the disk is full: a bundle takes about 1 GB, with CUDA 3 GB, and pip's cache as much"
        )
    lines = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return UserError(f"pip: {lines[-1] if lines else ' '.join(output.split())[-300:]}")
