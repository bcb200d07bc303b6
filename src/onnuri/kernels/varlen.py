"""Attention by the FlashAttention 2 inside PyTorch, over packed documents: no package to install.

The operators below `torch.nn.attention.varlen`, called as one operator of ours: the length of the longest
document stays a tensor on the CPU, so that no graph depends on it. NVIDIA GPUs, bf16 and fp16.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from onnuri.kernels.attention_mask import AttentionMask, check_unbranched
from onnuri.kernels.attention_operator import attention_operator

_flash_forward = torch.ops.aten._flash_attention_forward
_flash_backward = torch.ops.aten._flash_attention_backward


def _arguments(mask: AttentionMask) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Boundaries and lengths of queries and keys, and the window."""
    check_unbranched(mask, "varlen")
    longest = int(mask.longest)
    boundaries = (mask.device_cu_seqlens, mask.device_cu_seqlens, longest, longest)
    window = {"window_size_left": mask.window - 1 if mask.window > 0 else -1, "window_size_right": 0}
    return boundaries, window


@contextmanager
def _deterministic() -> Iterator[None]:
    """The backward pass without atomics: the same bits each time, so that a run resumes exactly."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def _forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *mask: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    boundaries, window = _arguments(AttentionMask(*mask))
    heads = (each.flatten(0, 1) for each in (query, key, value))
    out, log_sum, *_ = _flash_forward(*heads, *boundaries, 0.0, True, False, **window)
    return out.view(query.shape), log_sum


def _backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sum: torch.Tensor,
    *mask: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    boundaries, window = _arguments(AttentionMask(*mask))
    flat = (each.flatten(0, 1) for each in (grad.contiguous(), query, key, value, out))
    no_dropout = torch.zeros(2, dtype=torch.uint64, device=query.device)
    unused = torch.empty(0, device=query.device)
    with _deterministic():
        gradients = _flash_backward(*flat, log_sum, *boundaries, 0.0, True, no_dropout, unused, **window)
    shaped = (each.view(like.shape) for each, like in zip(gradients, (query, key, value), strict=True))
    grad_query, grad_key, grad_value = shaped
    return grad_query, grad_key, grad_value


attention = attention_operator("varlen_attention", _forward, _backward, ("cuda",))
"""See `operations.Attention`."""
