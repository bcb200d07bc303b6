"""Does a run directory hold what its ledger says, and an exported model what its manifest says?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.config.former_names import rename_stored
from onnuri.export.card.write import problems as card_problems
from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.replay import replay
from onnuri.ledger.signature import check_signature
from onnuri.run.chain import LEDGER_FILE, last_of_each_step, read, recorded_files
from onnuri.run.checkpoints import list_checkpoints, read_verified, step_of
from onnuri.run.locate import run_directory
from onnuri.run.metrics_file import METRICS_FILE, read_metrics
from onnuri.run.run_file import DATA_FOLDER, RUN_FILE, flatten, read_run_file

log = logging.getLogger(__name__)


def verify(config: VerifyConfig) -> list[str]:
    """What does not match, one line each; empty if everything does."""
    folder = run_directory(config.run)
    unsigned: list[str] = []
    if config.public_key:
        unsigned = list(check_signature(folder, Path(config.public_key)))
    problems, summary = _model(folder, config) if is_model(folder) else _run(folder, config)
    if problems or unsigned:
        return unsigned + problems
    log.info(summary)
    return []


def is_model(folder: Path) -> bool:
    """True for an exported model, which has no ledger of its own: its manifest names the checkpoint."""
    return manifest.kind_of(folder) == "model" and not (folder / LEDGER_FILE).exists()


def _model(folder: Path, config: VerifyConfig) -> tuple[list[str], str]:
    if config.replay:
        raise UserError(f"replay={config.replay} needs a run directory; {folder} is an exported model")
    try:
        found = manifest.read(folder, "model")
        manifest.verify(folder, found)
    except UserError as error:
        return [str(error)], ""
    if changed := list(card_problems(folder)):
        return changed, ""
    made_from = f"from the checkpoint with the identity {found.inputs['checkpoint']}"
    return [], f"{folder}: {len(found.files)} files, all as exported {made_from}"


def _run(run_dir: Path, config: VerifyConfig) -> tuple[list[str], str]:
    lines = read(run_dir)
    problems = contradictions(run_dir, lines, config.data)
    if config.replay and not problems:
        problems += replay(run_dir, lines, config.replay, config.data)
    steps = sum(line["event"] == "step" for line in lines)
    kept = len(list_checkpoints(run_dir))
    return (
        problems,
        f"{run_dir}: {len(lines):,} lines, {steps:,} steps, {kept} checkpoint(s): all as recorded",
    )


def contradictions(run_dir: Path, lines: list[dict[str, Any]], data: str) -> list[str]:
    """What in a run directory differs from its ledger, one line each.

    Args:
        lines: the ledger.
        data: where the shards are now, "" where they were.
    """
    problems = [*_steps(run_dir, lines), *_settings(run_dir, lines), *_checkpoints(run_dir, lines)]
    problems += _files(run_dir, lines)
    return problems + list(_data(run_dir, lines, data))


def _steps(run_dir: Path, lines: list[dict[str, Any]]) -> Iterator[str]:
    recorded = last_of_each_step(lines)
    shown = [line for line in read_metrics(run_dir) if "loss" in line]
    saved = max(map(step_of, list_checkpoints(run_dir)), default=0)
    missing = {*range(1, max([saved, *(line["step"] for line in shown)]) + 1)} - {x["step"] for x in shown}
    if missing:
        yield f"{METRICS_FILE} lacks {len(missing)} step(s), the first is {min(missing)}"
    for line in shown:
        number, entry = recorded.get(line["step"], (0, None))
        if entry is None:
            yield f"{METRICS_FILE}: step {line['step']} is not in {LEDGER_FILE}"
            continue
        for name in ("loss", "grad_norm", "tokens"):
            if line.get(name) != entry[name]:
                yield (
                    f"{METRICS_FILE}: step {line['step']} has {name} {line.get(name)}, "
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
    before, now = flatten(rename_stored(last["config"])), flatten(stored["config"])
    if last is lines[-1] and any(now == flatten(rename_stored(line["config"])) for _, line in started[-2:]):
        return  # the last start was killed before it wrote its own, and trained nothing
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
    for index, folder in enumerate(list_checkpoints(run_dir)):
        number, entry = recorded.get(step_of(folder), (0, None))
        try:
            found = read_verified(folder)
        except UserError as error:
            yield f"{folder.name}: {error}"
            continue
        if entry is None and index > 0:  # the newest is recorded with the next, or when the run resumes
            yield f"{folder.name} is not recorded in {LEDGER_FILE}"
        if entry is not None and found.identity != entry["identity"]:
            yield f"{folder.name} is not the checkpoint that {LEDGER_FILE} line {number} records"
        if found.counts["ledger"] not in heads:
            yield f"{folder.name} belongs to another ledger"


def _files(run_dir: Path, lines: list[dict[str, Any]]) -> Iterator[str]:
    """Files that steps were made from."""
    for name, (number, digest) in recorded_files(lines).items():
        path = run_dir / name
        if not path.is_file():
            yield f"{name} is missing, {LEDGER_FILE} line {number} records it"
        elif manifest.hash_file(path) != digest:
            yield f"{name} is not the file that {LEDGER_FILE} line {number} records"


def _data(run_dir: Path, lines: list[dict[str, Any]], folder: str) -> Iterator[str]:
    starts = [(number, line) for number, line in enumerate(lines, start=1) if line["event"] == "start"]
    number, first = starts[-1] if starts else (0, {})
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
