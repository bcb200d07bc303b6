"""Linear cross-entropy that computes gradients on the way forward, a chunk of rows at a time.

The loss of a batch is a sum, so the gradient that comes back is one and the same number for every row: it
is applied to finished gradients at the end. Logits of one chunk live at a time and none is computed twice;
the price is a gradient of the weight, [V, E], kept from the forward to the backward pass. Where the numbers
are not the same, the work is done again, row by row exact.
"""

from __future__ import annotations

from typing import Any

import torch

from onnuri.kernels.linear_cross_entropy import IGNORE_INDEX

CHUNK = 1024
"""Rows at a time where nothing else is asked for."""


def chunked_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk_size: int = 0
) -> torch.Tensor:
    """What `linear_cross_entropy` computes.

    Args:
        hidden: [N, E]. weight: [V, E]. targets: [N] int64; IGNORE_INDEX rows give 0.
        chunk_size: rows at a time; 0: CHUNK.

    Returns:
        [N] float32 (float64 for float64 input), in nats.
    """
    losses: torch.Tensor = _ChunkedCrossEntropy.apply(hidden, weight, targets, chunk_size or CHUNK)
    return losses


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk_size: int
    ) -> torch.Tensor:
        wanted = context.needs_input_grad[:2]
        losses, gradients = _run(hidden, weight, targets, chunk_size, any(wanted), None)
        context.chunk_size = chunk_size
        context.save_for_backward(hidden, weight, targets, *gradients)
        return losses

    @staticmethod
    def backward(context: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,) = grads
        hidden, weight, targets, grad_hidden, grad_weight = context.saved_tensors
        counted = grad[targets != IGNORE_INDEX]
        if len(counted) and not bool((counted == counted[0]).all()):
            _, (grad_hidden, grad_weight) = _run(hidden, weight, targets, context.chunk_size, True, grad)
            return grad_hidden, grad_weight, None, None
        factor = counted[0] if len(counted) else 0.0
        return grad_hidden * factor, grad_weight * factor, None, None


def _run(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    chunk_size: int,
    differentiate: bool,
    factors: torch.Tensor | None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Losses, and gradients of their sum, each loss times its factor if there are any."""
    wide = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    losses = torch.zeros(len(hidden), dtype=wide, device=hidden.device)
    if not differentiate:
        for start in range(0, len(hidden), chunk_size):
            part = slice(start, start + chunk_size)
            losses[part] = losses_and_slopes(hidden[part] @ weight.mT, targets[part])[0]
        return losses, []
    grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=wide)
    for start in range(0, len(hidden), chunk_size):
        part = slice(start, start + chunk_size)
        losses[part], slopes = losses_and_slopes(hidden[part] @ weight.mT, targets[part])
        if factors is not None:
            slopes = slopes * factors[part, None]
        slopes = slopes.to(hidden.dtype)
        grad_hidden[part] = slopes @ weight
        grad_weight += slopes.mT @ hidden[part]
    return losses, [grad_hidden, grad_weight.to(weight.dtype)]


def losses_and_slopes(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row of logits [N, V], and its derivative by them, both zero for IGNORE_INDEX."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    counts = targets != IGNORE_INDEX
    places = targets.clamp(min=0)[:, None]
    log_sum = logits.logsumexp(-1, keepdim=True)
    losses = (log_sum - logits.gather(1, places))[:, 0] * counts
    slopes = (logits - log_sum).exp()
    classes = torch.arange(logits.shape[1], device=logits.device)
    return losses, (slopes - (classes == places).to(slopes)) * counts[:, None]
