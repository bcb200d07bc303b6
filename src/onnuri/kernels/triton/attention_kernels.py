"""Causal attention with packed documents, grouped queries and sliding windows: one scheme, three kernels.

Two int32 arrays of the `AttentionMask` say all there is to know: query q attends to the keys first_key[q]
to q, and key k is attended to by the queries k to end_query[k] - 1. Documents and windows are folded into
them and neither ever decreases, so the first and last entry of a block bound its loops exactly: no block
mask, no work outside a document. In all three kernels the blocks in the middle of that range, which every
row attends to in full, are walked without a mask; those at its two ends with one. Where documents branch
(BRANCHED) end_query may decrease within a document and both arrays are asked: every block has a mask, or is
left out as another branch's.

The softmax is online and in base 2 (Dao, arXiv 2307.08691). The backward pass has no atomics: one kernel
owns blocks of queries (dQ), another blocks of keys (dK, dV) and walks over all query heads of its group,
so that gradients are the same bit for bit each time. The price is a second computation of the scores.

T packed tokens (B x S), H query heads, K key/value heads, D head size. M, N: sizes of query and key blocks.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LOWEST = tl.constexpr(-1.0e30)  # below any score, yet finite: a difference of two is 0, not NaN


@triton.jit
def _addresses(base, start, stride, ROWS: tl.constexpr, D: tl.constexpr):
    """Of the rows from `start` on, [ROWS, D]: 64 bits for the first, 32 for the steps from there."""
    steps = tl.arange(0, ROWS)[:, None] * stride + tl.arange(0, D)[None, :]
    return base + tl.cast(start, tl.int64) * stride + steps


@triton.jit
def _load_block(
    base, start, stride, num_rows, ROWS: tl.constexpr, HEAD_DIM: tl.constexpr, D: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """Rows of one head, [ROWS, D]; zeros beyond `num_rows` and beyond the head size."""
    addresses = _addresses(base, start, stride, ROWS, D)
    inside = (tl.arange(0, D) < HEAD_DIM)[None, :]
    if MASKED:
        rows = (start + tl.arange(0, ROWS) < num_rows)[:, None]
        if HEAD_DIM == D:
            return tl.load(addresses, mask=rows, other=0.0)
        return tl.load(addresses, mask=rows & inside, other=0.0)
    if HEAD_DIM == D:
        return tl.load(addresses)
    return tl.load(addresses, mask=inside, other=0.0)


@triton.jit
def _store_block(
    base, start, stride, num_rows, block, ROWS: tl.constexpr, HEAD_DIM: tl.constexpr, D: tl.constexpr
):
    rows = (start + tl.arange(0, ROWS) < num_rows)[:, None]
    inside = (tl.arange(0, D) < HEAD_DIM)[None, :]
    addresses = _addresses(base, start, stride, ROWS, D)
    tl.store(addresses, block.to(base.dtype.element_ty), mask=rows & inside)


@triton.jit
def _seen(start, rows, first, end_query, num_tokens, N: tl.constexpr, BRANCHED: tl.constexpr):
    """Which of N keys from `start` on each row attends to, [rows, N]."""
    keys = start + tl.arange(0, N)
    seen = (keys[None, :] <= rows[:, None]) & (keys[None, :] >= first[:, None])
    if BRANCHED:
        ends = tl.load(end_query + keys, mask=keys < num_tokens, other=0)
        seen = seen & (rows[:, None] < ends[None, :])
    return seen


@triton.jit
def _any_seen(start, first_row, end_query, num_tokens, N: tl.constexpr):
    """Whether rows from `first_row` on attend to any of N keys from `start` on: else these are another
    branch's."""
    keys = start + tl.arange(0, N)
    return tl.max(tl.load(end_query + keys, mask=keys < num_tokens, other=0), 0) > first_row


@triton.jit
def _attend(
    weighted, row_max, row_sum, query_block, key, value, column, start, rows, first, end_query, key_stride,
    value_stride, num_tokens, scale, N: tl.constexpr, HEAD_DIM: tl.constexpr, D: tl.constexpr,
    MASKED: tl.constexpr, TMA: tl.constexpr, BRANCHED: tl.constexpr,
):  # fmt: skip
    """One block of keys into the running softmax."""
    if TMA:
        key_block = key.load([start, column])
    else:
        key_block = _load_block(key, start, key_stride, num_tokens, N, HEAD_DIM, D, MASKED)
    scores = tl.dot(query_block, tl.trans(key_block), input_precision="ieee")
    if MASKED:
        seen = _seen(start, rows, first, end_query, num_tokens, N, BRANCHED)
        scores = tl.where(seen, scores, -float("inf"))
    new_max = tl.maximum(row_max, tl.max(scores, 1) * scale)
    weights = tl.math.exp2(scores * scale - new_max[:, None])
    shrink = tl.math.exp2(row_max - new_max)
    row_sum = row_sum * shrink + tl.sum(weights, 1)
    if TMA:
        value_block = value.load([start, column])
    else:
        value_block = _load_block(value, start, value_stride, num_tokens, N, HEAD_DIM, D, MASKED)
    weighted = tl.dot(
        weights.to(value_block.dtype), value_block, weighted * shrink[:, None], input_precision="ieee"
    )
    return weighted, new_max, row_sum


