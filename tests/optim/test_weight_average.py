"""The average of the weights: what it is, that training does not read it, and that it survives restarts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from onnuri.optim.average import WeightAverage
from onnuri.optim.config import AverageConfig
from onnuri.run.checkpoints import FOLDER, list_checkpoints, name_of
from tests.checkpoint.stored import stored
from tests.conftest import pretrain
from tests.soak import SOAK
from tests.train.test_pretrain import losses, metrics

Sample = Callable[[str], str]
WORDS = ["train.checkpoint_every=1", "train.keep_checkpoints=0", "engine.precision=fp32"]
DECAY, FIRST = 0.4, 4
"""Of the fixture `averaged`. (1 + n) / (10 + n) is below this decay for the first five updates."""


def plain_average(run_dir: Path, steps: Sequence[int], decay: float) -> dict[str, np.ndarray]:
    """The rule as written down, in fp64 on whole parameters, over the weights in checkpoints."""
    average: dict[str, np.ndarray] = {}
    for count, step in enumerate(steps):
        for name, values in stored(run_dir, step, "weight").items():
            kept = min(decay, (1 + count) / (10 + count)) if count else 0.0
            average[name] = kept * average.get(name, 0.0) + (1 - kept) * values.astype(np.float64)
    return average


def is_plain_average(run_dir: Path, steps: Sequence[int], decay: float) -> None:
    """The average in the checkpoint of the last of these steps is that of all of them."""
    found = stored(run_dir, steps[-1], "ema")
    for name, expected in plain_average(run_dir, steps, decay).items():
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-6, err_msg=name)
        assert not np.allclose(found[name], stored(run_dir, steps[-1], "weight")[name], rtol=0, atol=1e-5)


def kept(run_dir: Path, step: int) -> dict[str, float] | None:
    """What the manifest of a checkpoint says of the average."""
    facts = json.loads((run_dir / FOLDER / name_of(step) / "manifest.json").read_text())
    return facts["counts"].get("average")


def test_it_is_the_plain_loop_over_the_weights_of_each_step(averaged: Path) -> None:
    is_plain_average(averaged, range(FIRST, 13), DECAY)
    assert kept(averaged, FIRST - 1) is None
    assert kept(averaged, 12) == {"decay": DECAY, "first_step": FIRST, "updates": 9}


def test_training_is_the_same_bits_with_average_and_validations(averaged: Path, undisturbed: Path) -> None:
    assert losses(averaged) == losses(undisturbed)
    raw, average = stored(averaged, 12, "weight"), stored(undisturbed, 12, "weight")
    assert all(np.array_equal(raw[name], average[name]) for name in raw)
    lines = {line["step"]: line for line in metrics(averaged) if "bits_per_byte" in line}
    assert lines[12]["bits_per_byte"] == metrics(undisturbed)[-1]["bits_per_byte"]
    assert lines[FIRST]["ema_bits_per_byte"] == lines[FIRST]["bits_per_byte"], "one step is its own average"
    for step in (8, 12):
        assert lines[step]["ema_bits_per_byte"].keys() == {"ko", "en"}
        for language, value in lines[step]["ema_bits_per_byte"].items():
            assert 0 < abs(value / lines[step]["bits_per_byte"][language] - 1) < 0.1


def test_another_stage_continues_it(averaged: Path, sample: Sample, tmp_path: Path) -> None:
    run_dir = tmp_path / "moved"
    shutil.copytree(averaged, run_dir)
    for late in list_checkpoints(run_dir)[:5]:
        shutil.rmtree(late)
    words = [*WORDS, f"average.ema_decay={DECAY}", f"average.ema_start={FIRST}", "engine.stage=0"]
    result = pretrain(2, sample, run_dir, *words, "train.steps=12")
    assert "resumes after step 7:" in result.stdout
    assert "; of the average: " in result.stdout
    is_plain_average(run_dir, range(FIRST, 13), DECAY)
    assert kept(run_dir, 12) == kept(averaged, 12)


def test_a_run_that_began_without_it_starts_one(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    run_dir = shutil.copytree(undisturbed, tmp_path / "late")
    result = pretrain(
        1, sample, run_dir, *WORDS, "engine.stage=2", "train.steps=17", "average.ema_decay=0.5"
    )
    assert "the checkpoint has no average of the weights: it begins with step 13\n" in result.stdout
    is_plain_average(run_dir, range(13, 18), 0.5)


def test_a_run_without_it_ends_that_of_a_checkpoint() -> None:
    average = WeightAverage(None, AverageConfig())
    line = average.resume({"decay": 0.5, "first_step": 13, "updates": 5}, 17)
    assert line == "the average of the weights since step 13 ends after step 17: average.ema_decay=0"
    average.update(18)
    assert average.tensors() == average.state() == {}


@pytest.mark.skipif(not SOAK, reason="two runs for each setting")
@pytest.mark.parametrize(
    "engine",
    [
        *("0 fp32", "0 bf16", "1 fp32", "1 bf16", "2 fp32", "2 bf16", "3 bf16"),
        *("2 bf16 engine.offload=optimizer", "3 bf16 engine.offload=all"),
        *("3 bf16 optim.name=muon", "3 bf16 engine.hpz_partition_size=2"),
    ],
)
def test_validating_it_leaves_no_trace_in_training(engine: str, sample: Sample, tmp_path: Path) -> None:
    stage, precision, *more = engine.split()
    words = [f"engine.stage={stage}", f"engine.precision={precision}", *more, "train.steps=6"]
    pretrain(2, sample, tmp_path / "plain", *words)
    pretrain(
        2, sample, tmp_path / "run", *words, *WORDS[:2], "average.ema_decay=0.4", "train.validate_every=2"
    )
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")
    found, expected = (stored(tmp_path / name, 6, "weight") for name in ("run", "plain"))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    is_plain_average(tmp_path / "run", range(1, 7), 0.4)
    (*_, last) = (line for line in metrics(tmp_path / "run") if "ema_bits_per_byte" in line)
    assert last["ema_bits_per_byte"] != last["bits_per_byte"]
