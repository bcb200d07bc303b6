"""`metrics.jsonl` of a run directory: reading it, and cutting it where a run resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from onnuri.base.manifest import sync

METRICS_FILE = "metrics.jsonl"
PICTURE_FILE = "loss.png"


def keep_until(run_dir: Path, step: int) -> IO[str]:
    """Cut metrics.jsonl after the lines of a step, and open it to go on."""
    path = run_dir / METRICS_FILE
    kept = [line for line in read_metrics(run_dir) if line["step"] <= step]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    return path.open("a", encoding="utf-8")


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Every whole line of metrics.jsonl; a last line cut by a crash is left out."""
    path = run_dir / METRICS_FILE
    if not path.is_file():
        return []
    lines = []
    for text in path.read_bytes().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "step" in line:
            lines.append(line)
    return lines


def measured(run_dir: Path, step: int) -> set[str]:
    """The keys of all that metrics.jsonl has of a step: bits_per_byte after a validation."""
    return {name for line in read_metrics(run_dir) if line["step"] == step for name in line}
