"""Which rank keeps the others waiting.

Ranks that work in step all take the time of the slowest, so the time of a step names nobody. What tells
them apart is how much of it a rank spends on its own work: on CPUs its wall time less what it waits in
collective calls (under ZeRO-3 one a layer). That sees a slow core, a neighbour on the machine, a slow disk.
On GPUs not the process waits but the device: there each rank times the same matrix product instead, which
sees a throttled or sick GPU and nothing else. (Timing kernels with CUPTI, as NVIDIA's resiliency extension
does, would see more and be in the way of profilers.)
"""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist

SHOWN = 8
"""Ranks whose seconds are written down, the slowest first."""
PROBE_SIZE, PROBE_TIMES = 2048, 50


class WaitClock:
    """Seconds that this thread has waited in collective calls: all of them end in `Work.wait`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._wait = wait = dist.Work.wait
        thread = threading.get_ident()

        def timed(work: Any, *arguments: Any, **options: Any) -> Any:
            if threading.get_ident() != thread:  # a checkpoint's writer, which holds up no step
                return wait(work, *arguments, **options)
            started = time.perf_counter()
            try:
                return wait(work, *arguments, **options)
            finally:
                self.seconds += time.perf_counter() - started

        dist.Work.wait = timed  # type: ignore[assignment, method-assign]

    def close(self) -> None:
        """Give `Work.wait` back."""
        dist.Work.wait = self._wait  # type: ignore[method-assign]


class Stragglers:
    """Adds up every rank's own seconds and compares them, every `every` steps (0: never).

    A rank that takes `factor` times the median is named.
    """

    def __init__(self, every: int, factor: float, device: torch.device) -> None:
        self.every, self.factor, self.device = every, factor, device
        self._clock = WaitClock() if every and device.type == "cpu" else None
        self._mark, self._began = 0.0, 0.0
        self._clear()

    def close(self) -> None:
        """Stop measuring."""
        if self._clock:
            self._clock.close()

    def start_step(self) -> None:
        """A step begins."""
        self._mark, self._began = self._now(), time.perf_counter()

    def end_step(self, waited_for_data: float) -> None:
        """A step, with what is written down of it, is over; it waited so many seconds for its batches."""
        self._own += self._now() - self._mark
        self._seconds += time.perf_counter() - self._began
        self._waited += waited_for_data
        self._steps += 1

    def report(self, step: int) -> tuple[dict[str, Any], str] | None:
        """Every `every` steps: own seconds of the slowest ranks, the largest share of a step that a rank
        waited for data, and a warning or "". A collective call."""
        if not self.every or step % self.every:
            return None
        own = self._own / max(1, self._steps) if self._clock else probe(self.device)
        share = self._waited / self._seconds if self._seconds else 0.0
        self._clear()
        mine = torch.tensor([own, share], dtype=torch.float64, device=self.device)
        everyone = mine.new_empty(2 * dist.get_world_size())
        dist.all_gather_into_tensor(everyone, mine)
        seconds, shares = everyone.view(-1, 2).t().tolist()
        order, middle = compare(seconds)
        shown = {str(rank): seconds[rank] for rank in order[:SHOWN]}
        slowest_data = max(range(len(shares)), key=lambda rank: shares[rank])
        facts = {
            "median_rank_seconds": middle,
            "rank_seconds": shown,
            "rank_data_wait": {str(slowest_data): shares[slowest_data]},
        }
        slowest, longest = order[0], seconds[order[0]]
        if longest <= self.factor * middle:
            return facts, ""
        host = [socket.gethostname()]
        dist.broadcast_object_list(host, src=slowest)
        return facts, (
            f"step {step}: rank {slowest} on {host[0]} is slow: {longest:.3g} s of its own work a step, "
            f"{longest / middle:.1f} times the median: the others wait for it"
        )

    def _clear(self) -> None:
        self._steps, self._own, self._waited, self._seconds = 0, 0.0, 0.0, 0.0

    def _now(self) -> float:
        """A clock that stands still while this rank waits for others."""
        return time.perf_counter() - (self._clock.seconds if self._clock else 0.0)


def compare(seconds: Sequence[float]) -> tuple[list[int], float]:
    """Ranks, the slowest first, and the median (of two ranks the faster: it can name the other)."""
    return sorted(range(len(seconds)), key=lambda rank: -seconds[rank]), statistics.median_low(seconds)


def probe(device: torch.device) -> float:
    """Seconds that a GPU takes for a matrix product. Waits for it: once a report, not once a step."""
    values = torch.ones(PROBE_SIZE, PROBE_SIZE, dtype=torch.bfloat16, device=device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(PROBE_TIMES):
        values @ values
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / PROBE_TIMES
