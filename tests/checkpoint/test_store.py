"""Checkpoints on disk, on one real rank: damage is found and older whole ones are used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from onnuri.checkpoint.listing import list_checkpoints, newest_verified
from onnuri.errors import UserError
from tests.conftest import SCRIPTS, TINY_MODEL, our_traceback_lines, torchrun

Sample = Callable[[str], str]
PRETRAIN = SCRIPTS / "pretrain.py"


def words(sample: Sample, run_dir: Path, steps: int) -> list[str]:
    return [
        f"data={sample('tokens')}",
        f"run_dir={run_dir}",
        *TINY_MODEL,
        f"train.steps={steps}",
        "train.checkpoint_every=2",
        "train.keep_checkpoints=0",
    ]


@pytest.fixture(scope="module")
def run_dir(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    torchrun(2, PRETRAIN, *words(sample, folder, 6))
    return folder


def test_files_are_safetensors_with_fp32_state_and_a_manifest(run_dir: Path) -> None:
    folders = list_checkpoints(run_dir)
    assert [f.name for f in folders] == ["step-0000006", "step-0000004", "step-0000002"]
    names = {p.name for p in folders[0].iterdir()}
    assert all(name == "manifest.json" or ".safetensors" in name for name in names)
    assert not list(run_dir.rglob("*.partial"))
    kinds: set[str] = set()
    for path in folders[0].glob("*.safetensors"):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is no dict)
                kinds.add(name.split("/")[0])
                assert tensors.get_slice(name).get_dtype() == "F32"
    assert kinds == {"weight", "exp_avg", "exp_avg_sq"}
    counts = json.loads((folders[0] / "manifest.json").read_text())["counts"]
    assert counts["loader"]["step"] == 6


def test_damaged_newest_falls_back_and_is_said(run_dir: Path, sample: Sample) -> None:
    """Runs last in this file's order of damage: the run directory is used up by it."""
    newest = list_checkpoints(run_dir)[0]
    victim = max(newest.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[-9] ^= 1
    victim.write_bytes(data)
    found = newest_verified(run_dir)
    assert found is not None
    folder, _, notes = found
    assert folder.name == "step-0000004"
    assert len(notes) == 1
    assert "step-0000006 is not used" in notes[0]
    half = list_checkpoints(run_dir)[1]
    cut = next(half.glob("*.safetensors"))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    result = torchrun(2, PRETRAIN, *words(sample, run_dir, 7))
    output = result.stdout + result.stderr
    assert "resumes after step 2" in output
    assert "step-0000004 is not used" in output
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 8))
    for folder in list_checkpoints(run_dir):
        next(folder.glob("*.safetensors")).unlink()
    with pytest.raises(UserError, match=r"no checkpoint in .* is whole"):
        newest_verified(run_dir)
    result = torchrun(2, PRETRAIN, *words(sample, run_dir, 9), check=False)
    assert result.returncode != 0
    assert "is whole" in result.stderr
    assert our_traceback_lines(result.stderr) == []


def test_no_run_no_checkpoint(tmp_path: Path) -> None:
    assert list_checkpoints(tmp_path) == []
    assert newest_verified(tmp_path) is None
