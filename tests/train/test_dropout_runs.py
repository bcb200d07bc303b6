"""Dropout in a run: a row has its mask on any ranks, and only training knows of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from onnuri.config import CONFIG_ROOT, compose
from onnuri.parallel.ranks import Ranks
from onnuri.run.checkpoints import list_checkpoints
from onnuri.train.config import PretrainConfig
from onnuri.train.objectives.next_token import open_source
from onnuri.train.read_ahead import read_ahead
from onnuri.train.run_plan import make_plan
from tests.conftest import TINY_MODEL, pretrain, run_command
from tests.soak import SOAK

Sample = Callable[[str], str]
WORDS = ["engine.precision=fp32", "optim.lr=1e-3", "train.dropout=0.2"]


def test_rows_have_their_keys_on_any_ranks_and_from_any_step(sample: Sample, tmp_path: Path) -> None:
    words = [f"data.path={sample('tokens')}", *TINY_MODEL, *WORDS, "train.steps=5"]
    config = compose(PretrainConfig, words, CONFIG_ROOT, "pretrain")

    def keys(world_size: int, size: int, first_step: int) -> list[list[int]]:
        """Of the rows of the last step, in their order."""
        found: list[list[int]] = []
        for rank in range(world_size):
            plan = replace(make_plan(config), ranks=Ranks(rank, world_size), micro_batch_size=size)
            source = open_source(plan, tmp_path)
            for number, inputs in enumerate(read_ahead(source, plan, first_step, torch.device("cpu"))):
                step, micro = divmod(number, plan.accumulation)
                rows = zip(inputs.tokens.tolist(), inputs.dropout.keys.tolist(), strict=True)
                if step + first_step == 4:
                    at = (micro * world_size + rank) * size
                    found += [[at + row, key, *tokens] for row, (tokens, key) in enumerate(rows)]
        return sorted(found)[:8]

    expected = keys(1, 2, 0)
    assert len({key for _, key, *_ in expected}) == 8
    assert keys(2, 2, 0) == keys(4, 1, 3) == keys(3, 2, 4) == expected


@pytest.mark.skipif(not SOAK, reason="several runs")
def test_ranks_micro_batches_replay_and_validation(sample: Sample, tmp_path: Path) -> None:
    def lines(name: str) -> list[dict]:
        return [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]

    def losses(name: str) -> list[float]:
        return [line["loss"] for line in lines(name) if "loss" in line]

    words = [*WORDS, "train.steps=10", "train.checkpoint_every=4", "train.keep_checkpoints=0"]
    words += ["data.reshuffle=documents", "data.sequence_length=1024"]  # several epochs
    pretrain(1, sample, tmp_path / "one", *words)
    pretrain(2, sample, tmp_path / "two", *words, "engine.micro_batch_size=1")
    pretrain(1, sample, tmp_path / "again", *words, "engine.activation_checkpointing=1")
    assert losses("two") == pytest.approx(losses("one"), abs=1e-5)
    assert losses("again") == losses("one")
    shutil.copytree(tmp_path / "one", tmp_path / "resumed")
    for late in list_checkpoints(tmp_path / "resumed")[:2]:
        shutil.rmtree(late)
    pretrain(1, sample, tmp_path / "resumed", *words)
    assert losses("resumed") == losses("one")
    run_command("ledger", "verify", f"run={tmp_path / 'one'}", "replay=2")
    still = ["train.steps=2", "train.validate_every=1", "engine.precision=fp32", "optim.lr=0"]
    pretrain(1, sample, tmp_path / "with", *still, "train.dropout=0.5")
    pretrain(1, sample, tmp_path / "without", *still)
    scores = [[line.get("bits_per_byte") for line in lines(name)] for name in ("with", "without")]
    assert scores[0] == scores[1]
    assert losses("with") != losses("without")
