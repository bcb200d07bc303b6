"""Causal attention with grouped queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from onnuri.kernels.document_attention import document_attention


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_seqlens: torch.Tensor | None = None
) -> torch.Tensor:
    """Causal scaled dot-product attention.

    Args:
        query: [B, S, H, D].
        key, value: [B, S, K, D], with H a multiple of K; each key/value head serves H/K query heads.
        cu_seqlens: int32 [documents + 1], on the CPU: where each document begins in the B x S places, and
            B x S. Every row begins one. A place then sees its own document only.

    Returns:
        [B, S, H, D], the dtype of `query`. Scores are scaled by D ** -0.5.
    """
    if cu_seqlens is None:
        return _causal(query, key, value)
    if query.device.type == "cpu":
        out: torch.Tensor = document_attention(query, key, value, cu_seqlens)[0]
        return out
    sizes = cu_seqlens.diff().tolist()
    documents = zip(*(heads.flatten(0, 1).split(sizes) for heads in (query, key, value)), strict=True)
    return torch.cat([_causal(*(heads[None] for heads in each))[0] for each in documents]).view(query.shape)


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    out = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        is_causal=True,
        enable_gqa=query.shape[2] != key.shape[2],
    )
    return out.transpose(1, 2)
