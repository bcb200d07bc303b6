"""`onnuri tasks make`: tasks, conversations or preference pairs as JSON lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from random import Random
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError, check_choice
from onnuri.base.manifest import Manifest
from onnuri.chat.programmed.config import MakeConfig
from onnuri.chat.programmed.family import DIFFICULTIES, Task
from onnuri.chat.programmed.table import FAMILIES

log = logging.getLogger(__name__)

KIND = "tasks"
MOST_DRAWS = 2_000
"""Draws in a row that bring no new prompt, after which a family counts as exhausted."""


def chosen(names: Sequence[str]) -> list[str]:
    """These families, or all. Raises UserError for an unknown name."""
    for name in names:
        check_choice("families", name, FAMILIES)
    return list(dict.fromkeys(names)) or list(FAMILIES)


def tasks(name: str, count: int, split: str, difficulty: int, seed: int) -> Iterator[Task]:
    """`count` tasks of a family, no prompt twice, the same for the same words; difficulty 0: all three.

    Each difficulty has a generator of its own, so that a smaller count is the beginning of a larger one.
    Raises UserError if the family has fewer tasks.
    """
    levels = DIFFICULTIES if difficulty == 0 else (difficulty,)
    generators = {level: Random(f"{seed} {name} {split} {level}") for level in levels}
    seen: set[str] = set()
    for number in range(count):
        level = levels[number % len(levels)]
        for _ in range(MOST_DRAWS):
            task = FAMILIES[name].make(generators[level], level, split)
            if task.prompt not in seen:
                break
        else:
            raise UserError(
                f"{name} has no more than {number:,} tasks of split {split} with difficulty={difficulty}; "
                f"count={count:,} is too many"
            )
        seen.add(task.prompt)
        yield task


def row(task: Task, kind: str, seed: int) -> dict[str, Any]:
    """A line of the file."""
    if kind == "tasks":
        return task.to_json()
    facts = {"id": task.id, "lang": "ko", "source": f"onnuri-tasks/{task.family}", "license": "Apache-2.0"}
    facts |= {"kind": "programmed"}
    user = {"role": "user", "content": task.prompt}
    right = {"role": "assistant", "content": task.answer}
    if kind == "sft":
        return facts | {"messages": [user, right]}
    mistake = FAMILIES[task.family].mistake(Random(f"{seed} {task.id}"), task)
    return facts | {
        "prompt": [user],
        "chosen": [right],
        "rejected": [{"role": "assistant", "content": mistake}],
    }


def make(config: MakeConfig) -> Manifest:
    """Write the folder, or do nothing when it answers this request. Returns its manifest."""
    names = chosen(config.families)
    settings = {**asdict(config), "families": names}
    del settings["output"]
    if found := manifest.up_to_date(config.output, KIND, settings, {}):
        log.info(f"{config.output} is up to date")
        return found
    with manifest.building(config.output, KIND) as partial:

        def lines() -> Iterator[str]:
            for name in names:
                for task in tasks(name, config.count, config.split, config.difficulty, config.seed):
                    written = row(task, config.kind, config.seed)
                    yield json.dumps(written, ensure_ascii=False, sort_keys=True) + "\n"

        manifest.write_text(partial / f"{config.kind}.jsonl", lines())
        counts = dict.fromkeys(names, config.count)
        sealed = manifest.seal(partial, KIND, settings, {}, counts)
    log.info(f"{config.output}: {config.count:,} of each of {len(names)} families in {config.kind}.jsonl")
    return sealed


def listing(names: Sequence[str], difficulty: int) -> str:
    """The families with one training example each, for people."""
    parts = []
    for name in chosen(names):
        family = FAMILIES[name]
        task = next(tasks(name, 1, "train", difficulty, 1))
        example = "\n".join(f"    {line}" for line in f"{task.prompt}\n> {task.answer}".splitlines())
        parts.append(f"{name}: {family.about}\n  train and test differ by: {family.apart}\n{example}")
    return "\n\n".join(parts)
