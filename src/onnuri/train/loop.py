"""The training loop: read `train` top to bottom, it is all there is.

A run is a pure function of (shards, config): batches come from (seed, step), the learning rate from the
step, weights and optimizer state from the newest whole checkpoint. So a run killed at any instant and
started again goes on bit for bit as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from onnuri import kernels
from onnuri.checkpoint import store, zero_state
from onnuri.checkpoint.listing import list_checkpoints, newest_verified, set_aside
from onnuri.checkpoint.store import Saver
from onnuri.config import to_dict
from onnuri.errors import UserError
from onnuri.manifest import Manifest
from onnuri.tokens.loader import Loader
from onnuri.train import step_gate
from onnuri.train.config import GuardConfig
from onnuri.train.disk_trouble import DiskTrouble
from onnuri.train.engine import (
    broadcast_from_rank_zero,
    build_engine,
    describe_optimizer,
    start_process_group,
)
from onnuri.train.guard import LEFT_OUT, Progress, StepGuard, finite, read_progress, record_odd_step
from onnuri.train.inputs import read_ahead
from onnuri.train.metrics import Metrics, is_validated
from onnuri.train.profile import Profiler
from onnuri.train.resources import Resources
from onnuri.train.run_ledger import ledger_line, record_checkpoints
from onnuri.train.run_plan import RunPlan
from onnuri.train.run_start import open_loader, open_run, record_start
from onnuri.train.schedule import lr_multiplier
from onnuri.train.step_totals import StepTotals
from onnuri.train.stragglers import Stragglers
from onnuri.train.unintended import warnings_at_start
from onnuri.train.utilisation import peak_flops
from onnuri.train.validate import Validation
from onnuri.train.watchdog import Watchdog

ROLLBACK_MEMORY = 1000
"""Steps over which the batches that rollbacks have left out are limited."""


class StopRequest:
    """Remembers SIGTERM or SIGUSR1 (a scheduler's warning) or SIGINT (Ctrl-C) until the step is over, so
    that the ranks can stop together."""

    def __init__(self) -> None:
        self.received = False
        """On this rank."""
        self.agreed = False
        """On some rank, as all of them know since the last step."""
        self.status = 128 + signal.SIGTERM
        """Exit status: 143, or 128 and the number of the signal that this rank got."""
        numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
        self._before = {number: signal.signal(number, self._remember) for number in numbers}

    def close(self) -> None:
        """Let signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received, self.status = True, 128 + number


def train(plan: RunPlan) -> int:
    """Run a plan to its last step, on every rank. Returns the exit status.

    0: trained, and the last checkpoint is on disk. 143, 138: stopped by SIGTERM or SIGUSR1 with
    everything saved.
    Raises UserError when too many steps in a row had to be skipped, or the directory cannot be written any
    more; the message names the last good checkpoint.
    """
    config, metrics = plan.config, None
    with contextlib.ExitStack() as cleanup:
        device = start_process_group(config, plan.local_world_size)
        cleanup.callback(dist.destroy_process_group)
        stop = StopRequest()
        cleanup.callback(stop.close)
        run_dir = open_run(plan, cleanup)
        trouble = DiskTrouble(run_dir)
        torch.manual_seed(config.train.seed + plan.rank)
        loader = open_loader(plan, run_dir)
        engine = build_engine(plan)
        guard = StepGuard(config.guard)
        step_gate.install(engine, guard.accept, config.optim.gradient_clipping)
        progress, resumed, notes = resume(engine, loader, run_dir)
        validation = Validation(plan, device)
        ledger = record_start(plan, engine, progress, resumed, cleanup)
        stacks = run_dir / f"stacks-rank-{plan.rank:05d}.txt"
        watchdog = Watchdog(config.guard.stall_factor, config.guard.stall_seconds, stacks)
        cleanup.callback(watchdog.close)
        stragglers = Stragglers(config.guard.straggler_every, config.guard.straggler_factor, device)
        cleanup.callback(stragglers.close)
        resources = Resources(device)
        peak = peak_flops(device, config.engine.precision)
        flops_per_token = config.model.flops_per_token(config.data.sequence_length)
        profiler = Profiler(config.profile, run_dir, plan.rank)
        cleanup.callback(profiler.close)
        if plan.rank == 0:
            metrics = Metrics(run_dir, progress.step, config.train.steps, config.tracker, to_dict(config))
            cleanup.callback(metrics.close)
            about = (describe(plan, run_dir, progress.step), describe_optimizer(engine), kernels.describe())
            known = f"{peak / 1e12:.3g} TFLOP/s on all ranks" if peak else "not known, so no MFU"
            for line in (*notes, *about, f"peak: {known}", *warnings_at_start(plan, loader, progress.step)):
                metrics.say(line)
        say = metrics.say if metrics else print
        saver = Saver(run_dir, config.train.keep_checkpoints, config.train.keep_every, say)
        cleanup.callback(saver.close)

        def validate(step: int) -> None:
            bits_per_byte = validation.run(engine)
            with trouble:
                if metrics:
                    metrics.log_validation(step, bits_per_byte)

        if validation_is_missing(plan, run_dir, progress.step):
            validate(progress.step)
        batches = read_ahead(loader, plan, progress.step, device)
        saved = time.monotonic()
        while progress.step < plan.last_step:
            started = time.perf_counter()
            watchdog.start_step()
            stragglers.start_step()
            resources.start_step()
            step = progress.step + 1
            lr = config.optim.lr * lr_multiplier(config.schedule, step, config.train.steps)
            for group in engine.optimizer.param_groups:
                group["lr"] = lr

            num_targets = loader.num_targets(step - 1)
            loss_sum = torch.zeros((), dtype=torch.float64, device=device)
            guard.start_step(progress)
            totals = None
            for inputs in resources.timed(itertools.islice(batches, plan.accumulation)):
                if guard.verdict == LEFT_OUT:
                    continue
                loss = engine(*inputs, reduction="sum") / num_targets
                # DeepSpeed averages gradients over ranks; the loss is already a share of the global mean.
                engine.backward(loss * plan.world_size, scale_wrt_gas=False)
                loss_sum += loss.detach().double()
                if engine.is_gradient_accumulation_boundary():
                    waited = time.monotonic() - saved > 60 * config.train.ephemeral_minutes > 0
                    guard.loss = totals = StepTotals(loss_sum, stop.received, waited, bool(trouble.problem))
                engine.step()  # asks guard.accept, which waits for the device
            stop.agreed, long_ago, broken = totals.flags if totals else (False, False, False)
            watchdog.end_step()
            if broken:
                trouble.problem = broadcast_from_rank_zero(trouble.problem)
                trouble.end_run()
            guard.finish_step(progress)
            progress.tokens += num_targets

            seconds = time.perf_counter() - started
            used, warnings = resources.end_step(seconds)
            with trouble:
                if ledger:
                    ledger.add("step", ledger_line(plan, guard, progress))
                if metrics:
                    metrics.log_step(
                        {
                            "step": step,
                            "loss": finite(guard.loss),
                            "grad_norm": finite(guard.grad_norm),
                            "lr": lr,
                            "tokens": progress.tokens,
                            "tokens_per_second": num_targets / seconds,
                            "mfu": num_targets / seconds * flops_per_token / peak if peak else None,
                            "seconds": seconds,
                            "skipped": progress.skipped,
                            **used,
                        }
                    )
                    for warning in warnings:
                        metrics.say(f"warning: step {step}: {warning}")
                    if guard.verdict:
                        metrics.say(guard.describe(step, progress))
                        record_odd_step(run_dir, step, guard, loader.document_ids(step - 1))
            stragglers.end_step(resources.waited)
            profiler.end_step()
            report = stragglers.report(step)
            with trouble:
                if report and metrics:
                    metrics.log_ranks(step, *report)
            if progress.skipped_in_a_row >= config.guard.max_skipped:
                raise UserError(too_many_skipped(progress, run_dir))
            if guard.wants_rollback and can_roll_back(run_dir, saver):
                if ledger:
                    record_checkpoints(ledger, saver)
                    ledger.add("rollback", {"step": step})
                progress = roll_back(engine, loader, run_dir, progress, config.guard)
                batches.close()
                batches = read_ahead(loader, plan, progress.step, device)
                if metrics:
                    metrics.rewind(progress.step)
                continue

            if plan.replay_until:
                continue
            last = step == config.train.steps
            lasting = due(step, config.train.checkpoint_every, last or stop.agreed)
            if lasting or long_ago or due(step, config.train.ephemeral_every):
                saver.wait()
                with trouble:
                    if metrics and ledger:
                        metrics.sync()
                        record_checkpoints(ledger, saver)
                        ledger.sync()
                save(engine, loader, saver, progress, ledger.head if ledger else "", ephemeral=not lasting)
                saved = time.monotonic()
            if due(step, config.train.validate_every, last) and not stop.agreed:
                validate(step)
            if last or stop.agreed:
                saver.wait()
                with trouble:
                    if ledger:
                        record_checkpoints(ledger, saver)
                        ledger.add("end" if last else "stop", {"step": step})
                        ledger.sync()
                trouble.end_run()
            if stop.agreed and not last:
                if metrics:
                    metrics.say(
                        f"stopped by a signal after step {step}; checkpoint saved; the same command "
                        f"resumes, with run_dir={run_dir}"
                    )
                return stop.status
    if plan.rank == 0:
        print(f"trained to step {config.train.steps}: {run_dir}", flush=True)
    return 0


def resume(engine: Any, loader: Loader, run_dir: Path) -> tuple[Progress, Manifest | None, list[str]]:
    """Load the newest whole checkpoint, if there is one. Returns how far it is, its manifest, and notes."""

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
    loader.check_state(found.counts["loader"])
    progress = read_progress(found.counts["progress"], folder)
    store.load(folder, zero_state.load_target(engine))
    zero_state.after_load(engine, progress.updates)
    if found.counts["world_size"] == dist.get_world_size():
        random = zero_state.rng_target()
        store.load(folder, random)
        torch.set_rng_state(*(piece.values for piece in random.values()))
    if dist.get_rank() == 0:
        set_aside(run_dir, progress.step)
    return progress, found, notes


def roll_back(
    engine: Any, loader: Loader, run_dir: Path, progress: Progress, guard: GuardConfig
) -> Progress:
    """Load the last checkpoint again, to go on from there without the last batches."""
    spike = range(max(1, progress.step - guard.rollback_batches + 1), progress.step + 1)
    left_out = sorted({*progress.left_out, *spike})
    lately = sum(step > progress.step - ROLLBACK_MEMORY for step in left_out)
    if lately > guard.max_skipped * guard.rollback_batches:
        raise UserError(
            f"step {progress.step}: rollbacks have left out {lately} of the last {ROLLBACK_MEMORY} batches "
            "and it spikes all the same: the run stops; a lower optim.lr or guard.on_spike=report may help"
        )
    restored, _, _ = resume(engine, loader, run_dir)
    restored.left_out = left_out
    return restored


def save(
    engine: Any, loader: Loader, saver: Saver, progress: Progress, ledger_head: str, *, ephemeral: bool
) -> None:
    """Begin a checkpoint: the step waits for a copy of the state."""
    state = {
        "ledger": ledger_head,
        "loader": loader.state(progress.step),
        "progress": asdict(progress),
        "world_size": dist.get_world_size(),
    }
    saver.save(progress.step, zero_state.own_pieces(engine), state, ephemeral)


def validation_is_missing(plan: RunPlan, run_dir: Path, step: int) -> bool:
    """True where a run has ended between the checkpoint of a step and its validation. Collective call."""
    last = step == plan.config.train.steps
    if step == 0 or plan.replay_until or not due(step, plan.config.train.validate_every, last):
        return False
    return bool(broadcast_from_rank_zero(plan.rank == 0 and not is_validated(run_dir, step)))


def due(step: int, every: int, always: bool = False) -> bool:
    """True every `every` steps (0: never by itself) and when `always`."""
    return always or (every > 0 and step % every == 0)


def can_roll_back(run_dir: Path, saver: Saver) -> bool:
    """True when there is a checkpoint to roll back to, once the one under way is finished."""
    saver.wait()
    return bool(broadcast_from_rank_zero(bool(list_checkpoints(run_dir))))


def too_many_skipped(progress: Progress, run_dir: Path) -> str:
    """Why the run ends, and what is left of it."""
    good = list_checkpoints(run_dir)
    return (
        f"step {progress.step}: {progress.skipped_in_a_row} steps in a row were skipped, as their loss or "
        "gradient is not finite or jumped: the run stops; last good checkpoint: "
        f"{good[0] if good else 'none'}. A lower optim.lr or a longer schedule.warmup_steps often helps"
    )


def describe(plan: RunPlan, run_dir: Path, first_step: int) -> str:
    """One paragraph on what is about to run."""
    config, model = plan.config, plan.config.model
    compiled = ", compiled" * (config.engine.compile == "on")
    began = f"resumes after step {first_step}" if first_step else "starts"
    return (
        f"{run_dir} {began}: {model.num_parameters() / 1e6:.1f}M parameters, {config.train.steps} steps of "
        f"{plan.tokens_per_step:,} tokens, {plan.world_size} rank(s) x {plan.accumulation} micro-batch(es) "
        f"of {plan.micro_batch_size} x {config.data.sequence_length}, ZeRO-{config.engine.stage}, "
        f"{config.engine.precision}{compiled}, {plan.data.counts['train']['tokens']:,} tokens in the shards"
    )
