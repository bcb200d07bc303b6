"""Sweeps of `pretrain` under torchrun, and run directories that Hydra names."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import processes
from tests.conftest import TINY_MODEL
from tests.soak import SOAK

STABLE = [word for word in TINY_MODEL if not word.startswith("optim.lr=")]


def start(folder: Path, *words: str, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    """`torchrun -m onnuri.cli.pretrain`."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(ranks),
    ]
    return processes.run([*command, "-m", "onnuri.cli.pretrain", *words], check=False, folder=folder)


def losses(run_dir: Path) -> list[Any]:
    lines = (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


@pytest.mark.skipif(not SOAK, reason="six runs on two ranks: make soak")
def test_jobs_are_the_runs_started_alone(sample: Callable[[str], str], tmp_path: Path) -> None:
    """Bit for bit; the first one fails, and the other is not held up by it."""
    words = [f"data={sample('tokens')}", *STABLE, "train.steps=3", "engine.precision=fp32"]
    swept = start(tmp_path, *words, "-m", "optim.lr=-1,1e-2", "hydra.sweep.dir=sweep")
    assert swept.returncode == 1
    assert "job 0 failed with exit status 1: optim.lr=-1" in swept.stderr
    assert swept.stderr.count("error: 1 of 2 jobs failed: 0\n") == 1
    assert {path.name for path in (tmp_path / "sweep").iterdir()} == {"1", "multirun.yaml"}

    alone = start(tmp_path, *words, "optim.lr=1e-2")
    assert alone.returncode == 0, alone.stdout[-3000:] + alone.stderr[-3000:]
    (run_dir,) = (tmp_path / "runs").iterdir()  # one for both ranks, by the time that they agreed on
    assert losses(run_dir) == losses(tmp_path / "sweep" / "1")
    assert len(losses(run_dir)) == 3
    assert yaml.safe_load((run_dir / ".hydra" / "overrides.yaml").read_text()) == [*words, "optim.lr=1e-2"]

    more = ["optim.lr=1e-2", f"hydra.run.dir={run_dir}", "train.steps=4"]
    again = start(tmp_path, *words, *more, ranks=1)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert len(losses(run_dir)) == 4
    earlier = yaml.safe_load((run_dir / ".hydra" / "overrides-1.yaml").read_text())
    assert earlier == [*words, "optim.lr=1e-2"]


def test_a_run_directory_of_something_else_is_left_alone(
    sample: Callable[[str], str], tmp_path: Path
) -> None:
    words = [f"data={sample('tokens')}", *TINY_MODEL, "train.steps=1"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "of.txt").write_text("years")
    command = [sys.executable, "-m", "onnuri.cli.pretrain", *words]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return processes.run([*command, *more], check=False, folder=tmp_path)

    for place in ("run_dir=thesis", "hydra.run.dir=thesis"):
        done = run(place)
        assert done.returncode == 2
        assert done.stderr == "error: run_dir=thesis exists and is not a run directory; choose another\n"
        assert [path.name for path in tmp_path.rglob("*")] == ["thesis", "of.txt"]
    done = run("data.path=none", "hydra.run.dir=new")
    assert done.returncode == 2 and not (tmp_path / "new").exists()


def test_what_a_sweep_makes_small(tmp_path: Path) -> None:
    from onnuri.cli.pretrain import last_score

    assert last_score(str(tmp_path)) is None
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert last_score(str(tmp_path)) == 2.0
    lines += [{"step": 2, "bits_per_byte": {"ko": 1.0, "en": 2.0}}, {"step": 3, "loss": 1.0}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert last_score(str(tmp_path)) == 1.5
