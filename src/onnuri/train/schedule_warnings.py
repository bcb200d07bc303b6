"""Schedules that are allowed and hardly meant: what they come to, in figures."""

from __future__ import annotations

from collections.abc import Iterator

from onnuri.optim.schedule import decay_start, lr_multiplier, momentum
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import RunPlan

SMALL_JUMP = 0.01
"""Of the peak: a change of the learning rate that is not worth a line."""
SMALL_FOR_MUON = 1.5e-3
"""Spectral units; the smallest rate that was measured, 0.00375, is within 1.5 % of the best."""
MOST_EMPTY = 0.25
"""Share of the rows in a stage of a batch ramp above which empty ones cost too much."""
LITTLE = 0.9
"""Of the peak: a run whose learning rate stays below it never gets near what was asked for."""


def schedule_warnings(config: PretrainConfig, first_step: int, steps_before: int) -> Iterator[str]:
    """Where the learning rate never reaches its peak, or jumps, and what else the run ends before.

    Args:
        first_step: the step that the run resumes after; 0 if it starts.
        steps_before: `train.steps` of the start before.
    """
    schedule, steps, warmup = config.schedule, config.train.steps, config.schedule.warmup_steps

    def rate(step: int, length: int) -> float:
        return config.optim.lr * lr_multiplier(schedule, step, length)

    if not config.optim.lr:
        yield "optim.lr=0: no step will change the weights"
    elif warmup and warmup >= steps:
        last = rate(steps, steps)
        yield (
            f"schedule.warmup_steps={warmup} is not below train.steps={steps}: the learning rate gets "
            f"to {steps / warmup:.0%} of optim.lr={config.optim.lr:g}, {last:.3g}, at its last step"
        )
    elif schedule.name == "wsd" and decay_start(schedule, steps) < warmup:
        yield (
            f"the decay (schedule.decay_fraction={schedule.decay_fraction:g}) begins within the warm-up of "
            f"{warmup} steps: the learning rate falls from {rate(warmup, steps):.3g} (step {warmup}) to "
            f"{rate(warmup + 1, steps):.3g} (step {warmup + 1})"
        )
    elif (highest := rate(warmup + 1, steps)) < LITTLE * config.optim.lr and not warmup:
        yield (
            f"without a warm-up the decay begins at once: of optim.lr={config.optim.lr:g} the rate "
            f"gets to {highest:.3g} and no higher (train.steps={steps}); schedule=constant has no decay"
        )
    optim = config.optim
    if optim.name == "muon" and optim.update_scale == "spectral" and 0 < optim.lr < SMALL_FOR_MUON:
        yield (
            f"optim.lr={optim.lr:g} is in Muon's spectral units, in which 0.01 suits: it looks like a rate "
            "of AdamW (optim=adamw)"
        )
    if config.average.ema_decay and config.average.ema_start > steps:
        yield (
            f"average.ema_start={config.average.ema_start} is above train.steps={steps}: there will be no "
            "average of the weights"
        )
    if config.optim.momentum_warmup_steps > steps:
        rising, peak = config.optim.momentum_warmup_steps, config.optim.momentum
        yield (
            f"optim.momentum_warmup_steps={rising} is above train.steps={steps}: Muon's momentum gets to "
            f"{momentum(config.optim, steps):.3g} of optim.momentum={peak:g}"
        )
    if not 0 < first_step < steps or steps == steps_before:
        return
    step = first_step + 1
    as_before = rate(min(step, steps_before), steps_before)
    if abs(rate(step, steps) - as_before) > SMALL_JUMP * config.optim.lr:
        yield (
            f"train.steps={steps}, {steps_before} before, moves the decay: the learning rate jumps from "
            f"{rate(first_step, steps_before):.3g} (step {first_step}) to {rate(step, steps):.3g} (step "
            f"{step})"
        )


def ramp_warnings(plan: RunPlan) -> Iterator[str]:
    """Where a ramp does not end within the run, or micro-batches are mostly empty in one of its stages."""
    steps = plan.config.train.steps
    for option, ramp in (("train.batch_ramp", plan.batches), ("data.length_ramp", plan.lengths)):
        if ramp.starts[-1] >= steps:
            yield (
                f"{option} gets to {ramp.values[-1]} at step {ramp.starts[-1]}; the run ends at "
                f"{ramp.at(steps - 1)}, as train.steps={steps}"
            )
    if not plan.config.train.batch_ramp:
        return
    for start, _, sequences in plan.batches.stages(steps):
        rows = plan.accumulation_at(start) * plan.micro_batch_size * plan.ranks.dp_size
        if 1 - sequences / rows > MOST_EMPTY:
            yield (
                f"train.batch_ramp: from step {start} on {1 - sequences / rows:.0%} of the rows that are "
                f"computed are empty: {sequences} sequences on {plan.ranks.dp_size} rank(s) in "
                f"micro-batches of {plan.micro_batch_size}; a smaller engine.micro_batch_size has fewer"
            )
