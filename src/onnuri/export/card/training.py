"""`training.json` of an exported model: what run and ledger say of its training, for cards written later.

The folder goes to places where the run is not. Its manifest has the hash of this file, so a card is written
from what the export has recorded, and from nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.run import chain

log = logging.getLogger(__name__)

TRAINING_FILE = "training.json"
FORMAT = 1
STARTS = ("start", "resume")


def training_facts(
    run_dir: Path, run: dict[str, Any], tokens: Manifest, checkpoint: Manifest, rows_trained: int
) -> dict[str, Any]:
    """The content of `training.json`; equal for equal checkpoints, whenever it is written.

    Args:
        rows_trained: rows of the embedding in training, which may be more than the tokenizer has tokens.
    """
    counted = ("train", "heldout", "languages", "sources", "tokenizer_sha256", "vocab_size", "corpus")
    return {
        "format": FORMAT,
        "step": checkpoint.settings["step"],
        "tokens_seen": checkpoint.counts["progress"]["tokens"],
        "config": run["config"],
        **({"context": run["context"]} if "context" in run else {}),
        "code": run["code"],
        "rows_trained": rows_trained,
        "tokens": {"identity": tokens.identity}
        | {name: tokens.counts[name] for name in counted if name in tokens.counts},
        "ledger": ledger_facts(run_dir, checkpoint),
    }


def ledger_facts(run_dir: Path, checkpoint: Manifest) -> dict[str, Any] | None:
    """What the ledger says of the way to a checkpoint; None where the run has none that can be used.

    A run whose ledger is damaged can be exported. The card then gives neither hardware nor time.
    """
    if not (run_dir / chain.LEDGER_FILE).is_file():
        return None
    head = checkpoint.counts.get("ledger")
    try:
        lines = chain.read(run_dir)
    except UserError as error:
        log.info(f"the model card says nothing of hardware and time: {error}")
        return None
    position = next((number for number, line in enumerate(lines) if line["hash"] == head), None)
    if position is None:
        return None
    return sums(lines[: position + 1])


def sums(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Segments (from a start or resume to the last line before the next one), steps and FLOPs.

    `flops` is the compute behind the weights; `flops_run` counts steps that a crash or a rollback undid and
    that were run again as often as they were run. Seconds are wall time; the time between segments is in
    neither of them. `source_tokens` are those that the steps up to the checkpoint predict, by source; None
    in ledgers that are older than this record. `init_from` is there where the run began with the weights of
    a folder.
    """
    segments: list[dict[str, Any]] = []
    flops: dict[int, int] = {}
    total = steps = 0
    for line in lines:
        if line["event"] in STARTS:
            facts = {name: line[name] for name in ("step", "world_size", "environment", "code")}
            segments.append({"event": line["event"], "began": line["time"], **facts})
        if segments:
            segments[-1]["ended"] = line["time"]
        if line["event"] == "step":
            total += line["flops"] - flops.get(line["step"] - 1, 0)
            flops[line["step"]] = line["flops"]
            steps += 1
    for segment in segments:
        segment["seconds"] = round(segment["ended"] - segment["began"], 3)
        segment["device_seconds"] = round(segment["seconds"] * segment["world_size"], 3)
    last = next((line["flops"] for line in reversed(lines) if line["event"] == "step"), 0)
    starts = [line["init_from"] for line in lines if "init_from" in line]
    return {
        "head": lines[-1]["hash"],
        "lines": len(lines),
        "steps_run": steps,
        "flops": last,
        "flops_run": total,
        "segments": segments,
        "source_tokens": lines[-1]["tokens"] if lines[-1]["event"] == "sources" else None,
        **({"init_from": starts[-1]} if starts else {}),
    }
