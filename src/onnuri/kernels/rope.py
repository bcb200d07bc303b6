"""Rotary position embedding (Su et al., arXiv 2104.09864), the half-split form of Hugging Face Llama."""

from __future__ import annotations

import torch


def rope_tables(
    length: int, head_dim: int, theta: float, device: torch.device | str | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of every angle, both [length, head_dim / 2] in float32.

    Position p turns the pair (d, d + head_dim / 2) by p * theta ** (-2 d / head_dim).
    """
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), 1.0 / theta**exponent)
    return angles.cos(), angles.sin()


def apply_rope(
    heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, positions: torch.Tensor | None = None
) -> torch.Tensor:
    """See `operations.ApplyRope`."""
    if positions is not None:
        cosine, sine = cosine[positions], sine[positions]
    first, second = heads.chunk(2, dim=-1)
    cosine, sine = cosine.unsqueeze(-2), sine.unsqueeze(-2)  # float32: bf16 angles would blur far positions
    turned = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return turned.to(heads.dtype)
