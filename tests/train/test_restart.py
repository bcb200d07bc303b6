"""A run whose directory is not named resumes in the one that it began, and says which one that is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from onnuri.run.checkpoints import list_checkpoints
from tests.conftest import SCRIPTS, TINY_MODEL, torchrun_command
from tests.processes import Process, rank_of
from tests.train.nodes import wait_until
from tests.train.test_elastic import losses

Sample = Callable[[str], str]


@pytest.mark.parametrize("ranks", [1, 2])
def test_restarts_without_run_dir_continue(ranks: int, sample: Sample, tmp_path: Path) -> None:
    words = [f"data={sample('tokens')}", *TINY_MODEL, "train.steps=5000", "train.checkpoint_every=3"]
    words += ["schedule.name=constant", "engine.threads_per_rank=1"]
    command = torchrun_command(ranks, SCRIPTS / "pretrain.py", *words)
    command[3:3] = ["--max-restarts=1", "--monitor-interval=0.1"]
    runs, said = tmp_path / "runs", tmp_path / "said"
    with said.open("wb") as stream:
        process = Process(command, stream, stream, folder=tmp_path)
    try:
        wait_until(lambda: any(map(list_checkpoints, runs.glob("*"))), 120, "a checkpoint")
        (run_dir,) = runs.iterdir()
        victims = [each for each in psutil.Process(process.pid).children(recursive=True)]
        os.kill(next(each.pid for each in victims if rank_of(each) == ranks - 1), signal.SIGKILL)
        wait_until(lambda: "resumes after step" in said.read_text(), 120, "the restart")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) != 0
    finally:
        process.kill()
    assert list(runs.iterdir()) == [run_dir]
    assert f"the same command resumes, with run_dir=runs/{run_dir.name}" in said.read_text()
    steps = sorted(losses(run_dir))
    assert steps == list(range(1, steps[-1] + 1))


def test_a_requeued_job_without_run_dir_is_refused(sample: Sample, tmp_path: Path) -> None:
    words = [f"data={sample('tokens')}", *TINY_MODEL, "train.steps=1"]
    command = torchrun_command(1, SCRIPTS / "pretrain.py", *words)
    said = tmp_path / "said"
    with said.open("wb") as stream:
        environment = {**os.environ, "SLURM_RESTART_COUNT": "1"}
        process = Process(command, stream, stream, folder=tmp_path, environment=environment)
        assert process.wait(60) != 0
    assert "error: Slurm has started this job again, and without run_dir=DIR" in said.read_text()
    assert not (tmp_path / "runs").exists()
