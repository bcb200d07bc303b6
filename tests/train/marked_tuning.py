"""`onnuri tune` that writes down when each rank begins and ends a phase.

Run as marked_tuning.py OVERRIDE... with MARKS in the environment: a folder for a file a rank, whose lines
are `SECONDS + PHASE` and `SECONDS - PHASE`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from onnuri.checkpoint.store import Saver
from onnuri.cli.tune import main
from onnuri.train import loop
from onnuri.train.objectives import OBJECTIVES
from onnuri.train.run_state import Run
from onnuri.train.validate import Validation

FILE = os.open(
    f"{os.environ['MARKS']}/rank-{os.environ['RANK']}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
)


def mark(sign: str, phase: str) -> None:
    os.write(FILE, f"{time.monotonic()} {sign} {phase}\n".encode())


def marked(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        mark("+", phase)
        try:
            return function(*given, **named)
        finally:
            mark("-", phase)

    return call


if __name__ == "__main__":
    grpo = OBJECTIVES["grpo"]
    OBJECTIVES["grpo"] = replace(
        grpo,
        before_step=marked("generating", grpo.before_step),  # type: ignore[arg-type]
        held_out=marked("validating", grpo.held_out),  # type: ignore[arg-type]
    )
    loop.open_run = marked("starting", loop.open_run)
    loop.update = marked("training", loop.update)
    Run.save = marked("saving", Run.save)  # type: ignore[method-assign]
    Saver._write = marked("writing", Saver._write)  # type: ignore[method-assign]
    Validation.run = marked("validating", Validation.run)  # type: ignore[method-assign]
    main()
