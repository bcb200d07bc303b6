"""Memory and waiting in the log: fields, resets, and each warning once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from onnuri.run.metrics_file import read_metrics
from onnuri.train.config import TrackerConfig
from onnuri.train.metrics import Metrics, scalars
from onnuri.train.resources import SLOW_STEPS, Resources
from tests.conftest import pretrain

GIB = 2**30
CPU, GPU = torch.device("cpu"), torch.device("cuda", 3)


class Allocator:
    """Counters as `torch.cuda` gives them; an allocation raises the peak until it is reset."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = {"allocated_bytes.all": 2 * GIB, "reserved_bytes.all": 3 * GIB}
        self.peaks, self.retries, self.ooms = dict(self.now), 5, 0
        monkeypatch.setattr(torch.cuda, "memory_stats", self.stats)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)

    def stats(self, device: torch.device) -> dict[str, int]:
        assert device == GPU
        peaks = {f"{name}.peak": size for name, size in self.peaks.items()}
        return peaks | {"num_alloc_retries": self.retries, "num_ooms": self.ooms}

    def reset(self, device: torch.device) -> None:
        assert device == GPU
        self.peaks = dict(self.now)

    def allocate(self, size: int) -> None:
        for name in self.peaks:
            self.peaks[name] = max(self.peaks[name], self.now[name] + size)


def test_peaks_are_those_of_the_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    allocator = Allocator(monkeypatch)
    resources = Resources(GPU)
    lines = []
    for size in (8 * GIB, 1 * GIB):
        resources.start_step()
        allocator.allocate(size)
        lines.append(resources.end_step(1.0)[0])
    assert [line["memory_allocated_gib"] for line in lines] == [10.0, 3.0]
    assert [line["memory_reserved_gib"] for line in lines] == [11.0, 4.0]
    assert all(line["alloc_retries"] == 5 and line["ooms"] == 0 for line in lines)
    assert "host_memory_gib" not in lines[0]


def test_a_flushed_cache_is_warned_of_once_and_only_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allocator = Allocator(monkeypatch)
    resources = Resources(GPU)
    said = []
    for step in range(6):
        resources.start_step()
        allocator.retries += step in (2, 4)
        said.append(resources.end_step(1.0)[1])
    assert [len(warnings) for warnings in said] == [0, 0, 1, 0, 0, 0]
    assert "6 times so far" in said[2][0]
    assert "engine.micro_batch_size" in said[2][0]


def test_only_waiting_for_the_next_batch_counts_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def slow(items: int) -> Iterator[int]:
        for item in range(items):
            clock[0] += 0.25
            yield item

    resources = Resources(CPU)
    resources.start_step()
    taken = []
    for item in resources.timed(slow(3)):
        taken.append(item)
        clock[0] += 0.5
    line, _ = resources.end_step(clock[0])
    assert taken == [0, 1, 2]
    assert resources.waited == 0.75
    assert line["data_wait"] == 0.75 / 2.25
    resources.start_step()
    assert resources.end_step(1.0)[0]["data_wait"] == 0.0


def test_slow_data_is_warned_of_once_after_many_slow_steps_in_a_row() -> None:
    resources = Resources(CPU)
    said = []
    for step in range(3 * SLOW_STEPS):
        resources.start_step()
        resources.waited = 0.05 if step == 10 else 0.3
        said.append(resources.end_step(1.0)[1])
    (when,) = [step for step, warnings in enumerate(said) if warnings]
    assert when == 10 + SLOW_STEPS, "one fast step starts the count anew"
    assert "30%" in said[when][0]


def test_the_progress_bar_shows_memory_of_gpus_only(tmp_path: Path) -> None:
    line: dict[str, Any] = {"step": 1, "loss": 1.0, "tokens_per_second": 9.0, "mfu": None}
    metrics = Metrics(tmp_path, 0, 3, TrackerConfig(), {})
    metrics.log_step(line)
    assert "GiB" not in metrics.bar.postfix
    metrics.log_step(line | {"step": 2, "memory_reserved_gib": 41.26})
    assert "41.3 GiB" in metrics.bar.postfix
    metrics.close()
    assert scalars(line | {"memory_reserved_gib": 41.26})["memory_reserved_gib"] == 41.26


@pytest.mark.extra("trackers")
def test_every_step_of_a_run_has_them(sample: Callable[[str], str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    pretrain(2, sample, run_dir, "train.steps=6", "guard.straggler_every=3", "tracker=tensorboard")
    steps = [line for line in read_metrics(run_dir) if "loss" in line]
    assert len(steps) == 6
    for line in steps:
        assert 0 <= line["data_wait"] < 1
        assert 0.1 < line["host_memory_gib"] < 8
        assert "memory_allocated_gib" not in line
    ranks = [line for line in read_metrics(run_dir) if "rank_data_wait" in line]
    assert [line["step"] for line in ranks] == [3, 6]
    for line in ranks:
        ((rank, share),) = line["rank_data_wait"].items()
        assert rank in ("0", "1")
        assert 0 <= share < 1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("data_wait")]
    assert logged == pytest.approx([line["data_wait"] for line in steps])
