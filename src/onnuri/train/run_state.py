"""The state of a run in memory, and its way to and from checkpoints."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.checkpoint import store, zero_state
from onnuri.checkpoint.store import Saver
from onnuri.optim.average import WeightAverage
from onnuri.parallel.process_group import broadcast_from_rank_zero
from onnuri.run.checkpoints import list_checkpoints, newest_verified, quarantine
from onnuri.run.metrics_file import measured
from onnuri.tokens.source import BatchSource
from onnuri.train.evaluation import Evaluation
from onnuri.train.guard import Progress, StepGuard, read_progress
from onnuri.train.monitors import Monitors
from onnuri.train.objectives import Objective
from onnuri.train.record import Record
from onnuri.train.run_plan import RunPlan
from onnuri.train.signals import StopRequest
from onnuri.train.validate import Validation

ROLLBACK_MEMORY = 1000
"""Steps over which the batches that rollbacks have left out are limited."""


@dataclass
class Run:
    """A run that is under way, on one rank."""

    plan: RunPlan
    run_dir: Path
    device: torch.device
    engine: Any
    source: BatchSource
    objective: Objective
    progress: Progress
    guard: StepGuard
    average: WeightAverage
    validation: Validation
    evaluation: Evaluation
    monitors: Monitors
    record: Record
    saver: Saver
    stop: StopRequest
    saved: float = field(default_factory=time.monotonic)
    """When the last checkpoint was begun."""

    @property
    def ephemeral_is_due(self) -> bool:
        """True when the clock asks for a checkpoint."""
        minutes = self.plan.config.train.ephemeral_minutes
        return time.monotonic() - self.saved > 60 * minutes > 0

    def save(self, *, ephemeral: bool) -> None:
        """Begin a checkpoint: the step waits for a copy of the state."""
        self.saver.wait()
        state = {
            "ledger": self.record.before_checkpoint(self.saver, self.source, self.progress.step),
            "loader": self.source.state(self.progress.step),
            "progress": asdict(self.progress),
            "world_size": dist.get_world_size(),
            **self.average.state(),
            **base_record(self.plan, self.engine),
        }
        pieces = zero_state.owned_slices(self.engine, self.average.tensors())
        self.saver.save(self.progress.step, pieces, state, ephemeral)
        self.saved = time.monotonic()

    def measure(self, resumed: bool = False) -> None:
        """Scores of tasks, then bits per byte of held-out documents, where they are due. A collective call.

        A run that has resumed measures what it had ended before recording.
        """
        step, config = self.progress.step, self.plan.config
        if self.plan.replay_until or not step:
            return
        last = step == config.train.steps
        recorded: set[str] = set()
        if resumed:
            recorded = broadcast_from_rank_zero(
                measured(self.run_dir, step) if self.plan.ranks.is_lead else None
            )
        if config.evaluation.tasks and due(step, config.evaluation.every, last) and "tasks" not in recorded:
            started = time.monotonic()
            scores: dict[str, Any] = {"tasks": self.evaluation.run(self.engine)}
            if last and config.evaluation.max_items:
                scores["tasks_in_full"] = self.evaluation.run(self.engine, whole=True)
            scores["evaluation_seconds"] = round(time.monotonic() - started, 3)
            self.record.evaluation(step, self.progress.tokens, scores)
        if due(step, config.train.validate_every, last) and "bits_per_byte" not in recorded:
            if self.objective.held_out:
                self.record.held_out(step, self.objective.held_out(self))
            self.record.validation(step, self.validation.run(self.engine), self._validate_average())

    def _validate_average(self) -> dict[str, float]:
        """Bits per byte by language of the average of the weights; empty while there is none."""
        if not self.average.updates:
            return {}
        with self.average.as_weights(self.engine):
            return self.validation.run(self.engine)

    def can_roll_back(self) -> bool:
        """True when there is a checkpoint to go back to, once the one under way is finished."""
        self.saver.wait()
        return bool(broadcast_from_rank_zero(bool(list_checkpoints(self.run_dir))))

    def roll_back(self) -> None:
        """Load the last checkpoint again, to go on from there without the last batches.

        Raises UserError where that has not helped before.
        """
        step, guard = self.progress.step, self.plan.config.guard
        self.record.rollback(step, self.saver)
        spike = range(max(1, step - guard.rollback_batches + 1), step + 1)
        left_out = sorted({*self.progress.left_out, *spike})
        lately = sum(each > step - ROLLBACK_MEMORY for each in left_out)
        if lately > guard.max_skipped * guard.rollback_batches:
            raise UserError(
                f"step {step}: rollbacks have left out {lately} of the last {ROLLBACK_MEMORY} batches and "
                "it spikes all the same: the run stops; a lower optim.lr or guard.on_spike=report may help"
            )
        self.progress, _, _ = resume(self.engine, self.source, self.run_dir, self.average)
        self.progress.left_out = left_out
        self.record.rewind(self.progress.step)

    def check_skipped(self) -> None:
        """Raise UserError when too many steps in a row were not taken."""
        skipped = self.progress.skipped_in_a_row
        if skipped < self.plan.config.guard.max_skipped:
            return
        with contextlib.suppress(UserError):
            self.saver.wait()
        good = list_checkpoints(self.run_dir)
        raise UserError(
            f"step {self.progress.step}: {skipped} steps in a row were skipped, as their loss or gradient "
            f"is not finite or jumped: the run stops; last good checkpoint: {good[0] if good else 'none'}. "
            "A lower optim.lr or a longer schedule.warmup_steps often helps"
        )


def base_record(plan: RunPlan, engine: Any) -> dict[str, Any]:
    """What a checkpoint of adapters keeps of the model under them; empty where all weights are trained."""
    if not plan.config.lora.rank or plan.warm_start is None:
        return {}
    folder = str(plan.warm_start.folder.resolve())
    return {"base": {"folder": folder, "weights_sha256": engine.initial_weights_sha256}}


def resume(
    engine: Any, source: BatchSource, run_dir: Path, average: WeightAverage
) -> tuple[Progress, Manifest | None, list[str]]:
    """Load the newest verified checkpoint, if there is one. A collective call.

    Returns how far it is, its manifest (None: a fresh run), and notes on newer ones that are damaged and on
    an average that does not continue.
    """

    def choose() -> tuple[Any, str]:
        try:
            return newest_verified(run_dir), ""
        except UserError as error:
            return None, str(error)

    chosen, problem = broadcast_from_rank_zero(choose() if dist.get_rank() == 0 else None)
    if problem:
        raise UserError(problem)
    if chosen is None:
        return Progress(), None, []
    folder, found, notes = chosen
    source.check_state(found.counts["loader"])
    base = found.counts.get("base")
    if base and base["weights_sha256"] != engine.initial_weights_sha256:
        raise UserError(
            "train.init_from has other weights than those that the adapters of the run were trained on, of "
            f"{base['folder']}"
        )
    progress = read_progress(found.counts["progress"], folder)
    note = average.resume(found.counts.get("average"), progress.step)
    store.load(folder, zero_state.load_target(engine, average.tensors()))
    zero_state.after_load(engine, progress.updates)
    if found.counts["world_size"] == dist.get_world_size():
        random = zero_state.rng_target()
        store.load(folder, random)
        torch.set_rng_state(*(piece.values for piece in random.values()))
    if dist.get_rank() == 0:
        quarantine(run_dir, progress.step)
    return progress, found, [*notes, *filter(None, [note])]


def due(step: int, every: int, always: bool = False) -> bool:
    """True every `every` steps (0: never by itself) and when `always`."""
    return always or (every > 0 and step % every == 0)
