"""Python text run in a process without network, files, other processes or much memory; or not at all.

Linux namespaces, an empty read-only root, resource limits and no capabilities (sandboxed_process.py). Where
one of them cannot be had, nothing is run. Expected results stay outside, so a text can only be right by
computing them. The kernel is shared: this is for answers of a model in training, not for attackers.
Cost: about 0.1 s a call.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError

PROGRAM = Path(__file__).with_name("sandboxed_process.py")
REFUSAL = "code cannot be run safely here ({}); leave the family code out"
SECONDS, MEGABYTES = 1, 256
"""Of the processor, and of memory. After twice the seconds the process is ended."""
LONGEST_START = 60
"""Seconds for Python to start on a busy machine."""
MOST_OUTPUT = 1 << 16


def run(code: str, calls: list[list[Any]]) -> list[Any] | None:
    """What `solve` of the code returns for each list of arguments; None if it does not come to an end.

    Raises UserError where code cannot be run safely.
    """
    if sys.platform != "linux":
        raise UserError(REFUSAL.format("it needs Linux"))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        Path(folder).chmod(0o755)
        program = ["-I", "-S", str(PROGRAM), folder, str(SECONDS), str(MEGABYTES)]
        try:
            ended = subprocess.run(
                [sys.executable, *program],
                input=json.dumps({"code": code, "calls": calls}).encode(),
                stdout=output,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                timeout=2 * SECONDS + LONGEST_START,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(REFUSAL.format(error)) from None
        output.seek(0)
        written = output.read(MOST_OUTPUT).decode("utf-8", "replace")
    if ended.returncode:
        raise UserError(REFUSAL.format(written.partition("\n")[0] or f"exit status {ended.returncode}"))
    try:
        found = json.loads(written)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None
