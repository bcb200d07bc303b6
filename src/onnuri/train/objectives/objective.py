"""The seam between the training loop and what is learnt in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from onnuri.tokens.config import DataConfig
from onnuri.tokens.source import BatchSource
from onnuri.train.config import PretrainConfig

if TYPE_CHECKING:
    from onnuri.train.run_plan import RunPlan
    from onnuri.train.run_state import Run


@dataclass(frozen=True)
class Objective:
    """Three functions, and more where they are needed; the loop divides the loss by the global number of
    targets and knows nothing else."""

    open_source: Callable[[RunPlan, Path], BatchSource]
    """The batches of a run, of `plan.batches.at(step)` rows. The folder keeps what is costly to compute
    again."""
    to_inputs: Callable[[Any, DataConfig, torch.device], Any]
    """A micro-batch on the device, copied without waiting: a named tuple with `tokens` and, for
    `train.dropout`, `dropout`."""
    loss_sum: Callable[[Any, Any, PretrainConfig], torch.Tensor]
    """(model, inputs, config) to the loss [] summed over the micro-batch's targets; with `measures` to
    [1 + measures]: the loss first, then sums whose means over the targets are logged."""
    measures: tuple[str, ...] = ()
    """Names of what is measured besides the loss."""
    prepare: Callable[[Run], None] | None = None
    """Called by all ranks before the first step of a start."""
    before_step: Callable[[Run], dict[str, Any]] | None = None
    """Called by all ranks before each step, where the batch depends on the weights; what it returns is
    logged. Micro-batches are then not read ahead."""
    remarks: Callable[[Run, dict[str, Any]], list[str]] | None = None
    """Called by all ranks after each step with what it measured: warnings, a line each."""
    held_out: Callable[[Run], dict[str, float]] | None = None
    """Called by all ranks at each validation: what is measured on held-out data besides bits per byte."""
