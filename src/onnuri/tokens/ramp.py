"""A number that grows in stages over a run: sequences in the global batch, tokens that attention reaches.

A small batch costs little early in a run, when gradients of different batches agree (critical batch size,
arXiv 1812.06162). Short sequences early make large batches stable and attention cheap (arXiv 2108.06084).
Both are functions of the step alone, so a run can resume at any step on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from onnuri.base.errors import UserError


class RampStage(NamedTuple):
    """Steps [start, stop), counted from 0, that share a value."""

    start: int
    stop: int
    value: int


@dataclass(frozen=True)
class Ramp:
    """Values that never fall; `values[i]` holds from step `starts[i]` on. The first step is 0."""

    starts: tuple[int, ...]
    values: tuple[int, ...]

    def at(self, step: int) -> int:
        """The value of a step."""
        return self.values[self.starts.index(self.start_of_stage(step))]

    def before(self, step: int) -> int:
        """The sum of the values of all steps before this one."""
        return sum((each.stop - each.start) * each.value for each in self.stages(step))

    def stages(self, steps: int) -> Iterator[RampStage]:
        """The first `steps` steps, cut where the value changes."""
        stops = (*self.starts[1:], steps)
        for start, stop, value in zip(self.starts, stops, self.values, strict=True):
            if start < steps:
                yield RampStage(start, min(stop, steps), value)

    def start_of_stage(self, step: int) -> int:
        """Where the stage of a step begins."""
        return max(start for start in self.starts if start <= step)


def training_flops(
    flops_per_token: Callable[[int], int], batches: Ramp, lengths: Ramp, steps: int, tokens: int
) -> int:
    """FLOPs of the first `steps` steps, in which `tokens` tokens were predicted.

    A stage of the length ramp counts attention over its own length, for its share of the sequences.
    """
    sequences = batches.before(steps)
    total = sum(
        (batches.before(stop) - batches.before(start)) * flops_per_token(length)
        for start, stop, length in lengths.stages(steps)
    )
    return tokens * total // max(1, sequences)


def batch_ramp(stages: Mapping[str, int], global_batch_size: int) -> Ramp:
    """`train.batch_ramp`: sequences in the global batch. Raises UserError as `parse_ramp`."""
    return parse_ramp("train.batch_ramp", stages, "train.global_batch_size", global_batch_size)


def length_ramp(stages: Mapping[str, int], sequence_length: int) -> Ramp:
    """`data.length_ramp`: tokens of the pieces that windows are cut into.

    Raises UserError as `parse_ramp`, and for a length that does not divide the window's.
    """
    ramp = parse_ramp("data.length_ramp", stages, "data.sequence_length", sequence_length)
    for start, value in zip(ramp.starts, ramp.values, strict=True):
        if sequence_length % value:
            divisor = next(each for each in range(value, 0, -1) if sequence_length % each == 0)
            raise UserError(
                f"data.length_ramp: {value}, from step {start} on, does not divide data.sequence_length="
                f"{sequence_length}; {divisor} does"
            )
    return ramp


def parse_ramp(option: str, stages: Mapping[str, int], full_option: str, full: int) -> Ramp:
    """Stages such as {0: 8, 200: 16} (first step, from 0: value) that lead to the value of another option.

    Without stages that value holds in all steps.

    Raises UserError for a bad step, no value for step 0, a value below 1, values that fall, and a last one
    that is not the other option's.
    """
    if not stages:
        return Ramp((0,), (full,))
    for step, value in stages.items():
        if not (step.isascii() and step.isdecimal() and str(int(step)) == step) or value < 1:
            raise UserError(
                f"{option}: {step}:{value} must be STEP:VALUE, steps counted from 0, values at least 1"
            )
    table = sorted((int(step), value) for step, value in stages.items())
    if table[0][0] != 0:
        raise UserError(f"{option} begins at step {table[0][0]}; give the first step a value too, 0:VALUE")
    for (_, value), (later, next_value) in pairwise(table):
        if next_value < value:
            raise UserError(
                f"{option} falls from {value} to {next_value} at step {later}; it may only rise"
            )
    if table[-1][1] != full:
        raise UserError(
            f"{option} ends with {table[-1][1]}, from step {table[-1][0]} on, and {full_option}={full}: "
            "they must be equal"
        )
    return Ramp(tuple(step for step, _ in table), tuple(value for _, value in table))
