"""Attention within documents on a CPU: PyTorch's flash kernel, document by document, as one operator.

As one operator `torch.compile` takes it as it is, whatever number and lengths of documents a batch has; a
loop in Python would be compiled again for each. Nothing is padded and nothing masked is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@torch.library.custom_op("onnuri::document_attention", mutates_args=())
def document_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_seqlens: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention within documents.

    Args:
        query: [B, S, H, D]. key, value: [B, S, K, D]. On a CPU.
        cu_seqlens: int32 [documents + 1], borders in the B x S places.

    Returns:
        [B, S, H, D] contiguous, and the logarithm of each row's sum of exponentials, float32 [H, B S].
    """
    out = torch.empty(query.shape, dtype=query.dtype)
    log_sum = torch.empty(query.shape[2], out.shape[:2].numel(), dtype=_wide(query.dtype))
    flat = out.flatten(0, 1)
    for start, stop in _documents(cu_seqlens):
        found, sums = _forward(*(_part(x, start, stop) for x in (query, key, value)), 0.0, True)
        flat[start:stop] = found[0].transpose(0, 1)
        log_sum[:, start:stop] = sums[0]
    return out, log_sum


@torch.library.custom_op("onnuri::document_attention_backward", mutates_args=())
def _document_attention_backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sum: torch.Tensor,
    cu_seqlens: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gradients = [torch.empty(x.shape, dtype=x.dtype) for x in (query, key, value)]
    for start, stop in _documents(cu_seqlens):
        parts = [_part(x, start, stop) for x in (grad, query, key, value, out)]
        sums = log_sum[None, :, start:stop].contiguous()
        for whole, part in zip(gradients, _backward(*parts, sums, 0.0, True), strict=True):
            whole.flatten(0, 1)[start:stop] = part[0].transpose(0, 1)
    return gradients[0], gradients[1], gradients[2]


def _documents(cu_seqlens: torch.Tensor) -> Iterator[tuple[int, int]]:
    return pairwise(cu_seqlens.tolist())


def _part(heads: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Of [B, S, H, D] the places from `start` to `stop`, as [1, H, places, D]."""
    return heads.flatten(0, 1)[None, start:stop].transpose(1, 2)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


@document_attention.register_fake
def _(query: torch.Tensor, key: Any, value: Any, cu_seqlens: Any) -> tuple[torch.Tensor, torch.Tensor]:
    log_sum = query.new_empty(query.shape[2], query.shape[0] * query.shape[1], dtype=_wide(query.dtype))
    return query.new_empty(query.shape), log_sum


@_document_attention_backward.register_fake
def _(grad: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any) -> Any:
    return tuple(x.new_empty(x.shape) for x in (query, key, value))


def _keep(ctx: Any, inputs: tuple[torch.Tensor, ...], output: tuple[torch.Tensor, ...]) -> None:
    *heads, cu_seqlens = inputs
    ctx.save_for_backward(*heads, *output, cu_seqlens)


def _differentiate(context: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor | None, ...]:
    return (*_document_attention_backward(grad, *context.saved_tensors), None)


document_attention.register_autograd(_differentiate, setup_context=_keep)
