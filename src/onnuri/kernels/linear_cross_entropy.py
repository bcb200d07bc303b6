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
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk_size: int = 0
) -> torch.Tensor:
    """Negative log-likelihood of `targets` under softmax(hidden @ weight.T), one value a row.

    Args:
        hidden: [N, E]. weight: [V, E]. targets: [N] int64; IGNORE_INDEX rows give 0.
        chunk_size: rows at a time; 0 takes all rows at once and recomputes nothing.

    Returns:
        [N] float32 (float64 for float64 input), in nats.
    """

    def negative_log_likelihood(rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = F.linear(rows, weight)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="none")

    if chunk_size == 0 or hidden.shape[0] <= chunk_size:
        return negative_log_likelihood(hidden, targets)
    pieces = zip(hidden.split(chunk_size), targets.split(chunk_size), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([negative_log_likelihood(*piece) for piece in pieces])
    return torch.cat([checkpoint(negative_log_likelihood, *piece, use_reentrant=False) for piece in pieces])
