"""What a run tells while it goes: metrics.jsonl, a progress bar, a loss picture, and a tracker."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from onnuri.run.metrics_file import PICTURE_FILE, keep_until, read_metrics
from onnuri.train.config import TrackerConfig
from onnuri.train.trackers import Tracker, make_tracker, one_line

log = logging.getLogger(__name__)

UNNAMED = "no language"
"""Shown for documents whose language is not known."""


class Metrics:
    """The record of one run, written by rank 0 alone.

    Lines of steps after `first_step` belong to work that was lost with a crash: they are cut off at the
    start, so each step stands in metrics.jsonl once.
    """

    def __init__(
        self, run_dir: Path, first_step: int, steps: int, tracker: TrackerConfig, config: dict[str, Any]
    ) -> None:
        self.run_dir = run_dir
        self.stream = keep_until(run_dir, first_step)
        self.bar = tqdm(total=steps, initial=first_step, unit="step", dynamic_ncols=True, disable=None)
        self.steps, self.held_out_at = steps, -1
        self.tracker = make_tracker(tracker, run_dir, config, first_step)

    def log_step(self, line: dict[str, Any]) -> None:
        """Record one optimizer step."""
        self._write(line)
        speed = f"{line['tokens_per_second']:,.0f} tok/s"
        loss = loss_text(line)
        if line["mfu"] is not None:
            speed += f", MFU {line['mfu']:.0%}"
        if "memory_reserved_gib" in line:
            speed += f", {line['memory_reserved_gib']:.1f} GiB"
        self.bar.set_postfix_str(f"{loss}, {speed}", refresh=False)
        self.bar.update(1)
        if self.bar.disable and (line["step"] % max(1, self.steps // 20) == 0 or line["step"] == 1):
            log.info(f"step {line['step']}/{self.steps}  {loss}  {speed}")

    def log_validation(
        self, step: int, bits_per_byte: dict[str, float], ema_bits_per_byte: dict[str, float] | None = None
    ) -> None:
        """Record bits per byte by language, of the weights and of their average if there is one."""
        averaged = {"ema_bits_per_byte": ema_bits_per_byte} if ema_bits_per_byte else {}
        self._write({"step": step, "bits_per_byte": bits_per_byte, **averaged})
        if not bits_per_byte:
            if self.held_out_at != step:
                self.say(f"step {step}: no held-out text to measure bits per byte on")
            return
        average = f"; of the average: {by_language(ema_bits_per_byte)}" if ema_bits_per_byte else ""
        self.say(f"step {step}: held-out bits per byte: {by_language(bits_per_byte)}{average}")

    def log_held_out(self, step: int, measures: dict[str, float]) -> None:
        """Record what an objective measures on held-out data, under `held_out`."""
        if not measures:
            return
        self._write({"step": step, "held_out": measures})
        self.held_out_at = step
        self.say(
            f"step {step}: held out: {', '.join(f'{name} {value:.4f}' for name, value in measures.items())}"
        )

    def log_evaluation(self, step: int, tokens: int, scores: dict[str, Any]) -> None:
        """Record scores by task, under `tasks` and at the end `tasks_in_full`."""
        self._write({"step": step, "tokens": tokens, **scores})
        for name, found in scores.get("tasks_in_full", scores["tasks"]).items():
            ends = f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
            self.say(f"step {step}: {name} {found['metric']} {ends}, {found['items']:,} items")

    def log_ranks(self, step: int, facts: dict[str, Any], warning: str) -> None:
        """Record how long ranks take for their own work, and say which of them keeps the others waiting."""
        self._write({"step": step, **facts})
        if warning:
            self.say(f"warning: {warning}")

    def say(self, text: str) -> None:
        """Print a line without breaking the progress bar."""
        self.bar.write(text)

    def rewind(self, step: int) -> None:
        """Drop the lines after a step: the run resumes from there."""
        self.stream.close()
        self.stream = keep_until(self.run_dir, step)
        self.bar.update(step - self.bar.n)
        self._track(lambda: self.tracker.rewind(step))

    def sync(self) -> None:
        """Put every line on disk: a checkpoint must not know of steps that no line tells of."""
        os.fsync(self.stream.fileno())

    def close(self) -> None:
        """Flush everything and draw the loss picture."""
        self.bar.close()
        with suppress(OSError):  # whoever wrote a line that could not be written knows
            self.stream.close()
        self._track(self.tracker.close)
        try:
            draw_losses(self.run_dir)
        except OSError as error:  # no reason for a run to fail, and not the one for which it does
            log.warning(f"warning: {PICTURE_FILE} is not drawn: {error}")

    def _write(self, line: dict[str, Any]) -> None:
        self.stream.write(json.dumps(line) + "\n")
        self.stream.flush()
        self._track(lambda: self.tracker.log(line["step"], scalars(line)))

    def _track(self, action: Callable[[], None]) -> None:
        """Call the tracker. If it fails the run continues without it: metrics.jsonl has all."""
        try:
            action()
        except Exception as error:  # of every kind: it is somebody else's program, or its files are gone
            self.tracker = Tracker()
            self.say(
                f"warning: the tracker has failed and gets nothing until the next start: {one_line(error)}"
            )


def loss_text(line: dict[str, Any]) -> str:
    """ "loss 1.234", with the reward of answers if there is one; no number if nothing was predicted."""
    if line["loss"] is None:
        loss = "loss none"
    else:
        loss = f"loss {line['loss']:.3f}" if line.get("targets", 1) else "nothing to learn"
    return f"reward {line['reward']:.3f}, {loss}" if "reward" in line else loss


def by_language(values: dict[str, float]) -> str:
    """ "ko 1.234, en 1.123"."""
    return ", ".join(f"{language or UNNAMED} {value:.3f}" for language, value in values.items())


def scalars(line: dict[str, Any]) -> dict[str, float]:
    """A metrics line as flat numbers.

    Bits per byte by language become `bits_per_byte/ko`, scores `tasks/kopairs`, `tasks/kopairs/A`.
    """
    flat: dict[str, Any] = {}
    for name, value in line.items():
        if name in ("tasks", "tasks_in_full"):
            for task, found in value.items():
                parts = found.get("tiers") or found.get("groups") or {}
                flat[f"{name}/{task}"] = found["value"]
                flat |= {f"{name}/{task}/{part}": score for part, score in parts.items()}
        elif isinstance(value, dict):
            flat |= {f"{name}/{part}": each for part, each in value.items()}
        else:
            flat[name] = value
    return {name: value for name, value in flat.items() if name != "step" and value is not None}


def draw_losses(run_dir: Path) -> None:
    """Draw RUN_DIR/loss.png: training loss, held-out bits per byte by language, and scores of tasks."""
    lines = read_metrics(run_dir)
    steps = [line for line in lines if line.get("loss") is not None]
    if not steps:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    scored = [line for line in lines if "tasks" in line]
    panels = 3 if scored else 2
    figure, axes = pyplot.subplots(1, panels, figsize=(5 * panels, 3.6), constrained_layout=True)
    left, right = axes[:2]
    left.plot([line["step"] for line in steps], [line["loss"] for line in steps], linewidth=1)
    left.set(xlabel="step", ylabel="training loss (nats per token)")
    validations = [line for line in lines if "bits_per_byte" in line]
    for number, language in enumerate(sorted({name for v in validations for name in v["bits_per_byte"]})):
        points = [(v["step"], v["bits_per_byte"][language]) for v in validations]
        label = language or UNNAMED
        right.plot(*zip(*points, strict=True), f"C{number}o-", markersize=3, label=label)
        of_average = [v for v in validations if language in v.get("ema_bits_per_byte", ())]
        if of_average:
            points = [(v["step"], v["ema_bits_per_byte"][language]) for v in of_average]
            right.plot(*zip(*points, strict=True), f"C{number}o--", markersize=3, label=f"{label}, average")
    right.set(xlabel="step", ylabel="held-out bits per byte")
    if any(line["bits_per_byte"] for line in validations):
        right.legend()
    if scored:
        _draw_scores(axes[2], scored)
    for each in axes:
        each.grid(alpha=0.3)
    figure.savefig(run_dir / PICTURE_FILE, dpi=110)
    pyplot.close(figure)


def _draw_scores(axes: Any, lines: list[dict[str, Any]]) -> None:
    """Each task with the band of its 95 % interval."""
    for task in sorted({name for line in lines for name in line["tasks"]}):
        points = [(line["step"], line["tasks"][task]) for line in lines if task in line["tasks"]]
        steps = [step for step, _ in points]
        value, low, high = ([found[end] for _, found in points] for end in ("value", "low", "high"))
        axes.plot(steps, value, marker="o", markersize=3, label=f"{task}, {points[-1][1]['metric']}")
        axes.fill_between(steps, low, high, alpha=0.2)
    axes.set(xlabel="step", ylabel="score")
    axes.legend()
