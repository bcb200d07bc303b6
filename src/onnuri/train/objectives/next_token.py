"""Predict each next token of packed documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from onnuri.base.errors import UserError
from onnuri.tokens.loader import Loader
from onnuri.train.config import PretrainConfig
from onnuri.train.inputs import Inputs, to_inputs
from onnuri.train.objectives.objective import Objective

if TYPE_CHECKING:
    from onnuri.train.run_plan import RunPlan


def open_source(plan: RunPlan, folder: Path) -> Loader:
    """Windows of the training split of the run's token shards. Raises UserError for pairs: half of their
    answers are not to be learnt."""
    if plan.data.counts.get("chat", {}).get("kind") == "preference":
        raise UserError(
            f"data={plan.config.data.path} holds preference pairs, half of them rejected answers; "
            "objective=dpo learns from them"
        )
    train = plan.config.train
    return Loader(plan.config.data, plan.data, train.global_batch_size, folder, train.batch_ramp)


def loss_sum(model: Any, inputs: Inputs, config: PretrainConfig) -> torch.Tensor:
    """Negative log-likelihood of all targets."""
    loss: torch.Tensor = model(**inputs._asdict(), reduction="sum")
    return loss


OBJECTIVE = Objective(open_source, to_inputs, loss_sum)
