"""The result that a file has already: what of it answers, what a new one may replace, and both as one."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from onnuri.base.errors import UserError
from onnuri.evaluate.files import answers_path, page_path, samples_path

log = logging.getLogger(__name__)

FORMAT = 2
"""Of `evaluation.json`."""


class Stored(NamedTuple):
    """A result and its samples."""

    result: dict[str, Any]
    samples: list[dict[str, Any]]

    def is_of(self, request: Mapping[str, Any]) -> bool:
        """Whether it is of the model that is asked for, in this format."""
        return all(self.result["request"][key] == request[key] for key in ("format", "model"))


def read(output: Path) -> Stored | None:
    """None if there is none. Raises UserError if the files are no result of ours, or damaged."""
    if not output.exists():
        return None
    try:
        result = json.loads(output.read_text(encoding="utf-8"))
        result["request"].setdefault("format", 1)
        if result["request"]["format"] == FORMAT:
            _check_shape(result)
        result["request"]["model"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"output={output} exists and is no evaluation; choose another output") from None
    file = samples_path(output)
    try:
        lines = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
        samples = [json.loads(line) for line in lines if line]
        if result["request"]["format"] == FORMAT:
            {each["task"] for each in samples}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{file} is damaged; delete it and {output.name} to begin anew") from None
    return Stored(result, samples)


def _check_shape(result: Any) -> None:
    request, tasks = result["request"], result.get("tasks", {})
    if request.get("tasks", {}).keys() != tasks.keys():
        raise ValueError
    for entry in tasks.values():
        int(entry["items"]), str(entry["protocol"])
    for row in result.get("languages", {}).values():
        int(row["documents"])
    if "data" in request:
        int(request["max_documents"]), str(request["text_column"])


def answers(stored: Stored, request: Mapping[str, Any]) -> bool:
    """Whether a stored result has all that is asked for."""
    found, tasks = stored.result["request"], request.get("tasks", {})
    if not stored.is_of(request) or not tasks.keys() <= {each["task"] for each in stored.samples}:
        return False
    entries = [stored.result["tasks"].get(name, {}) for name in tasks]
    checked = [(each.get("contamination") or {}).get("corpus") for each in entries]
    if "corpus" in request and any(each != request["corpus"] for each in checked):
        return False
    same = all(found.get(key) == value for key, value in request.items() if key not in ("tasks", "corpus"))
    return same and all(found.get("tasks", {}).get(name) == protocol for name, protocol in tasks.items())


def check_replaced(
    stored: Stored,
    output: Path,
    result: Mapping[str, Any],
    items: Mapping[str, int],
    documents: Mapping[str, int],
) -> list[str]:
    """What a new result replaces, a line each.

    Args:
        result: the new one; its `request` and `model` are enough.
        items: how many each task has now.
        documents: how many there are of each language now.

    Raises UserError if it would replace more by less, or another model's outside the model's own folder.
    """
    before, request, name = stored.result["request"], result["request"], result["model"]["name"]
    if not stored.is_of(request):
        theirs = (stored.result.get("model") or {}).get("name", name)
        if theirs != name != output.resolve().parent.name:
            raise UserError(f"{output} is of the model {theirs}, this is {name}; choose another output")
        return [f"{output} is of other weights, or of an older version: it begins anew"]
    anew, replaced = f"choose another output, or delete {output.name} to begin anew", []
    for task, count in items.items():
        if before.get("tasks", {}).get(task, request["tasks"][task]) == request["tasks"][task]:
            continue
        there = stored.result["tasks"][task]["items"]
        if there > count:
            raise UserError(f"{output} has {task} by {there:,} items, this would be {count:,}; {anew}")
        replaced.append(f"{output}: {task} ({there:,} items) is replaced: it asks something else now")
    if "data" not in before or "data" not in request:
        return replaced
    if any(before[key] != request[key] for key in ("data", "text_column")):
        return [*replaced, f"{output}: its bits per byte are of other text, and are replaced"]
    for language, row in stored.result.get("languages", {}).items():
        if (count := documents.get(language, 0)) < row["documents"]:
            raise UserError(
                f"{output} has bits per byte of {row['documents']:,} documents in {language}, this would "
                f"be {count:,}; {anew}"
            )
    return replaced


def merged(stored: Stored, result: Mapping[str, Any], samples: list[dict[str, Any]]) -> Stored:
    """A new result of the same model over an older one: what was not asked for again stays.

    Comparisons and a curve of a task that asks something else now do not.
    """
    old, new = stored.result, dict(result)
    both: dict[str, Any] = old | new
    for part in ("tasks", "results"):
        if part in old:
            both[part] = old[part] | new.get(part, {})
    both["request"] = old["request"] | new["request"]
    tasks = old["request"].get("tasks", {})
    if tasks:
        both["request"]["tasks"] = tasks | new["request"].get("tasks", {})
    changed = {name for name, protocol in tasks.items() if both["request"]["tasks"][name] != protocol}
    for part, key in (("comparisons", "compare"), ("curve", "curve")):
        if changed and part in old and part not in new:
            del both[part], both["request"][key]
            log.info(f"{part} of before are left out: {', '.join(sorted(changed))} asks something else now")
    kept = [
        each
        for each in stored.samples
        if each["task"] in old.get("tasks", {}) and each["task"] not in new.get("tasks", {})
    ]
    for name in sorted(both.get("tasks", {}).keys() - {each["task"] for each in [*kept, *samples]}):
        log.info(f"there are no samples of {name} any more: score it again before it is compared")
    return Stored(both, [*kept, *samples])


def remove(output: Path) -> None:
    """The files of a result that begins anew."""
    for path in (output, samples_path(output), answers_path(output), page_path(output)):
        path.unlink(missing_ok=True)


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Held while a result is joined with what another process may have written since."""
    folder = os.open(output.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that locks no folders
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
