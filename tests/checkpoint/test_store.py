"""Checkpoints on disk, on one real rank: damage is found and older complete ones are used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from onnuri.base.errors import UserError
from onnuri.run.checkpoints import list_checkpoints, newest_verified
from tests.conftest import pretrain

Sample = Callable[[str], str]


@pytest.fixture
def run_dir(undisturbed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(undisturbed, tmp_path / "run")


def test_files_are_safetensors_with_fp32_state_and_a_manifest(run_dir: Path) -> None:
    folders = list_checkpoints(run_dir)
    assert [f.name for f in folders] == ["step-0000012", "step-0000010", "step-0000005"]
    names = {p.name for p in folders[0].iterdir()}
    assert all(name == "manifest.json" or ".safetensors" in name for name in names)
    assert not list(run_dir.rglob("*.partial"))
    kinds: set[str] = set()
    for path in folders[0].glob("*.safetensors"):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is no dict)
                kinds.add(name.split("/")[0])
                wanted = "U8" if name.startswith("rng/") else "F32"
                assert tensors.get_slice(name).get_dtype() == wanted
    assert kinds == {"weight", "exp_avg", "exp_avg_sq", "rng"}
    assert (folders[0].parent / "latest").read_text() == "step-0000012\n"
    counts = json.loads((folders[0] / "manifest.json").read_text())["counts"]
    assert counts["loader"]["step"] == 12


def test_damaged_newest_falls_back_and_is_said(run_dir: Path, sample: Sample) -> None:
    newest = list_checkpoints(run_dir)[0]
    victim = max(newest.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[-9] ^= 1
    victim.write_bytes(data)
    found = newest_verified(run_dir)
    assert found is not None
    folder, _, notes = found
    assert folder.name == "step-0000010"
    assert len(notes) == 1
    assert "step-0000012 is not used" in notes[0]
    half = list_checkpoints(run_dir)[1]
    cut = next(half.glob("*.safetensors"))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    result = pretrain(2, sample, run_dir, "train.steps=12", "engine.precision=fp32")
    output = result.stdout + result.stderr
    assert "resumes after step 5" in output
    assert "step-0000010 is not used" in output
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 13))
    assert [f.name for f in list_checkpoints(run_dir)] == ["step-0000012", "step-0000005"]
    assert len(list((run_dir / "checkpoints").glob("*.unused-0"))) == 2
    for folder in list_checkpoints(run_dir):
        next(folder.glob("*.safetensors")).unlink()
    with pytest.raises(UserError, match=r"no checkpoint in .* is complete"):
        newest_verified(run_dir)


def test_no_run_no_checkpoint(tmp_path: Path) -> None:
    assert list_checkpoints(tmp_path) == []
    assert newest_verified(tmp_path) is None
