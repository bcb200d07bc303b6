"""What changes over a run as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from onnuri.optim.config import OptimConfig, ScheduleConfig

LONGEST_DEFAULT_WARMUP = 100
FIRST_MOMENTUM = 0.85
"""Where Muon's momentum starts when it is warmed up (modded-nanogpt, records 9 and after)."""


def default_warmup(steps: int) -> int:
    """Warm-up steps of a run that names none: a tenth of it, 100 at most."""
    return min(LONGEST_DEFAULT_WARMUP, steps // 10)


def decay_start(schedule: ScheduleConfig, steps: int) -> int:
    """The last step before the decay of `wsd`; the last step of all if it has none."""
    if not schedule.decay_fraction:
        return steps
    return steps - max(1, round(steps * schedule.decay_fraction))


def lr_multiplier(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """Share of the peak learning rate used in update number `step` (1-based) of `steps`.

    By default the decay of `wsd` follows 1 - sqrt(progress), the best shape in arXiv 2405.18392.
    """
    if step <= schedule.warmup_steps:
        return step / schedule.warmup_steps
    low = schedule.final_lr_ratio
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "cosine":
        progress = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    start = decay_start(schedule, steps)
    if step <= start or start == steps:
        return 1.0
    progress = min(1.0, (step - start) / (steps - start))
    return low + (1 - low) * _remaining(schedule.decay_shape, progress)


def _remaining(shape: str, progress: float) -> float:
    """What is left of the learning rate at a share of the decay."""
    if shape == "linear":
        return 1 - progress
    return 1 - math.sqrt(progress) if shape == "sqrt" else 0.5 * (1 + math.cos(math.pi * progress))


def momentum(optim: OptimConfig, step: int) -> float:
    """Muon's momentum in update number `step` (1-based)."""
    share = min(1.0, step / max(1, optim.momentum_warmup_steps))
    first = min(FIRST_MOMENTUM, optim.momentum)
    return first + (optim.momentum - first) * share if share < 1 else optim.momentum


def set_rates(
    groups: Iterable[dict[str, Any]], optim: OptimConfig, schedule: ScheduleConfig, step: int, steps: int
) -> float:
    """Give every group of parameters what it has in update number `step` (1-based) of `steps`.

    Returns the learning rate of the matrices.
    """
    multiplier = lr_multiplier(schedule, step, steps)
    lr = optim.lr * multiplier
    for group in groups:
        group["lr"] = lr * group["lr_ratio"]
        if optim.decay_follows_lr:
            group["weight_decay"] = group["peak_weight_decay"] * multiplier
        if group.get("muon"):
            group["momentum"] = momentum(optim, step)
    return lr
