"""What a step takes of the device's memory, and of the time until its batches are there.

All of it is read on the host: counters of PyTorch's allocator, a clock around the loader, `getrusage`.
Nothing waits for the device. The allocator's peaks are reset with each step.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

GIB = 2**30
SLOW_SHARE, SLOW_STEPS = 0.1, 20
"""Share of a step spent waiting for batches that is too much, and in how many steps in a row."""
Item = TypeVar("Item")


class Resources:
    """Memory and waiting of this rank, step by step. One warning of each kind in a run."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.waited = 0.0
        """Seconds of this step in which the loop waited for a micro-batch."""
        self._slow_steps = 0
        self._retries = self._counters().get("num_alloc_retries", 0)
        self._warned: set[str] = set()

    def start_step(self) -> None:
        """A step begins."""
        self.waited = 0.0
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same items; the seconds that each lets wait are counted."""
        iterator = iter(batches)
        while True:
            started = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.waited += time.perf_counter() - started
            yield item

    def end_step(self, seconds: float) -> tuple[dict[str, float], list[str]]:
        """Fields of the step's line in metrics.jsonl, and warnings that are due."""
        counters, share = self._counters(), self.waited / seconds
        line: dict[str, float] = {"data_wait": share}
        if self.device.type == "cuda":
            line |= {
                "memory_allocated_gib": counters["allocated_bytes.all.peak"] / GIB,
                "memory_reserved_gib": counters["reserved_bytes.all.peak"] / GIB,
                "alloc_retries": counters["num_alloc_retries"],
                "ooms": counters["num_ooms"],
            }
        else:
            line["host_memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
        self._slow_steps = self._slow_steps + 1 if share > SLOW_SHARE else 0
        return line, [*self._memory_warning(counters), *self._data_warning(share)]

    def _counters(self) -> dict[str, int]:
        return torch.cuda.memory_stats(self.device) if self.device.type == "cuda" else {}

    def _memory_warning(self, counters: dict[str, int]) -> Iterator[str]:
        retries = counters.get("num_alloc_retries", 0)
        if retries > self._retries and "memory" not in self._warned:
            self._warned.add("memory")
            yield (
                f"GPU memory is nearly full: the allocator had to empty its cache ({retries} times so far) "
                "and the step waits for that; lower engine.micro_batch_size "
                "or set engine.activation_checkpointing=1"
            )

    def _data_warning(self, share: float) -> Iterator[str]:
        if self._slow_steps >= SLOW_STEPS and "data" not in self._warned:
            self._warned.add("data")
            yield (
                f"the last {self._slow_steps} steps waited for data, the last one {share:.0%} of its time: "
                "token shards are read too slowly; copy them to a local disk, or give ranks more CPU cores"
            )
