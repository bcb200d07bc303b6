"""What KoPairs gives to scorers that know no grammar: character n-grams and the number of tokens.

The n-gram model is interpolated as Witten and Bell (1991) have it:
p(c | h) = (count(h c) + types(h) * p(c | shorter h)) / (count(h) + types(h)). Only contexts that the items
need are counted, so 3 MB of text take seconds in pure Python and little memory.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from onnuri.evaluate.kopairs.generate import score
from onnuri.evaluate.kopairs.items import Item

START, END = "\x02", "\x03"
CHARACTERS = 20_000
"""Equally likely characters below the unigrams: about as many as Korean text uses."""


def ngram_nats(sentences: Iterable[str], texts: Iterable[str], order: int) -> dict[str, float]:
    """Log-probability (nats) of each sentence under a character n-gram of the texts, line by line."""
    padded = {sentence: START * (order - 1) + sentence + END for sentence in sentences}
    counts: dict[str, Counter[str]] = {
        text[position - length : position]: Counter()
        for text in padded.values()
        for position in range(order - 1, len(text))
        for length in range(order)
    }
    for line in (line for text in texts for line in text.splitlines() if line.strip()):
        text = START * (order - 1) + line.strip() + END
        for position in range(order - 1, len(text)):
            for length in range(order):
                seen = counts.get(text[position - length : position])
                if seen is None:  # then longer contexts, which end in this one, are not needed either
                    break
                seen[text[position]] += 1
    totals = {context: (sum(seen.values()), len(seen)) for context, seen in counts.items()}

    def nats(text: str) -> float:
        total = 0.0
        for position in range(order - 1, len(text)):
            probability = 1 / CHARACTERS
            for length in range(order):
                context = text[position - length : position]
                count, types = totals[context]
                if count:
                    probability = (counts[context][text[position]] + types * probability) / (count + types)
            total += math.log(probability)
        return total

    return {sentence: nats(text) for sentence, text in padded.items()}


def ngram_control(items: Sequence[Item], texts: Iterable[str], order: int) -> list[float]:
    """Value of each item (1, 0.5 or 0) under a character n-gram of the texts."""
    nats = ngram_nats({sentence for item in items for sentence in item.sentences}, texts, order)
    return [score(item, tuple(nats[sentence] for sentence in item.sentences)) for item in items]


def token_control(items: Sequence[Item], tokens: Callable[[str], int]) -> list[float]:
    """Value of each item when the sentence of fewer tokens is taken for the likelier one."""
    return [score(item, tuple(-float(tokens(sentence)) for sentence in item.sentences)) for item in items]


def by_phenomenon(items: Sequence[Item], values: Sequence[float]) -> dict[str, float]:
    """Mean value of each phenomenon."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for item, value in zip(items, values, strict=True):
        groups[item.phenomenon].append(value)
    return {name: sum(group) / len(group) for name, group in groups.items()}


def by_tier(items: Sequence[Item], values: Sequence[float]) -> dict[str, float]:
    """Mean over the phenomena of each tier (macro average)."""
    tiers = {item.phenomenon: item.tier for item in items}
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for name, value in by_phenomenon(items, values).items():
        groups[tiers[name]].append(value)
    return {tier: sum(group) / len(group) for tier, group in groups.items()}
