"""torch.compile computes the same, under ZeRO-3 too, and compiles once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TINY_MODEL, pretrain, torchrun
from tests.soak import SOAK
from tests.train.test_pretrain import losses

Sample = Callable[[str], str]
WORKER = Path(__file__).with_name("live_weights_worker.py")
pytestmark = pytest.mark.extra("compile")
OPTIONS = ["train.steps=12", "train.validate_every=4", "engine.precision=fp32", "train.checkpoint_every=6"]


@pytest.mark.parametrize(
    "words",
    [
        ["engine.stage=3"],
        # Other graphs, compiled once more each.
        *[["engine.stage=1", "engine.activation_checkpointing=1"]] * SOAK,
        *[["engine.stage=3", "train.dropout=0.2"]] * SOAK,
    ],
)
def test_compiled_steps_are_the_same_steps(
    words: list[str], sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches differ in the number and the lengths of their documents; validation needs one more graph."""
    pretrain(2, sample, tmp_path / "plain", *OPTIONS, *words)
    monkeypatch.setenv("TORCH_LOGS", "recompiles,graph_breaks")
    result = pretrain(2, sample, tmp_path / "compiled", *OPTIONS, *words, "engine.compile=on")
    said = result.stdout + result.stderr
    reasons = re.findall(r"guards.py\S* \[\d+/\d+\] \[__recompiles\]\s+- 0/\d+: (.*)", said)
    assert "compiled" in said
    assert "graph break" not in said.lower()
    assert 0 < len(reasons) <= 2, "a rank compiles once more, for validation"
    assert all("grad_mode" in reason for reason in reasons)
    plain, compiled = losses(tmp_path / "plain"), losses(tmp_path / "compiled")
    assert compiled == pytest.approx(plain, rel=1e-5)
    assert compiled != plain, "it is not compiled: sums would be added up in the same order"


@pytest.mark.parametrize("switch", ["on", "off"])
def test_gathered_weights_are_not_kept_for_the_backward_pass(
    switch: str, sample: Sample, tmp_path: Path
) -> None:
    """ZeRO-3 would be for nothing if a graph held what it has gathered. Small buckets make it let go."""
    words = ["model.num_layers=6", "engine.micro_batch_size=4", "engine.bucket_size=3000"]
    words = [f"data={sample('tokens')}", *TINY_MODEL, *words, f"engine.compile={switch}"]
    torchrun(2, WORKER, str(tmp_path), *words)
    for rank in range(2):
        alive = json.loads((tmp_path / f"rank-{rank}.json").read_text())
        assert alive == [4, 5], "the last blocks are needed at once, the others are not"


def test_auto_is_settled_by_the_first_start(sample: Sample, tmp_path: Path) -> None:
    """A run that resumes stays as it began, however long it has become."""
    pretrain(2, sample, tmp_path / "run", *OPTIONS, "train.steps=4")
    pretrain(2, sample, tmp_path / "run", *OPTIONS, "train.steps=6", "engine.compile=auto")
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["config"]["engine"]["compile"] == "off"
