"""Learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from onnuri.train.config import ScheduleConfig


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
    decay_steps = max(1, round(steps * schedule.decay_fraction))
    progress = (step - (steps - decay_steps)) / decay_steps
    return 1.0 if progress <= 0 else low + (1 - low) * (1 - math.sqrt(min(1.0, progress)))
