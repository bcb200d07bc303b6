"""kill -9 at random instants, of one rank or of all: the run that resumes is the undisturbed one.

The suite tries two instants, `make soak` forty.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from onnuri.run.checkpoints import list_checkpoints
from tests.conftest import SCRIPTS, TINY_MODEL, pretrain, torchrun_command
from tests.processes import Process, rank_of
from tests.soak import tries

Sample = Callable[[str], str]
KILLS = tries(2, 40)
WORDS = [
    *("train.steps=40", "train.checkpoint_every=3", "train.ephemeral_every=1", "engine.precision=fp32"),
    "average.ema_decay=0.9",
]


def losses(run_dir: Path) -> dict[int, float]:
    path = run_dir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return {line["step"]: line["loss"] for line in map(json.loads, lines[:-1]) if "loss" in line}


@pytest.fixture(scope="module")
def whole(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without any kill."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    pretrain(2, sample, run_dir, *WORDS)
    return run_dir


@pytest.mark.parametrize("number", range(KILLS))
def test_losses_and_weights_are_those_of_the_undisturbed_run(
    number: int, whole: Path, sample: Sample, tmp_path: Path
) -> None:
    generator = random.Random(number)
    run_dir, at_step, victim = tmp_path / "run", generator.randint(1, 36), generator.choice(["all", 0, 1])
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, *WORDS]
    process = Process(torchrun_command(2, SCRIPTS / "pretrain.py", *words), new_session=True)
    deadline = time.monotonic() + 120
    while max(losses(run_dir), default=0) < at_step:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(generator.random() * 0.05)
    if victim == "all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        ranks = [child for child in psutil.Process(process.pid).children() if rank_of(child) == victim]
        ranks[0].kill()
    process.wait(timeout=60)
    result = pretrain(2, sample, run_dir, *WORDS)
    assert "resumes after step" in result.stdout + result.stderr
    expected = losses(whole)
    assert losses(run_dir) == expected
    assert sorted(expected) == list(range(1, 41))
    folder, other = (list_checkpoints(each)[0] for each in (run_dir, whole))
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(names) == 2
    for name in names:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), (
            "weights, moments, their average, random numbers"
        )
