"""The decoder: pre-norm blocks of grouped-query attention and SwiGLU (Llama 2/3, Qwen3).

Shapes: B batch, S sequence, H query heads, K key/value heads, D head size, E hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from onnuri.base.errors import UserError
from onnuri.kernels import REFERENCE, Kernels
from onnuri.kernels.attention_mask import AttentionMask, whole_rows
from onnuri.kernels.linear_cross_entropy import Reduction
from onnuri.kernels.rope import rope_tables
from onnuri.model.config import ModelConfig
from onnuri.model.dropout import Dropout, at_layer, at_positions, drop
from onnuri.model.initialise import initialise


class RMSNorm(nn.Module):
    """Learned scale over a unit-RMS vector."""

    def __init__(self, size: int, eps: float, kernels: Kernels) -> None:
        super().__init__()
        self.eps, self.kernels = eps, kernels
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.kernels.rms_norm(hidden, self.weight, self.eps)


class AddRMSNorm(RMSNorm):
    """The same of a sum: (its norm, the sum)."""

    def forward(  # type: ignore[override]
        self, hidden: torch.Tensor, residual: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.kernels.add_rms_norm(hidden, residual, self.weight, self.eps)


class Attention(nn.Module):
    """Causal self-attention; queries, keys and values come out of one matrix [(H + 2K) D, E]."""

    def __init__(self, config: ModelConfig, kernels: Kernels) -> None:
        super().__init__()
        self.kernels = kernels
        self.heads = (config.num_heads, config.num_kv_heads, config.num_kv_heads)
        self.head_dim = config.head_dim
        self.qkv = nn.Linear(config.hidden_size, sum(self.heads) * config.head_dim, bias=False)
        self.output = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=False)

        def norm() -> nn.Module:
            size, eps = config.head_dim, config.rms_norm_eps
            return RMSNorm(size, eps, kernels) if config.qk_norm else nn.Identity()

        self.query_norm, self.key_norm = norm(), norm()

    def project(
        self, hidden: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries [B, S, H, D], keys and values [B, S, K, D] of `hidden` [B, S, E], with positions."""
        batch, length, _ = hidden.shape
        heads = self.qkv(hidden).view(batch, length, sum(self.heads), self.head_dim)
        query, key, value = heads.split(self.heads, dim=2)
        query = self.kernels.apply_rope(self.query_norm(query), cosine, sine)
        key = self.kernels.apply_rope(self.key_norm(key), cosine, sine)
        return query, key, value

    def forward(
        self,
        hidden: torch.Tensor,
        cosine: torch.Tensor,
        sine: torch.Tensor,
        mask: AttentionMask,
    ) -> torch.Tensor:
        attended = self.kernels.attention(*self.project(hidden, cosine, sine), mask)
        return self.output(attended.reshape(*hidden.shape[:2], -1))


class FeedForward(nn.Module):
    """SwiGLU; gate and up projections come out of one matrix [2 F, E]."""

    def __init__(self, config: ModelConfig, kernels: Kernels) -> None:
        super().__init__()
        self.kernels = kernels
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.down(self.kernels.swiglu(self.gate_up(hidden)))


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, config: ModelConfig, kernels: Kernels) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps, kernels)
        self.attention = Attention(config, kernels)
        self.ffn_norm = AddRMSNorm(config.hidden_size, config.rms_norm_eps, kernels)
        self.ffn = FeedForward(config, kernels)

    def forward(
        self,
        hidden: torch.Tensor,
        cosine: torch.Tensor,
        sine: torch.Tensor,
        mask: AttentionMask,
        dropout: Dropout | None = None,
    ) -> torch.Tensor:
        attended = drop(self.attention(self.attention_norm(hidden), cosine, sine, mask), dropout, 0)
        normed, hidden = self.ffn_norm(attended, hidden)
        return hidden + drop(self.ffn(normed), dropout, 1)


class Decoder(nn.Module):
    """Tokens in; per-token losses out when `targets` are given, logits otherwise.

    Args:
        config: `vocab_size` must be given.
        kernels: implementations of the operations, of `onnuri.kernels.choose`; PyTorch's own by default.
        seed: of the initial weights. None: they are left to `onnuri.model.initialise`.

    Raises UserError for a config without a vocabulary.
    """

    def __init__(self, config: ModelConfig, kernels: Kernels = REFERENCE, seed: int | None = 0) -> None:
        super().__init__()
        if config.vocab_size < 1:
            raise UserError("model.vocab_size must be given: the number of ids that the tokenizer has")
        self.config, self.kernels = config, kernels
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config, kernels) for _ in range(config.num_layers))
        self.activation_checkpointing = 0
        """Every so many blocks, one keeps only its input and is run again in the backward pass; 0: none."""
        self.z_loss = 0.0
        """Weight of log(sum(exp(logits))) ** 2, added to each loss while training."""
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps, kernels)
        if not config.tie_embeddings:
            self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if seed is not None and not self.embedding.weight.is_meta:
            initialise(self, seed)

    def forward(
        self,
        tokens: torch.Tensor,
        targets: torch.Tensor | None = None,
        mask: AttentionMask | None = None,
        positions: torch.Tensor | None = None,
        dropout: Dropout | None = None,
        reduction: Reduction = "none",
    ) -> torch.Tensor:
        """Run the model.

        Args:
            tokens: [B, S] int64.
            targets: [B, S] int64, the next token at each position, IGNORE_INDEX where none counts.
            mask: which positions attend to which, of `attention_mask`. None: each row is one document.
            positions: [B, S] int64, below S. None: each row counts from 0.
            dropout: of the embedding and of what each layer adds to it, keys [B]; in training only.
            reduction: of the losses: none, or sum, which is cheaper to differentiate.

        Returns:
            [B, S] negative log-likelihoods in nats (float32), or [] their sum; logits [B, S, V] without
            `targets`.
        """
        mask = mask or whole_rows(tokens)
        hidden = self.embedding(tokens)
        if dropout is not None:
            dropout = at_positions(dropout, tokens.shape[1])
            hidden = drop(hidden, at_layer(dropout, 0))
        cosine, sine = rope_tables(
            tokens.shape[1], self.config.head_dim, self.config.rope_theta, tokens.device
        )
        if positions is not None:
            cosine, sine = cosine[positions], sine[positions]
        for number, block in enumerate(self.blocks):
            inputs: tuple[Any, ...] = (hidden, cosine, sine, mask)
            if dropout is not None:
                inputs = (*inputs, at_layer(dropout, number + 1))
            if (
                self.activation_checkpointing
                and number % self.activation_checkpointing == 0
                and torch.is_grad_enabled()
            ):
                hidden = checkpoint(block, *inputs, use_reentrant=False)
            else:
                hidden = block(*inputs)
        hidden = self.norm(hidden)
        weight = self.embedding.weight if self.config.tie_embeddings else self.head.weight
        if targets is None:
            return F.linear(hidden, weight)
        losses = self.kernels.linear_cross_entropy(
            hidden.flatten(0, 1),
            weight,
            targets.flatten(),
            self.config.loss_chunk_size,
            self.z_loss if self.training else 0.0,
            reduction=reduction,
        )
        return losses if reduction == "sum" else losses.view(targets.shape)
