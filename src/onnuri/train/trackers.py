"""Where metrics go besides metrics.jsonl: TensorBoard or Weights & Biases.

Trackers follow the run: after a resume or a rollback each step is shown once, and a run directory is one
run of W&B however often it is started.
"""

from __future__ import annotations

import importlib
import os
import secrets
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, optional_package, system_error
from onnuri.train.config import TrackerConfig

WANDB_ID = "onnuri-run-id"
"""File in RUN_DIR/wandb."""
LONGEST_NAME = 128
"""Of a W&B run: the server refuses longer ones."""


class Tracker:
    """Metrics to nowhere; the others have the same methods."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take the values of one line of metrics."""

    def rewind(self, step: int) -> None:
        """Forget the lines after a step: they will come again."""

    def close(self) -> None:
        """Flush."""


class TensorBoardTracker(Tracker):
    """Event files in RUN_DIR/tensorboard."""

    def __init__(self, run_dir: Path, first_step: int) -> None:
        with optional_package("trackers", "tracker=tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

        self.make = SummaryWriter
        self.folder = str(run_dir / "tensorboard")
        self.writer = SummaryWriter(self.folder, purge_step=first_step + 1)

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def rewind(self, step: int) -> None:
        self.writer.close()
        self.writer = self.make(self.folder, purge_step=step + 1)

    def close(self) -> None:
        self.writer.close()


def import_wandb(tracker: TrackerConfig) -> Any:
    """The package, quieter than by default, in the mode of the config whatever the environment says."""
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ["WANDB_MODE"] = tracker.wandb_mode
    with optional_package("trackers", "tracker=wandb"):
        import wandb

    return wandb


def one_line(error: Exception) -> str:
    """The message of an error."""
    return " ".join(str(error).split())


class WandbTracker(Tracker):
    """Weights & Biases; offline unless asked otherwise, and then nothing leaves the machine."""

    def __init__(self, run_dir: Path, tracker: TrackerConfig, config: dict[str, Any]) -> None:
        self.wandb, self.id = import_wandb(tracker), wandb_id(run_dir)
        self.settings = {
            "project": tracker.project,
            "name": run_dir.absolute().name[:LONGEST_NAME],
            "dir": str(run_dir),
            "mode": tracker.wandb_mode,
            "config": config,
        }
        self.start()

    def start(self) -> None:
        """Begin the run, or go on with it."""
        try:
            self.run = self.wandb.init(id=self.id, resume="allow", **self.settings)
        except self.wandb.errors.Error as error:
            raise UserError(f"tracker=wandb: {one_line(error)}") from None

    def log(self, step: int, values: dict[str, float]) -> None:
        self.run.log(values, step=step)

    def rewind(self, step: int) -> None:
        """Have W&B cut the run after a step; it takes no step twice. A server may not know how."""
        self.run.finish()
        try:
            self.run = self.wandb.init(resume_from=f"{self.id}?_step={step}", **self.settings)
        except self.wandb.errors.Error:
            self.start()

    def close(self) -> None:
        self.run.finish()


def wandb_id(run_dir: Path) -> str:
    """The id of the one W&B run of a run directory, made at its first start and kept there."""
    path = run_dir / "wandb" / WANDB_ID
    kept = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if not kept:
        kept = secrets.token_hex(4)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{kept}\n", encoding="utf-8")
    return kept


def check_tracker(tracker: TrackerConfig) -> None:
    """Raise UserError for a tracker that lacks its package or its key, or takes no such project. Asks no
    server."""
    if tracker.name == "none":
        return
    with optional_package("trackers", f"tracker={tracker.name}"):
        importlib.import_module(tracker.name)
    if tracker.name == "wandb":
        wandb = import_wandb(tracker)
        try:
            wandb.Settings(project=tracker.project)
            found = tracker.wandb_mode == "offline" or wandb.login(prompt=False, verify=False)
        except wandb.errors.Error as error:
            raise UserError(f"tracker=wandb: {one_line(error)}") from None
        if not found:
            raise UserError(
                "tracker.wandb_mode=online finds no API key: set WANDB_API_KEY or run `wandb login`; "
                "tracker.wandb_mode=offline needs none"
            )


def make_tracker(tracker: TrackerConfig, run_dir: Path, config: dict[str, Any], first_step: int) -> Tracker:
    """The tracker a config asks for, to go on after `first_step`."""
    try:
        if tracker.name == "tensorboard":
            return TensorBoardTracker(run_dir, first_step)
        if tracker.name == "wandb":
            return WandbTracker(run_dir, tracker, config)
    except OSError as error:
        raise system_error(error, run_dir / tracker.name) from None
    return Tracker()
