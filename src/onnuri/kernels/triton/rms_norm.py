"""RMSNorm in one pass over memory, alone or with the addition to the residual stream before it.

Sums and products are in float32 and rounded once. The gradient of the weight is summed by each program over
its own rows, then over programs in a fixed order: no atomics, the same bits each time.

N: elements of the last dimension. Rows: all other dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from onnuri.base.errors import UserError

TILE_ELEMENTS = 8192
"""Of a block, and of the longest row: beyond it the backward pass spills registers."""
PROGRAMS = 512
"""Programs that share the rows of a backward pass; a constant, so that sums do not depend on the GPU."""


@triton.jit
def forward_kernel(
    hidden, residual, weight, out, total, inverse_rms, eps, num_rows, outer_stride, inner_stride,
    INNER: tl.constexpr, SIZE: tl.constexpr, ROWS: tl.constexpr, N: tl.constexpr, ADD: tl.constexpr,
):  # fmt: skip
    """ROWS rows; row r of `hidden` is at r // INNER outer and r % INNER inner strides."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, N)
    inside = (rows < num_rows)[:, None] & (columns < SIZE)[None, :]
    packed = rows[:, None] * SIZE + columns[None, :]
    strided = (rows // INNER * outer_stride + rows % INNER * inner_stride)[:, None] + columns[None, :]
    wide = tl.load(hidden + strided, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        wide += tl.load(residual + packed, mask=inside, other=0.0).to(tl.float32)
        rounded = wide.to(total.dtype.element_ty)
        tl.store(total + packed, rounded, mask=inside)
        wide = rounded.to(tl.float32)
    scale = 1.0 / tl.sqrt(tl.sum(wide * wide, 1) / SIZE + eps)
    tl.store(inverse_rms + rows, scale, mask=rows < num_rows)
    factors = tl.load(weight + columns, mask=columns < SIZE, other=0.0).to(tl.float32)
    tl.store(out + packed, (wide * scale[:, None] * factors[None, :]).to(out.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(
    hidden, weight, inverse_rms, grad_out, grad_total, grad_hidden, weight_sums, num_rows,
    outer_stride, inner_stride, blocks_per_program,
    INNER: tl.constexpr, SIZE: tl.constexpr, ROWS: tl.constexpr, N: tl.constexpr, ADD: tl.constexpr,
):  # fmt: skip
    """Blocks of rows one after another; weight_sums [programs, SIZE]: this program's part."""
    program = tl.program_id(0)
    columns = tl.arange(0, N)
    factors = tl.load(weight + columns, mask=columns < SIZE, other=0.0).to(tl.float32)
    sums = tl.zeros([N], tl.float32)
    begin = program * blocks_per_program
    for block in range(begin, tl.minimum(begin + blocks_per_program, tl.cdiv(num_rows, ROWS))):
        rows = tl.cast(block, tl.int64) * ROWS + tl.arange(0, ROWS)
        inside = (rows < num_rows)[:, None] & (columns < SIZE)[None, :]
        packed = rows[:, None] * SIZE + columns[None, :]
        strided = (rows // INNER * outer_stride + rows % INNER * inner_stride)[:, None] + columns[None, :]
        scale = tl.load(inverse_rms + rows, mask=rows < num_rows, other=0.0)
        unit = tl.load(hidden + strided, mask=inside, other=0.0).to(tl.float32) * scale[:, None]
        grad = tl.load(grad_out + packed, mask=inside, other=0.0).to(tl.float32)
        sums += tl.sum(grad * unit, 0)
        grad *= factors[None, :]
        grad = scale[:, None] * (grad - unit * (tl.sum(grad * unit, 1) / SIZE)[:, None])
        if ADD:
            grad += tl.load(grad_total + packed, mask=inside, other=0.0).to(tl.float32)
        tl.store(grad_hidden + packed, grad.to(grad_hidden.dtype.element_ty), mask=inside)
    tl.store(weight_sums + program.to(tl.int64) * SIZE + columns, sums, mask=columns < SIZE)


def _row_strides(hidden: torch.Tensor) -> tuple[torch.Tensor, int, int, int]:
    """Rows as (outer, inner) steps: a slice of heads [B, S, H, D] of a wider tensor needs no copy."""
    if hidden.dim() > 1 and hidden.stride(-1) == 1:
        inner = hidden.shape[-2]
        outer = hidden.select(-2, 0)
        lead = outer.shape[:-1]
        step = outer.stride(-2) if len(lead) else 0
        if all(outer.stride(d) == outer.stride(d + 1) * lead[d + 1] for d in range(len(lead) - 1)):
            return hidden, inner, step, hidden.stride(-2)
    hidden = hidden.contiguous()
    return hidden, 1, hidden.shape[-1], 0


def _launch(size: int) -> dict[str, int]:
    """Rows in a block, padded row and warps: 16 elements a thread."""
    padded = triton.next_power_of_2(size)
    return {"ROWS": TILE_ELEMENTS // padded, "N": padded, "num_warps": 16}


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, residual: torch.Tensor | None, weight: torch.Tensor, eps: float
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        size = hidden.shape[-1]
        hidden, inner, outer_stride, inner_stride = _row_strides(hidden)
        out = torch.empty(hidden.shape, dtype=hidden.dtype, device=hidden.device)
        total = torch.empty_like(out) if residual is not None else None
        rows = out.numel() // size
        inverse_rms = torch.empty(rows, dtype=torch.float32, device=hidden.device)
        launch = _launch(size)
        forward_kernel[(triton.cdiv(rows, launch["ROWS"]),)](
            hidden, None if residual is None else residual.contiguous(), weight, out, total, inverse_rms,
            eps, rows, outer_stride, inner_stride,
            INNER=inner, SIZE=size, ADD=residual is not None, **launch,
        )  # fmt: skip
        ctx.save_for_backward(hidden if total is None else total, weight, inverse_rms)
        ctx.add = total is not None
        return out if total is None else (out, total)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, inverse_rms = ctx.saved_tensors
        hidden, inner, outer_stride, inner_stride = _row_strides(hidden)
        size, rows, launch = hidden.shape[-1], inverse_rms.numel(), _launch(hidden.shape[-1])
        grad_hidden = torch.empty(hidden.shape, dtype=hidden.dtype, device=hidden.device)
        blocks = triton.cdiv(rows, launch["ROWS"])
        blocks_per_program = triton.cdiv(blocks, PROGRAMS)
        programs = triton.cdiv(blocks, blocks_per_program)
        sums = torch.empty((programs, size), dtype=torch.float32, device=hidden.device)
        backward_kernel[(programs,)](
            hidden, weight, inverse_rms, grads[0].contiguous(),
            grads[1].contiguous() if ctx.add else None, grad_hidden, sums, rows,
            outer_stride, inner_stride, blocks_per_program, INNER=inner, SIZE=size, ADD=ctx.add, **launch,
        )  # fmt: skip
        return grad_hidden, grad_hidden if ctx.add else None, sums.sum(0).to(weight.dtype), None


def _check(hidden: torch.Tensor) -> None:
    if hidden.shape[-1] > TILE_ELEMENTS:
        raise UserError(
            f"rms_norm=triton takes rows of up to {TILE_ELEMENTS} elements, found {hidden.shape[-1]}; "
            "set kernels.rms_norm=torch"
        )


def rms_norm(hidden: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """See `operations.RmsNorm`."""
    _check(hidden)
    return _RMSNorm.apply(hidden, None, weight, eps)


def add_rms_norm(
    hidden: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `operations.AddRmsNorm`."""
    _check(hidden)
    return _RMSNorm.apply(hidden, residual, weight, eps)
