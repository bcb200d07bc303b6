"""Micro-batches read in a thread, ahead of the step that needs them where they do not depend on it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from onnuri.base.ordered_map import ordered_map
from onnuri.tokens.source import BatchSource
from onnuri.train.inputs import with_dropout
from onnuri.train.objectives import OBJECTIVES
from onnuri.train.run_plan import RunPlan


def read_ahead(source: BatchSource, plan: RunPlan, first_step: int, device: torch.device) -> Generator[Any]:
    """This rank's micro-batches of all steps after `first_step`, on the device."""
    ranks, config = plan.ranks, plan.config
    objective = OBJECTIVES[config.objective]

    def read(which: tuple[int, int]) -> Any:
        if device.type == "cuda":
            torch.cuda.set_device(device)  # it is set thread by thread
        step, micro = which
        which_rows = (step, micro, ranks.dp_rank, ranks.dp_size, plan.micro_batch_size)
        inputs = objective.to_inputs(source.micro_batch(*which_rows), config.data, device)
        return with_dropout(inputs, config.train, step, source.row_numbers(*which_rows))

    steps = range(first_step, config.train.steps)
    micro_batches = (
        (step, micro) for step in steps for micro in range(plan.micro_batches(source.num_rows(step)))
    )
    if objective.before_step:
        return (read(which) for which in micro_batches)
    return ordered_map(read, micro_batches, workers=1)
