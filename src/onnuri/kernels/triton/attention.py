"""Causal attention with packed documents, grouped queries and sliding windows: one scheme, three kernels.

Two int32 arrays say all there is to know about the mask: query q sees the keys first_key[q] to q, and key
k is seen by the queries k to end_query[k] - 1. Documents and windows are folded into them, both never
decrease, so the first and last entry of a block bound its loops exactly: no block mask, no work outside a
document.

The softmax is online and in base 2 (Dao, arXiv 2307.08691). The backward pass has no atomics: one kernel
owns blocks of queries (dQ), another blocks of keys (dK, dV) and walks over all query heads of its group,
so that gradients are the same bit for bit each time. The price is a second computation of the scores.

T packed tokens (B x S), H query heads, K key/value heads, D head size. M, N: sizes of query and key blocks.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from onnuri.kernels.documents import attention_bounds
from onnuri.kernels.triton.tiles import (
    AttentionTiles,
    attention_tiles,
    device_capability,
    padded_head_size,
)

LOG2_E = tl.constexpr(1.4426950408889634)
LOWEST = tl.constexpr(-1.0e30)  # below any score, yet finite: a difference of two is 0, not NaN


@triton.jit
def _addresses(base, start, stride, ROWS: tl.constexpr, D: tl.constexpr):
    """Of the rows from `start` on, [ROWS, D]: 64 bits for the first, 32 for the steps from there."""
    steps = tl.arange(0, ROWS)[:, None] * stride + tl.arange(0, D)[None, :]
    return base + tl.cast(start, tl.int64) * stride + steps


@triton.jit
def _load_block(
    base, start, stride, num_rows, ROWS: tl.constexpr, HEAD_SIZE: tl.constexpr, D: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """Rows of one head, [ROWS, D]; zeros beyond `num_rows` and beyond the head size."""
    addresses = _addresses(base, start, stride, ROWS, D)
    inside = (tl.arange(0, D) < HEAD_SIZE)[None, :]
    if MASKED:
        rows = (start + tl.arange(0, ROWS) < num_rows)[:, None]
        if HEAD_SIZE == D:
            return tl.load(addresses, mask=rows, other=0.0)
        return tl.load(addresses, mask=rows & inside, other=0.0)
    if HEAD_SIZE == D:
        return tl.load(addresses)
    return tl.load(addresses, mask=inside, other=0.0)


@triton.jit
def _store_block(
    base, start, stride, num_rows, block, ROWS: tl.constexpr, HEAD_SIZE: tl.constexpr, D: tl.constexpr
):
    rows = (start + tl.arange(0, ROWS) < num_rows)[:, None]
    inside = (tl.arange(0, D) < HEAD_SIZE)[None, :]
    addresses = _addresses(base, start, stride, ROWS, D)
    tl.store(addresses, block.to(base.dtype.element_ty), mask=rows & inside)


@triton.jit
def _attend(
    weighted, row_max, row_sum, query_block, key, value, start, rows, first, key_stride, value_stride,
    num_tokens, scale, N: tl.constexpr, HEAD_SIZE: tl.constexpr, D: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """One block of keys into the running softmax."""
    key_block = _load_block(key, start, key_stride, num_tokens, N, HEAD_SIZE, D, MASKED)
    scores = tl.dot(query_block, tl.trans(key_block), input_precision="ieee")
    if MASKED:
        keys = start + tl.arange(0, N)
        seen = (keys[None, :] <= rows[:, None]) & (keys[None, :] >= first[:, None])
        scores = tl.where(seen, scores, -float("inf"))
    new_max = tl.maximum(row_max, tl.max(scores, 1) * scale)
    weights = tl.math.exp2(scores * scale - new_max[:, None])
    shrink = tl.math.exp2(row_max - new_max)
    row_sum = row_sum * shrink + tl.sum(weights, 1)
    value_block = _load_block(value, start, value_stride, num_tokens, N, HEAD_SIZE, D, MASKED)
    weighted = tl.dot(
        weights.to(value_block.dtype), value_block, weighted * shrink[:, None], input_precision="ieee"
    )
    return weighted, new_max, row_sum


@triton.jit
def forward_kernel(
    query, key, value, out, log_sum, first_key, scale, num_tokens,
    query_stride, query_head_stride, key_stride, key_head_stride, value_stride, value_head_stride,
    out_stride, out_head_stride,
    GROUP: tl.constexpr, HEAD_SIZE: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head; log_sum [H, T]: log2 of the softmax's denominator."""
    block = tl.num_programs(0) - 1 - tl.program_id(0)  # late blocks see most keys: they start first
    head = tl.program_id(1).to(tl.int64)
    start = block * M
    rows = start + tl.arange(0, M)
    last = tl.minimum(start + M, num_tokens) - 1
    query_block = _load_block(
        query + head * query_head_stride, start, query_stride, num_tokens, M, HEAD_SIZE, D, True
    )
    first = tl.load(first_key + rows, mask=rows < num_tokens, other=0)
    key += (head // GROUP) * key_head_stride
    value += (head // GROUP) * value_head_stride

    # Keys from `begin` to `whole` and from `edge` to `last` need a mask; those in between do not.
    begin = tl.load(first_key + start) // N * N
    whole = tl.minimum((tl.load(first_key + last) + N - 1) // N * N, last + 1)
    edge = tl.maximum(start // N * N, whole)
    scale = scale * LOG2_E
    row_max = tl.full([M], LOWEST, tl.float32)
    row_sum = tl.zeros([M], tl.float32)
    weighted = tl.zeros([M, D], tl.float32)
    for offset in tl.range(0, edge - whole, N):
        weighted, row_max, row_sum = _attend(
            weighted, row_max, row_sum, query_block, key, value, whole + offset, rows, first, key_stride,
            value_stride, num_tokens, scale, N, HEAD_SIZE, D, False,
        )  # fmt: skip
    left = whole - begin
    for offset in tl.range(0, left + last + 1 - edge, N):
        block_start = tl.where(offset < left, begin + offset, edge + offset - left)
        weighted, row_max, row_sum = _attend(
            weighted, row_max, row_sum, query_block, key, value, block_start, rows, first, key_stride,
            value_stride, num_tokens, scale, N, HEAD_SIZE, D, True,
        )  # fmt: skip
    _store_block(
        out + head * out_head_stride,
        start,
        out_stride,
        num_tokens,
        weighted / row_sum[:, None],
        M,
        HEAD_SIZE,
        D,
    )
    tl.store(log_sum + head * num_tokens + rows, row_max + tl.math.log2(row_sum), mask=rows < num_tokens)


@triton.jit
def query_gradient_kernel(
    query, key, value, out, grad_out, grad_query, log_sum, delta, first_key, scale, num_tokens,
    query_stride, query_head_stride, key_stride, key_head_stride, value_stride, value_head_stride,
    out_stride, out_head_stride,
    GROUP: tl.constexpr, HEAD_SIZE: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """dQ of one block of queries of one head, and delta [H, T] = sum(out * grad_out), which dK needs."""
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    start = block * M
    rows = start + tl.arange(0, M)
    last = tl.minimum(start + M, num_tokens) - 1
    inside = rows < num_tokens
    out += head * out_head_stride
    grad_out += head * out_head_stride
    grad_block = _load_block(grad_out, start, out_stride, num_tokens, M, HEAD_SIZE, D, True)
    out_block = _load_block(out, start, out_stride, num_tokens, M, HEAD_SIZE, D, True)
    shift = tl.sum(out_block.to(tl.float32) * grad_block.to(tl.float32), 1)
    tl.store(delta + head * num_tokens + rows, shift, mask=inside)
    query_block = _load_block(
        query + head * query_head_stride, start, query_stride, num_tokens, M, HEAD_SIZE, D, True
    )
    normaliser = tl.load(log_sum + head * num_tokens + rows, mask=inside, other=0.0)
    first = tl.load(first_key + rows, mask=inside, other=0)
    key += (head // GROUP) * key_head_stride
    value += (head // GROUP) * value_head_stride
    begin = tl.load(first_key + start) // N * N
    gradient = tl.zeros([M, D], tl.float32)
    for offset in tl.range(0, last + 1 - begin, N):
        keys = begin + offset + tl.arange(0, N)
        key_block = _load_block(key, begin + offset, key_stride, num_tokens, N, HEAD_SIZE, D, True)
        value_block = _load_block(value, begin + offset, value_stride, num_tokens, N, HEAD_SIZE, D, True)
        scores = tl.dot(query_block, tl.trans(key_block), input_precision="ieee")
        weights = tl.math.exp2(scores * (scale * LOG2_E) - normaliser[:, None])
        seen = (keys[None, :] <= rows[:, None]) & (keys[None, :] >= first[:, None])
        weights = tl.where(seen, weights, 0.0)
        grad_weights = tl.dot(grad_block, tl.trans(value_block), input_precision="ieee")
        grad_scores = weights * (grad_weights - shift[:, None])
        gradient = tl.dot(grad_scores.to(key_block.dtype), key_block, gradient, input_precision="ieee")
    _store_block(
        grad_query + head * out_head_stride,
        start,
        out_stride,
        num_tokens,
        gradient * scale,
        M,
        HEAD_SIZE,
        D,
    )


@triton.jit
def key_value_gradient_kernel(
    query, key, value, grad_out, grad_key, grad_value, log_sum, delta, end_query, scale, num_tokens,
    query_stride, query_head_stride, key_stride, key_head_stride, value_stride, value_head_stride,
    out_stride, out_head_stride, grad_stride, grad_head_stride,
    GROUP: tl.constexpr, HEAD_SIZE: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """dK and dV of one block of keys of one key/value head, over all query heads that it serves."""
    kv_head = tl.program_id(1).to(tl.int64)
    start = tl.program_id(0) * N
    keys = start + tl.arange(0, N)
    key_block = _load_block(
        key + kv_head * key_head_stride, start, key_stride, num_tokens, N, HEAD_SIZE, D, True
    )
    value_block = _load_block(
        value + kv_head * value_head_stride, start, value_stride, num_tokens, N, HEAD_SIZE, D, True
    )
    end = tl.load(end_query + keys, mask=keys < num_tokens, other=0)
    begin = start // M * M
    num_blocks = tl.cdiv(tl.load(end_query + tl.minimum(start + N, num_tokens) - 1) - begin, M)
    key_gradient = tl.zeros([N, D], tl.float32)
    value_gradient = tl.zeros([N, D], tl.float32)
    for step in tl.range(0, GROUP * num_blocks):
        head = kv_head * GROUP + step // num_blocks
        row = begin + step % num_blocks * M
        rows = row + tl.arange(0, M)
        inside = rows < num_tokens
        query_block = _load_block(
            query + head * query_head_stride, row, query_stride, num_tokens, M, HEAD_SIZE, D, True
        )
        normaliser = tl.load(log_sum + head * num_tokens + rows, mask=inside, other=0.0)
        scores = tl.dot(key_block, tl.trans(query_block), input_precision="ieee")
        weights = tl.math.exp2(scores * (scale * LOG2_E) - normaliser[None, :])
        seen = (rows[None, :] >= keys[:, None]) & (rows[None, :] < end[:, None])
        weights = tl.where(seen, weights, 0.0)
        grad_block = _load_block(
            grad_out + head * out_head_stride, row, out_stride, num_tokens, M, HEAD_SIZE, D, True
        )
        value_gradient = tl.dot(
            weights.to(grad_block.dtype), grad_block, value_gradient, input_precision="ieee"
        )
        shift = tl.load(delta + head * num_tokens + rows, mask=inside, other=0.0)
        grad_weights = tl.dot(value_block, tl.trans(grad_block), input_precision="ieee")
        grad_scores = weights * (grad_weights - shift[None, :])
        key_gradient = tl.dot(
            grad_scores.to(query_block.dtype), query_block, key_gradient, input_precision="ieee"
        )
    grad_key += kv_head * grad_head_stride
    grad_value += kv_head * grad_head_stride
    _store_block(grad_key, start, grad_stride, num_tokens, key_gradient * scale, N, HEAD_SIZE, D)
    _store_block(grad_value, start, grad_stride, num_tokens, value_gradient, N, HEAD_SIZE, D)


def _strides(*tensors: torch.Tensor) -> list[int]:
    """Steps from token to token and from head to head of [T, heads, D]."""
    return [step for tensor in tensors for step in tensor.stride()[:2]]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        first_key: torch.Tensor,
        end_query: torch.Tensor,
        tiles: AttentionTiles,
    ) -> torch.Tensor:
        tokens, heads, size = query.shape
        out = torch.empty((tokens, heads, size), dtype=query.dtype, device=query.device)
        log_sum = torch.empty((heads, tokens), dtype=torch.float32, device=query.device)
        tile = tiles.forward
        forward_kernel[(triton.cdiv(tokens, tile.queries), heads)](
            query, key, value, out, log_sum, first_key, size**-0.5, tokens,
            *_strides(query, key, value, out),
            GROUP=heads // key.shape[1], HEAD_SIZE=size, D=padded_head_size(size), **tile.launch(),
        )  # fmt: skip
        ctx.save_for_backward(query, key, value, out, log_sum, first_key, end_query)
        ctx.tiles = tiles
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out, log_sum, first_key, end_query = ctx.saved_tensors
        grad_out = grads[0].contiguous()
        tokens, heads, size = query.shape
        kv_heads = key.shape[1]
        shape: dict[str, int] = {
            "GROUP": heads // kv_heads,
            "HEAD_SIZE": size,
            "D": padded_head_size(size),
        }
        delta = torch.empty_like(log_sum)
        grad_query = torch.empty_like(out)
        grad_key = torch.empty((tokens, kv_heads, size), dtype=key.dtype, device=key.device)
        grad_value = torch.empty_like(grad_key)
        tile = ctx.tiles.query_gradient
        query_gradient_kernel[(triton.cdiv(tokens, tile.queries), heads)](
            query, key, value, out, grad_out, grad_query, log_sum, delta, first_key, size**-0.5, tokens,
            *_strides(query, key, value, out), **shape, **tile.launch(),
        )  # fmt: skip
        tile = ctx.tiles.key_value_gradient
        key_value_gradient_kernel[(triton.cdiv(tokens, tile.keys), kv_heads)](
            query, key, value, grad_out, grad_key, grad_value, log_sum, delta, end_query, size**-0.5,
            tokens, *_strides(query, key, value, grad_out, grad_key), **shape, **tile.launch(),
        )  # fmt: skip
        return grad_query, grad_key, grad_value, None, None, None


def attention_in_tiles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor | None,
    window: int,
    tiles: AttentionTiles,
) -> torch.Tensor:
    """`attention` with blocks of a given size."""
    first_key, end_query = attention_bounds(query, cu_seqlens, window)
    packed = [
        heads.flatten(0, 1) if heads.stride(-1) == 1 else heads.contiguous().flatten(0, 1)
        for heads in (query, key, value)
    ]
    return _Attention.apply(*packed, first_key, end_query, tiles).view(query.shape)


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor | None = None,
    window: int = 0,
) -> torch.Tensor:
    """See `onnuri.kernels.attention`. Head sizes up to 128, fp32, fp16 and bf16; sums are in fp32."""
    tiles = attention_tiles(device_capability(query.device), query.shape[-1], query.dtype)
    return attention_in_tiles(query, key, value, cu_seqlens, window, tiles)
