"""Attention as one operator: what `torch.compile` takes as it is, whatever documents a batch has.

A call of a kernel, or a loop over documents, in plain Python would break the graph of a block or be
compiled again for each batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from onnuri.kernels.attention_mask import CONSTANTS, AttentionMask, check_heads, whole_rows

Forward = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Backward = Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
HEADS = "Tensor query, Tensor key, Tensor value"
MASK = ", ".join(f"{CONSTANTS.get(name, 'Tensor')} {name}" for name in AttentionMask._fields)
NAMES: list[str] = []
"""Of all of them, within torch.ops.onnuri."""


def attention_operator(
    name: str, forward: Forward, backward: Backward, devices: tuple[str, ...]
) -> Callable[..., torch.Tensor]:
    """Make one of a forward and a backward pass.

    Args:
        name: of the operator, within `torch.ops.onnuri`.
        forward: (query [B, S, H, D], key and value [B, S, K, D], fields of the mask) -> attention, as
            `query` and contiguous, and the logarithm of each row's sum of exponentials, [H, B S] in
            float32 (float64 of float64).
        backward: (gradient of the attention, query, key, value, attention, log_sum, fields of the mask) ->
            gradients of query, key and value, contiguous.
        devices: types of device that both run on.

    Returns:
        The function: see `operations.Attention`.
    """
    define = torch.library.custom_op
    operator = define(
        f"onnuri::{name}",
        forward,
        mutates_args=(),
        device_types=devices,
        schema=f"({HEADS}, {MASK}) -> (Tensor, Tensor)",
    )
    gradient = define(
        f"onnuri::{name}_backward",
        backward,
        mutates_args=(),
        device_types=devices,
        schema=f"(Tensor grad, {HEADS}, Tensor out, Tensor log_sum, {MASK}) -> (Tensor, Tensor, Tensor)",
    )

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        ctx.constants = inputs[-len(CONSTANTS) :]
        ctx.save_for_backward(*inputs[:3], *output, *inputs[3 : -len(CONSTANTS)])

    def differentiate(context: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
        gradients = gradient(grad, *context.saved_tensors, *context.constants)
        return (*gradients, *[None] * len(AttentionMask._fields))

    operator.register_fake(_empty_outputs)
    gradient.register_fake(lambda grad, query, key, value, *rest: tuple(map(_empty, (query, key, value))))
    operator.register_autograd(differentiate, setup_context=keep)
    NAMES.append(name)

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
    ) -> torch.Tensor:
        mask = mask or whole_rows(query)
        check_heads(query, key, value, mask)
        out: torch.Tensor = operator(query, key, value, *mask)[0]
        return out

    return attention


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.new_empty(tensor.shape)


def _empty_outputs(query: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return _empty(query), empty_log_sum(query)


def empty_log_sum(query: torch.Tensor) -> torch.Tensor:
    """Room for one element for each row of `query` [B, S, H, D]: [H, B S]."""
    wide = torch.promote_types(query.dtype, torch.float32)
    return query.new_empty(query.shape[2], query.shape[0] * query.shape[1], dtype=wide)
