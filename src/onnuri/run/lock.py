"""One run directory, one writer: nothing of a killed run may go on writing beside its successor."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from onnuri.base.errors import UserError

LOCK_FILE = "lock"
PR_SET_PDEATHSIG = 1
SECONDS_TO_WAIT = 20.0


def die_with_launcher() -> None:
    """Under torchrun, have the kernel end this rank when torchrun is gone (Linux).

    torchrun puts its ranks into sessions of their own: without this, `kill -9` of torchrun leaves them
    training. A SIGTERM to torchrun still reaches the ranks and lets them save.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def lock_run_dir(run_dir: Path, taken: str = "", seconds: float = SECONDS_TO_WAIT) -> IO[str]:
    """Take the run directory for this process; the lock goes with the returned file, or the process.

    Args:
        taken: what to say if another process has it.
        seconds: how long to wait for it.

    Raises UserError when another process still holds it after that, OSError if the file cannot be written.
    """
    stream = (run_dir / LOCK_FILE).open("a+", encoding="utf-8")
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                stream.seek(0)
                holder = stream.read().strip()
                taken = taken or f"run_dir={run_dir} is in use by another run"
                raise UserError(f"{taken} ({holder})") from None
            time.sleep(0.2)
    stream.seek(0)
    stream.truncate()
    stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    stream.flush()
    return stream
