"""The training loop: read `train` top to bottom, it is all there is.

A run is a pure function of (shards, config): batches come from (seed, step), the learning rate from the
step, weights and optimizer state from the newest whole checkpoint. So a run killed at any instant and
started again goes on bit for bit as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from onnuri import manifest
from onnuri.checkpoint import store, zero_state
from onnuri.checkpoint.listing import list_checkpoints, newest_verified, set_aside
from onnuri.config import to_dict
from onnuri.errors import UserError
from onnuri.tokens.loader import Loader
from onnuri.tokens.shards import TokenShards
from onnuri.train.engine import (
    broadcast_from_rank_zero,
    build_engine,
    hardware_precision,
    start_process_group,
)
from onnuri.train.metrics import Metrics
from onnuri.train.ownership import lock_run_dir
from onnuri.train.run_plan import DATA_FOLDER, RUN_FILE, RunPlan, check_same_run, run_record
from onnuri.train.schedule import lr_multiplier
from onnuri.train.validate import Validation

STOPPED_BY_SIGNAL = 143


class StopRequest:
    """Remembers SIGTERM (a scheduler) or SIGINT (Ctrl-C) until the step is over, so that the ranks can
    stop together."""

    def __init__(self) -> None:
        self.received = False
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._remember) for number in numbers}

    def close(self) -> None:
        """Let signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = True


def train(plan: RunPlan) -> int:
    """Run a plan to its last step, on every rank. Returns the exit status.

    0: trained, and the last checkpoint is on disk. 143: stopped by a signal with everything saved.
    Raises UserError when the loss or the gradient is not finite: nothing is saved then, and the message
    names the last good checkpoint.
    """
    config, metrics = plan.config, None
    with contextlib.ExitStack() as cleanup:
        device = start_process_group(config, plan.local_world_size)
        cleanup.callback(dist.destroy_process_group)
        stop = StopRequest()
        cleanup.callback(stop.close)
        run_dir = open_run(plan, cleanup)
        loader = Loader(
            TokenShards.open(config.data.path, "train"),
            config.data.sequence_length,
            config.train.global_batch_size,
            config.data.seed,
            plan.data.identity,
        )
        engine = build_engine(plan)
        first_step, notes = resume(engine, loader, run_dir)
        validation = Validation(plan, device)
        if plan.rank == 0:
            metrics = Metrics(run_dir, first_step, config.train.steps, config.tracker, to_dict(config))
            cleanup.callback(metrics.close)
            for line in (*notes, describe(plan, run_dir, first_step)):
                metrics.say(line)

        for step in range(first_step + 1, config.train.steps + 1):
            started = time.perf_counter()
            lr = config.optim.lr * lr_multiplier(config.schedule, step, config.train.steps)
            for group in engine.optimizer.param_groups:
                group["lr"] = lr

            loss_sum = torch.zeros((), dtype=torch.float64, device=device)
            for micro in range(plan.accumulation):
                rows = loader.micro_batch(
                    step - 1, micro, plan.rank, plan.world_size, plan.micro_batch_size
                )
                windows = torch.from_numpy(rows).to(device)
                losses = engine(windows[:, :-1], windows[:, 1:])
                loss = losses.sum() / plan.tokens_per_step
                # DeepSpeed averages gradients over ranks; the loss is already a share of the global mean.
                engine.backward(loss * plan.world_size, scale_wrt_gas=False)
                grad_norm = gradient_norm(engine)
                engine.step()
                loss_sum += loss.detach().double()

            totals = torch.stack([loss_sum, torch.tensor(float(stop.received), device=device).double()])
            dist.all_reduce(totals)
            mean_loss, stopping = float(totals[0]), bool(totals[1] > 0)
            grad_norm = gradient_norm(engine, grad_norm)
            check_finite(step, mean_loss, grad_norm, run_dir)

            seconds = time.perf_counter() - started
            if metrics:
                metrics.log_step(
                    {
                        "step": step,
                        "loss": mean_loss,
                        "grad_norm": grad_norm,
                        "lr": lr,
                        "tokens": step * plan.tokens_per_step,
                        "tokens_per_second": plan.tokens_per_step / seconds,
                        "seconds": seconds,
                    }
                )

            last = step == config.train.steps
            if due(step, config.train.validate_every, last) and not stopping:
                bits_per_byte = validation.run(engine)
                if metrics:
                    metrics.log_validation(step, bits_per_byte)
            if due(step, config.train.checkpoint_every, last or stopping):
                save(engine, loader, run_dir, step, config.train.keep_checkpoints)
            if stopping and not last:
                if metrics:
                    metrics.say(
                        f"stopped by a signal after step {step}; checkpoint saved, same command resumes"
                    )
                return STOPPED_BY_SIGNAL
    if plan.rank == 0:
        print(f"trained to step {config.train.steps}: {run_dir}", flush=True)
    return 0


