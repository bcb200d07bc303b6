"""SwiGLU in one pass over memory each way; silu(gate) is computed again in the backward pass, not kept.

F: width of the feed-forward layer; a row holds F gates, then F ups.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def forward_kernel(gate_up, out, width, BLOCK: tl.constexpr):
    """A stretch of one row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    start = gate_up + row * (2 * width)
    gate = tl.load(start + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(start + width + columns, mask=inside, other=0.0).to(tl.float32)
    value = gate * tl.sigmoid(gate) * up
    tl.store(out + row * width + columns, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(gate_up, grad_out, grad_gate_up, width, BLOCK: tl.constexpr):
    """A stretch of one row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    start = gate_up + row * (2 * width)
    gate = tl.load(start + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(start + width + columns, mask=inside, other=0.0).to(tl.float32)
    grad = tl.load(grad_out + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    share = tl.sigmoid(gate)
    grad_gate = grad * up * share * (1.0 + gate * (1.0 - share))
    target = grad_gate_up + row * (2 * width)
    tl.store(target + columns, grad_gate.to(grad_gate_up.dtype.element_ty), mask=inside)
    tl.store(target + width + columns, (grad * gate * share).to(grad_gate_up.dtype.element_ty), mask=inside)


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: torch.Tensor) -> torch.Tensor:
        gate_up = gate_up.contiguous()
        width = gate_up.shape[-1] // 2
        out = torch.empty((*gate_up.shape[:-1], width), dtype=gate_up.dtype, device=gate_up.device)
        grid = (out.numel() // width, triton.cdiv(width, BLOCK))
        forward_kernel[grid](gate_up, out, width, BLOCK=BLOCK, num_warps=4)
        ctx.save_for_backward(gate_up)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (gate_up,) = ctx.saved_tensors
        width = gate_up.shape[-1] // 2
        grad_gate_up = torch.empty_like(gate_up)
        grid = (gate_up.numel() // (2 * width), triton.cdiv(width, BLOCK))
        backward_kernel[grid](gate_up, grads[0].contiguous(), grad_gate_up, width, BLOCK=BLOCK, num_warps=4)
        return grad_gate_up


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """See `operations.Swiglu`."""
    return _SwiGLU.apply(gate_up)
