"""Batches of the loader as tensors on the device, read ahead of the step."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import torch

from onnuri.base.ordered_map import ordered_map
from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.tokens.batch import Batch
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from onnuri.train.run_plan import RunPlan


class Inputs(NamedTuple):
    """What the model takes, in its order. B rows of one micro-batch, S sequence length."""

    tokens: torch.Tensor
    """int64 [B, S]."""
    targets: torch.Tensor
    """int64 [B, S]; IGNORE_INDEX where there is nothing to predict."""
    mask: AttentionMask
    """Documents, or with `data.document_mask=false` whole rows."""
    positions: torch.Tensor | None
    """int64 [B, S]; None: each row counts from 0."""


def to_inputs(batch: Batch, config: DataConfig, device: torch.device) -> Inputs:
    """A batch on the device, copied without waiting where the device is a GPU."""
    tokens, targets, cu_seqlens = (torch.from_numpy(values) for values in batch)
    documents = cu_seqlens if config.document_mask else None

    def move(values: torch.Tensor) -> torch.Tensor:
        return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values

    return Inputs(
        move(tokens),
        move(targets),
        attention_mask(tokens.shape[0], tokens.shape[1], documents, device=device),
        move(torch.from_numpy(batch.positions)) if config.reset_positions else None,
    )


def read_ahead(loader: Loader, plan: RunPlan, first_step: int, device: torch.device) -> Generator[Inputs]:
    """This rank's micro-batches of all steps after `first_step`, read in a thread of its own."""

    ranks = plan.ranks

    def read(number: int) -> Inputs:
        if device.type == "cuda":
            torch.cuda.set_device(device)  # it is set thread by thread
        step, micro = divmod(number, plan.accumulation)
        batch = loader.micro_batch(step, micro, ranks.dp_rank, ranks.dp_size, plan.micro_batch_size)
        return to_inputs(batch, loader.config, device)

    steps = (first_step, plan.config.train.steps)
    return ordered_map(read, range(*(step * plan.accumulation for step in steps)), workers=1)
