"""Training as a user starts it: `onnuri pretrain` on one device, killed when enough steps are measured.

It is killed because its last step would save a checkpoint of gigabytes. Figures are medians from step 6 on:
the first steps compile.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

from onnuri.base.lifetime import bound
from onnuri.gpu.numbers import missing
from onnuri.gpu.planned import cluster_here, plan
from onnuri.gpu.shards import VOCABULARY
from onnuri.gpu.stage import Result, Results, Settings, not_run
from onnuri.kernels.config import BACKENDS

SHAPES = {
    "300m": {"data.sequence_length": 2048, "train.global_batch_size": 64, "engine.micro_batch_size": 8},
    "1b": {"data.sequence_length": 4096, "train.global_batch_size": 32, "engine.micro_batch_size": 4},
}
"""131,072 tokens a step, 16,384 a micro-batch."""
UNENDING = {
    "optim": "adamw",  # as its peers have
    "train.steps": 1_000_000,
    "train.validate_every": 0,
    "train.checkpoint_every": 0,
    "guard.straggler_every": 0,
    "model.vocab_size": VOCABULARY,
}
REHEARSED = {
    "model.hidden_size": 64,
    "model.num_layers": 1,
    "model.num_heads": 2,
    "model.num_kv_heads": 1,
    "model.head_dim": 32,
    "model.intermediate_size": 128,
    "data.sequence_length": 32,
    "train.global_batch_size": 2,
    "engine.micro_batch_size": 1,
    "engine.precision": "fp32",
    "engine.threads_per_rank": 1,
}
FIRST_STEPS = 5
"""Not counted."""
ENOUGH_STEPS = 15
"""Counted steps after which the run is ended early."""
LAST_SECONDS = 3.0
"""Left for the result."""


def run(settings: Settings, model: str, words: dict[str, Any]) -> Results:
    """One run: its planned figures, and its measured ones."""
    if why := _cannot_run(words, settings.device):
        yield not_run(f"training with {' '.join(f'{name}={value}' for name, value in words.items())}", why)
        return
    if settings.rehearse and words.get("engine.compile") != "off":
        yield not_run("training with compiled blocks", "a rehearsal does not wait for the compiler")
    # What a rehearsal makes small stays small; what a variant sets is set in both.
    options = {
        "model": model,
        **UNENDING,
        **SHAPES[model],
        **words,
        **(REHEARSED if settings.rehearse else {}),
    }
    run_dir, log = Path(settings.work) / "run", Path(settings.work) / "train.log"
    listed = [f"{name}={value}" for name, value in options.items()]
    cluster = cluster_here(settings.device)
    result: Result = {"measured": "training", "model": model, "cluster": cluster}
    if cluster:
        planned = plan(listed, cluster)
        result["planned_tokens_per_second"] = planned.tokens_per_second
        result["planned_memory_gib"] = planned.memory_gib
    enough = FIRST_STEPS + (2 if settings.rehearse else ENOUGH_STEPS)
    folders = [f"data={settings.data}", f"run_dir={run_dir}"]
    command = [sys.executable, "-m", "onnuri.cli.pretrain", *folders, *listed]
    with gpu_memory(settings) as samples, log.open("wb") as output:
        process = subprocess.Popen(bound(command), stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        while process.poll() is None and settings.seconds_left() > LAST_SECONDS:
            if len(steps(run_dir)) >= enough:
                break
            time.sleep(0.2)
        process.kill()
        process.wait()
    text = log.read_text(encoding="utf-8", errors="replace")
    print(text, flush=True)
    facts = measured(steps(run_dir), text)
    yield result | facts | memory_used(samples) | {"words": listed}
    if not facts["steps"]:
        raise RuntimeError(facts["error"])


def _cannot_run(words: dict[str, Any], device: str) -> str:
    for operation in BACKENDS:
        backend = words.get(f"kernels.{operation}")
        if backend and (why := missing(operation, backend, device)):
            return why
    return ""


def steps(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of steps in metrics.jsonl; a line that is being written is left out."""
    found = []
    with suppress(OSError):
        for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                facts = json.loads(line)
                found += [facts] if "seconds" in facts else []
    return found


def measured(found: list[dict[str, Any]], log: str) -> Result:
    """Medians; or why there are none."""
    if not found:
        lines = [line for line in log.splitlines() if line.strip()]
        return {"steps": 0, "error": f"no step: {lines[-1][:300] if lines else 'no output'}"}
    counted = found[FIRST_STEPS:]
    facts: Result = {"steps": len(found), "first_step_seconds": found[0]["seconds"]}
    if not counted:
        facts["error"] = f"only {len(found)} steps in the time given, {FIRST_STEPS} of them not counted"
    for name in ("seconds", "tokens_per_second", "mfu"):
        values = [line[name] for line in counted if line.get(name) is not None]
        facts |= {name: median(values)} if values else {}
    for name in ("memory_allocated_gib", "memory_reserved_gib"):
        values = [line[name] for line in found if line.get(name) is not None]
        facts |= {name: max(values)} if values else {}
    facts |= {"first_loss": found[0]["loss"], "last_loss": found[-1]["loss"]}
    return facts | {"kernels": chosen_kernels(log)}


def chosen_kernels(log: str) -> dict[str, str]:
    """Operation to backend, from the run's own line about them."""
    line = re.search(r"^kernels: (.*)$", log, re.MULTILINE)
    text = line[1] if line else ""
    found = {operation: re.search(rf"(?:^|, ){operation} (\w+)", text) for operation in BACKENDS}
    return {operation: match[1] for operation, match in found.items() if match}


@contextmanager
def gpu_memory(settings: Settings) -> Iterator[list[int]]:
    """MiB in use on the GPU by nvidia-smi: before, then each quarter second; filled when the block ends."""
    samples: list[int] = []
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    path = Path(settings.work) / "memory"
    try:
        before = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        yield samples
        return
    with path.open("wb") as output:
        sampler = subprocess.Popen(
            bound([*query, "--loop-ms=250"]), stdout=output, stderr=subprocess.DEVNULL
        )
    try:
        yield samples
    finally:
        sampler.kill()
        sampler.wait()
        words = [*before.split(), *path.read_text().split()]
        samples += [int(word) for word in words if word.isdigit()]


def memory_used(samples: list[int]) -> Result:
    """The peak, less what was in use before the run."""
    if not samples:
        return {}
    return {"smi_peak_gib": (max(samples) - samples[0]) / 1024, "smi_before_gib": samples[0] / 1024}