def open_run(plan: RunPlan, cleanup: contextlib.ExitStack) -> Path:
    """Settle what rank 0 alone decides (directory, precision), lock the directory and write `run.json`.

    Returns the directory; the lock is given up by `cleanup`.
    """
    config = plan.config
    if plan.rank == 0:
        if not config.run_dir:
            config.run_dir = f"runs/{time.strftime('%Y%m%d-%H%M%S')}"
        if config.engine.precision == "auto":
            config.engine.precision = hardware_precision()
    config.run_dir, config.engine.precision = broadcast_from_rank_zero(
        (config.run_dir, config.engine.precision)
    )
    run_dir = Path(config.run_dir)
    problem = ""
    if plan.rank == 0:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            cleanup.enter_context(lock_run_dir(run_dir))
            check_same_run(config, plan.data)
            keep_description(plan, run_dir)
            manifest.write_json(run_dir / RUN_FILE, run_record(config, plan.data))
        except OSError as error:
            problem = f"cannot write to run_dir={run_dir}: {error.strerror}"
        except UserError as error:
            problem = str(error)
    problem = broadcast_from_rank_zero(problem)
    if problem:
        raise UserError(problem)
    return run_dir


def keep_description(plan: RunPlan, run_dir: Path) -> None:
    """Copy what an export needs of the shards, their manifest and tokenizer, into the run directory."""
    source, kept = Path(plan.config.data.path), run_dir / DATA_FOLDER
    shutil.copytree(source / "tokenizer", kept / "tokenizer", dirs_exist_ok=True)
    shutil.copyfile(source / manifest.FILE_NAME, kept / manifest.FILE_NAME)


def resume(engine: Any, loader: Loader, run_dir: Path) -> tuple[int, list[str]]:
    """Load the newest whole checkpoint, if there is one. Returns its step and notes to show."""

    def choose() -> tuple[Any, str]:
        try:
            return newest_verified(run_dir), ""
        except UserError as error:
            return None, str(error)

    chosen, problem = broadcast_from_rank_zero(choose() if dist.get_rank() == 0 else None)
    if problem:
        raise UserError(problem)
    if chosen is None:
        return 0, []
    folder, found, notes = chosen
    loader.check_state(found.counts["loader"])
    tensors = zero_state.load_target(engine)
    store.load(folder, tensors)
    step = int(found.settings["step"])
    zero_state.restore(engine, tensors, step)
    if dist.get_rank() == 0:
        set_aside(run_dir, step)
    return step, notes


def save(engine: Any, loader: Loader, run_dir: Path, step: int, keep: int) -> None:
    """Write a checkpoint from all ranks."""
    state = {"loader": loader.state(step), "world_size": dist.get_world_size()}
    store.save(run_dir, step, zero_state.sharded_state(engine), state, keep)


def due(step: int, every: int, always: bool) -> bool:
    """True every `every` steps (0: never by itself) and when `always`."""
    return always or (every > 0 and step % every == 0)


def gradient_norm(engine: Any, fallback: float = 0.0) -> float:
    """Global gradient norm of the last update, before clipping.

    ZeRO and bf16 engines keep it; plain data parallelism (stage 0, fp32) does not, so there it is taken
    from the reduced gradients, which exist between backward and step.
    """
    norm = engine.get_global_grad_norm()
    if norm is not None:
        return float(norm)
    gradients = [p.grad for p in engine.module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients)) if gradients else fallback


def check_finite(step: int, loss: float, grad_norm: float, run_dir: Path) -> None:
    """Stop the run before a broken state can be saved.

    DeepSpeed's ZeRO-3 does not check bf16 gradients and reports a non-finite norm as -1.
    """
    if math.isfinite(loss) and math.isfinite(grad_norm) and grad_norm >= 0:
        return
    good = list_checkpoints(run_dir)
    raise UserError(
        f"step {step}: loss {loss}, gradient norm {grad_norm}: not finite, so the run stops and this step "
        f"is not saved; last good checkpoint: {good[0] if good else 'none'}. A lower optim.lr or a longer "
        "schedule.warmup_steps often helps"
    )


def describe(plan: RunPlan, run_dir: Path, first_step: int) -> str:
    """One paragraph on what is about to run."""
    config, model = plan.config, plan.config.model
    began = f"resumes after step {first_step}" if first_step else "starts"
    return (
        f"{run_dir} {began}: {model.num_parameters() / 1e6:.1f}M parameters, {config.train.steps} steps of "
        f"{plan.tokens_per_step:,} tokens, {plan.world_size} rank(s) x {plan.accumulation} micro-batch(es) "
        f"of {plan.micro_batch_size} x {config.data.sequence_length}, ZeRO-{config.engine.stage}, "
        f"{config.engine.precision}, {plan.data.counts['train']['tokens']:,} tokens in the shards"
    )
