"""Results of `evaluation.json`, one row a number, for all that is written from them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError

EVALUATION_FILE = "evaluation.json"
NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Result:
    """The headline metric of a task, or the bits per byte of held-out text."""

    task: str
    title: str
    metric: str
    value: float
    low: float | None
    """Lower and upper end of the 95 % interval; None where there is none."""
    high: float | None
    chance: float | None
    items: int | None
    contamination: str
    formulation: str
    protocol: str


def read_evaluation(folder: Path, identity: str) -> dict[str, Any] | None:
    """`evaluation.json` of an exported model, None where there is none.

    Raises UserError for a file that is no evaluation, or of another model than the manifest's `identity`.
    """
    path = folder / EVALUATION_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        of = content["request"]["model"]
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError(f"{path} is no evaluation; move it away, or run `onnuri evaluate` again") from None
    if of != identity:
        raise UserError(f"{path} is of another model than {folder} holds; run `onnuri evaluate` again")
    return dict(content)


def results(evaluation: dict[str, Any] | None) -> list[Result]:
    """All rows; none without an evaluation. Raises UserError where it lacks what every result has."""
    if evaluation is None:
        return []
    try:
        return [*_tasks(evaluation.get("tasks") or {}), *_bits_per_byte(evaluation)]
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{EVALUATION_FILE} lacks {error}: run `onnuri evaluate` of this version again"
        ) from None


def _tasks(tasks: dict[str, Any]) -> Iterator[Result]:
    for name, task in sorted(tasks.items()):
        metric = task["metric"]
        found = task["metrics"][metric]
        if not isinstance(found["value"], int | float) or not math.isfinite(found["value"]):
            continue
        title = (task.get("title") or {}).get("en") or name
        if (task.get("facts") or {}).get("subset"):
            title += ", a subset"
        whole = Result(
            task=name,
            title=title,
            metric=metric,
            value=found["value"],
            low=found.get("low"),
            high=found.get("high"),
            chance=task.get("chance"),
            items=task.get("items"),
            contamination=_contamination(task),
            formulation=task.get("formulation") or "not stated",
            protocol=task["protocol"],
        )
        yield whole
        for tier, row in sorted((task.get("tiers") or {}).items()):
            yield replace(
                whole,
                task=f"{name}_tier_{tier}",
                title=f"{title}, tier {tier}",
                value=row["value"],
                low=row.get("low"),
                high=row.get("high"),
                chance=row.get("chance"),
                items=row.get("items"),
                contamination=NOT_CHECKED,
            )


def _contamination(task: dict[str, Any]) -> str:
    found = task.get("contamination")
    if not found:
        return NOT_CHECKED
    text = f"{found['items']:,} of {task['items']:,} items found in the training data"
    if found["items"] and found.get("items_without"):
        text += f"; {found['value_without']:.4f} on the other {found['items_without']:,}"
    return text


def _bits_per_byte(evaluation: dict[str, Any]) -> Iterator[Result]:
    for language, row in sorted((evaluation.get("languages") or {}).items()):
        yield Result(
            task=f"bits_per_byte_{language}",
            title=f"text given to `onnuri evaluate`, {language}",
            metric="bits_per_byte",
            value=row["bits_per_byte"],
            low=row.get("low"),
            high=row.get("high"),
            chance=None,
            items=row["documents"],
            contamination=NOT_CHECKED,
            formulation="documents",
            protocol=evaluation["request"].get("data") or "not stated",
        )
