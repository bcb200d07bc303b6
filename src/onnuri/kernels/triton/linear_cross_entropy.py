"""The loss of a chunk of logits and its derivative, in one kernel, the derivative in the logits' place.

Matrix products and chunks are those of `onnuri.kernels.linear_cross_entropy`. A program goes over its row
twice: for log(sum(exp(logits))), then backwards to write the derivative, as the end of the row is still in
the cache. Against PyTorch's own this saves the float32 copies of logits, softmax and derivative.

N rows, V vocabulary.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from onnuri.kernels.linear_cross_entropy import IGNORE_INDEX, by_chunks

BLOCK, WARPS = 8192, 16


@triton.jit
def loss_kernel(
    logits, targets, losses, vocabulary, row_stride, z_loss, IGNORE: tl.constexpr, BLOCK: tl.constexpr
):
    """One row of logits [N, V]: its loss, and the derivative in the place of the row.

    A target outside 0 to V - 1 that is not IGNORE gives NaN: the step is skipped and shown, and nothing
    outside the row is read.
    """
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    logits += row * row_stride
    columns = tl.arange(0, BLOCK)
    top = -1.0e30
    sums = tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        inside = start + columns < vocabulary
        block = tl.load(logits + start + columns, mask=inside, other=-float("inf")).to(tl.float32)
        new_top = tl.maximum(top, tl.max(block, 0))
        sums = sums * tl.exp(top - new_top) + tl.exp(block - new_top)
        top = new_top
    log_sum = top + tl.log(tl.sum(sums, 0))
    counts = target != IGNORE
    known = (target >= 0) & (target < vocabulary)
    wanted = tl.load(logits + target, mask=counts & known, other=float("nan")).to(tl.float32)
    tl.store(losses + row, tl.where(counts, log_sum - wanted + z_loss * log_sum * log_sum, 0.0))
    factor = 1.0 + 2.0 * z_loss * log_sum
    last = (tl.cdiv(vocabulary, BLOCK) - 1) * BLOCK
    for passed in range(0, vocabulary, BLOCK):
        start = last - passed
        inside = start + columns < vocabulary
        block = tl.load(logits + start + columns, mask=inside, other=0.0).to(tl.float32)
        hit = tl.where(start + columns == target, 1.0, 0.0)
        derivative = tl.where(known, tl.exp(block - log_sum) * factor - hit, float("nan"))
        derivative = tl.where(counts, derivative, 0.0)
        tl.store(logits + start + columns, derivative.to(logits.dtype.element_ty), mask=inside)


def loss_and_dlogits(
    logits: torch.Tensor, targets: torch.Tensor, z_loss: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `onnuri.kernels.linear_cross_entropy.loss_and_dlogits`; dlogits are in the logits' place."""
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    loss_kernel[(len(logits),)](
        logits, targets.contiguous(), losses, logits.shape[1], logits.stride(0), z_loss,
        IGNORE=IGNORE_INDEX, BLOCK=min(BLOCK, triton.next_power_of_2(logits.shape[1])), num_warps=WARPS,
    )  # fmt: skip
    return losses, logits


linear_cross_entropy = by_chunks(loss_and_dlogits)
"""See `operations.LinearCrossEntropy`."""
