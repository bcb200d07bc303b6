"""What measurements change in the repository: tiles, the choice of backends, the planner's numbers.

Each function takes the calls, edits one kind of file of a checkout and returns a line for each change.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from onnuri.gpu.attention import DOCUMENTS, LENGTHS
from onnuri.gpu.planned import plan
from onnuri.gpu.results import Call, find, of_one_version, spilled, training
from onnuri.gpu.stage import Result
from onnuri.kernels.config import ROW_OPERATIONS
from onnuri.kernels.triton.tiles import HEAD_DIMS, AttentionTiles

TILES = "src/onnuri/kernels/triton/tiles.json"
MEASURED = "src/onnuri/kernels/measured.json"
CLUSTERS = "configs/cluster"
MEMORY, SPEED = "src/onnuri/plan/memory.py", "src/onnuri/plan/speed.py"


def update(calls: list[Call], root: Path) -> list[str]:
    """Everything that these results say something of; one line a change."""
    if not capability(calls):
        return []
    return [
        *update_tiles(calls, root / TILES),
        *update_choice(calls, root / MEASURED),
        *update_efficiency(calls, root / CLUSTERS),
        *update_constants(calls, root),
    ]


def capability(calls: list[Call]) -> int:
    """90 for compute capability 9.0; 0 where no GPU was measured."""
    return next((call.environment["capability"] for call in calls if call.environment), 0)


def source(calls: list[Call]) -> str:
    """Device and versions, as they stand beside the figures."""
    facts = next(call.environment for call in calls if call.environment)
    versions = facts["versions"]
    return f"{facts['device']}, torch {versions.get('torch')}, triton {versions.get('triton')}"


def _write(path: Path, value: Any) -> None:
    """JSON with lists of numbers on one line, as the files are kept."""
    text = json.dumps(value, indent=2)
    text = re.sub(r"\[\s+([\d\s,]+?)\s+\]", lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text)
    path.write_text(text + "\n", encoding="utf-8")


def update_tiles(calls: list[Call], path: Path) -> list[str]:
    """The fastest tile without spills of each kernel and head size that was swept."""
    tables = json.loads(path.read_text(encoding="utf-8"))
    key, changes, swept = str(capability(calls)), [], []
    if key not in tables["half"]:
        return [f"{path.name}: no entry for compute capability {key}; add one before its tiles can be kept"]
    entry = tables["half"][key]
    for size in HEAD_DIMS:
        for kernel in AttentionTiles._fields:
            found = [
                each
                for each in find(calls, measured="sweep", kernel=kernel, head_dim=size)
                if "ms" in each and not spilled(each)
            ]
            if not found:
                continue
            best = min(found, key=lambda each: each["ms"])["tile"]
            swept.append(f"{kernel} {size}")
            if best != entry[str(size)][kernel]:
                changes.append(f"{path.name}: {key} {size} {kernel} {entry[str(size)][kernel]} -> {best}")
                entry[str(size)][kernel] = best
    if swept:
        every = len(swept) == len(HEAD_DIMS) * len(AttentionTiles._fields)
        before, entry["source"] = (
            entry["source"],
            source(calls) + ("" if every else f": {', '.join(swept)}"),
        )
        changes += (
            [f"{path.name}: {key} source {before} -> {entry['source']}"]
            if before != entry["source"]
            else []
        )
    if changes:
        _write(path, tables)
    return changes


def update_choice(calls: list[Call], path: Path) -> list[str]:
    """Milliseconds of each operation by backend. What was not measured keeps its entry."""
    tables = json.loads(path.read_text(encoding="utf-8"))
    found = {"compiled": _compiled(calls), "eager": _eager(calls)}
    if not any(found.values()):
        return []
    entry = tables.setdefault(str(capability(calls)), {})
    before = json.dumps(entry, sort_keys=True)
    entry["source"] = source(calls)
    for how, operations in found.items():
        if operations:
            entry[how] = entry.get(how, {}) | operations
    if json.dumps(entry, sort_keys=True) == before:
        return []
    _write(path, tables)
    names = sorted({name for operations in found.values() for name in operations})
    return [f"{path.name}: {capability(calls)} {', '.join(names)}"]


def _attention(calls: list[Call]) -> dict[str, float]:
    """Forward and backward on packed documents, head size 128: what can train on them at all is in it."""
    facts = {"documents": DOCUMENTS, "length": LENGTHS[-1], "head_dim": 128}
    backends = ("triton", "varlen", "flash", "torch")
    return {
        backend: each["forward_ms"] + each["backward_ms"]
        for backend in backends
        for each in find(calls, measured="attention", implementation=backend, **facts)
        if "forward_ms" in each
    }


def _loss(calls: list[Call]) -> dict[str, float]:
    found = find(calls, measured="loss", vocabulary=131072, chunk=0)
    return {
        each["implementation"]: each["ms"]
        for each in found
        if "ms" in each and " " not in each["implementation"]
    }


def _compiled(calls: list[Call]) -> dict[str, dict[str, float]]:
    """Row operations by the step of a whole run: alone, none shows what Inductor fuses it with."""
    operations = {"attention": _attention(calls), "linear_cross_entropy": _loss(calls)}
    by_rows: dict[str, float] = {}
    for result in of_one_version(calls, "300m", "300m-rows"):
        chosen = {result.get("kernels", {}).get(operation) for operation in ROW_OPERATIONS}
        if len(chosen) == 1 and (backend := chosen.pop()):
            by_rows[backend] = 1e3 * result["seconds"]
    if len(by_rows) == 2:
        operations |= dict.fromkeys(ROW_OPERATIONS, by_rows)
    return {name: times for name, times in operations.items() if times}


def _eager(calls: list[Call]) -> dict[str, dict[str, float]]:
    """The sum of an operation's functions; of the losses, those that run the same without a compiler."""
    operations = {"attention": _attention(calls)}
    losses = {name: value for name, value in _loss(calls).items() if name != "torch"}
    operations["linear_cross_entropy"] = losses
    for operation in ROW_OPERATIONS:
        for backend in ("triton", "torch"):
            found = find(calls, measured="rows", operation=operation, implementation=backend)
            if found and all("forward_ms" in each for each in found):
                newest: dict[str, Result] = {each["function"]: each for each in found}
                total = sum(each["forward_ms"] + each["backward_ms"] for each in newest.values())
                operations.setdefault(operation, {})[backend] = total
    return {name: times for name, times in operations.items() if times}


