"""Root mean square layer normalisation (Zhang and Sennrich, arXiv 1910.07467)."""

from __future__ import annotations

import torch


def rms_norm(hidden: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """See `operations.RmsNorm`."""
    wide = hidden if hidden.dtype == torch.float64 else hidden.float()
    wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return weight * wide.to(hidden.dtype)


def add_rms_norm(
    hidden: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `operations.AddRmsNorm`."""
    residual = residual + hidden
    return rms_norm(residual, weight, eps), residual
