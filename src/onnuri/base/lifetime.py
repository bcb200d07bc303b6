"""Processes that end with the one that started them, kill -9 of it included (Linux: PR_SET_PDEATHSIG).

    python -m onnuri.base.lifetime PARENT_PID COMMAND...

The kernel sends the signal when the starting thread ends: that thread has to wait for its child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """From now on this process is killed when its parent ends. Does nothing outside Linux."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def bound(command: Sequence[str]) -> list[str]:
    """The command line of a child that ends with this process."""
    return [sys.executable, "-m", "onnuri.base.lifetime", str(os.getpid()), *command]


if __name__ == "__main__":
    end_with_parent()
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent process has ended")  # before it could be bound
    os.execvp(sys.argv[2], sys.argv[2:])
