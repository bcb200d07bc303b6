"""Learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from onnuri.optim.config import ScheduleConfig

LONGEST_DEFAULT_WARMUP = 100


def default_warmup(steps: int) -> int:
    """Warm-up steps of a run that names none: a tenth of it, 100 at most."""
    return min(LONGEST_DEFAULT_WARMUP, steps // 10)


def decay_start(schedule: ScheduleConfig, steps: int) -> int:
    """The last step before the decay of `wsd`."""
    return steps - max(1, round(steps * schedule.decay_fraction))


def lr_multiplier(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """Share of the peak learning rate used in update number `step` (1-based) of `steps`.

    The decay of `wsd` follows 1 - sqrt(progress), the best of the shapes compared in arXiv 2405.18392.
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
    progress = (step - start) / (steps - start)
    return 1.0 if progress <= 0 else low + (1 - low) * (1 - math.sqrt(min(1.0, progress)))
