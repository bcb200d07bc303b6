"""One source of truth for rank and world size: a whole set of variables, or one rank, or one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.base.process import COPIES, NEEDED, ProcessRank, from_environment, own_rank
from tests.conftest import SCRIPTS, TINY_MODEL
from tests.processes import Process

WHOLE = "RANK=3 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=node001 MASTER_PORT=29500"


def set_environment(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    for name in (*NEEDED, *COPIES, "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for word in words.split():
        monkeypatch.setenv(*word.split("="))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "WORLD_SIZE=1",
        "RANK=0 WORLD_SIZE=1",
        "LOCAL_RANK=3 MASTER_ADDR=node001",
        "RANK= WORLD_SIZE=",
        "SLURM_PROCID=0 SLURM_NTASKS=8",  # a batch script, of which there is one
        "SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1",
    ],
)
def test_one_rank(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, words)
    assert from_environment() == ProcessRank(rank=0, world_size=1, local_rank=0, local_world_size=1)


def test_a_rank_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, WHOLE + " SLURM_STEP_NUM_TASKS=4")
    assert from_environment() == ProcessRank(3, 8, 1, 2, launched=True)
    assert own_rank() == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("WORLD_SIZE=2", "WORLD_SIZE=2 without RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"),
        ("RANK=0", "RANK=0 without WORLD_SIZE"),
        ("RANK=1 WORLD_SIZE=1", "RANK=1, WORLD_SIZE=1 without LOCAL_RANK"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1", "without LOCAL_RANK"),
        ("WORLD_SIZE=two", "WORLD_SIZE=two, which must be a whole number"),
        (WHOLE + " RANK=8", "do not fit together"),
        (WHOLE + " LOCAL_WORLD_SIZE=0", "LOCAL_WORLD_SIZE=0 do not fit together"),
        (WHOLE + " LOCAL_WORLD_SIZE=9", "LOCAL_WORLD_SIZE=9 do not fit together"),
        (WHOLE + " LOCAL_RANK=2", "LOCAL_RANK=2 and LOCAL_WORLD_SIZE=2 do not fit together"),
        ("SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=2", "srun has started 4 copies"),
        ("OMPI_COMM_WORLD_SIZE=2", "mpirun has started 2 copies"),
    ],
)
def test_anything_else_is_refused(words: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, words)
    with pytest.raises(UserError, match=message) as error:
        from_environment()
    assert "\n" not in str(error.value)
    assert own_rank() == 0


def test_a_left_over_world_size_never_trains_on_half_of_each_batch(
    sample: Callable[[str], str], tmp_path: Path
) -> None:
    words = [f"data={sample('tokens')}", f"run_dir={tmp_path / 'run'}", *TINY_MODEL, "train.steps=1"]
    said = tmp_path / "said"
    with said.open("wb") as stream:
        environment = {**os.environ, "WORLD_SIZE": "2"}
        command = [sys.executable, str(SCRIPTS / "pretrain.py"), *words]
        assert Process(command, stream, stream, environment=environment).wait(60) == 2
    assert said.read_text().startswith("error: the environment has WORLD_SIZE=2 without RANK")
    assert not (tmp_path / "run").exists()
