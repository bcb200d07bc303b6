"""torch.compile computes the same, under ZeRO-3 too, and compiles once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import pretrain
from tests.train.test_pretrain import losses

Sample = Callable[[str], str]
OPTIONS = ["train.steps=12", "train.validate_every=4", "engine.precision=fp32", "train.checkpoint_every=6"]


@pytest.mark.parametrize("words", [["engine.stage=3"], ["engine.stage=1", "engine.recompute_every=1"]])
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


def test_auto_is_settled_by_the_first_start(sample: Sample, tmp_path: Path) -> None:
    """A run that resumes goes on as it began, however long it has become."""
    pretrain(2, sample, tmp_path / "run", *OPTIONS, "train.steps=4")
    pretrain(2, sample, tmp_path / "run", *OPTIONS, "train.steps=6", "engine.compile=auto")
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["config"]["engine"]["compile"] == "off"
