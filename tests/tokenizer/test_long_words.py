"""Long words, such as base64, take no more than their share of the training."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest

from onnuri.base.errors import UserError
from onnuri.tokenizer import counting, mixture, unigram
from onnuri.tokenizer.native import Counter, Words, lay_out


def counted(words: Mapping[bytes, int]) -> Words:
    text, offsets = lay_out(list(words))
    return text, offsets, np.array(list(words.values()), dtype=np.int64)


def as_dict(words: Words) -> dict[bytes, int]:
    text, offsets, counts = words
    whole = text.tobytes()
    return {whole[offsets[i] : offsets[i + 1]]: int(counts[i]) for i in range(len(counts))}


def letters(rng: random.Random, size: int) -> bytes:
    return bytes(rng.choices(b"ACGT", k=size))


def test_text_without_a_space_counts_up_to_a_bound() -> None:
    rng = random.Random(4)
    runs = [bytes(rng.choices(b"abc+/", k=size)) for size in (100_000, 131_072, 140_000, 2_000_000)]
    text = "가".encode() * 50_000 + b" " + b" ".join(runs) + b"\nend"
    for documents, left_out in ((text, 18_930 + 8_928 + 1_868_928), (text[150_001:], 8_928 + 1_868_928)):
        counter = Counter()
        source, offsets = lay_out([documents])
        assert counter.add_text(source, offsets, np.ones(1, np.int64), True, False) == left_out
        found = as_dict(counter.words())
        assert sum(len(word) * count for word, count in found.items()) == len(documents) - left_out
        assert found[b"end"] == 1
        for word in found:
            word.decode()


@pytest.mark.parametrize("size", [70, 512])
def test_megabytes_of_long_words_leave_the_frequent_ones(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(1)
    usual = {letters(rng, rng.randint(1, 64)): rng.randint(1, 9) for _ in range(2000)}
    rulers = {b"-" * length: 1000 for length in range(65, 100)}
    rare = {letters(rng, size): 1 for _ in range(2_000_000 // size)}
    caplog.set_level("INFO")
    everything = counted(usual | rulers | rare)
    found = as_dict(counting.without_rare_long(everything))
    assert usual.items() <= found.items()
    assert rulers.items() <= found.items()
    left = sum(len(word) for word in found if word in rare)
    assert 20_000 < left < 300_000
    assert f"{len(rare) - len(found) + len(usual | rulers):,} rare words" in caplog.text
    turned = dict(sorted((usual | rulers | rare).items()))
    assert as_dict(counting.without_rare_long(counted(turned))) == found


def test_only_long_words_still_leave_something_to_learn_from() -> None:
    rng = random.Random(2)
    found = as_dict(counting.without_rare_long(counted({letters(rng, 512): 256 for _ in range(4000)})))
    assert 50 < len(found) < 1000


def test_usual_text_stays_as_it_is() -> None:
    rng = random.Random(3)
    words = counted({letters(rng, rng.choice([5, 8, 12, 90])): 1 for _ in range(900)})
    assert counting.without_rare_long(words) is words


@pytest.mark.extra("unigram")
def test_more_characters_than_tokens_are_one_line_with_the_way_out() -> None:
    hanja = {chr(code).encode(): 5 * mixture.UNIT for code in range(0x4E00, 0x4E00 + 3000)}
    with pytest.raises(UserError, match=r"vocab_size is too small.*: [\d,]+ more are needed; bpe"):
        unigram._sentencepiece(counted(hanja), 500, 16)
