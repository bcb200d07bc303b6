"""DeepSpeed around a model: parameters sharded as they are made, and the engine."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from torch import nn

Gather = Callable[[nn.Parameter], AbstractContextManager[object]]


def silence(module: str, name: str, value: Any) -> None:
    """Replace a convenience of DeepSpeed's. A DeepSpeed without such a module is as good."""
    with suppress(ImportError):
        vars(importlib.import_module(module))[name] = value


def sharded_init(settings: dict[str, Any]) -> AbstractContextManager[object]:
    """Around the construction of a model: under ZeRO-3 each parameter is sharded as soon as it is made."""
    import deepspeed

    return deepspeed.zero.Init(config_dict_or_path=settings) if is_sharded(settings) else nullcontext()


def gatherer(settings: dict[str, Any]) -> Gather:
    """A context in which a parameter is whole; what rank 0 writes into it reaches all ranks."""
    import deepspeed

    if not is_sharded(settings):
        return lambda _: nullcontext()
    return lambda parameter: deepspeed.zero.GatheredParameters([parameter], modifier_rank=0)


def gather_whole(model: nn.Module, block: type[nn.Module], settings: dict[str, Any]) -> None:
    """Under ZeRO-3, gather all parameters of a block at once, before it runs."""
    import deepspeed

    if is_sharded(settings):
        deepspeed.utils.set_z3_leaf_modules(model, [block])


def initialize(model: nn.Module, optimizer: torch.optim.Optimizer, settings: dict[str, Any]) -> Any:
    """DeepSpeed's engine for a model and its optimizer."""
    import deepspeed

    # It prints ten lines at the start.
    silence("deepspeed.runtime.bf16_optimizer", "see_memory_usage", lambda *_, **__: None)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings)
    if is_sharded(settings):
        # After every step DeepSpeed would gather the parameters that it keeps whole, a message for each,
        # and wait for the device. The next forward pass gathers them with the rest of their block.
        engine.optimizer.persistent_parameters = []
    return engine


def is_sharded(settings: dict[str, Any]) -> bool:
    """True at ZeRO stage 3, where no rank holds the whole model."""
    return bool(settings["zero_optimization"]["stage"] == 3)
