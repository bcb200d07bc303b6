"""This model against others, item by item: differences with intervals, p-values adjusted by Holm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError
from onnuri.evaluate.files import SAMPLES, samples_path
from onnuri.evaluate.metrics import counts
from onnuri.evaluate.report.comparable import TEXT_FACTS, check_comparable
from onnuri.evaluate.statistics import holm, match, paired

Samples = Sequence[Mapping[str, Any]]
BITS_PER_BYTE = ("languages", "sources", "total")


def read(path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A result and its samples, from `evaluation.json` or the folder it is in. Raises UserError."""
    file = Path(path) / "evaluation.json" if Path(path).is_dir() else Path(path)
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        tasks = result["tasks"]
        lines = samples_path(file).read_text(encoding="utf-8").split("\n")
        samples = [json.loads(line) for line in lines if line]
        if not tasks or not isinstance(result["request"], dict) or not result["model"]["name"]:
            raise ValueError
    except OSError as error:
        raise UserError(
            f"compare={path}: {error.filename} cannot be read ({error.strerror}); "
            f"a comparison needs evaluation.json and evaluation{SAMPLES} of a run with tasks="
        ) from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"compare={path} is no evaluation with tasks") from None
    if not isinstance(tasks, dict):
        raise UserError(f"compare={path} is no evaluation with tasks")
    return result, samples


def shared(other: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Another's result, with what stands beside a result of `request`: its tasks, and the same text."""
    found = dict(other) | {"tasks": {n: t for n, t in other["tasks"].items() if n in request["tasks"]}}
    if not found["tasks"]:
        raise UserError(
            f"compare: {other['model']['name']} has none of the tasks {', '.join(request['tasks'])}; "
            "evaluate it with them first"
        )
    same_text = all(other["request"].get(fact) == request.get(fact) for fact in TEXT_FACTS)
    return found if same_text else {k: v for k, v in found.items() if k not in BITS_PER_BYTE}


def comparisons(
    result: Mapping[str, Any],
    samples: Samples,
    others: Sequence[tuple[Mapping[str, Any], Samples]],
) -> list[dict[str, Any]]:
    """One entry for each other model and task that both have.

    Raises UserError if a task was scored by another protocol.
    """
    check_comparable([result, *(other for other, _ in others)])
    found = []
    for other, theirs in others:
        found += [
            _compare(name, result, samples, other, theirs)
            for name in other["tasks"]
            if result["tasks"][name]["metric"] not in ("bits_per_byte", "exposure")
        ]
    for entry, adjusted in zip(found, holm([entry["p"] for entry in found]), strict=True):
        entry["p_holm"] = adjusted
    return found


def _compare(
    name: str, result: Mapping[str, Any], samples: Samples, other: Mapping[str, Any], theirs: Samples
) -> dict[str, Any]:
    metric, groups = result["tasks"][name]["metric"], result["tasks"][name].get("groups", {})
    macro = metric.endswith("_macro")
    # A phenomenon counts where it counts for both: bare pairs depend on the tokenizer.
    other_groups = other["tasks"][name].get("groups", {})
    left_out = {
        group for group in groups if macro and not (counts(groups[group]) and counts(other_groups[group]))
    }
    items = {
        each["item"]: each for each in samples if each["task"] == name and each["group"] not in left_out
    }
    values = {item: float(each["value"]) for item, each in items.items()}
    their_values = {
        each["item"]: float(each["value"])
        for each in theirs
        if each["task"] == name and each["group"] not in left_out
    }
    names, first, second = match(values, their_values)
    clusters = [items[item]["cluster"] for item in names]
    by_group = [items[item]["group"] for item in names] if macro else None
    facts = asdict(paired(first, second, clusters, by_group))
    return {"task": name, "metric": metric, "other": other["model"]["name"], **facts}
