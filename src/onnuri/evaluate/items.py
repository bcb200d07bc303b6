"""What a task asks of a model: items, each with texts whose likelihoods are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from onnuri.base import manifest


class Request(NamedTuple):
    """A text whose likelihood is wanted after another; an empty context is the separator token."""

    context: str
    continuation: str


@dataclass(frozen=True)
class Item:
    """A question with its answers, a sentence pair or quad, or a text alone.

    Three kinds, by `label` and number of options: a choice has a label; a contrast has two
    sentences (good, bad) or four (good, bad, and a control in both environments) and no label; a single
    option without a label is a text whose bits per byte are wanted.
    """

    name: str
    options: tuple[Request, ...]
    label: int | None = None
    group: str = ""
    cluster: str = ""
    """Items that share a passage, a template or a word; empty: the item stands alone."""
    tier: str = ""
    answers: tuple[str, ...] = ()
    """What lengths are counted of: the continuations without the delimiter. Empty: the continuations."""
    alone: tuple[Request, ...] = ()
    """The answers without the question, where the metric asks how much the question raises each."""
    measure: str = ""
    """bias, preference or exposure: what `onnuri.evaluate.chat.given` measures besides."""
    biased: int | None = None
    """bias: the answer that a prejudice gives."""
    unknown: int | None = None
    """bias: the answer that nobody can know."""

    @property
    def contrast(self) -> bool:
        """Whether sentences are compared, not answers."""
        return self.label is None and len(self.options) in (2, 4)

    @property
    def texts(self) -> tuple[str, ...]:
        """The answers."""
        return self.answers or tuple(option.continuation for option in self.options)


def identity(items: list[Item]) -> str:
    """sha256 of everything that the model reads and is judged by, in order."""
    return manifest.hash_json(
        [
            [
                i.name,
                [[*o] for o in i.options],
                i.label,
                i.group,
                i.cluster,
                i.tier,
                [*i.answers],
                [[*o] for o in i.alone],
                *([i.measure, i.biased, i.unknown] if i.measure else []),
            ]
            for i in items
        ]
    )
