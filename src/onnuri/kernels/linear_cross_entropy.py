"""Output projection and cross-entropy in one function, so that logits of a batch never live at once.

A loss that is summed has its gradients computed on the way forward, a chunk of rows at a time: the
gradient that comes back is one factor for all rows, which finished gradients are multiplied by. Logits of
one chunk live at a time and none is computed twice; the price is a gradient of the weight, [V, E], kept
from the forward to the backward pass. A loss for each row computes its logits again on the way back, where
every row has a factor of its own. Neither reads a value back from a GPU. On CPUs rows that do not count,
as most in chat data, are left out where they are the larger part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F

IGNORE_INDEX = -100
"""The target that does not count; the value of torch and of `onnuri.tokens.batch`."""
Reduction = Literal["none", "sum"]
Rows = Callable[[torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]
"""What `loss_and_dlogits` does, or another that does it; dlogits may be in the place of the logits."""
CHUNK_LOGITS, LEAST_ROWS = 1 << 24, 256
"""Logits at a time where nothing else is asked for (64 MiB in float32), and rows at least: the gradient of
the weight is gone through once a chunk."""
GPU_CHUNK_LOGITS = 1 << 29
"""On GPUs, 1 GiB in bf16: products of 4,096 rows at a vocabulary of 131,072 keep the matrix units busy."""
MOST_COUNTED = 0.5
"""Of the rows: with more that count, all are computed and none is copied."""


def reference_linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int = 0,
    z_loss: float = 0.0,
    reduction: Reduction = "none",
) -> torch.Tensor:
    """See `operations.LinearCrossEntropy`. The reference implementation: all logits at once."""
    logits = F.linear(hidden, weight)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    losses = F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="none")
    if z_loss != 0:
        losses = losses + z_loss * logits.logsumexp(-1).square() * (targets != IGNORE_INDEX)
    return losses.sum() if reduction == "sum" else losses


def in_chunks(
    rows: Rows,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int,
    z_loss: float,
    reduction: Reduction,
) -> torch.Tensor:
    """See `operations.LinearCrossEntropy`; `rows` is what is done with a chunk's logits."""
    if reduction not in ("none", "sum"):
        raise ValueError(f"reduction={reduction!r} is not known; allowed: none, sum")
    if targets.shape != hidden.shape[:1] or weight.shape[1:] != hidden.shape[1:] or chunk_size < 0:
        raise ValueError(
            f"hidden {[*hidden.shape]}, weight {[*weight.shape]}, targets {[*targets.shape]} and "
            f"chunk_size={chunk_size} do not fit"
        )
    counted, rows_given = None, len(targets)
    if hidden.device.type == "cpu" and not torch.compiler.is_compiling():
        found = (targets != IGNORE_INDEX).nonzero()[:, 0]
        if len(found) <= MOST_COUNTED * rows_given:
            counted, hidden, targets = found, hidden.index_select(0, found), targets[found]
    losses = _in_chunks(rows, hidden, weight, targets, chunk_size, z_loss, reduction)
    if counted is None or reduction == "sum":
        return losses
    return losses.new_zeros(rows_given).index_copy(0, counted, losses)


