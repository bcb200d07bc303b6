"""What `tasks=` names: KoPairs, chat, tasks that come with Onnuri, task files, English tasks of a wheel.

Everything that a score depends on besides the model is in a task's facts, and their hash is its protocol:
two numbers compare only where the protocols are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.evaluate import items as item_module
from onnuri.evaluate import olmes, render, task_file
from onnuri.evaluate.chat.config import ChatConfig
from onnuri.evaluate.items import Item
from onnuri.tokenizer.special import CHAT_TEMPLATE

SCORER = 1
"""Counted up when the same items and likelihoods give another number."""
KOPAIRS = "kopairs"
CHAT = "chat"
CHAT_PREFIX = f"{CHAT}/"
ANSWER_TOKENS = 64
"""Of an answer that may hold a secret."""
UNRATED = "Made by program; no native speaker has rated the items yet."


@dataclass(frozen=True)
class Suite:
    """A task with its items, ready to be scored."""

    name: str
    title: str
    metric: str
    formulation: str
    licence: str
    items: list[Item]
    facts: dict[str, Any]
    note: str = ""
    controls: dict[str, dict[str, float]] = field(default_factory=dict)
    """By group, what scorers that know nothing of it reach."""
    title_ko: str = ""
    """Title in Korean; empty: the same."""
    chat: bool = False
    """Questions are a user's turn and answers the assistant's."""

    @property
    def protocol(self) -> str:
        """sha256 of the facts."""
        return manifest.hash_json(self.facts)


def load(
    name: str, tasks_dir: str = "", wheel: str = "", max_items: int = 0, chat: ChatConfig | None = None
) -> Suite:
    """A task by its name, or the path of its file. Raises UserError if it or its data is not there."""
    if name == KOPAIRS:
        found, controls = _kopairs()
        suite = _suite(name, "KoPairs", "accuracy_macro", "sentences", "Apache-2.0", found, max_items)
        return replace(suite, controls=controls, note=UNRATED)
    if name == CHAT or (name.startswith(CHAT_PREFIX) and name not in task_file.names()):
        from onnuri.evaluate.chat import suite as chat_suite

        return chat_suite.load(name, chat or ChatConfig(), max_items)
    if name.startswith(olmes.PREFIX):
        variant, found = olmes.items(name, wheel)
        formulation = "text" if variant.metric == "bits_per_byte" else "cloze"
        return _suite(name, variant.title, variant.metric, formulation, variant.licence, found, max_items)
    task = task_file.load(name)
    file = task.file
    found = render.items(task, tasks_dir)
    suite = _suite(task.name, file.title, file.metric, file.formulation, file.licence, found, max_items)
    if file.chat:
        template = hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest()
        written = {"answer_tokens": ANSWER_TOKENS} if file.metric == "exposure" else {}
        suite = replace(suite, chat=True, facts=suite.facts | {"template": template} | written)
    return replace(suite, note=file.note, title_ko=file.title_ko)


def _suite(
    name: str, title: str, metric: str, formulation: str, licence: str, found: list[Item], max_items: int
) -> Suite:
    kept = subset(found, max_items)
    facts = {
        "scorer": SCORER,
        "task": name,
        "metric": metric,
        "items": item_module.identity(kept),
        "subset": len(kept) if len(kept) < len(found) else 0,
    }
    return Suite(name, title, metric, formulation, licence, kept, facts)


def _kopairs() -> tuple[list[Item], dict[str, dict[str, float]]]:
    from onnuri.evaluate.items import Request
    from onnuri.evaluate.kopairs.export import shipped_controls
    from onnuri.evaluate.kopairs.generate import generate

    made = generate()
    items = [
        Item(
            each.id,
            tuple(Request("", sentence) for sentence in each.sentences),
            group=each.phenomenon,
            cluster=each.cluster,
            tier=each.tier,
        )
        for each in made
    ]
    return items, shipped_controls(made)


def subset(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many items, the same ones each time, as many of each group as of another.

    Which ones is decided by the hash of their names; they stay in their order. 0: all.
    """
    if not 0 < most < len(items):
        return list(items)
    by_group: dict[str, list[int]] = {}
    order = sorted(range(len(items)), key=lambda i: hashlib.sha256(items[i].name.encode()).digest())
    for index in order:
        by_group.setdefault(items[index].group, []).append(index)
    ranked = [(rank, name, index) for name, found in by_group.items() for rank, index in enumerate(found)]
    return [items[index] for index in sorted(index for _, _, index in sorted(ranked)[:most])]


def load_all(
    names: Sequence[str],
    tasks_dir: str = "",
    wheel: str = "",
    max_items: int = 0,
    chat: ChatConfig | None = None,
) -> list[Suite]:
    """All tasks of a list. Raises UserError for one that is named twice."""
    suites = [load(name, tasks_dir, wheel, max_items, chat) for name in names]
    known = [suite.name for suite in suites]
    if twice := [name for name in known if known.count(name) > 1]:
        raise UserError(f"tasks names {twice[0]} twice")
    return suites
