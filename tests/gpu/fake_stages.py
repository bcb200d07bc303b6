"""Stages that end in every way that a stage can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from onnuri.base.lifetime import bound
from onnuri.gpu.stage import Results, Settings


def good(settings: Settings, value: int = 1) -> Results:
    """Two results."""
    yield {"value": value, "device": settings.device}
    yield {"value": value + 1}


def endless(settings: Settings, pid_file: str = "") -> Results:
    """One result, then a child that would outlive it, and no end."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(str(child.pid))
    yield {"value": 1}
    time.sleep(600)
    yield {"value": 2}


def trains(settings: Settings, pid_file: str = "") -> Results:
    """As training does: waits for a child that is bound to it."""
    child = subprocess.Popen(bound([sys.executable, "-c", "import time; time.sleep(600)"]))
    yield {"value": 1}
    time.sleep(1)
    Path(pid_file).write_text(f"{os.getpid()} {child.pid}")
    child.wait()


def leaves_a_child(settings: Settings) -> Results:
    """A forked child keeps all that is open."""
    yield {"value": 1}
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    yield {"value": 2}


def raises(settings: Settings) -> Results:
    """One result, then an error of two lines."""
    yield {"value": 1}
    raise ValueError("the first line\nand the second")


def dies(settings: Settings) -> Results:
    """As a process does that the kernel kills for memory."""
    yield {"value": 1}
    print("the last thing it said", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def times(settings: Settings, seconds: float = 1.0) -> Results:
    """When it ran."""
    started = time.monotonic()
    time.sleep(seconds)
    yield {"started": started, "ended": time.monotonic()}
