"""Micro-batches as tensors on the device."""

from __future__ import annotations

from typing import NamedTuple

import torch

from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.tokens.batch import Batch
from onnuri.tokens.config import DataConfig


class Inputs(NamedTuple):
    """What the model takes, by the names of its arguments. B rows of one micro-batch, S sequence length."""

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
