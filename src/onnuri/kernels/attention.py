"""Causal attention with grouped queries, packed documents and sliding windows, in plain PyTorch.

Shapes: B batch, S sequence, H query heads, K key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F

from onnuri.kernels.attention_mask import AttentionMask, check_heads, whole_rows
from onnuri.kernels.attention_operator import attention_operator, empty_log_sum

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def reference_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
) -> torch.Tensor:
    """See `operations.Attention`. The reference implementation: all (B S) x (B S) scores.

    fp16 and bf16 are computed in float32 and rounded at the end.
    """
    mask = mask or whole_rows(query)
    check_heads(query, key, value, mask)
    seen = _seen(mask, 0, len(mask.first_key))
    group = query.shape[2] // key.shape[2]
    queries, keys, values = (
        heads.flatten(0, 1).to(torch.promote_types(heads.dtype, torch.float32))
        for heads in (query, key.repeat_interleave(group, dim=2), value.repeat_interleave(group, dim=2))
    )
    scores = torch.einsum("qhd,khd->hqk", queries, keys) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, values).view(query.shape).to(query.dtype)


def _seen(mask: AttentionMask, start: int, stop: int) -> torch.Tensor:
    """Which of the positions `start` to `stop` each of them attends to, bool [queries, keys]."""
    positions = torch.arange(start, stop, device=mask.first_key.device)
    queries, keys = positions[:, None], positions[None, :]
    seen = (keys <= queries) & (keys >= mask.first_key[start:stop, None])
    return seen & (queries < mask.end_query[None, start:stop]) if mask.branched else seen


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
) -> torch.Tensor:
    """See `operations.Attention`: a call of PyTorch's own a document, on a CPU one operator for all."""
    if mask is None:
        return _causal(query, key, value, 0)
    if query.device.type == "cpu" and mask.window == 0:
        return _document_attention(query, key, value, mask)
    check_heads(query, key, value, mask)
    if len(mask.cu_seqlens) == query.shape[0] + 1 and not mask.branched:
        return _causal(query, key, value, mask.window)
    flat, outs = [heads.flatten(0, 1) for heads in (query, key, value)], []
    for start, stop in _documents(mask.cu_seqlens):
        seen = _seen(mask, start, stop) if mask.branched else None
        own_query, own_key, own_value = (heads[None, start:stop] for heads in flat)
        outs.append(_causal(own_query, own_key, own_value, mask.window, seen)[0])
    return torch.cat(outs).view(query.shape)


def _causal(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    window: int,
    seen: torch.Tensor | None = None,
) -> torch.Tensor:
    length = query.shape[1]
    if seen is None and 0 < window < length:
        seen = torch.ones(length, length, dtype=torch.bool, device=query.device).tril().triu(1 - window)
    out = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=seen,
        is_causal=seen is None,
        enable_gqa=query.shape[2] != key.shape[2],
    )
    return out.transpose(1, 2)


def _by_document(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *fields: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """PyTorch's flash kernel for CPUs, document by document: nothing is padded, nothing masked computed but
    where a document branches. There fp16 and bf16 are computed in float32."""
    mask = AttentionMask(*fields)
    out, log_sum = torch.empty(query.shape, dtype=query.dtype), empty_log_sum(query)
    flat = out.flatten(0, 1)
    for start, stop in _documents(mask.cu_seqlens):
        masked = _masking(mask, start, stop, query.dtype)
        parts = (_part(x, start, stop, bool(masked)) for x in (query, key, value))
        found, sums = _forward(*parts, 0.0, not masked, **masked)
        flat[start:stop] = found[0].transpose(0, 1)
        log_sum[:, start:stop] = sums[0]
    return out, log_sum


def _by_document_backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sum: torch.Tensor,
    *fields: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mask = AttentionMask(*fields)
    gradients = [torch.empty(x.shape, dtype=x.dtype) for x in (query, key, value)]
    for start, stop in _documents(mask.cu_seqlens):
        masked = _masking(mask, start, stop, query.dtype)
        parts = [_part(x, start, stop, bool(masked)) for x in (grad, query, key, value, out)]
        sums = log_sum[None, :, start:stop].contiguous()
        found = _backward(*parts, sums, 0.0, not masked, **masked)
        for whole, part in zip(gradients, found, strict=True):
            whole.flatten(0, 1)[start:stop] = part[0].transpose(0, 1)
    return gradients[0], gradients[1], gradients[2]


def _masking(mask: AttentionMask, start: int, stop: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """What PyTorch's kernel has to know of the document from `start` to `stop` if it branches."""
    if not mask.branched or int(mask.end_query[start:stop].min()) == stop:
        return {}
    scores = torch.zeros(stop - start, stop - start, dtype=torch.promote_types(dtype, torch.float32))
    return {"attn_mask": scores.masked_fill_(~_seen(mask, start, stop), float("-inf"))}


def _documents(cu_seqlens: torch.Tensor) -> Iterator[tuple[int, int]]:
    return ((start, stop) for start, stop in pairwise(cu_seqlens.tolist()) if start < stop)


def _part(heads: torch.Tensor, start: int, stop: int, wide: bool) -> torch.Tensor:
    """Positions `start` to `stop` of [B, S, H, D], as [1, H, positions, D]; `wide`: in float32 at least."""
    part = heads.flatten(0, 1)[None, start:stop].transpose(1, 2)
    return part.to(torch.promote_types(part.dtype, torch.float32)) if wide else part


_document_attention = attention_operator(
    "document_attention", _by_document, _by_document_backward, ("cpu",)
)
