"""Triton's attention as an operator: launches of the kernels in tiles that suit the device.

T packed tokens (B x S), H query heads, K key/value heads, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from triton.tools.tensor_descriptor import TensorDescriptor

from onnuri.kernels.attention_mask import AttentionMask, check_heads, whole_rows
from onnuri.kernels.attention_operator import attention_operator, empty_log_sum
from onnuri.kernels.triton.attention_kernels import (
    forward_kernel,
    key_value_gradient_kernel,
    query_gradient_kernel,
)
from onnuri.kernels.triton.tiles import (
    AttentionTiles,
    Tile,
    attention_tiles,
    device_capability,
    padded_head_size,
)


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


def _under(mask: AttentionMask, tile: Tile) -> Tile:
    """With half as many keys where documents branch: every block then has a mask, which takes registers."""
    return tile._replace(keys=max(16, tile.keys // 2)) if mask.branched else tile


def forward_in_tiles(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: AttentionMask, tiles: AttentionTiles
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention as `query` [B, S, H, D] and contiguous, and log2 of each row's denominator [H, T]."""
    out, log_sum = torch.empty(query.shape, dtype=query.dtype, device=query.device), empty_log_sum(query)
    flat = [*map(_packed, (query, key, value)), out.flatten(0, 1)]
    tokens, heads, size = flat[0].shape
    tile, strides, sources = _under(mask, tiles.forward), _strides(*flat), [*flat]
    tma = bool(tile.tma) and all(map(_suits_tma, flat[1:3]))
    if tma:
        sources[1:3] = [_descriptor(each, tile.keys) for each in flat[1:3]]
    forward_kernel[(triton.cdiv(tokens, tile.queries), heads)](
        *sources, log_sum, mask.first_key, mask.end_query, size**-0.5, tokens, *strides,
        GROUP=heads // key.shape[2], HEAD_DIM=size, D=padded_head_size(size), TMA=tma,
        BRANCHED=mask.branched, **tile.launch(),
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
    constants = {"GROUP": heads // keys.shape[1], "HEAD_DIM": size, "D": padded_head_size(size)}
    constants["BRANCHED"] = mask.branched
    delta, tile = torch.empty_like(log_sum), _under(mask, tiles.query_gradient)
    query_gradient_kernel[(triton.cdiv(tokens, tile.queries), heads)](
        queries, keys, values, out, grad_out, grad_query, log_sum, delta, mask.first_key, mask.end_query,
        size**-0.5, tokens, *_strides(queries, keys, values, out), **constants, **tile.launch(),
    )  # fmt: skip
    tile = tiles.key_value_gradient
    key_value_gradient_kernel[(triton.cdiv(tokens, tile.keys), keys.shape[1])](
        queries, keys, values, grad_out, grad_key, grad_value, log_sum, delta, mask.end_query, size**-0.5,
        tokens, *_strides(queries, keys, values, grad_out, grad_key), **constants, **tile.launch(),
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


attention = attention_operator("triton_attention", _forward, _backward, ("cuda", "cpu"))
"""See `operations.Attention`. Head sizes up to 128, fp32, fp16 and bf16; sums are in fp32. On CPU
tensors for Triton's interpreter."""


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
