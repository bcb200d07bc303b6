"""Does a run directory hold what its ledger says?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnuri import manifest
from onnuri.checkpoint.listing import list_checkpoints, step_of
from onnuri.errors import UserError
from onnuri.ledger.chain import LEDGER_FILE, read
from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.replay import replay
from onnuri.train.metrics import METRICS_FILE, read_metrics
from onnuri.train.run_plan import DATA_FOLDER, RUN_FILE, flatten, read_run_file


def verify(config: VerifyConfig) -> int:
    """Print what does not match. Returns 0 if everything does, 1 otherwise."""
    run_dir = Path(config.run)
    lines = read(run_dir)
    problems = [*_steps(run_dir, lines), *_settings(run_dir, lines), *_checkpoints(run_dir, lines)]
    problems += _data(run_dir, lines, config.data)
    if config.replay and not problems:
        began = [line for line in lines if line["event"] in ("start", "resume")][-1]
        problems += replay(run_dir, last_of_each_step(lines), began, config.replay, config.data)
    for problem in problems:
        print(problem)
    steps = sum(line["event"] == "step" for line in lines)
    kept = len(list_checkpoints(run_dir))
    if not problems:
        print(f"{run_dir}: {len(lines):,} lines, {steps:,} steps, {kept} checkpoint(s): all as recorded")
    return 1 if problems else 0


def last_of_each_step(lines: list[dict[str, Any]]) -> dict[int, tuple[int, dict[str, Any]]]:
    """The line that counts for each step, with its number: of a step that was done again, the last."""
    return {
        line["step"]: (number, line)
        for number, line in enumerate(lines, start=1)
        if line["event"] == "step"
    }


def _steps(run_dir: Path, lines: list[dict[str, Any]]) -> Iterator[str]:
    recorded = last_of_each_step(lines)
    for line in read_metrics(run_dir):
        if "loss" not in line:
            continue
        number, entry = recorded.get(line["step"], (0, None))
        if entry is None:
            yield f"{METRICS_FILE}: step {line['step']} is not in {LEDGER_FILE}"
            continue
        for name in ("loss", "grad_norm", "tokens"):
            if line[name] != entry[name]:
                yield (
                    f"{METRICS_FILE}: step {line['step']} has {name} {line[name]}, "
                    f"{LEDGER_FILE} line {number} says {entry[name]}"
                )


def _settings(run_dir: Path, lines: list[dict[str, Any]]) -> Iterator[str]:
    stored = read_run_file(run_dir)
    started = [
        (number, line) for number, line in enumerate(lines, start=1) if line["event"] in ("start", "resume")
    ]
    if stored is None or not started:
        yield f"{run_dir}: {RUN_FILE} or the first line of {LEDGER_FILE} is missing"
        return
    number, last = started[-1]
    before, now = flatten(last["config"]), flatten(stored["config"])
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield (
                f"{RUN_FILE} has {name}={now.get(name)}, "
                f"{LEDGER_FILE} line {number} says {before.get(name)}"
            )


def _checkpoints(run_dir: Path, lines: list[dict[str, Any]]) -> Iterator[str]:
    recorded = {
        line["step"]: (number, line)
        for number, line in enumerate(lines, start=1)
        if line["event"] in ("checkpoint", "resume")
    }
    heads = {line["hash"] for line in lines}
    for folder in list_checkpoints(run_dir):
        number, entry = recorded.get(step_of(folder), (0, None))
        try:
            found = manifest.read(folder, "checkpoint")
            manifest.verify(folder, found)
        except UserError as error:
            yield f"{folder.name}: {error}"
            continue
        if entry is not None and found.identity != entry["identity"]:
            yield f"{folder.name} is not the checkpoint that {LEDGER_FILE} line {number} records"
        if found.counts["ledger"] not in heads:
            yield f"{folder.name} belongs to another ledger"


def _data(run_dir: Path, lines: list[dict[str, Any]], folder: str) -> Iterator[str]:
    number, first = next(
        ((number, line) for number, line in enumerate(lines, start=1) if line["event"] == "start"), (0, {})
    )
    kept = manifest.read(run_dir / DATA_FOLDER, "tokens")
    if kept.identity != first.get("data"):
        yield f"{run_dir / DATA_FOLDER} describes other shards than {LEDGER_FILE} line {number}"
    path = folder or json.loads((run_dir / RUN_FILE).read_text(encoding="utf-8"))["config"]["data"]["path"]
    if not Path(path).is_dir():
        yield f"the shards are not at {path} any more; say where with data=DIR"
        return
    try:
        found = manifest.read(path, "tokens")
        manifest.verify(path, found)
    except UserError as error:
        yield f"shards: {error}"
        return
    if found.identity != first.get("data"):
        yield f"{path} holds other shards than {LEDGER_FILE} line {number} records"
