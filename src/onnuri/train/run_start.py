"""Opening a run directory: what happens before the first step, and what is written down of it.

Until nothing can be refused any more, only the lock and layouts of the data are written: a start that is
refused leaves a run as it was.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from onnuri.base import manifest
from onnuri.base.copying import copy_contents
from onnuri.base.manifest import Manifest
from onnuri.checkpoint.store import Saver
from onnuri.optim.average import WeightAverage
from onnuri.optim.groups import describe_optimizer
from onnuri.parallel import step_gate
from onnuri.parallel.config import EngineConfig
from onnuri.parallel.process_group import (
    broadcast_from_rank_zero,
    hardware_precision,
    start_process_group,
)
from onnuri.run.chain import Ledger
from onnuri.run.lock import lock_run_dir
from onnuri.run.run_file import DATA_FOLDER, RUN_FILE
from onnuri.tokens.source import BatchSource
from onnuri.train.compile import worth_compiling
from onnuri.train.data_seen import describe_epochs
from onnuri.train.engine import build_engine
from onnuri.train.evaluation import Evaluation
from onnuri.train.guard import Progress, StepGuard
from onnuri.train.monitors import Monitors
from onnuri.train.objectives import OBJECTIVES, Objective
from onnuri.train.rank_zero import on_rank_zero
from onnuri.train.record import Record
from onnuri.train.run_ledger import open_ledger
from onnuri.train.run_plan import RunPlan, record_words, run_record
from onnuri.train.run_state import Run, resume
from onnuri.train.same_run import begun, check_same_run
from onnuri.train.schedule_warnings import ramp_warnings, schedule_warnings
from onnuri.train.signals import StopRequest
from onnuri.train.validate import Validation


def open_run(plan: RunPlan, cleanup: contextlib.ExitStack) -> Run:
    """Join the other ranks, open the run directory, build the model and resume. A collective call.

    Raises UserError for whatever refuses the start, on all ranks alike.
    """
    device = start_process_group(plan.config.engine)
    cleanup.callback(dist.destroy_process_group)
    stop = StopRequest()
    cleanup.callback(stop.close)
    plan = open_directory(plan, cleanup)
    config, run_dir = plan.config, Path(plan.config.run_dir)
    torch.manual_seed(config.train.seed + plan.ranks.rank)
    objective = OBJECTIVES[config.objective]
    source = open_source(plan, objective, run_dir)
    engine = build_engine(plan)
    guard = StepGuard(config.guard)
    step_gate.install(engine, guard.accept, config.optim.gradient_clipping)
    average = WeightAverage(engine, config.average)
    progress, resumed, notes = resume(engine, source, run_dir, average)
    validation, evaluation = Validation(plan, device), Evaluation(plan, device)
    ledger = record_start(plan, engine, progress, resumed, cleanup)
    monitors = Monitors(plan, device, run_dir, cleanup)
    record = Record(plan, run_dir, ledger, progress, cleanup)
    for line in (*notes, *about(plan, engine, source, monitors, progress)):
        record.say(line)
    saver = Saver(run_dir, config.train.keep_checkpoints, config.train.keep_every, record.say)
    cleanup.callback(saver.close)
    return Run(
        plan=plan,
        run_dir=run_dir,
        device=device,
        engine=engine,
        source=source,
        objective=objective,
        progress=progress,
        guard=guard,
        average=average,
        validation=validation,
        evaluation=evaluation,
        monitors=monitors,
        record=record,
        saver=saver,
        stop=stop,
    )


def open_directory(plan: RunPlan, cleanup: contextlib.ExitStack) -> RunPlan:
    """Settle what rank 0 alone decides (precision, compiling), lock the directory and check it.

    Returns the plan with that settled; the lock is given up by `cleanup`.
    """
    engine = plan.config.engine
    chosen = (engine.precision, engine.compile)
    if plan.ranks.is_lead:
        precision = hardware_precision() if engine.precision == "auto" else engine.precision
        compiled = engine.compile
        if compiled == "auto":
            compiled = "on" if worth_compiling(plan) else "off"
        chosen = (precision, compiled)
    precision, compiled = broadcast_from_rank_zero(chosen)
    engine = replace(engine, precision=precision, compile=compiled)
    plan = replace(plan, config=replace(plan.config, engine=engine))
    run_dir = Path(plan.config.run_dir)
    with on_rank_zero(plan) as lead:
        if lead:
            run_dir.mkdir(parents=True, exist_ok=True)
            cleanup.enter_context(lock_run_dir(run_dir))
            if started := begun(plan.config.run_dir):
                check_same_run(plan.config, plan.data, started)
    return plan


def open_source(plan: RunPlan, objective: Objective, run_dir: Path) -> BatchSource:
    """The batches of every rank; rank 0 makes first what it keeps in the run directory."""
    source = None
    with on_rank_zero(plan) as lead:
        if lead:
            source = objective.open_source(plan, run_dir / DATA_FOLDER)
    return source or objective.open_source(plan, run_dir / DATA_FOLDER)


def about(
    plan: RunPlan, engine: Any, source: BatchSource, monitors: Monitors, progress: Progress
) -> Iterator[str]:
    """Lines on what is about to run, and warnings."""
    config, model, step = plan.config, plan.config.model, progress.step
    compiled = ", compiled" * (config.engine.compile == "on")
    began = f"resumes after step {step}" if step else "starts"
    up_to = "up to " * bool(config.train.batch_ramp)
    yield (
        f"{config.run_dir} {began}: {model.num_parameters() / 1e6:.1f}M parameters, {config.train.steps} "
        f"steps of {up_to}{plan.tokens_per_step:,} tokens, {plan.ranks.world_size} rank(s) x "
        f"{plan.accumulation} micro-batch(es) of {plan.micro_batch_size} x {config.data.sequence_length}, "
        f"ZeRO-{config.engine.stage}, {config.engine.precision}{compiled}, "
        f"{plan.data.counts['train']['tokens']:,} tokens in the shards"
    )
    if plan.warm_start:
        yield f"weights of {plan.warm_start.folder}, sha256 {engine.initial_weights_sha256[:12]}..."
    yield from about_ramps(plan)
    yield describe_epochs(source, config.train.steps)
    yield describe_optimizer(engine)
    yield engine.kernels.describe()
    peak = f"{monitors.peak / 1e12:.3g} TFLOP/s on all ranks" if monitors.peak else "not known, so no MFU"
    yield f"peak: {peak}"
    yield from stage_hint(config.engine, plan.ranks.world_size, engine.device.type)
    stored = plan.stored or {"config": {}}
    steps_before = stored["config"].get("train", {}).get("steps", config.train.steps)
    schedules = (*schedule_warnings(config, step, steps_before), *ramp_warnings(plan))
    for line in (*schedules, *source.warnings(step)):
        yield f"warning: {line}"


def about_ramps(plan: RunPlan) -> Iterator[str]:
    """The stages of a batch ramp and of a length ramp, where there are any."""
    train, data = plan.config.train, plan.config.data
    if train.batch_ramp:
        stages = ", ".join(
            f"{each.value} ({plan.accumulation_at(each.start)} micro-batch(es)) from step {each.start} on"
            for each in plan.batches.stages(train.steps)
        )
        total = plan.batches.before(train.steps) * data.sequence_length
        yield f"train.batch_ramp: sequences in a step: {stages}; {total:,} tokens in all"
    if data.length_ramp:
        stages = ", ".join(
            f"{each.value} from step {each.start} on" for each in plan.lengths.stages(train.steps)
        )
        yield f"data.length_ramp: tokens that attention reaches: {stages}"


def stage_hint(engine: EngineConfig, world_size: int, device: str) -> Iterator[str]:
    """Stage 3 on one GPU pays for sharding that there is nothing to gain from (docs/gpu.md)."""
    if device == "cuda" and (engine.stage, engine.offload, world_size) == (3, "none", 1):
        yield "note: one rank shards nothing; engine.stage=1 is faster, 1.7 times at 300M on an H100"


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
            manifest.write_json(run_dir / RUN_FILE, run_record(plan))
            record_words(run_dir)
    return ledger


def keep_description(plan: RunPlan, run_dir: Path) -> None:
    """Copy what an export needs of the shards, their manifest and tokenizer, into the run directory."""
    source, kept = Path(plan.config.data.path), run_dir / DATA_FOLDER
    copy_contents(source / "tokenizer", kept / "tokenizer")
    shutil.copyfile(source / manifest.FILE_NAME, kept / manifest.FILE_NAME)
