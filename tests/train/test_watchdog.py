"""A job that hangs ends by itself, says where, and resumes when it is started again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from onnuri.train.watchdog import STALLED, Watchdog
from tests.conftest import TINY_MODEL, pretrain, torchrun

Sample = Callable[[str], str]
WORKER = Path(__file__).with_name("stall_worker.py")


def test_a_rank_that_stops_for_ever_ends_the_job(sample: Sample, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, "train.steps=12"]
    words += ["train.checkpoint_every=4", "guard.stall_factor=10", "guard.stall_seconds=8"]
    started = time.monotonic()
    result = torchrun(2, WORKER, *words, check=False)
    assert time.monotonic() - started < 90
    assert result.returncode != 0
    assert f"exitcode  : {STALLED}" in result.stderr
    assert "error: a step has taken" in result.stderr
    stacks = [path.read_text() for path in sorted(run_dir.glob("stacks-rank-*.txt"))]
    assert len(stacks) == 2
    assert "stop_for_ever" in stacks[1]
    assert all("loop.py" in text and "in train" in text for text in stacks)
    again = pretrain(2, sample, run_dir, "train.steps=12")
    assert "resumes after step 8" in again.stdout + again.stderr
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 13))


def test_a_step_of_more_micro_batches_may_take_longer(tmp_path: Path) -> None:
    watchdog = Watchdog(0, 0.0, tmp_path / "stacks")  # without its thread
    watchdog.factor = 10
    for micro_batches in (1, 1, 2, 2, 2):
        assert watchdog.limit == float("inf")
        watchdog.start_step(micro_batches)
        time.sleep(0.01 * micro_batches)
        watchdog.end_step()
    watchdog.start_step(1)
    one = watchdog.limit
    assert one >= 0.1
    watchdog.start_step(8)
    assert watchdog.limit == 8 * one
