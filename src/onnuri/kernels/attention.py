"""Causal attention with grouped queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Causal scaled dot-product attention.

    Args:
        query: [B, S, H, D].
        key, value: [B, S, K, D], with H a multiple of K; each key/value head serves H/K query heads.

    Returns:
        [B, S, H, D], the dtype of `query`. Scores are scaled by D ** -0.5.
    """
    out = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        is_causal=True,
        enable_gqa=query.shape[2] != key.shape[2],
    )
    return out.transpose(1, 2)
