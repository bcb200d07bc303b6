"""Micro-batches as tensors on the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from onnuri.kernels.attention_mask import AttentionMask, attention_mask
from onnuri.model.dropout import Dropout, row_keys
from onnuri.tokens.batch import Batch
from onnuri.tokens.config import DataConfig
from onnuri.train.config import TrainConfig


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
    dropout: Dropout | None = None
    """In training with `train.dropout`."""


def to_inputs(batch: Batch, config: DataConfig, device: torch.device) -> Inputs:
    """A batch on the device, copied without waiting where the device is a GPU."""
    tokens, targets, cu_seqlens, branches = (torch.from_numpy(values) for values in batch)
    documents = cu_seqlens if config.document_mask else None
    return Inputs(
        move(tokens, device),
        move(targets, device),
        attention_mask(tokens.shape[0], tokens.shape[1], documents, device=device, branches=branches),
        move(torch.from_numpy(batch.positions), device) if config.reset_positions else None,
    )


def with_dropout(inputs: Any, config: TrainConfig, step: int, rows: range) -> Any:
    """Inputs for training: any that have `tokens` [B, S] and `dropout`.

    Args:
        step: of the run, counted from 0.
        rows: their indices in the global batch.
    """
    if not config.dropout:
        return inputs
    keys = row_keys(config.seed, step, rows)
    return inputs._replace(dropout=Dropout(config.dropout, move(keys, inputs.tokens.device)))


def move(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Values on the device; copies to a GPU do not wait."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values
