"""What rank 0 writes while a run trains: lines of metrics and ledger, and messages."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from onnuri.base.manifest import hash_file
from onnuri.checkpoint.store import Saver
from onnuri.config import to_dict
from onnuri.parallel.process_group import broadcast_from_rank_zero
from onnuri.run.chain import Ledger
from onnuri.tokens.source import BatchSource
from onnuri.train.data_seen import SourceTokens, epochs_seen
from onnuri.train.disk_trouble import DiskTrouble
from onnuri.train.guard import Progress, StepGuard, finite, record_odd_step
from onnuri.train.metrics import Metrics
from onnuri.train.run_ledger import ledger_line, record_checkpoints
from onnuri.train.run_plan import RunPlan


class Record:
    """Every rank has one and calls the same methods; those that are not rank 0 write nothing.

    A file that cannot be written any more is noted in `broken`; the next step tells all ranks.
    """

    def __init__(
        self,
        plan: RunPlan,
        run_dir: Path,
        ledger: Ledger | None,
        progress: Progress,
        cleanup: contextlib.ExitStack,
    ) -> None:
        self.plan, self.run_dir, self.ledger = plan, run_dir, ledger
        self.trouble = DiskTrouble(run_dir)
        self.source_tokens = SourceTokens()
        self.metrics: Metrics | None = None
        if plan.ranks.is_lead:
            config = plan.config
            self.metrics = Metrics(
                run_dir, progress.step, config.train.steps, config.tracker, to_dict(config)
            )
            cleanup.callback(self.metrics.close)

    @property
    def broken(self) -> bool:
        """True when this rank could not write something."""
        return bool(self.trouble.problem)

    def say(self, text: str) -> None:
        """Print a line on rank 0, without breaking the progress bar."""
        if self.metrics:
            self.metrics.say(text)

    def step(
        self,
        guard: StepGuard,
        progress: Progress,
        lr: float,
        measured: dict[str, Any],
        warnings: list[str],
        source: BatchSource,
    ) -> None:
        """Record a step that was counted in `progress`, taken or not."""
        with self.trouble:
            if self.ledger:
                self.ledger.add("step", ledger_line(self.plan, guard, progress))
            if self.metrics is None:
                return
            line = {
                "step": progress.step,
                "loss": finite(guard.loss),
                "grad_norm": finite(guard.grad_norm),
                "lr": lr,
                "tokens": progress.tokens,
                "targets": source.num_targets(progress.step - 1),
                "skipped": progress.skipped,
                **epochs_seen(source, progress.step),
            }
            self.metrics.log_step(line | measured)
            for warning in warnings:
                self.say(f"warning: step {progress.step}: {warning}")
            if guard.verdict:
                self.say(guard.describe(progress.step, progress))
                record_odd_step(self.run_dir, progress.step, guard, source.document_ids(progress.step - 1))

    def ranks(self, step: int, report: tuple[dict[str, Any], str] | None) -> None:
        """Record which ranks keep the others waiting."""
        with self.trouble:
            if report and self.metrics:
                self.metrics.log_ranks(step, *report)

    def validation(
        self, step: int, bits_per_byte: dict[str, float], ema_bits_per_byte: dict[str, float]
    ) -> None:
        """Record bits per byte by language, of the weights and of their average (empty: there is none)."""
        with self.trouble:
            if self.metrics:
                self.metrics.log_validation(step, bits_per_byte, ema_bits_per_byte)

    def evaluation(self, step: int, tokens: int, scores: dict[str, Any]) -> None:
        """Record scores of tasks, on the subset and at the end in full."""
        with self.trouble:
            if self.metrics:
                self.metrics.log_evaluation(step, tokens, scores)

    def held_out(self, step: int, measures: dict[str, float]) -> None:
        """Record what an objective measures on held-out data."""
        with self.trouble:
            if self.metrics:
                self.metrics.log_held_out(step, measures)

    def keep_file(self, step: int, path: Path) -> None:
        """Record a file in the run directory that later steps are made from."""
        with self.trouble:
            if self.ledger:
                facts = {"path": str(path.relative_to(self.run_dir)), "sha256": hash_file(path)}
                self.ledger.add("file", {"step": step, **facts})

    def before_checkpoint(self, saver: Saver, source: BatchSource, step: int) -> str:
        """Record the tokens of each source, and put all lines on disk: a checkpoint must not know of steps
        that no line tells of. Returns the head of the ledger."""
        with self.trouble:
            if self.metrics and self.ledger:
                self.metrics.sync()
                record_checkpoints(self.ledger, saver)
                self.ledger.add("sources", {"step": step, "tokens": self.source_tokens.until(source, step)})
                self.ledger.sync()
        return self.ledger.head if self.ledger else ""

    def rollback(self, step: int, saver: Saver) -> None:
        """Record that a run goes back to its last checkpoint."""
        if self.ledger:
            record_checkpoints(self.ledger, saver)
            self.ledger.add("rollback", {"step": step})

    def rewind(self, step: int) -> None:
        """Drop the metrics of later steps."""
        if self.metrics:
            self.metrics.rewind(step)

    def end(self, event: str, step: int, saver: Saver) -> None:
        """Record the last line of this start, once all checkpoints are written. Raises UserError on all
        ranks if rank 0 could not write."""
        with self.trouble:
            if self.ledger:
                record_checkpoints(self.ledger, saver)
                self.ledger.add(event, {"step": step})
                self.ledger.sync()
        self.trouble.end_run()

    def end_broken_run(self) -> None:
        """Raise on all ranks what rank 0 could not write. A collective call."""
        self.trouble.problem = broadcast_from_rank_zero(self.trouble.problem)
        self.trouble.end_run()
