"""torch.compile of what a step repeats: each block. (`onnuri.kernels.choose` compiles the loss.)

All blocks share one compiled graph. Under ZeRO-3 a block is one module to DeepSpeed: its parameters are
gathered before the graph and released after it, so nothing of that is inside. The number and the lengths of
documents stay out too: attention is one operator, and the boundaries of documents are a tensor of any size.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch
import torch._functorch.config as functorch
from torch import nn

from onnuri.kernels.attention_mask import AttentionMask
from onnuri.kernels.attention_operator import NAMES
from onnuri.train.run_plan import RunPlan

WORTH_IT = 1e15
"""FLOPs of one rank's share of a run on CPUs: about half an hour on two cores."""
KEPT_ON_CPUS = 0.8
"""Of what the backward pass would read, what is kept. The rest is elementwise and computed again: 8 % less
memory of a whole step for no time that could be measured (LAB.md)."""


def worth_compiling(plan: RunPlan) -> bool:
    """On GPUs always; on CPUs for long runs, where there is a compiler."""
    if torch.cuda.is_available():
        return True
    config = plan.config
    tokens = plan.batches.before(config.train.steps) * config.data.sequence_length
    flops = config.flops_per_token(config.data.sequence_length) * tokens
    has_compiler = bool(shutil.which("g++") or shutil.which("clang++"))
    return has_compiler and flops / plan.ranks.dp_size > WORTH_IT


def compile_blocks(model: nn.Module, block: type[nn.Module]) -> None:
    """Compile every `block` of a model, with its first step."""
    if not torch.cuda.is_available():
        functorch.activation_memory_budget = KEPT_ON_CPUS
        _tell_that_attention_is_dear()
    for module in model.modules():
        if isinstance(module, block):
            module.forward = _for_any_documents(torch.compile(module.forward))


def _for_any_documents(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A block's compiled `forward`, marked so that every batch may have another number of documents."""

    def marked(*inputs: Any) -> torch.Tensor:
        mask = next(each for each in inputs if isinstance(each, AttentionMask))
        for boundaries in (mask.cu_seqlens, mask.device_cu_seqlens):
            torch._dynamo.maybe_mark_dynamic(boundaries, 0)
        return forward(*inputs)

    return marked


def _tell_that_attention_is_dear() -> None:
    """What to compute again is chosen by FLOPs, and an operator that is not known has none."""
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    def flops(query: torch.Size, *_: Any, **__: Any) -> int:
        batch, length, heads, size = query
        return 2 * batch * heads * length * length * size

    for operator in (getattr(torch.ops.onnuri, name) for name in NAMES):
        if operator not in flop_registry:
            register_flop_formula(operator)(flops)
