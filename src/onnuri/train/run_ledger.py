"""What a run writes into its ledger."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.base.provenance import code_version, environment
from onnuri.checkpoint.store import Saver
from onnuri.config import to_dict
from onnuri.run.chain import BEGINNING, Ledger
from onnuri.tokens.ramp import training_flops
from onnuri.train.guard import Progress, StepGuard, finite
from onnuri.train.run_plan import RunPlan

log = logging.getLogger(__name__)


def open_ledger(
    plan: RunPlan, engine: Any, progress: Progress, resumed: Manifest | None, cleanup: contextlib.ExitStack
) -> Ledger:
    """The run's ledger, with a line on who starts or resumes it with what."""
    ledger = Ledger(Path(plan.config.run_dir), resumed)
    cleanup.callback(ledger.close)
    if not resumed and ledger.saved:
        raise UserError(
            f"run_dir={plan.config.run_dir} has no checkpoint, though its ledger records that of step "
            f"{ledger.saved}: is a disk not mounted? To start over choose another run_dir"
        )
    facts = {
        "step": progress.step,
        "data": plan.data.identity,
        "tokenizer": plan.data.counts["tokenizer_sha256"],
        "world_size": plan.ranks.world_size,
        "code": code_version(),
        "environment": environment(),
        "config": to_dict(plan.config),
    }
    if chat := plan.data.counts.get("chat"):
        facts["chat_template"] = chat.get("template_sha256")
    if resumed:
        if ledger.head == BEGINNING:
            log.warning(f"warning: {ledger.path} begins again: steps 1 to {progress.step} are not in it")
        ledger.add("resume", facts | {"identity": resumed.identity})
    else:
        if plan.warm_start:
            facts["init_from"] = plan.warm_start.record
        ledger.add("start", facts | {"initial_weights": engine.initial_weights_sha256})
    return ledger


def ledger_line(plan: RunPlan, guard: StepGuard, progress: Progress) -> dict[str, Any]:
    """What the ledger keeps of a step."""
    return {
        "step": progress.step,
        "loss": finite(guard.loss),
        "grad_norm": finite(guard.grad_norm),
        "tokens": progress.tokens,
        "flops": training_flops(
            plan.config.flops_per_token, plan.batches, plan.lengths, progress.step, progress.tokens
        ),
        **({"verdict": guard.verdict, "taken": guard.taken} if guard.verdict else {}),
    }


def record_checkpoints(ledger: Ledger, saver: Saver) -> None:
    """Note the checkpoints that are complete by now."""
    while saver.finished:
        step, identity = saver.finished.pop(0)
        ledger.add("checkpoint", {"step": step, "identity": identity})
