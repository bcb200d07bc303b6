"""A look at the global gradient norm between its computing and its use.

DeepSpeed computes the norm inside `engine.step()` and drops a step whose norm is invalid, cleaning up after
itself. The gate gives it an invalid norm for every step that is refused: no second pass over the gradients.
Stage 0 has no place for that; there the norm is computed before the step.

All of this hangs on private attributes of DeepSpeed. The gate is chosen by ZeRO stage and class of the
optimizer, and what it does not find ends the run before the first step. What it cannot find out beforehand
it sees at the step: one that was taken unasked, or against the answer, ends the run too.

Reading the norm is where the host waits for the device, once a step. DeepSpeed then gets a copy in host
memory, so that its own checks and the scale for clipping wait for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from onnuri.base.errors import UserError

CLIP_EPS = 1e-6
"""Added to a norm before it divides, as in DeepSpeed."""
KNOWN = "deepspeed>=0.19.8,<0.20"
"""As in pyproject.toml."""

Accept = Callable[[float], bool]


def install(engine: Any, accept: Accept, gradient_clipping: float) -> None:
    """Ask `accept(norm)` before every optimizer step; where it says False the step is dropped.

    The norm is the same on all ranks, and so must the answer be. It is not asked where DeepSpeed has seen a
    gradient that is not finite and has dropped the step by itself. Raises UserError for an optimizer that
    is not known.
    """
    optimizer, stage = engine.optimizer, engine.zero_optimization_stage()
    if stage == 0 and isinstance(optimizer, torch.optim.AdamW):  # fp32
        _gate_plain_step(optimizer, list(engine.module.parameters()), accept, gradient_clipping)
        return
    asked, check = _witness(optimizer, accept)
    match stage, type(optimizer).__name__:
        case 3, "DeepSpeedZeroOptimizer_Stage3":
            _need(optimizer, "_get_norm_groups")
            optimizer._get_norm_groups = _gate_norm_groups(optimizer._get_norm_groups, asked)
        case 1, "BF16_Optimizer":
            optimizer.step = _gate_bf16_step(optimizer, asked, gradient_clipping)
        case ((1 | 2), "DeepSpeedZeroOptimizer"):
            _need(optimizer, "scaled_global_norm", "cpu_offload")
            optimizer.scaled_global_norm = _gate_norm(optimizer.scaled_global_norm, asked)
            if optimizer.cpu_offload:
                _need(optimizer, "reset_cpu_buffers", "averaged_gradients")
                optimizer.reset_cpu_buffers = _forget_gradients(optimizer)
        case 0, "FP16_UnfusedOptimizer":  # bf16 too
            _need(optimizer, "overflow_checker")
            _need(checker := optimizer.overflow_checker, "check")
            checker.check = _gate_overflow(checker.check, list(engine.module.parameters()), asked)
        case _:
            raise unknown(f"its optimizer at ZeRO stage {stage} is {type(optimizer).__name__}")
    optimizer.step = check(optimizer.step)


def unknown(what: str) -> UserError:
    """The error for a DeepSpeed that is not as expected."""
    import deepspeed

    return UserError(
        f"DeepSpeed {deepspeed.__version__} is not one that Onnuri knows: {what}, so bad gradients might "
        f"reach the weights; pip install '{KNOWN}'"
    )


def _need(owner: Any, *names: str) -> None:
    for name in names:
        if not hasattr(owner, name):
            raise unknown(f"{getattr(owner, '__name__', type(owner).__name__)} has no '{name}'")


def _witness(optimizer: Any, accept: Accept) -> tuple[Accept, Callable[..., Callable[..., None]]]:
    """`accept`, and what to put around a step to see that it was asked and its answer was followed."""
    answers: list[bool] = []

    def asked(norm: float) -> bool:
        answers.append(accept(norm))
        return answers[-1]

    def check(step: Callable[..., Any]) -> Callable[..., None]:
        def checked(*arguments: Any, **options: Any) -> None:
            answers.clear()
            _need(optimizer, "overflow")
            optimizer.overflow = (
                False  # left as it was by a step that no longer sets it, it would tell nothing
            )
            step(*arguments, **options)
            taken, accepted = not optimizer.overflow, answers[-1] if answers else False
            if taken != accepted:
                what = "took a step unasked" if not answers else "did not follow the answer on a step"
                raise unknown(f"{type(optimizer).__name__} {what}")

        return checked

    return asked, check


def _gate_norm_groups(
    original: Callable[[], list[torch.Tensor]], accept: Accept
) -> Callable[[], list[torch.Tensor]]:
    from deepspeed.runtime import utils

    _need(utils, "combine_grad_norm_groups")
    combine_grad_norm_groups = utils.combine_grad_norm_groups

    def gated() -> list[torch.Tensor]:
        groups = list(torch.stack(original()).cpu())
        if accept(float(combine_grad_norm_groups(groups))):
            return groups
        return [torch.full_like(group, float("nan")) for group in groups]

    return gated


def _gate_norm(original: Callable[[], torch.Tensor], accept: Accept) -> Callable[[], torch.Tensor]:
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


def _gate_bf16_step(optimizer: Any, accept: Accept, gradient_clipping: float) -> Callable[[], None]:
    """DeepSpeed looks its norm function up in its module, so it is exchanged there while it steps.

    Clipping is done here too, on the rank's own flat part of the gradients: DeepSpeed would read the norm
    back once more and scale all parameters one by one.
    """
    from deepspeed.runtime import bf16_optimizer

    _need(bf16_optimizer, "get_global_norm_of_tensors")
    _need(optimizer, "clip_grad", "fp32_groups_gradient_flat_partition")
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
    original: Callable[[], bool], parameters: list[torch.Tensor], accept: Accept
) -> Callable[[], bool]:
    def gated() -> bool:
        return bool(original()) or not accept(float(_norm(parameters)))

    return gated


def _gate_plain_step(
    optimizer: Any,
    parameters: list[torch.Tensor],
    accept: Accept,
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
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        raise unknown("no parameter has its gradient in 'grad'")
    return torch.nn.utils.get_total_norm(gradients)