FITTED = ("300m", "1b", "1b-stage3")
"""Runs for which the GPU sets the pace: not the host, as at stage 3 of 300m."""


def fitted_efficiency(calls: list[Call]) -> float | None:
    """`efficiency_alone` with which the plan gives the measured tokens/s: the mean of these runs."""
    fits = []
    for variant in FITTED:
        result = training(calls, variant)
        if result.get("cluster"):
            planned = plan(result["words"], result["cluster"])
            seconds = planned.step_tokens / result["tokens_per_second"] - planned.other_seconds
            fits.append(planned.efficiency * planned.compute_seconds / seconds)
    return geometric_mean(fits) if fits else None


def update_efficiency(calls: list[Call], folder: Path) -> list[str]:
    """`efficiency_alone` of the cluster file of this device: `efficiency` is of published runs on many."""
    value = fitted_efficiency(calls)
    names = {training(calls, variant).get("cluster") for variant in FITTED} - {None, ""}
    if value is None or len(names) != 1:
        return []
    path = folder / f"{names.pop()}.yaml"
    return _replace(path, r"^efficiency_alone: ([\d.]+)$", "efficiency_alone: ", round(value, 3))


def update_constants(calls: list[Call], root: Path) -> list[str]:
    """The planner's estimates of what a GPU adds: context, fragmentation, the price of running eager."""
    runs = [training(calls, variant) for variant in ("300m", "1b", "300m-stage3", "1b-stage3")]
    wanted = {"smi_peak_gib", "memory_reserved_gib", "memory_allocated_gib"}
    runs = [run for run in runs if wanted <= run.keys() and run["cluster"]]
    changes = []
    if runs:
        context = median(run["smi_peak_gib"] - run["memory_reserved_gib"] for run in runs)
        lost = max(
            (run["memory_reserved_gib"] - run["memory_allocated_gib"])
            / plan(run["words"], run["cluster"]).fleeting_gib
            for run in runs
        )
        path = root / MEMORY
        changes += _replace(
            path, r"^CONTEXT = int\(([\d.]+) \* GIB\)$", "CONTEXT = int(", round(context, 2), " * GIB)"
        )
        changes += _replace(
            path, r"^FRAGMENTATION = ([\d.]+)$", "FRAGMENTATION = ", math.ceil(100 * lost) / 100
        )
    if runs := of_one_version(calls, "300m", "300m-eager"):
        compiled, eager = runs
        ratio = round(eager["tokens_per_second"] / compiled["tokens_per_second"], 2)
        changes += _replace(root / SPEED, r"^EAGER = ([\d.]+)$", "EAGER = ", ratio)
    return changes


def _replace(path: Path, pattern: str, before: str, value: float, after: str = "") -> list[str]:
    """Put a number into the one line of a file that `pattern` matches, its group being the old number."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(pattern, text, re.MULTILINE)
    if len(found) != 1:
        return [f"{path.name}: no single line like {pattern}; put {value:g} there by hand"]
    if float(found[0]) == value:
        return []
    path.write_text(
        re.sub(pattern, f"{before}{value:g}{after}", text, flags=re.MULTILINE), encoding="utf-8"
    )
    return [f"{path.name}: {before.strip(' =:(')} {found[0]} -> {value:g}"]
