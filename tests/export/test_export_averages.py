"""Exports of averages: the weights in the folder are the mean of what the checkpoints hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from onnuri.base.errors import UserError
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from onnuri.run.checkpoints import FOLDER, list_checkpoints, name_of
from tests.checkpoint.stored import stored

EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"


def request(run_dir: Path, output: Path, step: int, **words: object) -> ExportConfig:
    """Small files, so that there are several."""
    return ExportConfig(str(run_dir / FOLDER / name_of(step)), str(output), max_shard_gb=2e-4, **words)


def exported(folder: Path) -> dict[str, np.ndarray]:
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 2
    return {name: values for path in files for name, values in load_file(path).items()}


def same_weights(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """Bit for bit, in a matrix and in a norm; the rest goes the same way."""
    found = exported(folder)
    np.testing.assert_array_equal(found[EMBEDDING].ravel(), expected["embedding.weight"])
    np.testing.assert_array_equal(found[NORM], expected["norm.weight"])


def test_the_average_of_a_checkpoint(averaged: Path, tmp_path: Path) -> None:
    config = request(averaged, tmp_path / "ema", 9, weights="ema")
    made = export(config)
    same_weights(tmp_path / "ema", stored(averaged, 9, "ema"))
    facts = {"kind": "ema", "decay": 0.4, "first_step": 4, "updates": 6}
    assert (
        made.counts["weights"]
        == json.loads((tmp_path / "ema/training.json").read_text())["weights"]
        == facts
    )
    words = "| weights | exponential moving average of the weights since step 4 (6 updates, decay 0.4) |"
    assert words in (tmp_path / "ema/README.md").read_text()
    assert export(config).identity == made.identity
    assert export(request(averaged, tmp_path / "ema", 9)).identity != made.identity
    same_weights(tmp_path / "ema", stored(averaged, 9, "weight"))
    assert "| weights |" not in (tmp_path / "ema/README.md").read_text()


def test_the_mean_of_checkpoints(averaged: Path, tmp_path: Path) -> None:
    made = export(request(averaged, tmp_path / "mean", 11, weights="mean", mean_of=3))
    of_steps = [stored(averaged, step, "weight") for step in (9, 10, 11)]
    mean = {
        name: np.mean([each[name] for each in of_steps], axis=0, dtype=np.float64) for name in of_steps[0]
    }
    same_weights(tmp_path / "mean", {name: values.astype(np.float32) for name, values in mean.items()})
    assert made.counts["weights"] == {"kind": "mean", "steps": [9, 10, 11]}
    assert made.counts["step"] == 11
    assert (
        "| weights | mean of the weights after steps 9, 10, 11 |"
        in (tmp_path / "mean/README.md").read_text()
    )


def test_what_cannot_be_averaged_is_refused(averaged: Path, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(UserError, match="step-0000012 keeps no average of the weights"):
        export(request(undisturbed, output, 12, weights="ema"))
    with pytest.raises(UserError, match=r"mean_of=4: .* has 3 checkpoint\(s\) up to step 12"):
        export(request(undisturbed, output, 12, weights="mean", mean_of=4))
    with pytest.raises(UserError, match="weights=mean needs mean_of"):
        request(undisturbed, output, 12, weights="mean")
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    victim = next(list_checkpoints(run_dir)[1].glob("*.safetensors"))
    data = bytearray(victim.read_bytes())
    data[-9] ^= 1
    victim.write_bytes(data)
    with pytest.raises(UserError, match="mean_of=3 includes step-0000010, which is damaged"):
        export(request(run_dir, output, 12, weights="mean", mean_of=3))
    assert not output.exists()
