"""Linear cross-entropy with the loss of Liger-Kernel, when it is installed.

Liger's fused linear cross-entropy computes gradients in the forward pass, for a mean over rows; here each
row has its own weight. So chunks of logits are PyTorch's, in float32 because Liger gives the loss in
their dtype.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from onnuri.kernels.linear_cross_entropy import IGNORE_INDEX, Reduction


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int = 0,
    z_loss: float = 0.0,
    reduction: Reduction = "none",
) -> torch.Tensor:
    """See `operations.LinearCrossEntropy`."""
    from liger_kernel.ops.cross_entropy import LigerCrossEntropyFunction

    def losses(rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = F.linear(rows, weight).float()
        return LigerCrossEntropyFunction.apply(logits, labels, None, IGNORE_INDEX, z_loss, 0.0, "none")[0]

    size = chunk_size or len(hidden)
    recompute = size < len(hidden) and torch.is_grad_enabled()
    parts = [
        checkpoint(losses, *part, use_reentrant=False) if recompute else losses(*part)
        for part in zip(hidden.split(size), targets.split(size), strict=True)
    ]
    return torch.cat(parts).sum() if reduction == "sum" else torch.cat(parts)
