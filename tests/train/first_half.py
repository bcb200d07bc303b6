"""An objective of a test's own: predict the first half of each window only.

Run as first_half.py OVERRIDE...: `onnuri pretrain` with this objective registered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.tokens.batch import IGNORE_INDEX, Batch
from onnuri.tokens.loader import Loader
from onnuri.train.config import PretrainConfig
from onnuri.train.inputs import to_inputs
from onnuri.train.loop import train
from onnuri.train.objectives import OBJECTIVES, Objective
from onnuri.train.run_plan import RunPlan, make_plan


class FirstHalves(Loader):
    """The same windows with targets in their first halves alone."""

    def rows(self, step: int, start: int, stop: int) -> Batch:
        batch = super().rows(step, start, stop)
        batch.targets[:, self.config.sequence_length // 2 :] = IGNORE_INDEX
        return batch

    def num_targets(self, step: int) -> int:
        return int((self.rows(step, 0, self.global_batch).targets != IGNORE_INDEX).sum())


def open_source(plan: RunPlan, folder: Path) -> FirstHalves:
    return FirstHalves(plan.config.data, plan.data, plan.config.train.global_batch_size, folder)


def loss_sum(model: Any, inputs: Any, config: Any) -> torch.Tensor:
    loss: torch.Tensor = model(**inputs._asdict()).sum()
    return loss


OBJECTIVES["first_half"] = Objective(open_source, to_inputs, loss_sum)

if __name__ == "__main__":
    run_cli(PretrainConfig, lambda config: train(make_plan(config)), "", CONFIG_ROOT, "pretrain")
