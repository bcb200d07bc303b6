"""Causal attention with packed documents, grouped queries and sliding windows: one scheme, three kernels.

Two int32 arrays of the `AttentionMask` say all there is to know: query q attends to the keys first_key[q]
to q, and key k is attended to by the queries k to end_query[k] - 1. Documents and windows are folded into
them and neither ever decreases, so the first and last entry of a block bound its loops exactly: no block
mask, no work outside a document. In all three kernels the blocks in the middle of that range, which every
row attends to in full, are walked without a mask; those at its two ends with one.

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
from triton.tools.tensor_descriptor import TensorDescriptor

from onnuri.kernels.attention_mask import AttentionMask, check_heads, whole_rows
from onnuri.kernels.attention_operator import attention_operator, empty_log_sum
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
    weighted, row_max, row_sum, query_block, key, value, column, start, rows, first, key_stride,
    value_stride, num_tokens, scale, N: tl.constexpr, HEAD_SIZE: tl.constexpr, D: tl.constexpr,
    MASKED: tl.constexpr, TMA: tl.constexpr,
):  # fmt: skip
    """One block of keys into the running softmax."""
    if TMA:
        key_block = key.load([start, column])
    else:
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
    if TMA:
        value_block = value.load([start, column])
    else:
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
    TMA: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head; log_sum [H, T]: log2 of the softmax's denominator.

    With TMA, key and value are descriptors of [T, K x D] in blocks of [N, D]: one instruction copies a
    block, without addresses in registers, and fills what lies beyond T with zeros.
    """
    block = tl.num_programs(0) - 1 - tl.program_id(0)  # late blocks see most keys: they start first
    head = tl.program_id(1).to(tl.int64)
    start = block * M
    rows = start + tl.arange(0, M)
    last = tl.minimum(start + M, num_tokens) - 1
    query_block = _load_block(
        query + head * query_head_stride, start, query_stride, num_tokens, M, HEAD_SIZE, D, True
    )
    first = tl.load(first_key + rows, mask=rows < num_tokens, other=0)
    column = (tl.program_id(1) // GROUP) * HEAD_SIZE
    if not TMA:
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
            weighted, row_max, row_sum, query_block, key, value, column, whole + offset, rows, first,
            key_stride, value_stride, num_tokens, scale, N, HEAD_SIZE, D, False, TMA,
        )  # fmt: skip
    left = whole - begin
    for offset in tl.range(0, left + last + 1 - edge, N):
        block_start = tl.where(offset < left, begin + offset, edge + offset - left)
        weighted, row_max, row_sum = _attend(
            weighted, row_max, row_sum, query_block, key, value, column, block_start, rows, first,
            key_stride, value_stride, num_tokens, scale, N, HEAD_SIZE, D, True, TMA,
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
def _query_gradient_step(
    gradient, query_block, grad_block, normaliser, shift, key, value, start, rows, first,
    key_stride, value_stride, num_tokens, scale, N: tl.constexpr, HEAD_SIZE: tl.constexpr,
    D: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """What one block of keys adds to dQ."""
    key_block = _load_block(key, start, key_stride, num_tokens, N, HEAD_SIZE, D, MASKED)
    value_block = _load_block(value, start, value_stride, num_tokens, N, HEAD_SIZE, D, MASKED)
    scores = tl.dot(query_block, tl.trans(key_block), input_precision="ieee")
    weights = tl.math.exp2(scores * (scale * LOG2_E) - normaliser[:, None])
    if MASKED:
        keys = start + tl.arange(0, N)
        seen = (keys[None, :] <= rows[:, None]) & (keys[None, :] >= first[:, None])
        weights = tl.where(seen, weights, 0.0)
    grad_weights = tl.dot(grad_block, tl.trans(value_block), input_precision="ieee")
    grad_scores = weights * (grad_weights - shift[:, None])
    return tl.dot(grad_scores.to(key_block.dtype), key_block, gradient, input_precision="ieee")


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
    whole = tl.minimum((tl.load(first_key + last) + N - 1) // N * N, last + 1)
    edge = tl.maximum(start // N * N, whole)
    gradient = tl.zeros([M, D], tl.float32)
    for offset in tl.range(0, edge - whole, N):
        gradient = _query_gradient_step(
            gradient, query_block, grad_block, normaliser, shift, key, value, whole + offset, rows, first,
            key_stride, value_stride, num_tokens, scale, N, HEAD_SIZE, D, False,
        )  # fmt: skip
    left = whole - begin
    for offset in tl.range(0, left + last + 1 - edge, N):
        block_start = tl.where(offset < left, begin + offset, edge + offset - left)
        gradient = _query_gradient_step(
            gradient, query_block, grad_block, normaliser, shift, key, value, block_start, rows, first,
            key_stride, value_stride, num_tokens, scale, N, HEAD_SIZE, D, True,
        )  # fmt: skip
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
def _key_value_gradient_step(
    key_gradient, value_gradient, key_block, value_block, query, grad_out, log_sum, delta, start, key_start,
    end_query, query_stride, out_stride, num_tokens, scale, M: tl.constexpr, N: tl.constexpr,
    HEAD_SIZE: tl.constexpr, D: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """What one block of queries of one head adds to dK and dV."""
    rows = start + tl.arange(0, M)
    query_block = _load_block(query, start, query_stride, num_tokens, M, HEAD_SIZE, D, MASKED)
    grad_block = _load_block(grad_out, start, out_stride, num_tokens, M, HEAD_SIZE, D, MASKED)
    if MASKED:
        normaliser = tl.load(log_sum + rows, mask=rows < num_tokens, other=0.0)
        shift = tl.load(delta + rows, mask=rows < num_tokens, other=0.0)
    else:
        normaliser = tl.load(log_sum + rows)
        shift = tl.load(delta + rows)
    scores = tl.dot(key_block, tl.trans(query_block), input_precision="ieee")
    if MASKED:  # read again each time: kept, they would cost the loop without a mask its registers
        keys = key_start + tl.arange(0, N)
        end = tl.load(end_query + keys, mask=keys < num_tokens, other=0)
        seen = (rows[None, :] >= keys[:, None]) & (rows[None, :] < end[:, None])
        scores = tl.where(seen, scores, -float("inf"))
    weights = tl.math.exp2(scores * (scale * LOG2_E) - normaliser[None, :])
    value_gradient = tl.dot(
        weights.to(grad_block.dtype), grad_block, value_gradient, input_precision="ieee"
    )
    grad_weights = tl.dot(value_block, tl.trans(grad_block), input_precision="ieee")
    grad_scores = weights * (grad_weights - shift[None, :])
    key_gradient = tl.dot(
        grad_scores.to(query_block.dtype), query_block, key_gradient, input_precision="ieee"
    )
    return key_gradient, value_gradient


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
    key_block = _load_block(
        key + kv_head * key_head_stride, start, key_stride, num_tokens, N, HEAD_SIZE, D, True
    )
    value_block = _load_block(
        value + kv_head * value_head_stride, start, value_stride, num_tokens, N, HEAD_SIZE, D, True
    )

    # Rows from `begin` to `whole` and from `edge` to `stop` need a mask; those in between do not.
    begin = start // M * M
    stop = tl.load(end_query + tl.minimum(start + N, num_tokens) - 1)
    whole = tl.minimum((start + N + M - 1) // M * M, stop)
    edge = tl.maximum(tl.load(end_query + start) // M * M, whole)
    left = whole - begin
    key_gradient = tl.zeros([N, D], tl.float32)
    value_gradient = tl.zeros([N, D], tl.float32)
    # Two loops over the heads of the group and half as many rows at a time under the mask: in one loop, or
    # with all rows, the mask takes the registers that larger blocks need.
    for member in range(GROUP):
        head = kv_head * GROUP + member
        for row in tl.range(whole, edge, M):
            key_gradient, value_gradient = _key_value_gradient_step(
                key_gradient, value_gradient, key_block, value_block, query + head * query_head_stride,
                grad_out + head * out_head_stride, log_sum + head * num_tokens, delta + head * num_tokens,
                row, start, end_query, query_stride, out_stride, num_tokens, scale, M, N, HEAD_SIZE, D,
                False,
            )  # fmt: skip
    FEWER: tl.constexpr = M // 2 if M > 16 else M
    for member in range(GROUP):
        head = kv_head * GROUP + member
        for offset in tl.range(0, left + stop - edge, FEWER):
            row = tl.where(offset < left, begin + offset, edge + offset - left)
            key_gradient, value_gradient = _key_value_gradient_step(
                key_gradient, value_gradient, key_block, value_block, query + head * query_head_stride,
                grad_out + head * out_head_stride, log_sum + head * num_tokens, delta + head * num_tokens,
                row, start, end_query, query_stride, out_stride, num_tokens, scale, FEWER, N, HEAD_SIZE, D,
                True,
            )  # fmt: skip
    grad_key += kv_head * grad_head_stride
    grad_value += kv_head * grad_head_stride
    _store_block(grad_key, start, grad_stride, num_tokens, key_gradient * scale, N, HEAD_SIZE, D)
    _store_block(grad_value, start, grad_stride, num_tokens, value_gradient, N, HEAD_SIZE, D)


def _strides(*tensors: torch.Tensor) -> list[int]:
    """Steps from token to token and from head to head of [T, heads, D]."""
    return [step for tensor in tensors for step in tensor.stride()[:2]]


def _packed(heads: torch.Tensor) -> torch.Tensor:
    """[B, S, heads, D] as [T, heads, D], the elements of a head side by side."""
    return (heads if heads.stride(-1) == 1 else heads.contiguous()).flatten(0, 1)


def _suits_tma(heads: torch.Tensor) -> bool:
    """Heads [T, K, D] side by side, of a power of two, in rows that begin at multiples of 16 bytes."""
    aligned = not (heads.data_ptr() % 16 or heads.stride(0) * heads.element_size() % 16)
    return aligned and heads.stride(1) == heads.shape[2] == padded_head_size(heads.shape[2])


def _descriptor(heads: torch.Tensor, rows: int) -> TensorDescriptor:
    """For TMA copies of [rows, D] out of [T, K, D]."""
    tokens, count, size = heads.shape
    return TensorDescriptor(heads, [tokens, count * size], [heads.stride(0), 1], [rows, size])


def forward_in_tiles(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask, tiles: AttentionTiles
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention as `query` [B, S, H, D] and contiguous, and log2 of each row's denominator [H, T]."""
    out, log_sum = torch.empty(query.shape, dtype=query.dtype, device=query.device), empty_log_sum(query)
    flat = [*map(_packed, (query, key, value)), out.flatten(0, 1)]
    tokens, heads, size = flat[0].shape
    tile, strides, sources = tiles.forward, _strides(*flat), [*flat]
    tma = bool(tile.tma) and all(map(_suits_tma, flat[1:3]))
    if tma:
        sources[1:3] = [_descriptor(each, tile.keys) for each in flat[1:3]]
    forward_kernel[(triton.cdiv(tokens, tile.queries), heads)](
        *sources, log_sum, mask.first_key, size**-0.5, tokens, *strides,
        GROUP=heads // key.shape[2], HEAD_SIZE=size, D=padded_head_size(size), TMA=tma, **tile.launch(),
    )  # fmt: skip
    return out, log_sum


def backward_in_tiles(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sum: torch.Tensor,
    mask: AttentionMask,
    tiles: AttentionTiles,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of query, key and value, each of its own shape and contiguous."""
    gradients = [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (query, key, value)]
    grad_out, out = grad.contiguous().flatten(0, 1), out.flatten(0, 1)
    queries, keys, values = map(_packed, (query, key, value))
    grad_query, grad_key, grad_value = (each.flatten(0, 1) for each in gradients)
    tokens, heads, size = queries.shape
    shape = {"GROUP": heads // keys.shape[1], "HEAD_SIZE": size, "D": padded_head_size(size)}
    delta, tile = torch.empty_like(log_sum), tiles.query_gradient
    query_gradient_kernel[(triton.cdiv(tokens, tile.queries), heads)](
        queries, keys, values, out, grad_out, grad_query, log_sum, delta, mask.first_key, size**-0.5,
        tokens, *_strides(queries, keys, values, out), **shape, **tile.launch(),
    )  # fmt: skip
    tile = tiles.key_value_gradient
    key_value_gradient_kernel[(triton.cdiv(tokens, tile.keys), keys.shape[1])](
        queries, keys, values, grad_out, grad_key, grad_value, log_sum, delta, mask.end_query, size**-0.5,
        tokens, *_strides(queries, keys, values, grad_out, grad_key), **shape, **tile.launch(),
    )  # fmt: skip
    return gradients[0], gradients[1], gradients[2]


def _tiles(query: torch.Tensor) -> AttentionTiles:
    return attention_tiles(device_capability(query.device), query.shape[-1], query.dtype)


def _forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *mask: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    return forward_in_tiles(query, key, value, AttentionMask(*mask), _tiles(query))


def _backward(
    grad: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    out: torch.Tensor,
    log_sum: torch.Tensor,
    *mask: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    of_batch = AttentionMask(*mask)
    return backward_in_tiles(grad, query, key, value, out, log_sum, of_batch, _tiles(query))


_operator = attention_operator("triton_attention", _forward, _backward, ("cuda", "cpu"))
"""On CPU tensors for Triton's interpreter."""


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask | None = None
) -> torch.Tensor:
    """See `onnuri.kernels.attention`. Head sizes up to 128, fp32, fp16 and bf16; sums are in fp32."""
    mask = mask or whole_rows(query)
    check_heads(query, key, value, mask)
    out: torch.Tensor = _operator(query, key, value, *mask)[0]
    return out


class _InTiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tiles: AttentionTiles, mask: AttentionMask, *heads: torch.Tensor) -> torch.Tensor:
        query, key, value = heads
        out, log_sum = forward_in_tiles(query, key, value, mask, tiles)
        ctx.save_for_backward(*heads, out, log_sum)
        ctx.tiles, ctx.mask = tiles, mask
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, out, log_sum = ctx.saved_tensors
        saved = (query, key, value, out, log_sum, ctx.mask, ctx.tiles)
        return None, None, *backward_in_tiles(grads[0], *saved)


def attention_in_tiles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: AttentionMask | None,
    tiles: AttentionTiles,
) -> torch.Tensor:
    """`attention` in blocks of a given size: for sweeps and tests."""
    mask = mask or whole_rows(query)
    check_heads(query, key, value, mask)
    return _InTiles.apply(tiles, mask, query, key, value)
