"""The operations that a model calls, and the object through which it does.

All implementations of an operation take the same arguments and give the same result to rounding. Shapes: B
batch, S sequence, H query heads, K key/value heads, D head size, E hidden size, V vocabulary, N rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from onnuri.kernels.attention_mask import AttentionMask
from onnuri.kernels.linear_cross_entropy import Reduction


class Attention(Protocol):
    """Causal scaled dot-product attention."""

    def __call__(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
    ) -> torch.Tensor:
        """Attend.

        Args:
            query: [B, S, H, D].
            key, value: [B, S, K, D], with H a multiple of K; each key/value head serves H/K query heads.
            mask: documents and window, of `attention_mask`. None: each row is one document.

        Returns:
            [B, S, H, D], the dtype of `query`. Scores are scaled by D ** -0.5.
        """


class RmsNorm(Protocol):
    """Scale the last dimension to unit root mean square, then by a weight."""

    def __call__(self, hidden: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        """Norm of `hidden` [..., E] by `weight` [E].

        The mean is taken in float32 (float64 stays float64), as the Hugging Face models do; the result has
        the dtype of `hidden`.
        """


class AddRmsNorm(Protocol):
    """Add to the residual stream, and its norm."""

    def __call__(
        self, hidden: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(rms_norm of the sum, the sum) of `hidden` and `residual`, both [..., E]."""


class ApplyRope(Protocol):
    """Apply rotary position embeddings."""

    def __call__(
        self,
        heads: torch.Tensor,
        cosine: torch.Tensor,
        sine: torch.Tensor,
        positions: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Rotate `heads` [B, S, H, D] by tables [S, D / 2], or [B, S, D / 2]. Keeps the dtype of `heads`.

        With `positions`, int64 [B, S], tables are [length, D / 2] and a token takes its position's row.
        """


class Swiglu(Protocol):
    """The gate of a gated feed-forward layer."""

    def __call__(self, gate_up: torch.Tensor) -> torch.Tensor:
        """silu(gate) * up, for gate and up side by side in the last dimension: [..., 2 F] to [..., F]."""


class LinearCrossEntropy(Protocol):
    """Output projection and loss in one."""

    def __call__(
        self,
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


@dataclass(frozen=True)
class Kernels:
    """An implementation of every operation. A model holds one; `onnuri.kernels.choose` makes one."""

    attention: Attention
    rms_norm: RmsNorm
    add_rms_norm: AddRmsNorm
    apply_rope: ApplyRope
    swiglu: Swiglu
    linear_cross_entropy: LinearCrossEntropy
    choices: str
    """The backend of each operation, and why: "attention triton (why), rms_norm torch, ..."."""

    def describe(self) -> str:
        """One line for the start of a run: "kernels: attention triton (why), rms_norm torch, ..."."""
        return f"kernels: {self.choices}"
