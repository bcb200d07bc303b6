"""Low-rank adapters, trained in place of the matrices of the blocks (LoRA: Hu et al., arXiv 2106.09685).

A matrix W [rows, columns] stays as it is, and the model computes W x + s B A x, where A is [rank, columns],
B is [rows, rank] and s is alpha / rank. B begins as zero, so the first step sees the model as it was.
Matrices that lie on top of each other in one parameter (queries, keys and values) share A: for PEFT, each
of them has a B of its own and the same A.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from onnuri.model.lora_config import LoraConfig
from onnuri.model.spec import Parameter

A, B = "lora_a", "lora_b"


class LoraLinear(nn.Module):
    """A frozen linear layer without bias, and its adapter."""

    def __init__(self, linear: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        self.scale = config.scale
        self.weight = linear.weight
        self.lora_a = nn.Parameter(torch.zeros(config.rank, linear.in_features))
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, config.rank))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        low = F.linear(hidden, self.lora_a) * self.scale
        return F.linear(hidden, self.weight) + F.linear(low, self.lora_b)


def add_adapters(model: nn.Module, table: Mapping[str, Parameter], config: LoraConfig) -> None:
    """Freeze a model, and give each of its matrices an adapter; nothing with rank 0.

    Args:
        table: what the model's spec says of each parameter, by name.
    """
    if not config.rank:
        return
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name in (name for name, each in table.items() if each.kind == "matrix"):
        owner, _, own = name.removesuffix(".weight").rpartition(".")
        module = model.get_submodule(owner)
        setattr(module, own, LoraLinear(getattr(module, own), config))
    model.get_submodule("embedding").register_forward_hook(_with_gradient)


def _with_gradient(module: nn.Module, given: Any, hidden: torch.Tensor) -> torch.Tensor:
    """The input of the first block: ZeRO-3 knows by its gradient when the block's backward pass is over."""
    return hidden.requires_grad_() if torch.is_grad_enabled() else hidden


def adapters(table: Mapping[str, Parameter], config: LoraConfig) -> dict[str, Parameter]:
    """The parameters that `add_adapters` adds, by name; A has the variance that PEFT gives it."""
    found: dict[str, Parameter] = {}
    if not config.rank:
        return found
    for name, each in table.items():
        if each.kind == "matrix":
            std = (3 * each.columns) ** -0.5
            a, b = adapter_names(name)
            found[a] = Parameter(a, "adapter", (config.rank,), each.columns, std)
            found[b] = Parameter(b, "adapter", each.rows, config.rank)
    return found


def adapter_names(name: str) -> tuple[str, str]:
    """What A and B of a matrix are called."""
    stem = name.removesuffix("weight")
    return f"{stem}{A}", f"{stem}{B}"
