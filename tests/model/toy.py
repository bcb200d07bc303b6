"""An architecture in one file: feed-forward blocks without attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from onnuri.kernels import REFERENCE, Kernels
from onnuri.kernels.attention_mask import AttentionMask
from onnuri.kernels.linear_cross_entropy import Reduction
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import FeedForward, RMSNorm
from onnuri.model.dropout import Dropout, at_layer, at_positions, drop
from onnuri.model.spec import ModelSpec, Parameter


class Block(nn.Module):
    """A residual feed-forward layer."""

    def __init__(self, config: ModelConfig, kernels: Kernels) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps, kernels)
        self.ffn = FeedForward(config, kernels)

    def forward(
        self, hidden: torch.Tensor, mask: AttentionMask | None, dropout: Dropout | None
    ) -> torch.Tensor:
        return hidden + drop(self.ffn(self.norm(hidden)), dropout)


class Toy(nn.Module):
    """Predicts a token from the one before."""

    def __init__(self, config: ModelConfig, kernels: Kernels = REFERENCE) -> None:
        super().__init__()
        self.config, self.kernels, self.activation_checkpointing = config, kernels, 0
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config, kernels) for _ in range(config.num_layers))

    def forward(
        self,
        tokens: torch.Tensor,
        targets: torch.Tensor | None = None,
        mask: AttentionMask | None = None,
        positions: torch.Tensor | None = None,
        dropout: Dropout | None = None,
        reduction: Reduction = "none",
    ) -> torch.Tensor:
        hidden = self.embedding(tokens)
        dropout = dropout and at_positions(dropout, tokens.shape[1])
        for number, block in enumerate(self.blocks):
            hidden = block(hidden, mask, dropout and at_layer(dropout, number))
        if targets is None:
            return F.linear(hidden, self.embedding.weight)
        rows = hidden.flatten(0, 1), self.embedding.weight, targets.flatten()
        losses = self.kernels.linear_cross_entropy(*rows, reduction=reduction)
        return losses if reduction == "sum" else losses.view(targets.shape)


def parameters(config: ModelConfig) -> list[Parameter]:
    width, inner, std = config.hidden_size, config.intermediate_size, config.init_std
    return [
        Parameter("embedding.weight", "embedding", (config.vocab_size,), width, std),
        Parameter("blocks.*.norm.weight", "norm", (width,)),
        Parameter("blocks.*.ffn.gate_up.weight", "matrix", (inner, inner), width, std),
        Parameter("blocks.*.ffn.down.weight", "matrix", (width,), inner, std),
    ]


SPEC = ModelSpec(
    build=Toy,
    block=lambda: Block,
    parameters=parameters,
    flops_per_token=lambda config, _: 6 * config.num_parameters(),
)
