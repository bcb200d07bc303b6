"""Matrices as int8 with a scale for each row: a quarter of fp32's bytes to read, half of bf16's.

What is multiplied with them keeps its dtype, so only the weights are rounded: to 1/127 of the largest of
their row (as in Dettmers et al., LLM.int8(), arXiv 2208.07339; the outliers that it treats are in what
is multiplied). Such a model writes; it is not trained.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

LARGEST = 127


def quantise(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`weight` [rows, columns] as int8, and its scales [rows] in float32; 1 for a row of zeros."""
    wide = weight.detach().float()
    scales = wide.abs().amax(1) / LARGEST
    scales = torch.where(scales > 0, scales, 1.0)
    return (wide / scales[:, None]).round().to(torch.int8), scales


class Int8Matrix(nn.Module):
    """A matrix [rows, columns] in the role of an `nn.Linear` without bias, or of an `nn.Embedding`."""

    weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        values, scales = quantise(weight)
        self.register_buffer("weight", values)
        self.register_buffer("scales", scales)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """`hidden` [..., columns] times its rows: [..., rows]."""
        return product(hidden, self.weight, self.scales)


def scales_of(module: Any) -> torch.Tensor | None:
    """Of a module with an int8 matrix; None for others."""
    return cast("torch.Tensor | None", getattr(module, "scales", None))


def product(hidden: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor | None) -> torch.Tensor:
    """`hidden` [..., columns] times a matrix [rows, columns], int8 if there are scales."""
    if scales is None:
        return F.linear(hidden, weight)
    return (F.linear(hidden.float(), weight.float()) * scales).to(hidden.dtype)


def rows(
    weight: torch.Tensor, scales: torch.Tensor | None, ids: torch.Tensor, like: torch.dtype
) -> torch.Tensor:
    """Rows `ids` of an embedding, in the dtype `like`."""
    found = F.embedding(ids, weight)
    return found if scales is None else (found * scales[ids][..., None]).to(like)


def with_int8_weights(decoder: nn.Module) -> nn.Module:
    """The `Decoder` with its matrices in int8, changed in place; norms keep their dtype."""
    model = cast(Any, decoder)
    model.embedding = Int8Matrix(model.embedding.weight)
    if not model.config.tie_embeddings:
        model.head = Int8Matrix(model.head.weight)
    for block in model.blocks:
        for part, names in ((block.attention, ("qkv", "output")), (block.ffn, ("gate_up", "down"))):
            for name in names:
                setattr(part, name, Int8Matrix(getattr(part, name).weight))
    return decoder
