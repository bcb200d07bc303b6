"""Output projection and cross-entropy over chunks of rows; one chunk of logits lives at a time.

The forward pass keeps one number a row, the logarithm of the softmax's denominator. The backward pass
computes a chunk's logits again and turns them into their gradient in place. Against keeping the logits
this costs one more matrix product in four; against PyTorch's it saves the float32 copies of the logits,
of their softmax and of their gradient. Matrix products are PyTorch's; the chunks' parts of the weight's
gradient are summed in float32.

N rows, E hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl

from onnuri.kernels.linear_cross_entropy import IGNORE_INDEX

BLOCK = 4096
CHUNK_BYTES = 256 * 2**20
"""Logits of a chunk whose size is left to us."""


@triton.jit
def loss_kernel(
    logits, targets, losses, log_sums, vocabulary, z_loss, IGNORE: tl.constexpr, BLOCK: tl.constexpr
):
    """One row: its loss, and log(sum(exp(logits))) in float32, which one pass over the row gives."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    logits += row * vocabulary
    columns = tl.arange(0, BLOCK)
    largest = tl.full([BLOCK], -1.0e30, tl.float32)
    sums = tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        inside = start + columns < vocabulary
        block = tl.load(logits + start + columns, mask=inside, other=-float("inf")).to(tl.float32)
        new_largest = tl.maximum(largest, block)
        sums = sums * tl.exp(largest - new_largest) + tl.exp(block - new_largest)
        largest = new_largest
    top = tl.max(largest, 0)
    log_sum = top + tl.log(tl.sum(sums * tl.exp(largest - top), 0))
    tl.store(log_sums + row, log_sum)
    counts = target != IGNORE
    wanted = tl.load(logits + target, mask=counts, other=0.0).to(tl.float32)
    tl.store(losses + row, tl.where(counts, log_sum - wanted + z_loss * log_sum * log_sum, 0.0))


@triton.jit
def logits_gradient_kernel(
    logits, targets, log_sums, grad_losses, vocabulary, z_loss, IGNORE: tl.constexpr, BLOCK: tl.constexpr
):
    """A stretch of one row of logits into its gradient, in place."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < vocabulary
    target = tl.load(targets + row)
    log_sum = tl.load(log_sums + row)
    grad = tl.where(target != IGNORE, tl.load(grad_losses + row), 0.0)
    addresses = logits + row * vocabulary + columns
    block = tl.load(addresses, mask=inside, other=0.0).to(tl.float32)
    share = tl.exp(block - log_sum)
    hit = tl.where(columns == target, 1.0, 0.0)
    gradient = grad * (share * (1.0 + 2.0 * z_loss * log_sum) - hit)
    tl.store(addresses, gradient.to(logits.dtype.element_ty), mask=inside)


def _chunk_rows(chunk_size: int, vocabulary: int, element_size: int) -> int:
    return chunk_size or max(1, CHUNK_BYTES // (vocabulary * element_size))


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int,
        z_loss: float,
    ) -> torch.Tensor:
        rows, vocabulary = hidden.shape[0], weight.shape[0]
        chunk = _chunk_rows(chunk_size, vocabulary, hidden.element_size())
        losses = torch.empty(rows, dtype=torch.float32, device=hidden.device)
        log_sums = torch.empty_like(losses)
        for start in range(0, rows, chunk):
            part = slice(start, start + chunk)
            logits = F.linear(hidden[part], weight)
            loss_kernel[(len(logits),)](
                logits, targets[part], losses[part], log_sums[part], vocabulary, z_loss,
                IGNORE=IGNORE_INDEX, BLOCK=min(BLOCK, triton.next_power_of_2(vocabulary)), num_warps=8,
            )  # fmt: skip
            del logits  # before the next chunk's are computed
        ctx.save_for_backward(hidden, weight, targets, log_sums)
        ctx.chunk, ctx.z_loss = chunk, z_loss
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, targets, log_sums = ctx.saved_tensors
        grad_losses = grads[0].contiguous()
        vocabulary = weight.shape[0]
        block = min(BLOCK, triton.next_power_of_2(vocabulary))
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight: torch.Tensor | None = None
        for start in range(0, len(hidden), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            logits = F.linear(hidden[part], weight)
            logits_gradient_kernel[(len(logits), triton.cdiv(vocabulary, block))](
                logits, targets[part], log_sums[part], grad_losses[part], vocabulary, ctx.z_loss,
                IGNORE=IGNORE_INDEX, BLOCK=block, num_warps=8,
            )  # fmt: skip
            if grad_hidden is not None:
                torch.mm(logits, weight, out=grad_hidden[part])
            if ctx.needs_input_grad[1]:
                of_chunk = logits.t() @ hidden[part]
                if len(hidden) > ctx.chunk:
                    of_chunk = of_chunk.float()
                grad_weight = of_chunk if grad_weight is None else grad_weight.add_(of_chunk)
                del of_chunk
            del logits
        return grad_hidden, None if grad_weight is None else grad_weight.to(weight.dtype), None, None, None


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int = 0,
    z_loss: float = 0.0,
) -> torch.Tensor:
    """See `onnuri.kernels.linear_cross_entropy`; `chunk_size` 0 takes chunks of 256 MiB of logits."""
    return _LinearCrossEntropy.apply(
        hidden.contiguous(), weight.contiguous(), targets.contiguous(), chunk_size, z_loss
    )
