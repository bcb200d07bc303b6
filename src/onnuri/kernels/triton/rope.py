"""Rotary positions out of place; the backward pass is the same turn by the opposite angle."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

TILE_ELEMENTS = 1024


@triton.jit
def turn_kernel(
    heads, out, cosine, sine, positions, num_rows, token_stride, head_stride, sign,
    HEADS: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """ROWS rows; row r is head r % HEADS of token r // HEADS, whose tables are at its position."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, N)
    inside = (rows < num_rows)[:, None] & (columns < HALF)[None, :]
    tokens = rows // HEADS
    position = tl.load(positions + tokens, mask=rows < num_rows, other=0).to(tl.int64)
    table = position[:, None] * HALF + columns[None, :]
    across = tl.load(cosine + table, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(sine + table, mask=inside, other=0.0).to(tl.float32) * sign
    strided = (tokens * token_stride + rows % HEADS * head_stride)[:, None] + columns[None, :]
    first = tl.load(heads + strided, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(heads + strided + HALF, mask=inside, other=0.0).to(tl.float32)
    packed = rows[:, None] * (2 * HALF) + columns[None, :]
    tl.store(out + packed, (first * across - second * up).to(out.dtype.element_ty), mask=inside)
    tl.store(out + packed + HALF, (second * across + first * up).to(out.dtype.element_ty), mask=inside)


def _turn(
    heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, positions: torch.Tensor, sign: float
) -> torch.Tensor:
    batch, length, num_heads, size = heads.shape
    if heads.stride(-1) != 1 or heads.stride(0) != length * heads.stride(1):
        heads = heads.contiguous()
    out = torch.empty(heads.shape, dtype=heads.dtype, device=heads.device)
    padded = triton.next_power_of_2(size // 2)
    rows, tile = batch * length * num_heads, max(1, TILE_ELEMENTS // padded)
    turn_kernel[(triton.cdiv(rows, tile),)](
        heads, out, cosine, sine, positions, rows, heads.stride(1), heads.stride(2), sign,
        HEADS=num_heads, HALF=size // 2, ROWS=tile, N=padded, num_warps=4,
    )  # fmt: skip
    return out


class _Rope(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        heads: torch.Tensor,
        cosine: torch.Tensor,
        sine: torch.Tensor,
        positions: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(cosine, sine, positions)
        return _turn(heads, cosine, sine, positions, 1.0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        cosine, sine, positions = ctx.saved_tensors
        return _turn(grads[0], cosine, sine, positions, -1.0), None, None, None


def apply_rope(
    heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, positions: torch.Tensor | None = None
) -> torch.Tensor:
    """See `operations.ApplyRope`."""
    batch, length = heads.shape[:2]
    if positions is None and cosine.dim() == 2:
        positions = torch.arange(length, device=heads.device).expand(batch, length)
    elif positions is None:
        positions = torch.arange(batch * length, device=heads.device)
    return _Rope.apply(heads, cosine.contiguous(), sine.contiguous(), positions.contiguous())
