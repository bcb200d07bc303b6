"""Runs stages one after the other, each in a process group of its own that is killed at its limit.

Results are on disk before the next one is waited for: a node that is taken away keeps what it measured.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from types import FrameType
from typing import Any

from onnuri.base.errors import UserError
from onnuri.gpu.stage import Result, Settings, Stage

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
SHOWN = 220
"""Characters of a result that are printed; the file has all of it."""


class ResultsFile:
    """The JSON lines file. Every line is on disk when `add` returns.

    Raises UserError if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.results: list[Result] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("a", encoding="utf-8")
            with path.open("rb") as written:
                if written.seek(0, os.SEEK_END):
                    written.seek(-1, os.SEEK_END)
                if written.read() not in (b"", b"\n"):
                    self._stream.write("\n")  # a killed call left half a line
        except OSError as error:
            raise UserError(f"cannot write output={path}: {error.strerror or error}") from None
        self._lock = threading.Lock()
        self._started = time.monotonic()

    def add(self, result: Result) -> None:
        """Append and log one."""
        with self._lock:
            self.results.append(result)
            self._stream.write(json.dumps(result) + "\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())
            text = " ".join(f"{name}={_short(value)}" for name, value in result.items() if name != "stage")
            passed = time.monotonic() - self._started
            log.info(f"[{passed:4.0f} s] {result.get('stage', '')}: {text}"[:SHOWN])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Stopped(Exception):
    """The command is being ended: no stage may start."""


class ProcessGroups:
    """The process groups of the stages that run now. Ctrl-C does not reach them: each is a session."""

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self.stopped = False

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a command in a group of its own. Raises Stopped after `stop`."""
        with self._lock:
            if self.stopped:
                raise Stopped
            process = subprocess.Popen(command, start_new_session=True, **options)
            self._running[process.pid] = process
            return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Kill what is left of its group; returns its exit status."""
        with self._lock:
            _kill_group(self._running.pop(process.pid))
        return process.wait()

    def stop(self) -> None:
        """Kill all of them, and start no more."""
        with self._lock:
            self.stopped = True
            for process in self._running.values():
                _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM, and SIGHUP unless it is ignored (nohup), raise SystemExit with status 128 + signal."""

    def leave(number: int, frame: FrameType | None) -> None:
        print(f"ended by {signal.Signals(number).name}", file=sys.stderr, flush=True)
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@ended_by_signals()
def run_stages(
    stages: Sequence[Stage], results: ResultsFile, log: Path, budget: float, given: dict[str, Any]
) -> None:
    """Run them all within `budget` seconds, together. No process of a stage is left if it is interrupted.

    Args:
        log: file that the stages' own output is appended to.
        given: fields of `Settings` that are the same for all stages.
    """
    end, groups = time.monotonic() + budget, ProcessGroups()
    for group in _groups(stages):
        left = end - time.monotonic()
        starting = [stage for stage in group if left >= stage.least_seconds]
        for stage in group:
            if stage not in starting:
                why = f"{max(0, left):.0f} s of the budget left, needs {stage.least_seconds:.0f}"
                results.add({"stage": stage.name, "event": "skipped", "why": why})
        with ThreadPoolExecutor(len(group)) as pool:
            try:
                running = [
                    pool.submit(run_stage, stage, results, log, left, given, groups) for stage in starting
                ]
                for each in running:
                    each.result()
            except BaseException:
                groups.stop()
                raise


def _groups(stages: Sequence[Stage]) -> Iterator[list[Stage]]:
    """Stages that run at the same time."""
    group: list[Stage] = []
    for stage, following in zip_longest(stages, stages[1:]):
        group.append(stage)
        if following is None or stage.beside != following.name:
            yield group
            group = []


def run_stage(
    stage: Stage,
    results: ResultsFile,
    log: Path,
    seconds_left: float,
    given: dict[str, Any],
    groups: ProcessGroups,
) -> None:
    """Run one; its results, and how it ended: done, crash, cut or stopped."""
    started = time.monotonic()
    limit = min(stage.seconds, seconds_left)
    work = tempfile.mkdtemp(prefix=f"onnuri-{stage.name}-")
    settings = Settings(**given, work=work, deadline=started + limit)
    reading, writing = os.pipe()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as output:
        output.write(f"\n===== {stage.name}\n".encode())
        output.flush()
        process = groups.start(
            [sys.executable, "-m", "onnuri.gpu.worker", str(writing)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[writing],
            env=environment,
        )
    os.close(writing)
    try:
        _tell(process, {"stage": asdict(stage), "settings": asdict(settings)})
        crashed, in_time = _collect(stage, process, reading, results, settings.deadline)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(1.0, settings.seconds_left()) if in_time else 0.0)
    finally:
        status = groups.end(process)  # with the children that it left
        os.close(reading)
        shutil.rmtree(work, ignore_errors=True)
    passed = time.monotonic() - started
    if groups.stopped:
        results.add({"stage": stage.name, "event": "stopped", "seconds": round(passed, 1)})
    elif not in_time:
        results.add({"stage": stage.name, "event": "cut", "seconds": round(limit, 1)})
    elif status and not crashed:
        why = f"signal {-status}" if status < 0 else f"exit status {status}"
        results.add({"stage": stage.name, "event": "crash", "error": f"{why}: {_last_line(log)}"})
    elif not crashed:
        results.add({"stage": stage.name, "event": "done", "seconds": round(passed, 1)})


def _tell(process: subprocess.Popen[bytes], facts: dict[str, Any]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(facts).encode())


def _collect(
    stage: Stage, process: subprocess.Popen[bytes], reading: int, results: ResultsFile, deadline: float
) -> tuple[bool, bool]:
    """Pass results on until the stage has ended: (it reported a crash, it ended in time).

    A child that it forked may hold its end of the pipe open, so the end of the process counts too.
    """
    crashed, rest = False, b""
    while (left := deadline - time.monotonic()) > 0:
        ended = process.poll() is not None
        if not select.select([reading], [], [], 0 if ended else min(left, POLL_SECONDS))[0]:
            if ended:
                return crashed, True
            continue
        got = os.read(reading, 1 << 16)
        if not got:
            return crashed, True
        *lines, rest = (rest + got).split(b"\n")
        for line in lines:
            result = {"stage": stage.name, **json.loads(line)}
            crashed = crashed or result.get("event") == "crash"
            results.add(result)
    return crashed, False


def _last_line(log: Path) -> str:
    lines = [
        line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
    ]
    return lines[-1][:300] if lines else ""
