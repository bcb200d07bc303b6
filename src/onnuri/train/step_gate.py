"""A look at the global gradient norm between its computing and its use.

DeepSpeed computes the norm inside `engine.step()` and drops a step whose norm is invalid, cleaning up after
itself. Under ZeRO-2 and 3 the gate gives it an invalid norm for every step that is refused: no second pass
over the gradients. The other optimizer classes have no place for that; the norm is computed before them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def install(engine: Any, accept: Callable[[float], bool], gradient_clipping: float) -> None:
    """Ask `accept(norm)` before every optimizer step; where it says False the step is dropped.

    The norm is the same on all ranks, and so must the answer be. It is not asked where DeepSpeed has seen a
    gradient that is not finite and has dropped the step by itself.
    """
    optimizer = engine.optimizer
    if hasattr(optimizer, "_get_norm_groups"):  # ZeRO-3
        optimizer._get_norm_groups = _gate_norm_groups(optimizer._get_norm_groups, accept)
    elif hasattr(optimizer, "get_grads_for_norm"):  # ZeRO-1, bf16
        optimizer.step = _gate_bf16_step(optimizer, accept)
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
        groups = original()
        if accept(float(combine_grad_norm_groups(groups))):
            return groups
        return [torch.full_like(group, float("nan")) for group in groups]

    return gated


def _gate_norm(
    original: Callable[[], torch.Tensor], accept: Callable[[float], bool]
) -> Callable[[], torch.Tensor]:
    def gated() -> torch.Tensor:
        norm = original()
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


def _gate_bf16_step(optimizer: Any, accept: Callable[[float], bool]) -> Callable[[], None]:
    from deepspeed.runtime.utils import get_global_norm_of_tensors

    step = optimizer.step

    def gated() -> None:
        gradients, _ = optimizer.get_grads_for_norm()
        norm = get_global_norm_of_tensors(gradients, mpu=optimizer.mpu, norm_type=optimizer.norm_type)
        if accept(float(norm)):
            step()
        else:
            optimizer.clear_hp_grads()
            optimizer.clear_lp_grads()

    return gated


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