@triton.jit
def forward_kernel(
    query, key, value, out, log_sum, first_key, end_query, scale, num_tokens,
    query_stride, query_head_stride, key_stride, key_head_stride, value_stride, value_head_stride,
    out_stride, out_head_stride,
    GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    TMA: tl.constexpr, BRANCHED: tl.constexpr,
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
        query + head * query_head_stride, start, query_stride, num_tokens, M, HEAD_DIM, D, True
    )
    first = tl.load(first_key + rows, mask=rows < num_tokens, other=0)
    column = (tl.program_id(1) // GROUP) * HEAD_DIM
    if not TMA:
        key += (head // GROUP) * key_head_stride
        value += (head // GROUP) * value_head_stride

    # Keys from `begin` to `whole` and from `edge` to `last` need a mask; those in between do not.
    begin = tl.load(first_key + start) // N * N
    whole = last + 1
    if not BRANCHED:
        whole = tl.minimum((tl.load(first_key + last) + N - 1) // N * N, whole)
    edge = tl.maximum(start // N * N, whole)
    scale = scale * LOG2_E
    row_max = tl.full([M], LOWEST, tl.float32)
    row_sum = tl.zeros([M], tl.float32)
    weighted = tl.zeros([M, D], tl.float32)
    if not BRANCHED:
        for offset in tl.range(0, edge - whole, N):
            weighted, row_max, row_sum = _attend(
                weighted, row_max, row_sum, query_block, key, value, column, whole + offset, rows, first,
                end_query, key_stride, value_stride, num_tokens, scale, N, HEAD_DIM, D, False, TMA, False,
            )  # fmt: skip
    left = whole - begin
    for offset in tl.range(0, left + last + 1 - edge, N):
        block_start = tl.where(offset < left, begin + offset, edge + offset - left)
        seen = True
        if BRANCHED:
            seen = _any_seen(block_start, start, end_query, num_tokens, N)
        if seen:
            weighted, row_max, row_sum = _attend(
                weighted, row_max, row_sum, query_block, key, value, column, block_start, rows, first,
                end_query, key_stride, value_stride, num_tokens, scale, N, HEAD_DIM, D, True, TMA, BRANCHED,
            )  # fmt: skip
    _store_block(
        out + head * out_head_stride,
        start,
        out_stride,
        num_tokens,
        weighted / row_sum[:, None],
        M,
        HEAD_DIM,
        D,
    )
    tl.store(log_sum + head * num_tokens + rows, row_max + tl.math.log2(row_sum), mask=rows < num_tokens)


@triton.jit
def _query_gradient_step(
    gradient, query_block, grad_block, normaliser, shift, key, value, start, rows, first, end_query,
    key_stride, value_stride, num_tokens, scale, N: tl.constexpr, HEAD_DIM: tl.constexpr,
    D: tl.constexpr, MASKED: tl.constexpr, BRANCHED: tl.constexpr,
):  # fmt: skip
    """What one block of keys adds to dQ."""
    key_block = _load_block(key, start, key_stride, num_tokens, N, HEAD_DIM, D, MASKED)
    value_block = _load_block(value, start, value_stride, num_tokens, N, HEAD_DIM, D, MASKED)
    scores = tl.dot(query_block, tl.trans(key_block), input_precision="ieee")
    weights = tl.math.exp2(scores * (scale * LOG2_E) - normaliser[:, None])
    if MASKED:
        seen = _seen(start, rows, first, end_query, num_tokens, N, BRANCHED)
        weights = tl.where(seen, weights, 0.0)
    grad_weights = tl.dot(grad_block, tl.trans(value_block), input_precision="ieee")
    grad_scores = weights * (grad_weights - shift[:, None])
    return tl.dot(grad_scores.to(key_block.dtype), key_block, gradient, input_precision="ieee")


@triton.jit
def query_gradient_kernel(
    query, key, value, out, grad_out, grad_query, log_sum, delta, first_key, end_query, scale, num_tokens,
    query_stride, query_head_stride, key_stride, key_head_stride, value_stride, value_head_stride,
    out_stride, out_head_stride,
    GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    BRANCHED: tl.constexpr,
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
    grad_block = _load_block(grad_out, start, out_stride, num_tokens, M, HEAD_DIM, D, True)
    out_block = _load_block(out, start, out_stride, num_tokens, M, HEAD_DIM, D, True)
    shift = tl.sum(out_block.to(tl.float32) * grad_block.to(tl.float32), 1)
    tl.store(delta + head * num_tokens + rows, shift, mask=inside)
    query_block = _load_block(
        query + head * query_head_stride, start, query_stride, num_tokens, M, HEAD_DIM, D, True
    )
    normaliser = tl.load(log_sum + head * num_tokens + rows, mask=inside, other=0.0)
    first = tl.load(first_key + rows, mask=inside, other=0)
    key += (head // GROUP) * key_head_stride
    value += (head // GROUP) * value_head_stride

    begin = tl.load(first_key + start) // N * N
    whole = last + 1
    if not BRANCHED:
        whole = tl.minimum((tl.load(first_key + last) + N - 1) // N * N, whole)
    edge = tl.maximum(start // N * N, whole)
    gradient = tl.zeros([M, D], tl.float32)
    if not BRANCHED:
        for offset in tl.range(0, edge - whole, N):
            gradient = _query_gradient_step(
                gradient, query_block, grad_block, normaliser, shift, key, value, whole + offset, rows,
                first, end_query, key_stride, value_stride, num_tokens, scale, N, HEAD_DIM, D, False, False,
            )  # fmt: skip
    left = whole - begin
    for offset in tl.range(0, left + last + 1 - edge, N):
        block_start = tl.where(offset < left, begin + offset, edge + offset - left)
        seen = True
        if BRANCHED:
            seen = _any_seen(block_start, start, end_query, num_tokens, N)
        if seen:
            gradient = _query_gradient_step(
                gradient, query_block, grad_block, normaliser, shift, key, value, block_start, rows, first,
                end_query, key_stride, value_stride, num_tokens, scale, N, HEAD_DIM, D, True, BRANCHED,
            )  # fmt: skip
    _store_block(
        grad_query + head * out_head_stride,
        start,
        out_stride,
        num_tokens,
        gradient * scale,
        M,
        HEAD_DIM,
        D,
    )


@triton.jit
def _key_value_gradient_step(
    key_gradient, value_gradient, key_block, value_block, query, grad_out, log_sum, delta, start, key_start,
    end_query, query_stride, out_stride, num_tokens, scale, M: tl.constexpr, N: tl.constexpr,
    HEAD_DIM: tl.constexpr, D: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """What one block of queries of one head adds to dK and dV."""
    rows = start + tl.arange(0, M)
    query_block = _load_block(query, start, query_stride, num_tokens, M, HEAD_DIM, D, MASKED)
    grad_block = _load_block(grad_out, start, out_stride, num_tokens, M, HEAD_DIM, D, MASKED)
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
    GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    BRANCHED: tl.constexpr,
):  # fmt: skip
    """dK and dV of one block of keys of one key/value head, over all query heads that it serves."""
    kv_head = tl.program_id(1).to(tl.int64)
    start = tl.program_id(0) * N
    key_block = _load_block(
        key + kv_head * key_head_stride, start, key_stride, num_tokens, N, HEAD_DIM, D, True
    )
    value_block = _load_block(
        value + kv_head * value_head_stride, start, value_stride, num_tokens, N, HEAD_DIM, D, True
    )

    # Rows from `begin` to `whole` and from `edge` to `stop` need a mask; those in between do not.
    begin = start // M * M
    if BRANCHED:
        keys = start + tl.arange(0, N)
        stop = tl.max(tl.load(end_query + keys, mask=keys < num_tokens, other=0), 0)
        whole = stop
    else:
        stop = tl.load(end_query + tl.minimum(start + N, num_tokens) - 1)
        whole = tl.minimum((start + N + M - 1) // M * M, stop)
    edge = tl.maximum(tl.load(end_query + start) // M * M, whole)
    left = whole - begin
    key_gradient = tl.zeros([N, D], tl.float32)
    value_gradient = tl.zeros([N, D], tl.float32)
    # Two loops over the heads of the group and half as many rows at a time under the mask: in one loop, or
    # with all rows, the mask takes the registers that larger blocks need.
    if not BRANCHED:
        for member in range(GROUP):
            head = kv_head * GROUP + member
            for row in tl.range(whole, edge, M):
                key_gradient, value_gradient = _key_value_gradient_step(
                    key_gradient, value_gradient, key_block, value_block, query + head * query_head_stride,
                    grad_out + head * out_head_stride, log_sum + head * num_tokens,
                    delta + head * num_tokens, row, start, end_query, query_stride, out_stride, num_tokens,
                    scale, M, N, HEAD_DIM, D, False,
                )  # fmt: skip
    FEWER: tl.constexpr = M // 2 if M > 16 else M
    for member in range(GROUP):
        head = kv_head * GROUP + member
        for offset in tl.range(0, left + stop - edge, FEWER):
            row = tl.where(offset < left, begin + offset, edge + offset - left)
            key_gradient, value_gradient = _key_value_gradient_step(
                key_gradient, value_gradient, key_block, value_block, query + head * query_head_stride,
                grad_out + head * out_head_stride, log_sum + head * num_tokens, delta + head * num_tokens,
                row, start, end_query, query_stride, out_stride, num_tokens, scale, FEWER, N, HEAD_DIM, D,
                True,
            )  # fmt: skip
    grad_key += kv_head * grad_head_stride
    grad_value += kv_head * grad_head_stride
    _store_block(grad_key, start, grad_stride, num_tokens, key_gradient * scale, N, HEAD_DIM, D)
    _store_block(grad_value, start, grad_stride, num_tokens, value_gradient, N, HEAD_DIM, D)
