"""SFT and GRPO on changing numbers of ranks have the losses and answers of runs on two; a chain of ledgers.

Run by `make soak`.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from onnuri.base import manifest
from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.verify import verify
from onnuri.run.chain import read
from onnuri.run.checkpoints import list_checkpoints
from onnuri.train.rollouts import Rollouts, step_file
from tests.checkpoint.stored import stored
from tests.conftest import SCRIPTS, run_command, torchrun
from tests.soak import SOAK
from tests.train import test_grpo, test_tune
from tests.train.test_elastic import TOLERANCE

pytestmark = pytest.mark.skipif(not SOAK, reason="two objectives, four starts of each")
STEPS = 16
WORDS = ["train.validate_every=0", "schedule=constant", "schedule.warmup_steps=2"]
RATES = {"sft": 1e-3, "grpo": 1e-4}
"""At 1e-3 nearly all groups of answers agree after three steps, and nothing is learnt any more."""
ROUNDS = [(2, 3, 4), (1, 2, 8), (4, 3, 12), (2, 3, STEPS)]
"""Ranks, ZeRO stage, last step. At a constant rate the number of steps changes nothing before them."""

made, data = test_grpo.made, test_tune.data


def losses(run_dir: Path) -> list[float]:
    lines = list(map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines()))
    found = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert list(found) == list(range(1, STEPS + 1))
    return list(found.values())


@pytest.mark.parametrize("objective", ["sft", "grpo"])
def test_two_ranks_then_one_then_four_then_two(
    objective: str, made: Path, data: dict[str, Path], undisturbed: Path, tmp_path: Path
) -> None:
    def tune(run_dir: Path, ranks: int, stage: int, steps: int) -> str:
        start = [*test_tune.WORDS, f"train.init_from={undisturbed}", f"data={data['sft']}"]
        words = test_grpo.tuning(made, run_dir) if objective == "grpo" else start
        more = [
            f"optim.lr={RATES[objective]}",
            f"run_dir={run_dir}",
            f"engine.stage={stage}",
            f"train.steps={steps}",
        ]
        return torchrun(ranks, SCRIPTS / "tune.py", *words, *WORDS, *more).stdout

    whole, run_dir = tmp_path / "whole", tmp_path / "run"
    tune(whole, 2, 3, STEPS)
    for ranks, stage, last in ROUNDS:
        shown = tune(run_dir, ranks, stage, last)
        assert f", {ranks} rank(s) x " in shown and f", ZeRO-{stage}, " in shown
        assert last == 4 or f"resumes after step {last - 4}:" in shown
    assert all(any(losses(whole)[last - 4 : last]) for _, _, last in ROUNDS), "all rounds learn"
    assert losses(run_dir) == pytest.approx(losses(whole), abs=TOLERANCE, rel=0)
    expected = stored(whole, STEPS, "weight")
    for name, values in stored(run_dir, STEPS, "weight").items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=TOLERANCE, err_msg=name)
    if objective == "grpo":
        for step in range(STEPS):
            found, right = (Rollouts.load(step_file(each, step)) for each in (run_dir, whole))
            for name in ("documents", "lengths", "ids", "parts"):
                assert np.array_equal(getattr(found, name), getattr(right, name)), (step, name)
            np.testing.assert_allclose(found.logprobs, right.logprobs, rtol=0, atol=TOLERANCE)
    done = run_command("ledger", "verify", f"run={run_dir}", "replay=2")
    assert " again from step-" in done.stdout and "all as recorded" in done.stdout


def test_each_ledger_names_the_checkpoint_before(made: Path, undisturbed: Path) -> None:
    """Pretraining, SFT, reinforcement learning."""
    chain = [undisturbed, made / "tuned", made / "run"]
    assert [json.loads((each / "run.json").read_text())["config"]["objective"] for each in chain] == [
        "next_token",
        "sft",
        "grpo",
    ]
    for before, after in itertools.pairwise(chain):
        (start,) = [line for line in read(after) if line["event"] == "start"]
        newest = list_checkpoints(before)[0]
        assert Path(start["init_from"]["folder"]).name == newest.name
        assert start["init_from"]["identity"] == manifest.read(newest, "checkpoint").identity
    for each, shards in zip(chain, ["", made / "conversations", made / "prompts"], strict=True):
        assert verify(VerifyConfig(str(each), str(shards))) == []