def _in_chunks(
    rows: Rows,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int,
    z_loss: float,
    reduction: Reduction,
) -> torch.Tensor:
    """The same, of rows that are all computed."""
    at_once = GPU_CHUNK_LOGITS if hidden.device.type == "cuda" else CHUNK_LOGITS
    size = chunk_size or max(LEAST_ROWS, at_once // weight.shape[0])
    if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
        function = _Sum if reduction == "sum" else _EachRow
        loss: torch.Tensor = function.apply(rows, hidden, weight, targets, size, z_loss)
        return loss
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    losses = torch.cat([rows(h @ weight.mT, t, z_loss)[0] for h, t in parts])
    return losses.sum() if reduction == "sum" else losses


class _Sum(torch.autograd.Function):
    """Sum of the losses, with gradients computed on the way forward."""

    @staticmethod
    def forward(
        context: Any,
        rows: Rows,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int,
        z_loss: float,
    ) -> torch.Tensor:
        needed = context.needs_input_grad[1], context.needs_input_grad[2]
        losses, *gradients = _with_gradients(
            rows, hidden, weight, targets, chunk_size, z_loss, None, needed
        )
        context.save_for_backward(*gradients)
        return losses.sum()

    @staticmethod
    def backward(context: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        _refuse_a_second_derivative()
        scaled = (None if each is None else each * grads[0] for each in context.saved_tensors)
        return None, *scaled, None, None, None


class _EachRow(torch.autograd.Function):
    """A loss for each row; logits are computed again on the way back."""

    @staticmethod
    def forward(
        context: Any,
        rows: Rows,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int,
        z_loss: float,
    ) -> torch.Tensor:
        context.save_for_backward(hidden, weight, targets)
        context.rows, context.chunk_size, context.z_loss = rows, chunk_size, z_loss
        return _in_chunks(rows, hidden, weight, targets, chunk_size, z_loss, "none")

    @staticmethod
    def backward(context: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        _refuse_a_second_derivative()
        hidden, weight, targets = context.saved_tensors
        needed = context.needs_input_grad[1], context.needs_input_grad[2]
        _, *gradients = _with_gradients(
            context.rows, hidden, weight, targets, context.chunk_size, context.z_loss, grads[0], needed
        )
        return None, *gradients, None, None, None


def _refuse_a_second_derivative() -> None:
    """It would be taken for zero."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            "the loss cannot be differentiated twice; set kernels.linear_cross_entropy=reference"
        )


def _with_gradients(
    rows: Rows,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int,
    z_loss: float,
    factors: torch.Tensor | None,
    needed: tuple[bool, bool],
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Losses; gradients, by `hidden` and by `weight`, of their sum, each loss times its factor, if any.

    Only gradients that are needed are computed.
    """
    wide = torch.promote_types(hidden.dtype, torch.float32)
    losses = torch.empty(len(hidden), dtype=wide, device=hidden.device)
    grad_hidden = torch.empty_like(hidden) if needed[0] else None
    # Summed over chunks in at least float32; of one chunk in its own dtype, as no rows are none at all.
    grad_weight = torch.zeros_like(weight) if needed[1] and not len(hidden) else None
    sum_dtype = hidden.dtype if len(hidden) <= chunk_size else wide
    for start in range(0, len(hidden), chunk_size):
        part = slice(start, start + chunk_size)
        losses[part], dlogits = rows(hidden[part] @ weight.mT, targets[part], z_loss)
        if factors is not None:
            dlogits = dlogits * factors[part, None]
        dlogits = dlogits.to(hidden.dtype)
        if grad_hidden is not None:
            torch.mm(dlogits, weight, out=grad_hidden[part])
        if needed[1]:
            grad_weight = _add_product(grad_weight, dlogits.mT, hidden[part], sum_dtype)
    return losses, grad_hidden, None if grad_weight is None else grad_weight.to(weight.dtype)


def _add_product(
    total: torch.Tensor | None, left: torch.Tensor, right: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """total + left @ right in place, or the product alone, in `dtype` within it where a product can be."""
    if dtype == left.dtype:
        return left @ right if total is None else total.addmm_(left, right)
    if left.device.type == "cpu":
        product = left @ right
        return product.to(dtype) if total is None else total.add_(product)
    if total is None:
        return torch.mm(left, right, out_dtype=dtype)
    return torch.addmm(total, left, right, out_dtype=dtype, out=total)


def loss_and_dlogits(
    logits: torch.Tensor, targets: torch.Tensor, z_loss: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row of logits [N, V], and its derivative by them, both zero for IGNORE_INDEX.

    Any other target outside 0 to V - 1 is an IndexError on CPUs, an assertion of the device on GPUs.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    counts = targets != IGNORE_INDEX
    indices = torch.where(counts, targets, 0)[:, None]
    log_sum = logits.logsumexp(-1, keepdim=True)
    losses = log_sum - logits.gather(1, indices) + z_loss * log_sum.square()
    dlogits = (logits - log_sum).exp() * (1 + 2 * z_loss * log_sum)
    classes = torch.arange(logits.shape[1], device=logits.device)
    dlogits = dlogits - (classes == indices).to(dlogits)
    return torch.where(counts, losses[:, 0], 0), torch.where(counts[:, None], dlogits, 0)


def by_chunks(rows: Rows) -> Callable[..., torch.Tensor]:
    """A `linear_cross_entropy` that does `rows` with a chunk's logits."""

    def linear_cross_entropy(
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        chunk_size: int = 0,
        z_loss: float = 0.0,
        reduction: Reduction = "none",
    ) -> torch.Tensor:
        return in_chunks(rows, hidden, weight, targets, chunk_size, z_loss, reduction)

    # Its place in the module that makes it: by that name a model that holds it is pickled.
    linear_cross_entropy.__module__ = rows.__module__
    linear_cross_entropy.__qualname__ = linear_cross_entropy.__name__
    return linear_cross_entropy


linear_cross_entropy = by_chunks(loss_and_dlogits)
"""See `operations.LinearCrossEntropy`."""


def compiled_linear_cross_entropy() -> Callable[..., torch.Tensor]:
    """The same, with what is computed of a chunk's logits compiled: fewer passes over them."""
    return by_chunks(torch.compile(loss_and_dlogits))
