"""Predict the assistant's turns of packed conversations (`onnuri pack kind=chat`).

The loss is the mean over the trained tokens of the global batch. Sources of plain text mixed in
(`pack base=`, `data.mixture`) are trained on whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnuri.base.errors import UserError
from onnuri.tokens.loader import Loader
from onnuri.train.inputs import to_inputs
from onnuri.train.objectives import next_token
from onnuri.train.objectives.objective import Objective

if TYPE_CHECKING:
    from onnuri.train.run_plan import RunPlan


def open_source(plan: RunPlan, folder: Path) -> Loader:
    """Windows of conversations. Raises UserError for shards without any."""
    if plan.data.counts.get("chat", {}).get("kind") != "chat":
        raise UserError(
            f"objective=sft learns from conversations, and data={plan.config.data.path} holds none: pack "
            "with kind=chat"
        )
    return next_token.open_source(plan, folder)


OBJECTIVE = Objective(open_source, to_inputs, next_token.loss_sum)
