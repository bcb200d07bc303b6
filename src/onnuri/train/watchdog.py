"""Ends a job that hangs, with the stacks of every thread on disk.

A rank that waits for one that is gone, or for a disk that does not answer, would wait until the timeout of
the process group and then say only that. The launcher sees the exit, ends the other ranks, and starts again
where it may (torchrun --max-restarts, Slurm's requeue).
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from statistics import median

STALLED = 75
"""Exit status of a rank that its watchdog has ended (EX_TEMPFAIL: try again)."""
STEPS = 64
FIRST_STEPS = 5
"""Not watched: kernels are compiled in them and memory is mapped."""


class Watchdog:
    """Watches steps from a thread of its own; what happens between steps is not watched.

    Args:
        factor: a step may take so many times the median of recent ones; 0 turns the watchdog off. Steps are
            compared by their seconds a micro-batch: with a batch ramp one stage has more than another.
        least_seconds: and so many seconds in any case.
        dump: file for the stacks.
    """

    def __init__(self, factor: float, least_seconds: float, dump: Path) -> None:
        self.factor, self.least_seconds, self.dump = factor, least_seconds, dump
        self._recent: deque[float] = deque(maxlen=STEPS)
        self._started: float | None = None
        self._micro_batches = 1
        self._closed = threading.Event()
        if factor:
            threading.Thread(target=self._watch, daemon=True).start()

    def start_step(self, micro_batches: int = 1) -> None:
        """A step of so many micro-batches begins."""
        self._micro_batches = micro_batches
        self._started = time.monotonic()

    def end_step(self) -> None:
        """It is over."""
        if self._started is not None:
            self._recent.append((time.monotonic() - self._started) / self._micro_batches)
        self._started = None

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    @property
    def limit(self) -> float:
        """Seconds that a step may take."""
        if len(self._recent) < FIRST_STEPS:
            return float("inf")
        return max(self.least_seconds, self.factor * self._micro_batches * median(self._recent))

    def _watch(self) -> None:
        while not self._closed.wait(0.5):
            started = self._started
            if started is not None and time.monotonic() - started > self.limit:
                self._end(time.monotonic() - started)

    def _end(self, seconds: float) -> None:
        print(
            f"error: a step has taken {seconds:.0f} s, more than {self.limit:.0f} s: the job is ended. "
            f"What its threads were doing is in {self.dump}",
            file=sys.stderr,
            flush=True,
        )
        try:
            with self.dump.open("w", encoding="utf-8") as stream:
                faulthandler.dump_traceback(stream, all_threads=True)
        except OSError:
            faulthandler.dump_traceback(sys.stderr, all_threads=True)
        os._exit(STALLED)
