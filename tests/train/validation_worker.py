"""One rank of a run that is killed in its first validation: validation_worker.py OVERRIDE..."""

import os
import signal
from typing import Any

from onnuri.config import CONFIG_ROOT, run_cli
from onnuri.train import loop
from onnuri.train.config import PretrainConfig
from onnuri.train.run_plan import make_plan
from onnuri.train.run_state import Run
from onnuri.train.validate import Validation


def killed(self: Validation, engine: Any) -> dict[str, float]:
    """No validation."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def wait_and_save(self: Run, *, ephemeral: bool) -> None:
    """A save that has come to its end when the validation begins."""
    save(self, ephemeral=ephemeral)
    self.saver.wait()


save, Run.save, Validation.run = Run.save, wait_and_save, killed
run_cli(PretrainConfig, lambda config: loop.train(make_plan(config)), "", CONFIG_ROOT, "pretrain")
