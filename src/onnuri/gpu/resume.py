"""Does a run that is killed and started again give the same losses, bit for bit?

One run goes through eight steps. Another is killed (SIGKILL) when its checkpoint of step 4 is complete, and
the same command is started again. Losses and gradient norms of all steps must be the same bits.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from onnuri.base.lifetime import bound
from onnuri.gpu.numbers import missing
from onnuri.gpu.shards import VOCABULARY
from onnuri.gpu.stage import Result, Results, Settings, not_run
from onnuri.gpu.training import REHEARSED, steps
from onnuri.run.checkpoints import list_checkpoints

STEPS, SAVED = 8, 4
WORDS = {
    "model": "small",
    "model.vocab_size": VOCABULARY,
    "data.sequence_length": 1024,
    "train.global_batch_size": 16,
    "train.checkpoint_every": SAVED,
    "train.keep_checkpoints": 0,
    "train.validate_every": 0,
    "train.validation_tokens": 64,
    "schedule": "constant",
    "schedule.warmup_steps": 2,
    "engine.stage": 3,
    "engine.compile": "off",
}
BACKENDS = ("triton", "varlen")


def run(settings: Settings) -> Results:
    """For each attention whose backward pass claims to be deterministic; both at the same time."""
    there = []
    for backend in BACKENDS:
        if why := missing("attention", backend, settings.device):
            yield not_run(f"resume with attention={backend}", why)
        else:
            there.append(backend)
    with ThreadPoolExecutor(len(BACKENDS)) as pool:
        yield from pool.map(lambda backend: compare(backend, settings), there)


def compare(backend: str, settings: Settings) -> Result:
    """Both runs with one attention."""
    words: dict[str, Any] = {
        **WORDS,
        **(REHEARSED if settings.rehearse else {}),
        "kernels.attention": backend,
    }
    whole, broken = (Path(settings.work) / f"{backend}-{name}" for name in ("whole", "broken"))
    first = _start(whole, words | {"train.steps": STEPS}, settings)
    status = first.wait()
    second = _start(broken, words | {"train.steps": 1_000_000}, settings)
    while second.poll() is None and not list_checkpoints(broken):
        time.sleep(0.02)
    second.kill()
    second.wait()
    third = _start(broken, words | {"train.steps": STEPS}, settings)
    statuses = (status, third.wait())
    log = _log(broken).read_text(encoding="utf-8", errors="replace")
    resumed = re.findall(r"resumes after step (\d+)", log)
    lines = [
        [(line["step"], line["loss"], line["grad_norm"]) for line in steps(each)]
        for each in (whole, broken)
    ]
    print(_log(whole).read_text(encoding="utf-8", errors="replace"), log, flush=True)
    result: Result = {
        "check": "resume",
        "attention": backend,
        "resumed_after": int(resumed[-1]) if resumed else None,
        "losses": [[loss for _, loss, _ in each] for each in lines],
    }
    if any(statuses) or len(lines[0]) != STEPS or not 0 < (result["resumed_after"] or 0) < STEPS:
        last = [line for line in log.splitlines() if line.strip()][-1:]
        return result | {"error": f"exit statuses {statuses}, {len(lines[1])} steps: {''.join(last)[:200]}"}
    return result | {"same_bits": lines[0] == lines[1]}


def _log(run_dir: Path) -> Path:
    return run_dir.with_suffix(".log")


def _start(run_dir: Path, words: dict[str, Any], settings: Settings) -> subprocess.Popen[bytes]:
    listed = [f"{name}={value}" for name, value in words.items()]
    folders = [f"data={settings.data}", f"run_dir={run_dir}"]
    command = [sys.executable, "-m", "onnuri.cli.pretrain", *folders, *listed]
    with _log(run_dir).open("ab") as output:
        return subprocess.Popen(bound(command), stdout=output, stderr=output, stdin=subprocess.DEVNULL)
