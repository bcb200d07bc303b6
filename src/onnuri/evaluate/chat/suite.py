"""The chat tasks by name: programmed tasks of the test split, and prompts that try to forge turns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from onnuri.base import manifest
from onnuri.base.errors import UserError, nearest
from onnuri.chat.programmed.family import Task
from onnuri.chat.programmed.make import chosen, tasks
from onnuri.chat.programmed.table import FAMILIES
from onnuri.evaluate.chat.config import ChatConfig
from onnuri.evaluate.chat.forgeries import hostile_prompts
from onnuri.evaluate.items import Item, Request
from onnuri.evaluate.suite import CHAT, CHAT_PREFIX, Suite, subset
from onnuri.evaluate.task_file import names
from onnuri.tokenizer.special import CHAT_TEMPLATE

SCORER = 2
"""Counted up when the same answers give another number: a checker, a measure, a rule."""
SEED = 1
"""Of `onnuri tasks make`, whose test split holds the same tasks."""
METRIC = "accuracy"
"""Over all tasks, as many of each family. Not the macro mean: its interval draws by family, and families
that are all wrong or all right, which are many here, pull the draws to the middle."""
FORMULATION = "written answers"
UNMEASURED = "style, helpfulness and knowledge, which need a judge: evaluation.answers.jsonl is for one"


@dataclass(frozen=True)
class ChatSuite(Suite):
    """Tasks that a model answers in its own words; an item is a task, its group the family."""

    tasks: tuple[Task, ...] = ()
    """One for each item."""
    fixed: tuple[tuple[str, str], ...] = ()
    """(family, the answer most often right in its training split)."""
    hostile: tuple[str, ...] = ()
    """Prompts that try to forge turns."""
    max_tokens: int = 256


def load(name: str, config: ChatConfig, max_items: int = 0) -> ChatSuite:
    """`chat`, or `chat/FAMILY`. Raises UserError for an unknown family, and one with too few tasks."""
    from onnuri.evaluate.chat.floors import fixed_answer

    whole = name == CHAT
    named = chosen(config.families) if whole else [_family(name)]
    families = [family for family in FAMILIES if family in named]
    made = {
        task.id: task
        for family in families
        for task in tasks(family, config.count, "test", config.difficulty, SEED)
    }
    items = [
        Item(task.id, (Request(task.prompt, task.answer),), group=task.family, cluster=task.id)
        for task in made.values()
    ]
    kept = subset(items, max_items)
    asked = tuple(made[item.name] for item in kept)
    fixed = tuple((family, fixed_answer(family, config.difficulty, SEED)) for family in families)
    hostile = hostile_prompts() if whole else ()
    facts = {
        "scorer": SCORER,
        "task": name,
        "metric": METRIC,
        "families": families,
        "count": config.count,
        "difficulty": config.difficulty,
        "split": "test",
        "seed": SEED,
        "decoding": "greedy",
        "max_tokens": config.max_tokens,
        "template": hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest(),
        "floors": manifest.hash_json([list(each) for each in fixed]),
        "items": manifest.hash_json([task.to_json() for task in asked] + list(hostile)),
        "subset": len(kept) if len(kept) < len(items) else 0,
    }
    title, title_ko = (
        ("Chat, programmed tasks", "대화, 프로그램 과제")
        if whole
        else (f"Chat, {families[0]}", f"대화, {families[0]}")
    )
    return ChatSuite(
        name,
        title,
        METRIC,
        FORMULATION,
        "Apache-2.0",
        kept,
        facts,
        tasks=asked,
        fixed=fixed,
        hostile=hostile,
        max_tokens=config.max_tokens,
        title_ko=title_ko,
    )


def about(name: str) -> str:
    """Everything about a chat task, for `onnuri evaluate list`. Raises UserError for an unknown family."""
    if name == CHAT:
        families = ", ".join(FAMILIES)
        return (
            f"{name}: greedy answers to programmed tasks, graded by programs (docs/tasks.md)\n"
            f"  data     none; onnuri tasks make split=test count=40 writes the same tasks\n"
            f"  families {families}\n"
            f"  one only tasks=[{CHAT_PREFIX}josa,{CHAT_PREFIX}number_reading]\n"
            f"  options  chat.families, chat.count, chat.difficulty, chat.max_tokens\n"
            f"  metric   {METRIC} ({FORMULATION})\n"
            f"  lacks    {UNMEASURED}"
        )
    family = _family(name)
    return (
        f"{name}: {FAMILIES[family].about}\n  data     none\n"
        f"  split    train and test differ by {FAMILIES[family].apart}\n"
        f"  metric   {METRIC} ({FORMULATION})"
    )


def _family(name: str) -> str:
    family = name.removeprefix(CHAT_PREFIX)
    if family not in FAMILIES:
        known = [
            *FAMILIES,
            *(each.removeprefix(CHAT_PREFIX) for each in names() if each.startswith(CHAT_PREFIX)),
        ]
        raise UserError(f"tasks names {name}; families are {', '.join(known)}{nearest(family, known)}")
    return family
