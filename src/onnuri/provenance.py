"""Which code is running: version, commit, and whether the tree differs from it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from onnuri import __version__

REPOSITORY = Path(__file__).resolve().parents[2]


def code_version() -> dict[str, Any]:
    """{"version", "commit", "modified"}; commit is "" outside of a git checkout."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(REPOSITORY), *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    return {
        "version": __version__,
        "commit": git("rev-parse", "HEAD"),
        "modified": bool(git("status", "--porcelain", "--untracked-files=no")),
    }
