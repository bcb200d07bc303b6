"""A run with ramps as stages in which every step is alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from onnuri.plan.config import PlanConfig
from onnuri.plan.machine import Setting
from onnuri.plan.speed import Speed, speed


@dataclasses.dataclass(frozen=True)
class PlanStage:
    """Steps between two changes of the batch or of the attention length."""

    start: int
    """First step, counted from 0."""
    steps: int
    tokens: float
    setting: Setting
    speed: Speed

    @property
    def seconds(self) -> float:
        """Of all its steps."""
        return self.tokens / self.speed.tokens_per_second


def stages(config: PlanConfig, setting: Setting) -> Iterator[PlanStage]:
    """The stages of `train.steps`, or of `tokens` where they are given; the last may go on beyond its ramp.

    `setting` is that of the last stage of the ramps.
    """
    batches, lengths = config.train.batches, config.data.lengths
    starts = sorted({*batches.starts, *lengths.starts})
    left = config.tokens or math.inf
    for index, start in enumerate(starts):
        batch = batches.at(start)
        changed = dataclasses.replace(
            setting,
            global_batch_size=batch,
            accumulation=-(-batch // (setting.micro_batch_size * setting.ranks)),
            attention_length=lengths.at(start),
        )
        found = speed(changed)
        last_step = math.inf if config.tokens else config.train.steps
        stop = min([last_step, *starts[index + 1 : index + 2]])
        if stop <= start or left <= 0:
            return
        tokens = min(left, (stop - start) * found.tokens)
        yield PlanStage(start, math.ceil(tokens / found.tokens), tokens, changed, found)
        left -= tokens
