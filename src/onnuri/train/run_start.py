"""Opening a run directory: what happens before the first step, and what is written down of it.

Until nothing can be refused any more, only the lock and layouts of the data are written: a start that is
refused leaves a run as it was.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnuri import manifest
from onnuri.copying import copy_contents
from onnuri.errors import UserError
from onnuri.ledger.chain import Ledger
from onnuri.manifest import Manifest
from onnuri.tokens.loader import Loader
from onnuri.train.compile import worth_compiling
from onnuri.train.engine import broadcast_from_rank_zero, hardware_precision
from onnuri.train.guard import Progress
from onnuri.train.ownership import lock_run_dir
from onnuri.train.run_ledger import open_ledger
from onnuri.train.run_plan import DATA_FOLDER, RUN_FILE, RunPlan, check_same_run, record_words, run_record


def open_run(plan: RunPlan, cleanup: contextlib.ExitStack) -> Path:
    """Settle what rank 0 alone decides (precision, compiling), lock the directory and check it.

    Returns the directory; the lock is given up by `cleanup`.
    """
    config = plan.config
    if plan.rank == 0:
        if config.engine.precision == "auto":
            config.engine.precision = hardware_precision()
        if config.engine.compile == "auto":
            config.engine.compile = "on" if worth_compiling(plan) else "off"
    config.engine.precision, config.engine.compile = broadcast_from_rank_zero(
        (config.engine.precision, config.engine.compile)
    )
    run_dir = Path(config.run_dir)
    with on_rank_zero(plan) as lead:
        if lead:
            run_dir.mkdir(parents=True, exist_ok=True)
            cleanup.enter_context(lock_run_dir(run_dir))
            check_same_run(config, plan.data)
    return run_dir


def open_loader(plan: RunPlan, run_dir: Path) -> Loader:
    """The loader of every rank; rank 0 makes first what it keeps in the run directory."""
    config = plan.config

    def make() -> Loader:
        return Loader(config.data, plan.data, config.train.global_batch_size, run_dir / DATA_FOLDER)

    loader = None
    with on_rank_zero(plan) as lead:
        if lead:
            loader = make()
    return loader or make()


def record_start(
    plan: RunPlan, engine: Any, progress: Progress, resumed: Manifest | None, cleanup: contextlib.ExitStack
) -> Ledger | None:
    """Write down what this start runs with: a line of the ledger, then the description of the data and
    `run.json`, which say the same.

    Returns the ledger on rank 0; None on other ranks, and for a replay, of which nothing is recorded.
    """
    run_dir, ledger = Path(plan.config.run_dir), None
    with on_rank_zero(plan) as lead:
        if lead and not plan.replay_until:
            ledger = open_ledger(plan, engine, progress, resumed, cleanup)
            ledger.sync()
            keep_description(plan, run_dir)
            manifest.write_json(run_dir / RUN_FILE, run_record(plan.config, plan.data))
            record_words(run_dir)
    return ledger


def keep_description(plan: RunPlan, run_dir: Path) -> None:
    """Copy what an export needs of the shards, their manifest and tokenizer, into the run directory."""
    source, kept = Path(plan.config.data.path), run_dir / DATA_FOLDER
    copy_contents(source / "tokenizer", kept / "tokenizer")
    shutil.copyfile(source / manifest.FILE_NAME, kept / manifest.FILE_NAME)


@contextlib.contextmanager
def on_rank_zero(plan: RunPlan) -> Iterator[bool]:
    """Around what rank 0 does alone, where this is True: what goes wrong there ends all ranks alike.

    A collective call. Raises UserError.
    """
    problem = ""
    try:
        yield plan.rank == 0
    except OSError as error:
        problem = f"cannot write to run_dir={plan.config.run_dir}: {error.strerror or error}"
        problem += f" ({error.filename})" if error.filename else ""
    except UserError as error:
        problem = str(error)
    problem = broadcast_from_rank_zero(problem)
    if problem:
        raise UserError(problem)
