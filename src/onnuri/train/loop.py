"""The training loop: read `train` and `update` top to bottom, they are all there is.

A run is a pure function of (shards, config): batches come from (seed, step), the learning rate from the
step, weights and optimizer state from the newest verified checkpoint. So a run killed at any instant and
started again continues bit for bit as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import torch

from onnuri.optim.schedule import set_rates
from onnuri.train.guard import LEFT_OUT
from onnuri.train.read_ahead import read_ahead
from onnuri.train.run_plan import RunPlan
from onnuri.train.run_start import open_run
from onnuri.train.run_state import Run, due
from onnuri.train.step_totals import StepTotals

log = logging.getLogger(__name__)


def train(plan: RunPlan) -> int:
    """Run a plan to its last step, on every rank. Returns the exit status.

    0: trained, and the last checkpoint is on disk. 143, 138: stopped by SIGTERM or SIGUSR1 with
    everything saved.
    Raises UserError when too many steps in a row had to be skipped, or the directory cannot be written any
    more; the message names the last good checkpoint.
    """
    with contextlib.ExitStack() as cleanup:
        run = open_run(plan, cleanup)
        config = run.plan.config
        if run.objective.prepare:
            run.objective.prepare(run)
        run.measure(resumed=True)
        batches = read_ahead(run.source, run.plan, run.progress.step, run.device)
        while run.progress.step < run.plan.last_step:
            groups, step = run.engine.optimizer.param_groups, run.progress.step
            run.monitors.start_step(step)
            lr = set_rates(groups, config.optim, config.schedule, step + 1, config.train.steps)
            facts = run.objective.before_step(run) if run.objective.before_step else {}
            num_tokens, must_save, means = update(run, batches)
            step = run.progress.step
            measured, warnings = run.monitors.measure(num_tokens)
            measured |= facts | means
            if run.objective.remarks:
                warnings += run.objective.remarks(run, measured)
            run.record.step(run.guard, run.progress, lr, measured, warnings, run.source)
            run.record.ranks(step, run.monitors.end_step(step))

            run.check_skipped()
            if run.guard.wants_rollback and run.can_roll_back():
                run.roll_back()
                batches.close()
                batches = read_ahead(run.source, run.plan, run.progress.step, run.device)
                continue
            if run.plan.replay_until:
                continue
            last = step == config.train.steps
            ends = last or run.stop.agreed
            lasting = due(step, config.train.checkpoint_every, ends)
            if lasting or must_save or due(step, config.train.ephemeral_every):
                run.save(ephemeral=not lasting)
            if not run.stop.agreed:
                run.measure()
            if ends:
                run.saver.wait()
                run.record.end("end" if last else "stop", step, run.saver)
            if run.stop.agreed and not last:
                run.record.say(
                    f"stopped by a signal after step {step}; checkpoint saved; the same command resumes, "
                    f"with run_dir={run.run_dir}"
                )
                return run.stop.status
    if plan.ranks.is_lead:
        log.info(f"trained to step {config.train.steps}: {run.run_dir}")
    return 0


def update(run: Run, batches: Iterator[Any]) -> tuple[int, bool, dict[str, float]]:
    """One optimizer step over a global batch: forward and backward passes, and the update if the guard
    accepts it.

    Returns the number of tokens in the batch, whether the clock of any rank asks for a checkpoint, and what
    the objective measures.
    """
    plan, engine, guard = run.plan, run.engine, run.guard
    num_targets = max(1, run.source.num_targets(run.progress.step))
    num_tokens, names = run.source.num_tokens(run.progress.step), run.objective.measures
    num_micro_batches = plan.micro_batches(run.source.num_rows(run.progress.step))
    sums = torch.zeros(1 + len(names), dtype=torch.float64, device=run.device)
    guard.start_step(run.progress)
    totals = None
    micro_batches = run.monitors.timed(itertools.islice(batches, num_micro_batches))
    for number, inputs in enumerate(micro_batches, start=1):
        if guard.verdict == LEFT_OUT:
            continue
        last = number == num_micro_batches
        engine.set_gradient_accumulation_boundary(last)  # DeepSpeed's own count knows no ramp
        shares = run.objective.loss_sum(engine, inputs, plan.config).reshape(-1) / num_targets
        # DeepSpeed averages gradients over ranks; the loss is already a share of the global mean.
        engine.backward(shares[0] * plan.ranks.dp_size, scale_wrt_gas=False)
        sums += shares.detach().double()
        if last:
            flags = (run.stop.received, run.ephemeral_is_due, run.record.broken)
            guard.loss = totals = StepTotals(sums, *flags)
        engine.step()  # asks guard.accept, which waits for the device
    run.stop.agreed, must_save, broken = totals.flags if totals else (False, False, False)
    if guard.taken:
        run.average.update(run.progress.step + 1)
    run.monitors.end_update()
    if broken:
        run.record.end_broken_run()
    guard.finish_step(run.progress)
    run.progress.tokens += num_tokens
    return num_tokens, must_save, dict(zip(names, totals.means if totals else (), strict=False))
