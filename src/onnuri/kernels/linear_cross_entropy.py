"""Output projection and cross-entropy in one function, so that logits of a batch never live at once.

Gradients are computed on the way forward, a chunk of rows at a time. The loss of a batch is a sum, so the
gradient that comes back is one and the same number for every row: it is applied to finished gradients at
the end. Logits of one chunk live at a time and none is computed twice; the price is a gradient of the
weight, [V, E], kept from the forward to the backward pass. Where the numbers are not the same, the work is
done again, row by row exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

IGNORE_INDEX = -100
"""The target that does not count; the value of torch and of `onnuri.tokens.batch`."""
Rows = Callable[[torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]
"""What `losses_and_slopes` does, or another that does it; the slopes may be in the place of the logits."""
CHUNK_LOGITS, LEAST_ROWS = 1 << 24, 256
"""Logits at a time where nothing else is asked for (64 MiB in float32), and rows at least: the gradient of
the weight is gone through once a chunk."""


def linear_cross_entropy_by_definition(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int = 0,
    z_loss: float = 0.0,
) -> torch.Tensor:
    """See `onnuri.kernels.linear_cross_entropy`. With all logits at once: what the others are held to."""
    logits = F.linear(hidden, weight)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    losses = F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="none")
    if z_loss == 0:
        return losses
    return losses + z_loss * logits.logsumexp(-1).square() * (targets != IGNORE_INDEX)


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int = 0,
    z_loss: float = 0.0,
) -> torch.Tensor:
    """See `onnuri.kernels.linear_cross_entropy`."""
    return in_chunks(_in_use[0], hidden, weight, targets, chunk_size, z_loss)


def in_chunks(
    rows: Rows,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int,
    z_loss: float,
) -> torch.Tensor:
    """See `onnuri.kernels.linear_cross_entropy`; `rows` is what is done with a chunk's logits."""
    size = chunk_size or max(LEAST_ROWS, CHUNK_LOGITS // weight.shape[0])
    if not (torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)):
        parts = zip(hidden.split(size), targets.split(size), strict=True)
        return torch.cat([rows(h @ weight.mT, t, z_loss)[0] for h, t in parts])
    losses: torch.Tensor = _LinearCrossEntropy.apply(rows, hidden, weight, targets, size, z_loss)
    return losses


class _LinearCrossEntropy(torch.autograd.Function):
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
        context.rows, context.chunk_size, context.z_loss = rows, chunk_size, z_loss
        losses, *gradients = _with_gradients(rows, hidden, weight, targets, chunk_size, z_loss, None)
        context.save_for_backward(hidden, weight, targets, *gradients)
        return losses

    @staticmethod
    def backward(context: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,) = grads
        hidden, weight, targets, grad_hidden, grad_weight = context.saved_tensors
        counted = grad[targets != IGNORE_INDEX]
        if len(counted) == 0:
            return None, torch.zeros_like(grad_hidden), torch.zeros_like(grad_weight), None, None, None
        if bool((counted == counted[0]).all()):
            return None, grad_hidden * counted[0], grad_weight * counted[0], None, None, None
        chunk_size, z_loss = context.chunk_size, context.z_loss
        _, *exact = _with_gradients(context.rows, hidden, weight, targets, chunk_size, z_loss, grad)
        return (None, *exact, None, None, None)


def _with_gradients(
    rows: Rows,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int,
    z_loss: float,
    factors: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Losses; gradients, by `hidden` and by `weight`, of their sum, each loss times its factor, if any."""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    losses = torch.empty(len(hidden), dtype=wide, device=hidden.device)
    grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=wide)
    for start in range(0, len(hidden), chunk_size):
        part = slice(start, start + chunk_size)
        losses[part], slopes = rows(hidden[part] @ weight.mT, targets[part], z_loss)
        if factors is not None:
            slopes = slopes * factors[part, None]
        slopes = slopes.to(hidden.dtype)
        grad_hidden[part] = slopes @ weight
        if grad_weight.dtype == slopes.dtype:
            grad_weight.addmm_(slopes.mT, hidden[part])
        else:
            grad_weight += slopes.mT @ hidden[part]
    return losses, grad_hidden, grad_weight.to(weight.dtype)


def losses_and_slopes(
    logits: torch.Tensor, targets: torch.Tensor, z_loss: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row of logits [N, V], and its derivative by them, both zero for IGNORE_INDEX."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    counts = targets != IGNORE_INDEX
    places = targets.clamp(min=0)[:, None]
    log_sum = logits.logsumexp(-1, keepdim=True)
    losses = log_sum - logits.gather(1, places) + z_loss * log_sum.square()
    slopes = (logits - log_sum).exp() * (1 + 2 * z_loss * log_sum)
    classes = torch.arange(logits.shape[1], device=logits.device)
    return losses[:, 0] * counts, (slopes - (classes == places).to(slopes)) * counts[:, None]


_in_use: list[Rows] = [losses_and_slopes]


def compile_loss() -> None:
    """Compile what is computed of a chunk's logits, for this whole process: fewer passes over them."""
    _in_use[0] = torch.compile(losses_and_slopes)
