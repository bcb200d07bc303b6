"""A new objective is one file and one line of registration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import TINY_MODEL, pretrain, torchrun

Sample = Callable[[str], str]
WORKER = Path(__file__).with_name("first_half.py")
WORDS = ["train.steps=4", "engine.precision=fp32", "optim.lr=1e-3"]


def lines(run_dir: Path) -> list[dict]:
    found = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if "loss" in line]


def test_another_objective_trains_alike_on_any_number_of_ranks(sample: Sample, tmp_path: Path) -> None:
    for ranks in (1, 2):
        words = [f"data={sample('tokens')}", f"run_dir={tmp_path / str(ranks)}", *TINY_MODEL, *WORDS]
        torchrun(ranks, WORKER, *words, "objective=first_half")
    one, two = lines(tmp_path / "1"), lines(tmp_path / "2")
    assert [line["loss"] for line in one] == pytest.approx([line["loss"] for line in two], abs=1e-5)
    assert one[0]["tokens"] == 8 * 64
    stored = json.loads((tmp_path / "2" / "run.json").read_text())
    assert stored["config"]["objective"] == "first_half"


def test_an_objective_that_does_not_exist(sample: Sample, tmp_path: Path) -> None:
    result = pretrain(1, sample, tmp_path / "run", *WORDS, "objective=next_tokens", check=False)
    assert (
        "error: objective=next_tokens is not known; allowed: next_token, sft, dpo, grpo (did you mean"
        in result.stderr
    )
