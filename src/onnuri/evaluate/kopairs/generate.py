"""KoPairs: Korean sentences that differ in one rule of grammar, made by program from word lists of our own.

A model gets a point when it finds the good sentence likelier. The method is that of BLiMP (Warstadt et al.
2020); where two sentences differ in length or in words, a second pair takes that difference away: a quad.
"""

from __future__ import annotations

import functools

from onnuri.evaluate.kopairs import distance, form, licence, style
from onnuri.evaluate.kopairs.items import Item, Phenomenon, draw_items

VERSION = 1
"""Of the items: any change to a word, a template or the drawing raises it."""
PHENOMENA: dict[str, Phenomenon] = {
    phenomenon.name: phenomenon
    for tier in (form, distance, licence, style)
    for phenomenon in tier.PHENOMENA
}


@functools.cache
def _generate(seed: int) -> tuple[Item, ...]:
    return tuple(item for phenomenon in PHENOMENA.values() for item in draw_items(phenomenon, seed)[0])


def generate(seed: int = 1) -> list[Item]:
    """The items of a seed: 200 of each phenomenon, tier by tier; the same on every machine."""
    return list(_generate(seed))


def score(item: Item, log_probabilities: tuple[float, ...], tie: float = 1e-6) -> float:
    """1, 0.5 or 0 for the log-probabilities (nats) of the item's sentences; up to `tie` apart is a tie."""
    if len(log_probabilities) != len(item.sentences):
        raise ValueError(f"{item.id} has {len(item.sentences)} sentences, not {len(log_probabilities)}")
    difference = log_probabilities[0] - log_probabilities[1]
    if len(log_probabilities) == 4:
        difference -= log_probabilities[2] - log_probabilities[3]
    return 0.5 if abs(difference) <= tie else float(difference > 0)
