"""Which steps are taken: not those with a gradient that is not finite; spikes by policy.

A spike is a loss or gradient norm far above its recent median, in units of the median absolute deviation:
robust against the spikes themselves. What a guard decides depends on numbers that all ranks share, so they
decide alike.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, SupportsFloat

from onnuri import __version__
from onnuri.base.errors import UserError
from onnuri.train.config import GuardConfig

RECORD_FILE = "skipped.jsonl"
"""In a run directory: every step that was not taken or looked odd, with the documents in its batch."""
SMALLEST_DEVIATION = 0.02
"""Of losses and of logarithms of gradient norms: what varies less is no reason to call a step odd."""
MAD_TO_SIGMA, TINY = 1.4826, 1e-12
NOT_FINITE, SPIKE, LEFT_OUT = "not finite", "spike", "left out"
"""Verdicts on a step; "" is a good one."""


@dataclass
class Progress:
    """How far a run is; what a checkpoint keeps besides tensors."""

    step: int = 0
    """Global batches gone through."""
    updates: int = 0
    """Optimizer steps taken: all but the skipped ones. Adam corrects its bias by this number."""
    tokens: int = 0
    """Tokens of all batches gone through."""
    skipped: int = 0
    """Steps that were not taken."""
    skipped_in_a_row: int = 0
    """Of those, the ones since the last step that was taken."""
    left_out: list[int] = field(default_factory=list)
    """Steps whose batch a rollback has left out."""
    recent: list[list[float]] = field(default_factory=list)
    """[loss, gradient norm] of the last steps that were taken."""


def read_progress(facts: dict[str, Any], folder: Path) -> Progress:
    """What a checkpoint keeps of its run. Raises UserError for one of a later version."""
    if unknown := facts.keys() - {each.name for each in fields(Progress)}:
        raise UserError(
            f"{folder} keeps {min(unknown)!r} of its run, which this version ({__version__}) does not "
            "know: resume with the version of Onnuri that wrote it"
        )
    return Progress(**facts)


class StepGuard:
    """Judges every step from its loss and gradient norm."""

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self.start_step(Progress())

    def start_step(self, progress: Progress) -> None:
        """Begin the step after `progress`. Whoever knows its global loss sets it before it is judged."""
        self.loss, self.grad_norm, self.score = math.nan, math.inf, math.inf
        self.verdict = LEFT_OUT if progress.step + 1 in progress.left_out else NOT_FINITE
        self.recent = progress.recent

    @property
    def loss(self) -> float:
        """Loss of the global batch; whatever it is set to becomes a number when it is first read."""
        self._loss: SupportsFloat = float(self._loss)
        return self._loss

    @loss.setter
    def loss(self, value: SupportsFloat) -> None:
        self._loss = value

    def accept(self, grad_norm: float) -> bool:
        """Judge the step. False: it must not be taken."""
        self.grad_norm = grad_norm if grad_norm >= 0 else math.inf  # DeepSpeed marks an invalid one as -1
        if not (math.isfinite(self.loss) and math.isfinite(self.grad_norm)):
            return False
        self.score = self._score(self.loss, grad_norm)
        spike = bool(self.config.spike_threshold) and self.score > self.config.spike_threshold
        self.verdict = SPIKE if spike else ""
        return self.taken

    @property
    def taken(self) -> bool:
        """True when the step was, or is about to be, taken."""
        return self.verdict == "" or (self.verdict == SPIKE and self.config.on_spike == "report")

    @property
    def wants_rollback(self) -> bool:
        """True when the step is a spike and the policy is to go back before it."""
        return self.verdict == SPIKE and self.config.on_spike == "rollback"

    def finish_step(self, progress: Progress) -> None:
        """Count the step."""
        progress.step += 1
        progress.skipped += not self.taken
        progress.updates += self.taken
        if self.taken:
            progress.skipped_in_a_row = 0
            progress.recent = [*progress.recent, [self.loss, self.grad_norm]][-self.config.spike_window :]
        elif self.verdict != LEFT_OUT:
            progress.skipped_in_a_row += 1

    def describe(self, step: int, progress: Progress) -> str:
        """One line on a step that was not taken or looked odd."""
        if self.verdict == LEFT_OUT:
            return f"step {step}: left out after a rollback"
        numbers = f"loss {self.loss:.4g}, gradient norm {self.grad_norm:.4g}"
        odd = f"a spike, {self.score:.0f} deviations above recent steps" * (self.verdict == SPIKE)
        skipped = f"; skipped, {progress.skipped} so far" * (not self.taken)
        return f"step {step}: {numbers}: {odd or 'not finite'}{skipped}"

    def _score(self, loss: float, grad_norm: float) -> float:
        """By how many deviations the step lies above recent ones; 0 while there are too few."""
        if len(self.recent) < self.config.spike_window // 2:
            return 0.0
        losses, norms = zip(*self.recent, strict=True)
        logarithms = [math.log(norm + TINY) for norm in norms]
        return max(_deviations(loss, losses), _deviations(math.log(grad_norm + TINY), logarithms))


def _deviations(value: float, values: Sequence[float]) -> float:
    middle = statistics.median(values)
    spread = MAD_TO_SIGMA * statistics.median(abs(other - middle) for other in values)
    return (value - middle) / max(spread, SMALLEST_DEVIATION)


def record_odd_step(run_dir: Path, step: int, guard: StepGuard, documents: list[str]) -> None:
    """Append a step to the record of those that were not taken or looked odd."""
    line = {
        "step": step,
        "verdict": guard.verdict,
        "taken": guard.taken,
        "loss": finite(guard.loss),
        "grad_norm": finite(guard.grad_norm),
        "deviations": finite(guard.score),
        "documents": documents,
    }
    with (run_dir / RECORD_FILE).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def finite(value: float) -> float | None:
    """A number as JSON can hold it: None for one that is not finite."""
    return value if math.isfinite(value) else None
