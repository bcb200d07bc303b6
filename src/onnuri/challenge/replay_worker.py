"""One rank of a replay: RUN_DIR STEP..., training from where RUN_DIR is and keeping a checkpoint of each
step named."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.run.lock import die_with_launcher
from onnuri.run.run_file import RUN_FILE
from onnuri.train import loop
from onnuri.train.config import PretrainConfig
from onnuri.train.guard import Progress, StepGuard
from onnuri.train.run_plan import RunPlan, make_plan
from onnuri.train.run_start import open_run
from onnuri.train.run_state import Run


def main(run_dir: Path, stops: Sequence[int]) -> int:
    """Train as `onnuri ledger verify` replays, and save at each stop. Returns the exit status."""
    from omegaconf import OmegaConf

    stored = json.loads((run_dir / RUN_FILE).read_text(encoding="utf-8"))
    config: Any = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(PretrainConfig), stored["config"])
    )
    config = replace(config, train=replace(config.train, keep_checkpoints=0))

    def open_and_save(plan: RunPlan, cleanup: contextlib.ExitStack) -> Run:
        run = open_run(plan, cleanup)
        record_step = run.record.step

        def record_and_save(guard: StepGuard, progress: Progress, *facts: Any) -> None:
            record_step(guard, progress, *facts)
            if progress.step in stops:
                run.save(ephemeral=False)
                run.saver.wait()

        run.record.step = record_and_save  # type: ignore[method-assign, assignment]
        return run

    loop.open_run = open_and_save  # a replay of the loop saves nothing by itself
    return loop.train(replace(make_plan(config), replay_until=max(stops)))


if __name__ == "__main__":
    die_with_launcher()
    try:
        status = main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]])
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        status = 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # as scripts/pretrain.py does: threads of gloo sometimes abort an orderly exit
