"""A look at the global gradient norm between its computing and its use.

DeepSpeed computes the norm inside `engine.step()` and drops a step whose norm is invalid, cleaning up after
itself. The gate gives it an invalid norm for every step that is refused: no second pass over the gradients.
Stage 0 has no place for that; there the norm is computed before the step.

Reading the norm is where the host waits for the device, once a step. DeepSpeed then gets a copy in host
memory, so that its own checks and the scale for clipping wait for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

CLIP_EPS = 1e-6
"""Added to a norm before it divides, as in DeepSpeed."""


def install(engine: Any, accept: Callable[[float], bool], gradient_clipping: float) -> None:
    """Ask `accept(norm)` before every optimizer step; where it says False the step is dropped.

    The norm is the same on all ranks, and so must the answer be. It is not asked where DeepSpeed has seen a
    gradient that is not finite and has dropped the step by itself.
    """
    optimizer = engine.optimizer
    if hasattr(optimizer, "_get_norm_groups"):  # ZeRO-3
        optimizer._get_norm_groups = _gate_norm_groups(optimizer._get_norm_groups, accept)
    elif hasattr(optimizer, "get_grads_for_norm"):  # ZeRO-1, bf16
        optimizer.step = _gate_bf16_step(optimizer, accept, gradient_clipping)
    elif hasattr(optimizer, "scaled_global_norm"):  # ZeRO-2, and 1 in fp32
        optimizer.scaled_global_norm = _gate_norm(optimizer.scaled_global_norm, accept)
        if optimizer.cpu_offload:
            optimizer.reset_cpu_buffers = _forget_gradients(optimizer)
    elif hasattr(optimizer, "overflow_checker"):  # stage 0, bf16
        checker, parameters = optimizer.overflow_checker, list(engine.module.parameters())
        checker.check = _gate_overflow(checker.check, parameters, accept)
    else:  # stage 0, fp32: torch's own optimizer
        _gate_plain_step(optimizer, list(engine.module.parameters()), accept, gradient_clipping)


def _gate_norm_groups(
    original: Callable[[], list[torch.Tensor]], accept: Callable[[float], bool]
) -> Callable[[], list[torch.Tensor]]:
    from deepspeed.runtime.utils import combine_grad_norm_groups

    def gated() -> list[torch.Tensor]:
        groups = list(torch.stack(original()).cpu())
        if accept(float(combine_grad_norm_groups(groups))):
            return groups
        return [torch.full_like(group, float("nan")) for group in groups]

    return gated


def _gate_norm(
    original: Callable[[], torch.Tensor], accept: Callable[[float], bool]
) -> Callable[[], torch.Tensor]:
    def gated() -> torch.Tensor:
        norm = original().cpu()
        return norm if accept(float(norm)) else torch.full_like(norm, float("nan"))

    return gated


def _forget_gradients(optimizer: Any) -> Callable[[], None]:
    """What DeepSpeed calls after a dropped step. With an offloaded optimizer it keeps gradients (0.19.8),
    and all later steps would add to them.
    """
    reset = optimizer.reset_cpu_buffers

    def forgetful() -> None:
        reset()
        optimizer.averaged_gradients = dict.fromkeys(optimizer.averaged_gradients)

    return forgetful


def _gate_bf16_step(
    optimizer: Any, accept: Callable[[float], bool], gradient_clipping: float
) -> Callable[[], None]:
    """DeepSpeed looks its norm function up in its module, so it is exchanged there while it steps.

    Clipping is done here too, on the rank's own flat part of the gradients: DeepSpeed would read the norm
    back once more and scale all parameters one by one.
    """
    from deepspeed.runtime import bf16_optimizer

    step, optimizer.clip_grad = optimizer.step, 0.0

    def step_with(norm_function: Callable[..., torch.Tensor]) -> None:
        def gated_norm(*arguments: Any, **options: Any) -> torch.Tensor:
            norm = norm_function(*arguments, **options).cpu()
            if not accept(float(norm)):
                return torch.full_like(norm, float("nan"))
            scale = gradient_clipping / (norm + CLIP_EPS)
            if gradient_clipping and scale < 1:
                for part in optimizer.fp32_groups_gradient_flat_partition:
                    part.mul_(scale)
            return norm

        bf16_optimizer.get_global_norm_of_tensors = gated_norm
        try:
            step()
        finally:
            bf16_optimizer.get_global_norm_of_tensors = norm_function

    return lambda: step_with(bf16_optimizer.get_global_norm_of_tensors)


def _gate_overflow(
    original: Callable[[], bool], parameters: list[torch.Tensor], accept: Callable[[float], bool]
) -> Callable[[], bool]:
    def gated() -> bool:
        return bool(original()) or not accept(float(_norm(parameters)))

    return gated


def _gate_plain_step(
    optimizer: Any,
    parameters: list[torch.Tensor],
    accept: Callable[[float], bool],
    gradient_clipping: float,
) -> None:
    step = optimizer.step

    def gated() -> None:
        norm = _norm(parameters)
        if not accept(float(norm)):
            return
        if gradient_clipping:
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clipping, norm)
        step()

    optimizer.step = gated


def _norm(parameters: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
