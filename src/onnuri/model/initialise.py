"""Initial weights, by the spec of the architecture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from onnuri.model.spec import Parameter, spec_of


def drawn(seed: int, name: str, parameter: Parameter) -> torch.Tensor:
    """Normal float32 values of the shape and deviation of a parameter, by (seed, name) alone."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.randn(parameter.shape, generator=generator).mul_(parameter.std)


def initialise(
    model: nn.Module,
    seed: int,
    gather: Callable[[nn.Parameter], AbstractContextManager[object]] = lambda _: nullcontext(),
) -> str:
    """Fill every weight from (seed, parameter name), whatever the order, world size or ZeRO stage.

    Norm scales are one; others are normal, with the standard deviation that the spec states.

    Args:
        model: one that a `ModelSpec` has built.
        gather: context in which a sharded parameter can be written in full (ZeRO-3); the values are
            computed on every rank alike.

    Returns:
        sha256 of all values in float32, in the order of the parameters.
    """
    config: Any = model.config
    table, whole = spec_of(config).by_name(config), hashlib.sha256()
    for name, parameter in model.named_parameters():
        with gather(parameter):
            if table[name].kind == "norm":
                parameter.data.fill_(1.0)
                whole.update(f"{name} ones".encode())
                continue
            values = drawn(seed, name, table[name])
            parameter.data.copy_(values)
            whole.update(name.encode() + values.numpy().tobytes())
    return whole.hexdigest()
