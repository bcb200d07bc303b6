"""What watches the steps of a run: a watchdog, a look at slow ranks, memory, the profiler, MFU."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch

from onnuri.train.profile import Profiler
from onnuri.train.resources import Resources
from onnuri.train.run_plan import RunPlan
from onnuri.train.stragglers import Stragglers
from onnuri.train.utilisation import peak_flops
from onnuri.train.watchdog import Watchdog

Item = TypeVar("Item")


class Monitors:
    """On every rank. What they measure goes into the step's line of metrics.jsonl."""

    def __init__(
        self, plan: RunPlan, device: torch.device, run_dir: Path, cleanup: contextlib.ExitStack
    ) -> None:
        self.plan, config, rank = plan, plan.config, plan.ranks.rank
        stacks = run_dir / f"stacks-rank-{rank:05d}.txt"
        self.watchdog = Watchdog(config.guard.stall_factor, config.guard.stall_seconds, stacks)
        cleanup.callback(self.watchdog.close)
        self.stragglers = Stragglers(config.guard.straggler_every, config.guard.straggler_factor, device)
        cleanup.callback(self.stragglers.close)
        self.resources = Resources(device)
        self.peak = peak_flops(device, config.engine.precision)
        """FLOP/s of all ranks' devices; 0: not known."""
        self.profiler = Profiler(config.profile, run_dir, rank)
        cleanup.callback(self.profiler.close)
        self._step, self._started = 0, 0.0

    def start_step(self, step: int) -> None:
        """A step, counted from 0, begins."""
        self._step, self._started = step, time.perf_counter()
        self.watchdog.start_step(self.plan.accumulation_at(step))
        self.stragglers.start_step()
        self.resources.start_step()

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same micro-batches; the time spent waiting for them is counted."""
        return self.resources.timed(batches)

    def end_update(self) -> None:
        """The weights are updated; what follows is not watched."""
        self.watchdog.end_step()

    def measure(self, num_tokens: int) -> tuple[dict[str, Any], list[str]]:
        """Speed, time and memory of the step so far, and warnings that are due."""
        seconds = time.perf_counter() - self._started
        speed = num_tokens / seconds
        used, warnings = self.resources.end_step(seconds)
        flops_per_token = self.plan.config.flops_per_token(self.plan.lengths.at(self._step))
        mfu = speed * flops_per_token / self.peak if self.peak else None
        return {"tokens_per_second": speed, "mfu": mfu, "seconds": seconds, **used}, warnings

    def end_step(self, step: int) -> tuple[dict[str, Any], str] | None:
        """The step is over and recorded. Every so many steps, the seconds of slow ranks and a warning or
        "". A collective call."""
        self.stragglers.end_step(self.resources.waited)
        self.profiler.end_step()
        return self.stragglers.report(step)
