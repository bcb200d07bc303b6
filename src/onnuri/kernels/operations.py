"""The operations that a model calls.

Each goes to the implementation that `onnuri.kernels.use` chose; all of them take the same arguments and
give the same result to rounding. Shapes: B batch, S sequence, H query heads, K key/value heads, D head
size, E hidden size, V vocabulary, N rows.
"""

from __future__ import annotations

import torch

from onnuri.kernels.attention_mask import AttentionMask
from onnuri.kernels.backends import chosen
from onnuri.kernels.linear_cross_entropy import Reduction


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
) -> torch.Tensor:
    """Causal scaled dot-product attention.

    Args:
        query: [B, S, H, D].
        key, value: [B, S, K, D], with H a multiple of K; each key/value head serves H/K query heads.
        mask: documents and window, of `attention_mask`. None: each row is one document.

    Returns:
        [B, S, H, D], the dtype of `query`. Scores are scaled by D ** -0.5.
    """
    return chosen["attention"](query, key, value, mask)


def rms_norm(hidden: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Scale the last dimension of `hidden` to unit root mean square, then by `weight`.

    The mean is taken in float32 (float64 stays float64), as the Hugging Face models do; the result has
    the dtype of `hidden`.
    """
    return chosen["rms_norm"](hidden, weight, eps)


def add_rms_norm(
    hidden: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add `hidden` to the residual stream: (rms_norm of the sum, the sum)."""
    return chosen["add_rms_norm"](hidden, residual, weight, eps)


def apply_rope(
    heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, positions: torch.Tensor | None = None
) -> torch.Tensor:
    """Turn [B, S, H, D] by tables [S, D / 2], or [B, S, D / 2]. Keeps the dtype of `heads`.

    With `positions`, int64 [B, S], tables are [length, D / 2] and a place takes the row of its position.
    """
    return chosen["apply_rope"](heads, cosine, sine, positions)


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up, for gate and up side by side in the last dimension: [..., 2 F] to [..., F]."""
    return chosen["swiglu"](gate_up)


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int = 0,
    z_loss: float = 0.0,
    reduction: Reduction = "none",
) -> torch.Tensor:
    """Negative log-likelihood of `targets` under softmax(hidden @ weight.T).

    Args:
        hidden: [N, E]. weight: [V, E]. targets: [N] int64; IGNORE_INDEX rows give 0.
        chunk_size: rows at a time; 0: 64 MiB of logits, or 256 rows (CPUs); 1 GiB (GPUs).
        z_loss: weight of log(sum(exp(logits))) ** 2, which is added to each row that counts and keeps
            logits from drifting (PaLM, arXiv 2204.02311); PaLM took 1e-4.
        reduction: sum: one value, the cheaper one to differentiate; none: one value a row.

    Returns:
        [] or [N] float32 (float64 for float64 input), in nats.
    """
    return chosen["linear_cross_entropy"](hidden, weight, targets, chunk_size, z_loss, reduction)
