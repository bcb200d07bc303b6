"""The micro-batch that is chosen where nobody names one: few empty rows, and few micro-batches."""

from __future__ import annotations

import copy
import dataclasses
from functools import cache

import pytest

from onnuri.config import CONFIG_ROOT, compose
from onnuri.plan.config import PlanConfig, spread
from onnuri.plan.machine import Setting, settle
from onnuri.plan.speed import speed
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import choose_micro_batch_size


@cache
def composed(model: str, length: int) -> PlanConfig:
    words = spread([f"model={model}", "cluster=h100x8", f"data.sequence_length={length}"])
    return compose(PlanConfig, words, CONFIG_ROOT, "plan")


def plan(model: str, length: int, ranks: int, batch: int) -> Setting:
    config = copy.deepcopy(composed(model, length))
    config.cluster.gpus, config.train.global_batch_size = ranks, batch
    return settle(config)


def tokens_per_second(setting: Setting, size: int) -> float:
    accumulation = -(-setting.global_batch_size // (size * setting.ranks))
    changed = dataclasses.replace(setting, micro_batch_size=size, accumulation=accumulation)
    return speed(changed).tokens_per_second


@pytest.mark.parametrize(("model", "length"), [("8b", 1024), ("8b", 4096), ("300m", 2048)])
def test_the_choice_is_near_the_best(model: str, length: int) -> None:
    for batch in (96, 256, 512, 1000):
        for ranks in (5, 7, 11, 12, 13, 14, 31, 63):
            setting = plan(model, length, ranks, batch)
            best = max(tokens_per_second(setting, size) for size in range(1, 16384 // length + 1))
            assert tokens_per_second(setting, setting.micro_batch_size) > 0.97 * best, (batch, ranks)


def test_training_and_plan_choose_alike_and_divide_where_they_can() -> None:
    config = PretrainConfig()
    for length, batch, ranks, size in [
        (1024, 512, 8, 16),
        (1024, 512, 64, 8),
        (2048, 96, 8, 6),
        (64, 8, 2, 4),
        (1024, 512, 12, 15),  # 43 rows: three micro-batches with two empty rows, not 43 of one row
        (1024, 512, 11, 16),
        (4096, 128, 14, 2),
        (32768, 64, 3, 1),
    ]:
        config.data.sequence_length, config.train.global_batch_size = length, batch
        assert choose_micro_batch_size(config, ranks) == size, (length, batch, ranks)
        assert plan("1b", length, ranks, batch).micro_batch_size == size
