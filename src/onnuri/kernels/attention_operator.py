"""Attention and its gradient as one operator.

`torch.compile` takes it as it is, whatever number and lengths of documents a batch has; a loop over them in
Python would be compiled again for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Forward = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Backward = Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
HEADS = "Tensor query, Tensor key, Tensor value"
BORDERS = "Tensor cu_seqlens, int window"
NAMES: list[str] = []
"""Of all of them, within torch.ops.onnuri."""


def attention_operator(name: str, forward: Forward, backward: Backward) -> Callable[..., Any]:
    """Make one of a forward and a backward pass, both on a CPU.

    Args:
        name: of the operator, within `torch.ops.onnuri`.
        forward: (query [B, S, H, D], key and value [B, S, K, D], cu_seqlens, window) -> attention, as
            `query` and contiguous, and the logarithm of each row's sum of exponentials, [H, B S] in
            float32 (float64 of float64).
        backward: (gradient of the attention, query, key, value, attention, log_sum, cu_seqlens, window) ->
            gradients of query, key and value, contiguous.
    """
    define = torch.library.custom_op
    operator = define(
        f"onnuri::{name}",
        forward,
        mutates_args=(),
        device_types="cpu",
        schema=f"({HEADS}, {BORDERS}) -> (Tensor, Tensor)",
    )
    gradient = define(
        f"onnuri::{name}_backward",
        backward,
        mutates_args=(),
        device_types="cpu",
        schema=f"(Tensor grad, {HEADS}, Tensor out, Tensor log_sum, {BORDERS}) -> (Tensor, Tensor, Tensor)",
    )

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        *heads, cu_seqlens, ctx.window = inputs
        ctx.save_for_backward(*heads, *output, cu_seqlens)

    def differentiate(context: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
        return (*gradient(grad, *context.saved_tensors, context.window), None, None)

    operator.register_fake(_empty_outputs)
    gradient.register_fake(lambda grad, query, key, value, *rest: tuple(map(_empty, (query, key, value))))
    operator.register_autograd(differentiate, setup_context=keep)
    NAMES.append(name)
    return operator


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.new_empty(tensor.shape)


def _empty_outputs(query: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return _empty(query), empty_log_sum(query)


def empty_log_sum(query: torch.Tensor) -> torch.Tensor:
    """Room for a number for each row of `query` [B, S, H, D]: [H, B S]."""
    wide = torch.promote_types(query.dtype, torch.float32)
    return query.new_empty(query.shape[2], query.shape[0] * query.shape[1], dtype=wide)
