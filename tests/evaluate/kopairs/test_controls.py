"""What n-grams and token counts reach on KoPairs: half of the points wherever grammar spans a distance."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from onnuri.corpus.documents import read_documents
from onnuri.evaluate.kopairs.controls import (
    CHARACTERS,
    by_phenomenon,
    by_tier,
    ngram_control,
    ngram_nats,
    token_control,
)
from onnuri.evaluate.kopairs.generate import PHENOMENA, generate, score

APART = [p.name for p in PHENOMENA.values() if p.kind != "pair" and not p.adjacent]


@pytest.fixture(scope="module")
def korean(sample: Callable[[str], str]) -> list[str]:
    """Half a megabyte of the Korean texts that the sample corpus trains on."""
    texts: list[str] = []
    for batch in read_documents(sample("corpus"), "train", ["text", "lang"]):
        texts += [text for text, lang in zip(batch["text"], batch["lang"], strict=True) if lang == "ko"]
    total, taken = 0, []
    for text in texts:
        taken.append(text)
        total += len(text.encode())
        if total > 500_000:
            return taken
    raise AssertionError(f"the sample corpus holds {total} bytes of Korean")


def test_bigrams_get_half_of_every_quad_and_much_of_tier_a(korean: list[str]) -> None:
    items = generate()
    values = ngram_control(items, korean, 2)
    groups = by_phenomenon(items, values)
    assert {groups[name] for name in APART} == {0.5}
    assert {value for item, value in zip(items, values, strict=True) if item.phenomenon in APART} == {0.5}
    assert groups["josa_object"] > 0.7


def test_six_grams_get_no_further_on_agreement_and_licensing(korean: list[str]) -> None:
    few = [item for item in generate() if item.tier in "BC"][::5]
    tiers = by_tier(few, ngram_control(few, korean, 6))
    assert set(tiers) == {"B", "C"}
    assert max(tiers.values()) <= 0.60


def test_shuffled_labels_give_half() -> None:
    choose = random.Random(3)
    values = [score(item, tuple(choose.random() for _ in item.sentences)) for item in generate()]
    assert sum(values) / len(values) == pytest.approx(0.5, abs=0.02)


def test_fewer_tokens_win_and_crossed_words_tie() -> None:
    pair = next(item for item in generate() if item.phenomenon == "josa_object")
    assert token_control([pair], {pair.sentences[0]: 3, pair.sentences[1]: 4}.__getitem__) == [1.0]
    assert token_control([pair], {pair.sentences[0]: 4, pair.sentences[1]: 3}.__getitem__) == [0.0]
    words = by_phenomenon(generate(), token_control(generate(), lambda sentence: len(sentence.split())))
    assert {name: value for name, value in words.items() if value != 0.5} == {}


def test_probabilities_of_a_small_text_are_those_of_the_formula() -> None:
    base = 1 / CHARACTERS
    unigram = {"a": (2 + 3 * base) / 11, "b": (3 + 3 * base) / 11, "\x03": (3 + 3 * base) / 11}
    # lines ab, ab, b: after the start a, a, b; after a twice b; after b three ends
    expected = math.log((2 + 2 * unigram["a"]) / 5) + math.log((2 + unigram["b"]) / 3)
    expected += math.log((3 + unigram["\x03"]) / 4)
    assert ngram_nats(["ab"], ["ab\nab", "", " b "], 2)["ab"] == pytest.approx(expected, abs=1e-12)


def test_means_are_over_phenomena_first() -> None:
    few = [item for item in generate() if item.phenomenon in ("josa_object", "josa_and")]
    few = few[:200] + few[200:210]
    values = [1.0] * 200 + [0.0] * 10
    assert by_phenomenon(few, values) == {"josa_object": 1.0, "josa_and": 0.0}
    assert by_tier(few, values) == {"A": 0.5}
