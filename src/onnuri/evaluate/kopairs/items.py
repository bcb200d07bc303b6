"""What an item is, and how a phenomenon's items are drawn from its word lists."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar

T = TypeVar("T")
ITEMS = 200
"""Items of a phenomenon."""
CLUSTER_LIMIT = 3
"""Items of a cluster at most; so 200 items stand in 67 clusters at least."""
WORD_LIMIT = 10
"""Items of a phenomenon with the same content word at most: 5 %."""


class Item(NamedTuple):
    """A minimal pair (good, bad) or a crossed quad of sentences.

    A quad holds x in the good and in the bad environment, then y in the good and in the bad one. Its score
    is s0 - s1 - s2 + s3 of the log-probabilities, a pair's s0 - s1; above 0 is a point, 0 half a point.
    """

    id: str
    phenomenon: str
    tier: str
    cluster: str
    """Phenomenon, template and lexical head: items of one cluster are not independent."""
    sentences: tuple[str, ...]


class Draft(NamedTuple):
    """Sentences of an item to be, and the template and head that make its cluster."""

    template: str
    head: str
    sentences: tuple[str, ...]


class Phenomenon(NamedTuple):
    """A rule of Korean with the function that draws an item of it."""

    name: str
    tier: Literal["A", "B", "C", "D"]
    kind: Literal["pair", "control", "mirror"]
    """A pair; a quad whose y is fine in both environments; a quad whose y wants the one bad for x."""
    draw: Callable[[Chooser], Draft]
    adjacent: bool = False
    """Of quads: x and its environment touch, so that characters alone can tell (allomorphs)."""
    word_limit: int = WORD_LIMIT
    cluster_limit: int = CLUSTER_LIMIT


class Chooser:
    """Seeded choice among words, none of which is taken more often than the limit.

    Only random() is asked: Python keeps its sequence from version to version, not that of choice().
    """

    def __init__(self, seed: int, limit: int) -> None:
        self.random = random.Random(seed)
        self.limit = limit
        self.used: Counter[str] = Counter()
        self.taken: list[str] = []

    def any(self, options: Sequence[T]) -> T:
        """One of the options, which may come any number of times: adverbs, numerals, names, endings."""
        return options[int(self.random.random() * len(options))]

    def word(self, options: Sequence[T], key: Callable[[T], str] = str) -> T:
        """One of the content words below the limit. Raises LookupError when none is left."""
        return self.words(options, lambda option: (key(option),))

    def words(self, options: Sequence[T], keys: Callable[[T], tuple[str, ...]]) -> T:
        """One of the options of several content words each, all of them below the limit."""
        allowed = [
            option
            for option in options
            if all(self.used[word] < self.limit and word not in self.taken for word in keys(option))
        ]
        if not allowed:
            raise LookupError
        first, second = self.any(allowed), self.any(allowed)
        chosen = min(
            first, second, key=lambda option: max((self.used[word] for word in keys(option)), default=0)
        )
        self.taken += keys(chosen)
        return chosen

    def keep(self) -> None:
        """Count what was taken since the last call of keep() or drop()."""
        self.used.update(self.taken)
        self.taken = []

    def drop(self) -> None:
        """Forget what was taken."""
        self.taken = []


def draw_items(phenomenon: Phenomenon, seed: int) -> tuple[list[Item], Counter[str]]:
    """The items of a phenomenon, and how many of them each content word is in.

    Raises RuntimeError when the word lists cannot give that many.
    """
    digest = hashlib.sha256(f"{seed} {phenomenon.name}".encode()).digest()
    choose = Chooser(int.from_bytes(digest[:8], "big"), phenomenon.word_limit)
    items: list[Item] = []
    clusters: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    for _ in range(ITEMS * 100):
        if len(items) == ITEMS:
            return items, choose.used
        try:
            draft = phenomenon.draw(choose)
        except LookupError:
            choose.drop()
            continue
        cluster = f"{phenomenon.name}:{draft.template}:{draft.head}"
        sentences = tuple(sentence.replace("_", " ") for sentence in draft.sentences)
        if (
            clusters[cluster] == phenomenon.cluster_limit
            or sentences in seen
            or len(set(sentences)) < len(sentences)
        ):
            choose.drop()
            continue
        choose.keep()
        clusters[cluster] += 1
        seen.add(sentences)
        number = f"{phenomenon.name}-{len(items) + 1:04}"
        items.append(Item(number, phenomenon.name, phenomenon.tier, cluster, sentences))
    raise RuntimeError(f"{phenomenon.name}: {len(items)} of {ITEMS} items; its word lists are too short")
