"""Output projection and cross-entropy in one function, so that logits of a batch never live at once.

Rows go through in chunks; each chunk's logits are recomputed in the backward pass. Peak extra memory is
`chunk_size * V` instead of `B * S * V` logits, for about one more matrix product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

IGNORE_INDEX = -100
"""The target that does not count; the value of torch and of `onnuri.tokens.batch`."""


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int = 0,
    z_loss: float = 0.0,
) -> torch.Tensor:
    """See `onnuri.kernels.linear_cross_entropy`."""

    def losses(rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = F.linear(rows, weight)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        negative_log_likelihood = F.cross_entropy(
            logits, labels, ignore_index=IGNORE_INDEX, reduction="none"
        )
        if z_loss == 0:
            return negative_log_likelihood
        return negative_log_likelihood + z_loss * logits.logsumexp(-1).square() * (labels != IGNORE_INDEX)

    if chunk_size == 0 or hidden.shape[0] <= chunk_size:
        return losses(hidden, targets)
    pieces = zip(hidden.split(chunk_size), targets.split(chunk_size), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([losses(*piece) for piece in pieces])
    return torch.cat([checkpoint(losses, *piece, use_reentrant=False) for piece in pieces])
