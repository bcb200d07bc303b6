"""The seam between the training loop and what is learnt in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from onnuri.tokens.batch import Batch
from onnuri.tokens.config import DataConfig
from onnuri.tokens.source import BatchSource

if TYPE_CHECKING:
    from onnuri.train.run_plan import RunPlan


@dataclass(frozen=True)
class Objective:
    """Three functions; the loop divides the loss by the global number of targets and knows nothing else."""

    open_source: Callable[[RunPlan, Path], BatchSource]
    """The batches of a run, of `plan.batches.at(step)` rows. The folder keeps what is costly to compute
    again."""
    to_inputs: Callable[[Batch, DataConfig, torch.device], Any]
    """A micro-batch on the device, copied without waiting: a named tuple with `tokens` and, for
    `train.dropout`, `dropout`."""
    loss_sum: Callable[[Any, Any], torch.Tensor]
    """(model, inputs) to the loss [] summed over the targets of this micro-batch, in nats."""
