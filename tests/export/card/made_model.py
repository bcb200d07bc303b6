"""An exported model of the sample run, an evaluation for it, and the numbers that they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnuri.base import manifest

PROTOCOL = "ab" * 32


def task(value: float, **others: Any) -> dict[str, Any]:
    """An entry of `tasks` in evaluation.json."""
    found = {"value": value, "low": value - 0.03, "high": value + 0.03, "stderr": 0.016}
    return {
        "title": {"en": "KoBEST COPA", "ko": "KoBEST COPA"},
        "licence": "CC-BY-SA-4.0",
        "formulation": "cloze",
        "protocol": PROTOCOL,
        "facts": {},
        "metric": "accuracy_bytes",
        "items": 1000,
        "clusters": 1000,
        "chance": 0.5,
        "metrics": {"accuracy_bytes": found},
        "contamination": None,
    } | others


def write_evaluation(folder: Path, **tasks: dict[str, Any]) -> dict[str, Any]:
    """evaluation.json of the model in a folder."""
    identity = manifest.read(folder, "model").identity
    row = {"documents": 41, "bytes": 56364, "bits_per_byte": 3.123456, "tokens_per_character": 0.5}
    result = {
        "format": 2,
        "request": {"model": identity, "data": "cd" * 32},
        "languages": {"ko": row},
        "tasks": tasks,
    }
    (folder / "evaluation.json").write_text(json.dumps(result, ensure_ascii=False))
    return result


def numbers(value: Any) -> Iterator[float]:
    """All numbers in a JSON value."""
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
